"""Sums that are worked out in words: `10 - 2 equals 8`, `5 times 2, which is 10`.

The result counts, not the number that the sentence happens to begin or to end with.
"""

from __future__ import annotations

import re

_PLAIN = r"\d(?<![\w.^]\d)(?:,?\d){0,20}(?:\.\d{1,20})?(?!\w)"
_SIGNED = rf"(?:[-−(] ?)?[$€£]?{_PLAIN}\)?"
_OPERATOR = (
    r"\s{0,2}(?:[-+*/×÷·⋅−–]|\bx\b|\\times\b|\\cdot\b|\\div\b|\b(?:plus|minus|times|mal|más|plus|fois|por|per"
    r"|multiplied by|divided by|added to|choose)\b)\s{0,2}"
)
_SUM = rf"{_PLAIN}(?:{_OPERATOR}{_SIGNED}){{1,6}}"
_LINK = (
    r"[\"'”*$\s]{0,3}(?:,?\s(?:which|that|and (?:this|that|it)))?\s{0,2}"
    r"(?:=|:|→|\b(?:is|are|equals?|makes?|gives?|becomes|comes (?:out )?to|results in|yields|adds up to|sums to|leaves"
    r"|ist|sind|ergibt|macht|es|son|est|font|fait|fa|é|è)\b)"
    r"(?:\s(?:also|simply|just|exactly|now|still|indeed|always|actually|clearly|obviously|therefore|about|only|equal to"
    r"|equivalent to|the same as|gleich|igual a|égal à|uguale a)\b){0,3}:?"
)
NUMBER = (
    r"(?:[-+−](?=[\d.$]))?[$€£]?"
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?!\d)|\d+\s\d+/\d+|\d+/\d+|\d*\.\d+(?:\(\d+\))?|\d+)"
    r"(?:[eE][-+]?\d+)?(?:\s?%|\s?percent\b)?(?![\w])(?!\.\d)"
)
_VALUE = rf"\s{{0,2}}[\"'“*$(]{{0,3}}(?P<value>{NUMBER})(?!\s?[\\^*+×·√π/]|\(|\s?[-−]\s?\d|\s(?:times|plus|minus)\b)"
RESULT = re.compile(_SUM + _LINK + _VALUE)
"""A sum with its result, the group `value`."""

_LAST_SUM = re.compile(rf"({_SUM})[\s\"'”*$.!]{{0,4}}\Z")
_FRACTION = re.compile(r"\d+\s?/\s?\d+")
_UNRESOLVED = re.compile(
    _SUM + r"[\"'”*$\s]{0,3}\s(?:is|are|was|looks|seems)\s(?:a|an|the|just|my|one|not|such|very|so)\b"
)
_CONCLUDES = re.compile(
    r"[:=]|\b(?:is|are|equals?|makes?|gives?|so|get|gets|have|has|thus|therefore|hence|total)\b", re.I
)
_EXPLAINS = re.compile(
    r"(?:\s[a-zA-Z]{2,15})?[\s,;\"']{0,4}(?:\(|(?:as|since|because|for|due|where|given|in|when|by|but|if|with"
    r"|after)\b)",
    re.I,
)
_GOES_ON = re.compile(
    r"[=:]|\b(?:is|are|equals?|makes?|gives?|so|then|and|total|get|have|has|plus|minus|times|leaves?|answer)\b", re.I
)
_SO = re.compile(r"\b(?:so|thus|therefore|hence|total|altogether|leaving|left|answer)\b", re.I)
_WHICH_IS = re.compile(
    r",?\s{0,2}(?:which|that|and that)\s(?:is|equals|makes|gives|comes to|amounts to)"
    rf"(?:\s(?:also|simply|just|exactly|equal to|equivalent to)){{0,2}}{_VALUE}"
)
_UNEVALUATED = re.compile(
    r"[-+(]{0,2}\d[\d,]{0,20}(?:\.\d{1,20})?\)?"
    r"(?:\s?(?:[-+*]|\\times|\\cdot|\\div|\bx\b|\bplus\b|\bminus\b|\bmultiplied by\b|\bdivided by\b)\s?"
    r"[-(]{0,2}\d[\d,]{0,20}(?:\.\d{1,20})?\)?){1,20}"
)


def result_at(text: str) -> str | None:
    """The result of the sum that a text begins with, or None."""
    match = RESULT.match(text.lstrip("\"'“*$ "))
    return match["value"] if match else None


def which_is(text: str) -> str | None:
    """The number of `, which is 10` at the beginning of a text, or None."""
    match = _WHICH_IS.match(text)
    return match["value"] if match else None


def result_in(sentence: str) -> str | None:
    """The last result of a sentence, explanations apart; None where it has none, or goes on to another number."""
    last = None
    for match in RESULT.finditer(sentence):
        if last and _explained(sentence[last.end("value") : match.start()]):
            break
        last = match
    if last is None:
        return None
    rest = sentence[last.end("value") :]
    goes_on = _GOES_ON.search(rest) and re.search(r"\d", rest)
    return last["value"] if _explained(rest) or not goes_on else None


def _explained(rest: str) -> bool:
    return _EXPLAINS.match(rest) is not None and not _SO.search(rest)


def last_sum(sentence: str) -> str | None:
    """The sum that a sentence ends with, or None."""
    match = _LAST_SUM.search(sentence)
    return match[1] if match and not _FRACTION.fullmatch(match[1]) else None


def speaks_of_sum(sentence: str) -> bool:
    """Whether a sentence talks about a sum (`5 - 3 is a fun way to ...`) and gives no result."""
    match = _UNRESOLVED.search(sentence)
    return match is not None and not _CONCLUDES.search(sentence, match.end())


def unevaluated(text: str) -> bool:
    r"""Whether a cleaned text is a sum or a product of plain numbers: `4 + 5`, `3 \times 3`."""
    return _UNEVALUATED.fullmatch(text) is not None
