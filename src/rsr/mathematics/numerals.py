"""How a text writes its numbers: `1_000_000`, `15'625`, `6 degrees below zero`, `12.000` where its sums show thousands.

A dot with three figures after it is a decimal point in English, and groups thousands in many other languages. What the
sums of the text come to tells first, then its other numbers, then its words.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rsr.mathematics.candidates import SPELLED, spelled

_MARKED = re.compile(r"(?<![\w.,'’])[1-9]\d{0,2}(?:(?:_\d{3})+|(?:['’]\d{3})+)(?![\w'’])")
_DOTTED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?:\.\d{3})+(?![\w{]|[.,]\d{3}|\.\d|[.…]{2}|\\(?:over|dot|ld))")
_CERTAIN = re.compile(r"\d\.\d{3}(?:\.\d{3}|,\d{1,2}(?!\d))")
_DECIMAL = re.compile(r"(?<![\d.])(?:0\d*\.\d|\d+\.(?!\d{3}(?!\d))\d)")
_NUMERAL = r"\d{1,12}(?:[.,]\d{1,12}){0,4}"
_SUM = re.compile(
    rf"(?<![\d.,])({_NUMERAL}) ?([-+*/×÷·⋅:−x]|\\times|\\cdot|\\div) ?({_NUMERAL})\$? ?= ?\$?({_NUMERAL})"
)
_ENGLISH = re.compile(
    r"\b(?:the|and|are|this|which|each|therefore|with|answer|what|how|many|we|his|she|there|were|have|tall|long)\b",
    re.I,
)
_OTHER = re.compile(
    r"\b(?:será|serán|años|está|fue|para|hay|quedan|tiene|cada|posibles|gibt|hat|haben|werden|wird|bleiben|noch|tem"
    r"|sobram|ci sono|hanno|heeft|hebben|jest"
    r"|der|das|dem|und|ist|sind|eine[nmr]?|insgesamt|somit|kostet|beträgt|antwort|ergebnis|los(?! angeles)"
    r"|las(?! vegas)|lo|por"
    r"|es|una|del|respuesta|cuesta|os|uma|são|portanto|resposta|custa|é|il|gli|che|di|è|sono|quindi|risposta|totale"
    r"|het|een|zijn|dus|antwoord|kost|jadi|adalah|dari|dan|yang|seluruh(?:nya)?|toplam|bir|ve|için|lira\w*|cevap|tane"
    r"|więc|odpowiedź"
    r"|łącznie|là|vậy|tổng|đáp|total de|og|svaret|kroner|este|sunt)\b",
    re.I,
)
_OPERATORS = {"×": "*", "·": "*", "⋅": "*", "x": "*", "\\times": "*", "\\cdot": "*", "÷": "/", ":": "/", "\\div": "/",
              "−": "-"}  # fmt: skip


_BELOW = re.compile(
    r"(?<![-−\d.,])(\d{1,4}(?:\.\d{1,3})?(?:\s?(?:\^\s?\\circ|°)|\s(?:degrees?|grad|grados|gradi|graus|graden|degrés"
    r"|stopni|grader))?(?:\s?(?:[CF]\b|celsius|fahrenheit))?)\s(?:below (?:zero|0)|unter (?:null|0)|bajo cero|sous zéro"
    r"|sotto (?:lo )?zero|abaixo de zero|onder nul|poniżej zera)\b",
    re.I,
)
_MINUS = re.compile(
    rf"(\b(?:is|was|to|be|of|at|equals|showed?|shows|reads?|get|gives|reached|fell|ist|sind)\s|['’]s\s|:\s)(?:minus"
    rf"|negative)\s"
    rf"(?:(?=\d)|({SPELLED.pattern}|one\b))",
    re.I,
)


_ZERO = re.compile(r"(?:below|unter|bajo|sous|sotto|poniżej|onder|abaixo) ", re.I)
_ODDS = re.compile(rf"\b({SPELLED.pattern}|one) in ({SPELLED.pattern})", re.I)


def numerals(text: str, references: tuple[str, ...] = ()) -> str:
    """The same text with its thousands in one piece, and a minus for `below zero`.

    Args:
        text: the response.
        references: where one of them is written with such a dot, dots stay as they are.
    """
    if "_" in text or "'" in text or "’" in text:
        text = _MARKED.sub(lambda match: re.sub(r"[_'’]", "", match[0]), text)
    text = text.replace(" w/ ", " with ")
    if _ZERO.search(text):
        text = _BELOW.sub(r"-\1", text)
    if "chance" in text or "probability" in text:
        text = _ODDS.sub(lambda match: f"{_figures(match[1])} in {_figures(match[2])}", text)
    if "minus " in text or "negative " in text:
        text = _MINUS.sub(lambda match: f"{match[1]}-{_figures(match[2])}", text)
    if "." not in text or not _DOTTED.search(text) or any(map(_DOTTED.search, references)):
        return text
    return _DOTTED.sub(lambda match: match[0].replace(".", ""), text) if _thousands(text) else text


def _figures(words: str | None) -> str:
    match = SPELLED.fullmatch(words) if words else None
    return spelled(match) if match else "1" if words else ""


def _thousands(text: str) -> bool:
    """Whether the dots of a text group thousands."""
    votes = {vote for match in list(_SUM.finditer(text))[:40] if (vote := _shown(match)) is not None}
    if votes:
        return votes == {True}
    if _DECIMAL.search(text):
        return False
    return _CERTAIN.search(text) is not None or (not _ENGLISH.search(text) and _OTHER.search(text) is not None)


def _shown(match: re.Match[str]) -> bool | None:
    """Whether a sum comes out only with dots for thousands (True), or only with decimal points (False)."""
    if not any(_DOTTED.fullmatch(match[number]) for number in (1, 3, 4)):
        return None
    found = []
    for thousands in (True, False):
        first, second, result = (_read(match[number], thousands) for number in (1, 3, 4))
        found.append(None not in (first, second, result) and _worked(first, match[2], second) == result)
    return found[0] if found[0] != found[1] else None


def _read(numeral: str, thousands: bool) -> Fraction | None:
    marks = (".", ",") if thousands else (",", ".")
    plain = numeral.replace(marks[0], "").replace(marks[1], ".")
    return Fraction(plain) if plain.count(".") < 2 else None


def _worked(first: Fraction | None, operator: str, second: Fraction | None) -> Fraction | None:
    if first is None or second is None:
        return None
    sign = _OPERATORS.get(operator, operator)
    if sign == "/":
        return first / second if second else None
    return first * second if sign == "*" else first + second if sign == "+" else first - second
