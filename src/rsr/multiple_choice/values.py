"""An answer that is given as a value: in a box, behind an answer phrase, as the result of an equation, in a sentence.

It is compared with the options' texts as mathematics.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from rsr.mathematics.compare import equal
from rsr.mathematics.points import equal_at_points
from rsr.mathematics.text import clean, closing
from rsr.mathematics.units import same_unit
from rsr.multiple_choice.mentions import Question
from rsr.multiple_choice.options import plain

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}\{")
_SAID = re.compile(
    r"\b(?:(?P<asked>answer|result)|value|solution|total|sum|probability)\b[^.\n:=]{0,40}?(?:\bis\b|\bequals\b|[:=])"
    r"\s{0,3}",
    re.I,
)
_CONTRAST = re.compile(r"\b(?:in contrast|by contrast|other hand|also)\b")
_GOES_ON = re.compile(r"[^\W\d_]{3}")
_RESULT = re.compile(r"(?:[=≈]|\b(?:is|are|equals|gives)\b)\s{0,3}([^=≈\n]{1,80})\Z")
_MATHS = re.compile(r"[\d\\√^]")
_LONGEST = 160


def boxes(text: str) -> list[tuple[int, int]]:
    """Where the contents of the boxes of a text begin and end, the last twenty."""
    found = []
    for match in list(_BOX.finditer(text))[-20:]:
        end = closing(text[: match.end() + 300], match.end() - 1)
        found.append((match.end(), end if end >= 0 else min(len(text), match.end() + 300)))
    return found


def matching(question: Question, given: str) -> frozenset[str]:
    """The only option that a value equals; empty: none, or several."""
    given = given.strip().strip("$*` ").rstrip(".")
    if not given or len(given) > _LONGEST or not _MATHS.search(given):
        own = [label for label, text in question.texts.items() if text == plain(given)] if given else []
        return frozenset(own) if len(own) == 1 else frozenset()
    found = [
        label
        for label, text in question.options.items()
        if text and len(text) <= _LONGEST and _MATHS.search(text) and _same(text, given)
    ]
    return frozenset(found) if len(found) == 1 else frozenset()


def _same(option: str, given: str) -> bool:
    one, other = _amount(option), _amount(given)
    if one and other and "%" not in (one[1], other[1]):  # most options with numbers: it costs a tenth
        ratio = same_unit(one[1], other[1]) if one[1] and other[1] and one[1] != other[1] else Fraction(1)
        return ratio is not None and one[0] * ratio == other[0]
    if (one or other) and _IRRATIONAL.search(given if one else option):
        return False
    return bool(equal(_cleaned(option), _cleaned(given), equal_at_points))


_cleaned = lru_cache(maxsize=4096)(clean)
_IRRATIONAL = re.compile(r"√|sqrt|π|\\?pi\b|[a-zA-Z]\s?\^|\bln\b|\blog\b")
_DOLLARS = re.compile(r"\A\s*\$([^$]*)\$\s*\Z")  # of LaTeX
_AMOUNT = re.compile(
    r"(?P<sign>[-−–]?)(?:(?P<currency>[$€£])\s?)?(?P<whole>\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?P<rest>\.\d{1,15}|[/⁄][1-9]\d{0,8})?"
    r"(?:\s?(?P<unit>%|[A-Za-zµ]{1,15}))?",
    re.ASCII,
)


@lru_cache(maxsize=4096)
def _amount(text: str) -> tuple[Fraction, str] | None:
    """A plain number or fraction, and its unit; None: it is something else."""
    found = _AMOUNT.fullmatch(_DOLLARS.sub(r"\1", text).strip(" .*"))
    if not found:
        return None
    value = Fraction(found["whole"].replace(",", "") + (found["rest"] or "").replace("⁄", "/"))
    unit = found["unit"] or found["currency"] or ""
    return -value if found["sign"] else value, unit if len(unit) < 4 else unit.lower().removesuffix("s")


def said(question: Question, text: str) -> tuple[int, frozenset[str], bool] | None:
    """Where a value is given in the last lines, the option that equals it, and whether a phrase says so."""
    if not any(_MATHS.search(option) for option in question.options.values()):
        return None
    tail = text[-400:].rstrip(" \n.*$")
    for match in reversed(list(_SAID.finditer(tail))):
        given = re.split(r"\n|(?:\.|,)\s|\.\Z", tail[match.end() :])[0]
        if not match["asked"] and _GOES_ON.search(tail, match.end() + len(given)):
            break  # "The sum is 12, and there are two of them."
        labels = matching(question, given)
        return (len(text) - len(tail) + match.end(), labels, True) if labels else None
    line = re.split(r"\n|[.!?]\s", tail)[-1]
    if _CONTRAST.search(line):
        return None
    result = _RESULT.search(line)
    labels = matching(question, result[1] if result else line)
    return (len(text), labels, False) if labels else None


_VALUE = re.compile(
    r"(?<![\w.,/^{\\])(?:[$€£]\s?)?[-−]?(?:\d+\s\d+/\d+"
    r"|\d[\d,  ]*(?<=\d)(?:\.\d+)?(?:\s?[×x]\s?10\s?\^?\s?\{?[-−]?[\d⁰¹²³⁴-⁹⁻]+\}?)?(?:/\d+)?)"
    r"(?:\s?%|\s?°\s?[CF]?|(?:\s|-)?[A-Za-zµ]{1,12}(?:/[A-Za-z]{1,6}|\s(?:per|an?)\s[a-z]{1,8})?(?:[²³]|\^[23])?)?"
    r"|\b(?:minus |negative )?(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen"
    r"|fourteen|fifteen"
    r"|sixteen|seventeen|eighteen|nineteen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:[- ](?:one|two|three"
    r"|four|five|six"
    r"|seven|eight|nine))?|half|a quarter|three quarters|a third|two thirds)(?:\s(?:hundred|thousand"
    r"|million))?\b(?:\s[a-z]{2,12}(?:\sper\s[a-z]+)?)?"
)
_COUNTS = re.compile(r"\d|^(?:one|two|three|four|five|six|seven|eight|nine|ten|half|zero)\b", re.I)
_NEAR_END, _MOST = 500, 20


def values(options: dict[str, str], text: str, taken: list[tuple[int, int]]) -> list[tuple[int, int, str]]:
    """Places in the last lines that equal one option as a value."""
    numeric = {
        label: option for label, option in options.items() if option and len(option) < 40 and _COUNTS.search(option)
    }
    if not numeric:
        return []
    found = []
    for match in list(_VALUE.finditer(text, max(0, len(text) - _NEAR_END)))[-_MOST:]:
        start, end = match.span()
        if any(start < stop and begin < end for begin, stop in taken):
            continue
        said = match[0].strip()
        for form in (said, said.rpartition(" ")[0]):
            same = _equal_ones(tuple(numeric.items()), form) if form else ()
            if len(same) == 1:
                found.append((start, start + len(form), same[0]))
                break
    return found


@lru_cache(maxsize=4096)
def _equal_ones(options: tuple[tuple[str, str], ...], given: str) -> tuple[str, ...]:
    """The labels of the options that a value equals."""
    return tuple(label for label, option in options if _same(option, given))
