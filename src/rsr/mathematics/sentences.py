"""The sentences of a response without a box, and which of them only add something to an answer that was given."""

from __future__ import annotations

import re

from rsr.mathematics import cues
from rsr.mathematics.candidates import FORMULA
from rsr.mathematics.text import closing

_SENTENCES = re.compile(
    r"(?<=[.!?。！？])(?=\s|[A-Z\u4e00-\u9fff])(?<!\b[A-Zv]\.)(?<!\bvs\.)(?<!\bapprox\.)(?<!\b[ap]\.m\.(?=\s[a-z]))"
    r"(?<!\bd\.(?=\sh\.))(?<!\bd\. h\.)(?<!\bd\.h\.)(?<!\bca\.)|\n"
)
_HYPOTHETICAL = re.compile(r"\bwould\b|['’]d be\b|\bcould be\b", re.I)
_OPEN = re.compile(
    cues.GAVE_UP.pattern
    + r"|\b(?:do|did) you mean\b|\b(?:could|can|would) you (?:please )?(?:clarify|tell me|specify)\b",
    re.I,
)
_NEGATED = re.compile(
    r"\A(?!.*\b(?:right|correct|enough|answer|sure|know|clear)\b)(?=.*(?:\bis not\b|\bisn['’]t\b))", re.I | re.S
)
_AS_IT_SHOULD = re.compile(
    r"\bas (?:it|they) (?:should|must)\b|\bas expected\b|\bas for (?:every|all|any)\b|\bthat fits\b", re.I
)
_OTHERWISE = re.compile(r"\W*(?:for|with|if|had|without)\b[^.]{1,80}\bwould\b", re.I)
_BULLET = re.compile(r"\s*[-*•]\s")
_HAS_VALUE = re.compile(r"[\d$\\]")
_CONTINUES = re.compile(
    r"\s*(?:(?:[oO]f|[fF]rom|[iI]n) which|to(?= \d)|(?:up|down) from|including|excluding|not counting|(?:plus|and|or"
    r"|which) (?:is|are|makes)?)\b"
)
_BESIDE_THE_POINT = re.compile(
    r"\b(?:would|could|might)\b.{0,200}\bbut\b.{0,40}?(?:\b(?:no ?body|no one)\b|n['’]t\b|\bnot\b|\birrelevant\b)"
    r"|\bhappens to\b|\bby comparison\b|\bin contrast\b"
    r"|\b(?:is|was|are)(?: not|n['’]t) (?:needed|asked|required|what (?:was|is|we|the)|the question)\b",
    re.I,
)


def sentences_of(text: str) -> list[str]:
    """The sentences of a text without what only checks; a formula is never split."""
    text = _unchecked(text)
    formulas = [match.span() for match in FORMULA.finditer(text)]
    found, start = [], 0
    for match in _SENTENCES.finditer(text):
        if not any(first < match.start() < last for first, last in formulas):
            found.append(text[start : match.start()])
            start = match.end()
    found.append(text[start:])
    return [sentence for sentence in found if sentence.strip()]


def hypothetical(sentence: str, earlier: list[str]) -> bool:
    """Whether a sentence says what would be, after one that gave up or asked back."""
    return _HYPOTHETICAL.search(sentence) is not None and any(map(_OPEN.search, earlier))


def is_remark(sentence: str, earlier: list[str]) -> bool:
    """Whether a sentence is beside the point: in brackets, `of which ...`, `as it should`, a list after the answer."""
    if _aside(sentence) or _CONTINUES.match(sentence) or _BESIDE_THE_POINT.search(sentence):
        return _any_number(earlier)
    if _AS_IT_SHOULD.search(sentence) and "=" not in sentence and not cues.CONCLUDES.match(sentence):
        return any(map(_HAS_VALUE.search, earlier))
    if _OTHERWISE.match(sentence):
        return any(map(cues.CONCLUDES.match, earlier[-3:]))
    if _BULLET.match(sentence):
        return any(cues.CONCLUDES.match(one) and _GIVES.search(one) for one in earlier)
    return False


def explains(sentence: str, earlier: list[str], doubtful: bool) -> bool:
    """Whether a sentence checks or explains what was given before it."""
    if cues.CHECKS.match(sentence) and _any_number(earlier):
        return True
    begins = cues.EXPLAINS.match(sentence) is not None
    if begins and ((doubtful and _any_number(earlier)) or any(map(cues.CONCLUDES.match, earlier[-3:]))):
        return True
    return doubtful and _NEGATED.search(sentence) is not None and any(map(_GIVES.search, earlier))


def _any_number(earlier: list[str]) -> bool:
    return any(re.search(r"\d", one) for one in earlier)


def _unchecked(text: str) -> str:
    """A text without paragraphs that only check, where something comes before them."""

    def kept(match: re.Match[str]) -> str:
        concludes = any(cues.CONCLUDES.match(sentence) for sentence in _SENTENCES.split(match[0]))
        return match[0] if concludes or not re.search(r"\d", text[: match.start()]) else "\n"

    def told(match: re.Match[str]) -> str:
        return kept(match) if _GIVES.search(text[max(0, match.start() - 300) : match.start()]) else match[0]

    return cues.REMARKS.sub(told, cues.CHECKED.sub(kept, text))


_GIVES = re.compile(
    r"(?:\b(?:is|are|has|have|was|were|be|equals?|gives?|costs?|length|total|only|ist|sind|est|es|è)\b"
    r"|[=:])[\s$*_\\(-]{0,6}"
    r"[^\s\d]{0,8}\d(?:[^.!?\n]|\.(?=\d)){0,80}[.!]?[\s$*]*\Z",
    re.I,
)


def _aside(sentence: str) -> bool:
    """Whether a sentence stands in brackets as a whole: `(Of this, $628.89 is interest.)`."""
    bare = sentence.strip()
    return re.match(r"\((?:[A-Z][a-z]|[AI] )", bare) is not None and closing(bare, 0) == len(bare.rstrip(".")) - 1
