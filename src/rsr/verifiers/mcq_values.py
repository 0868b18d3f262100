"""An answer that is given as a value: in a box, behind an answer phrase, or as the result of the last equation.

It is compared with the options' texts as mathematics.
"""

from __future__ import annotations

import re

from rsr.verifiers.math_compare import equal
from rsr.verifiers.math_points import equal_at_points
from rsr.verifiers.math_text import clean, closing
from rsr.verifiers.mcq_mentions import Question
from rsr.verifiers.mcq_options import plain

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}\{")
_SAID = re.compile(
    r"\b(?:answer|result|value|solution|total|sum|probability)\b[^.\n:=]{0,40}?(?:\bis\b|\bequals\b|[:=])\s{0,3}", re.I
)
_RESULT = re.compile(r"(?:[=≈]|\b(?:is|are|equals|gives)\b)\s{0,3}([^=≈\n]{1,80})\Z")
_MATHS = re.compile(r"[\d\\√^]")
_INTEGER = re.compile(r"0|-?[1-9]\d{0,8}", re.ASCII)
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
    cleaned = clean(given)
    found = [
        label
        for label, text in question.options.items()
        if text and len(text) <= _LONGEST and _MATHS.search(text) and _same(clean(text), cleaned)
    ]
    return frozenset(found) if len(found) == 1 else frozenset()


def _same(option: str, given: str) -> bool:
    if option != given and _INTEGER.fullmatch(option) and _INTEGER.fullmatch(given):
        return False  # most options with numbers: it costs a tenth
    return bool(equal(option, given, equal_at_points))


def said(question: Question, text: str) -> tuple[int, frozenset[str], bool] | None:
    """Where a value is given in the last lines, the option that equals it, and whether a phrase says so."""
    if not any(_MATHS.search(option) for option in question.options.values()):
        return None
    tail = text[-400:].rstrip(" \n.*$")
    for match in reversed(list(_SAID.finditer(tail))):
        given = re.split(r"\n|(?:\.|,)\s|\.\Z", tail[match.end() :])[0]
        labels = matching(question, given)
        return (len(text) - len(tail) + match.end(), labels, True) if labels else None
    line = re.split(r"\n|[.!?]\s", tail)[-1]
    result = _RESULT.search(line)
    labels = matching(question, result[1] if result else line)
    return (len(text), labels, False) if labels else None
