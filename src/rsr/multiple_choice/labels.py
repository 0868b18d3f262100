"""How the labels of a question look in a text: letters, numerals, Roman numerals, and those of other scripts."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

WORD = r"A-Za-z0-9À-ɏЀ-ӿ"

FAMILIES = tuple(
    tuple(row.split())
    for row in (
        "1 2 3 4 5 6 7 8 9",
        "I II III IV V VI VII VIII",
        "ア イ ウ エ オ",
        "あ い う え お",
        "甲 乙 丙 丁 戊",
        "가 나 다 라 마",
        "ᄀ ᄂ ᄃ ᄅ ᄆ",
        "А Б В Г Д Е",
        "Α Β Γ Δ Ε",
        "أ ب ج د ه",
        "א ב ג ד ה",
        "ก ข ค ง จ",
        "क ख ग घ ङ",
        "ক খ গ ঘ ঙ",
    )
)
"""The labels that go together, each in the form NFKC gives it; a circled number is a number there."""


def family(label: str) -> frozenset[str]:
    """The labels that go with one, where it isn't a Latin letter; empty: none are known."""
    if len(label) == 1 and label.isascii() and label.isalpha():
        return frozenset()
    return next((frozenset(row) for row in FAMILIES if label in row), frozenset())


class Small(NamedTuple):
    """How labels look in lower case."""

    may_be: re.Pattern[str]
    """A text without one has nothing for the others: cheaper than they are."""
    marked: re.Pattern[str]
    """In brackets or quotes, or where a line ends."""
    named: re.Pattern[str]
    """Behind "option"."""
    last: re.Pattern[str]
    """At the end of a text, or all of it."""


class Patterns(NamedTuple):
    """How the labels of a question look. Each begins with a plain set of characters, which makes the search fast."""

    alone: re.Pattern[str]
    small: Small | None
    """In lower case; None: they have none."""


_SUM = r"|\s?[=+]\s?(?:\d|\w\b)"
_BEHIND = (
    rf"(?![{WORD}^#%°²³]|_[{WORD}{{]|\+\+|\.\s?[A-Z]\.|['’](?!d[ıiuü]r)[A-Za-z]|-[A-Za-z0-9]|[.,]\d"
    rf"|[–—][A-Z](?![A-Za-z])|\|[A-Z]\b|\.[A-Za-z]\.|\.[a-z]{_SUM})"
)
_NTH = ("first", "second", "third", "fourth", "fifth", "sixth", "last")
_ORDINAL = re.compile(  # begins with plain letters, which makes the search fast
    rf"the(?<!\wthe)(?<!then the) ({'|'.join(_NTH)}) (?:answer )?(?:option|alternative|one|choice|entry"
    rf"|candidate|of the options)\b"
    r"(?! (?:of|in|to|that|which|who|we|i)\b)"
    rf"|the(?<!\wthe) ({'|'.join(_NTH)})(?= is (?:the )?(?:right|correct)\b)|option number (one|two|three|four"
    rf"|five|six)\b"
)
_NUMBERS = ("one", "two", "three", "four", "five", "six")


def ordinals(lower: str, options: Collection[str]) -> list[tuple[int, int, str]]:
    """Where a text names an option by its place, "the second option", and its label.

    `options`: all labels; none: they are unknown.
    """
    found = []
    for match in _ORDINAL.finditer(lower):
        word = match[1] or match[2]
        if word == "last" and not options:
            continue
        order = tuple(options or "ABCDE")
        place = _NUMBERS.index(match[3]) if match[3] else len(order) - 1 if word == "last" else _NTH.index(word)
        if place < len(order):
            found.append((match.start(), match.end(), order[place]))
    return found


_SPACED = r"\w\u0900-\u0e4f"
_KATAKANA = "\u30a0-\u30ff"
_RUN_ON_BEFORE = r"(?:(?<!\w)|(?<=[是选選为為はがの即]))"
_RUN_ON_BEHIND = r"(?!\w)|(?=[がはだ가는은를을이번项項选選正对為]|です|입니다)"


@lru_cache(maxsize=64)
def patterns(labels: frozenset[str], several: bool, small: bool) -> Patterns:
    """`small`: the question itself has its labels in lower case."""
    letters = "".join(sorted(label for label in labels if len(label) == 1 and label.isascii() and label.isalpha()))
    others = labels - set(letters)
    if others:
        return Patterns(_other(others, letters), None)
    word = rf"(?<![{WORD}°\\+&])(?<![{WORD}]['’._-])[{letters}]{{1,{len(letters)}}}"
    one = rf"[{letters}](?<![{WORD}°\\+&].)(?<![{WORD}]['’._–—-].)"
    alone = word + _BEHIND.replace(_SUM, "") if several else one + _BEHIND  # "A + B + D" names three of several
    lower = letters.lower()
    spoken = "".join(letter for letter in lower if letter not in "aeiouy")
    if small and spoken:
        alone += rf"|[{spoken}](?<![{WORD}°\\+&'’._–—/-].){_BEHIND}(?!['’(])"
    return Patterns(re.compile(alone), _small(lower))


@lru_cache(maxsize=64)
def _small(letters: str) -> Small:
    return Small(
        re.compile(rf"[{letters}](?<![{WORD}].)(?:(?=[)\].:*`\"'”}}$]|\s*(?:\Z|\n))|(?<=(?i:option|choice|answer) .))"),
        re.compile(rf"[(\[{{*`\"'“$:\n=] ?([{letters}])(?=[)\].:*`\"'”}}$]|\s*\Z|\s*\n)(?<![{WORD}][*'`].)"),
        re.compile(rf" ([{letters}])(?![{WORD}'’])"),
        re.compile(
            r"(?:\A|\b(?:is|to|ans|option|choice|answer|so|with|pick|say|be|therefore) "
            rf"|\b(?:es|la|est|ist|é|è|letra|lettre|donc|opción|opcion|opção) "
            rf"(?=\w\)?[*.]{{0,3}}\s*\Z))([{letters}])(?=[).:]|\s*\Z)"
        ),
    )


def _other(labels: frozenset[str], letters: str) -> re.Pattern[str]:
    """Labels that aren't Latin letters; each script has its own way to end a word."""
    plain, spaced, katakana, run_on = [], [], [], []
    for label in sorted(labels, key=lambda label: (-len(label), label)):
        code = ord(label[0])
        if code < 0x370 or 0x400 <= code < 0x530:
            plain.append(label)
        elif 0x30A0 <= code < 0x3100:
            katakana.append(label)
        elif code < 0x0E80:
            spaced.append(label)
        else:
            run_on.append(label)
    small = [label.lower() for label in plain + spaced if label.lower() != label]
    forms = []
    if plain or letters:
        names = "|".join([*map(re.escape, plain), *([f"[{letters}]"] if letters else [])])
        forms.append(rf"(?<![{WORD}.+*/^=-])(?:{names}){_BEHIND}")
    if spaced:
        forms.append(rf"(?:(?<![{_SPACED}])|(?<=ข้อ)|(?<=คือ))(?:{'|'.join(spaced)})(?![{_SPACED}])")
    if katakana:
        forms.append(rf"(?<![{_KATAKANA}])(?:{'|'.join(katakana)})(?![{_KATAKANA}])")
    if run_on:
        forms.append(rf"{_RUN_ON_BEFORE}(?:{'|'.join(map(re.escape, run_on))})(?:{_RUN_ON_BEHIND})")
    if small:
        names = "|".join(small)
        forms.append(rf"(?<=[(\[*`\"'“«:])(?:{names})(?=[)\].:*`\"'”»])")
        forms.append(rf"(?:^|(?<=: )|(?<=:))(?:{names})(?=[).]|\s*$)")
    return re.compile("|".join(forms), re.M)
