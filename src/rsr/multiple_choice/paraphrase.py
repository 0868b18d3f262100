"""Where a text names an option in other words than its own: another number, article or hyphen, a part of it, a value.

words    "the red cells" for "Red blood cell": the words that only this option has, most of them, close together
values   "1500 metres" for "1.5 km", "seven" for "7"
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+(?:['’]s\b)?")
_LITTLE_WORDS = """
    a an and are as at be been by da das de del dem den der des di die do does du een ein eine el for from had
    has have he her het his il in into is it its la las le les lo los more most no not o of on only or os per
    she than that the their there these they this those to um uma un una une very von was were when which who
    will with would
"""
_LITTLE = frozenset(_LITTLE_WORDS.split())
_FORMULA = re.compile(r"[=+^\\<>{}]|\w/\w")
_DIGIT_AND_WORD = re.compile(r"\d\W{0,3}[^\W\d_]|[^\W\d_]\W{0,3}\d")
_SHARE = 0.5
_MANY = 2_000


class Wording(NamedTuple):
    """An option as words."""

    label: str
    weights: dict[str, float]
    least: float
    """The weight that names it."""
    reach: int
    """Words that its own may be apart from the first to the last."""
    names: frozenset[str]
    """Words that name it alone: a name, such as Chargaff."""
    probes: tuple[tuple[str, float], ...]
    """What a text in lower case must hold, at least, to name it, and what each counts."""


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A word without its plural, its case and its possessive."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@lru_cache(maxsize=4096)
def wordings(options: tuple[tuple[str, str], ...]) -> tuple[Wording, ...]:
    """The options as weighted words: 1 for one that no other option has, less for the others."""
    stems = {label: [stem(word) for word in _WORD.findall(text)] for label, text in options}
    found = []
    for label, text in options:
        own = stems[label]
        if _FORMULA.search(text) or _DIGIT_AND_WORD.search(text):
            continue
        numbers = not any(word.isalpha() for word in own)
        if numbers and len(own) < 2:
            continue
        content = [word for word in own if word not in _LITTLE] or own
        others = {word for other, words in stems.items() if other != label for word in words}
        weights = {word: 0.25 if word in others else 1.0 for word in content}
        if any(weight == 1.0 for weight in weights.values()):
            share = 1.0 if numbers else _SHARE
            names = frozenset(
                stem(word) for at, word in enumerate(_WORD.findall(text)) if at and word[0].isupper() and len(word) > 3
            )
            probes = tuple((word[:-1] if word.endswith("y") else word, weight) for word, weight in weights.items())
            found.append(Wording(label, weights, share * sum(weights.values()), 2 * len(content) + 4, names, probes))
    return tuple(found)


def paraphrases(
    options: dict[str, str], text: str, lower: str, taken: list[tuple[int, int]]
) -> list[tuple[int, int, str]]:
    """Places (start, end, label) of options in other words, outside of the places that are taken already."""
    likely = [one for one in wordings(tuple(options.items())) if _may_name(lower, one)]
    if not likely:
        return []
    at = max(0, len(text) - _MANY)
    words = [(match.start(), match.end(), stem(match[0])) for match in _WORD.finditer(text, at)]
    found: list[tuple[int, int, str]] = []
    for wording in likely:
        window = wording.reach
        hits = [at for at, (_, _, word) in enumerate(words) if word in wording.weights]
        done = -1
        for first, at in enumerate(hits):
            if at <= done:
                continue
            inside = [to for to in hits[first:] if to - at < window and not _apart(text, words[at][1], words[to][0])]
            seen = {words[to][2] for to in inside}
            weight = sum(wording.weights[word] for word in seen)
            named = any(wording.weights[word] == 1.0 for word in seen)
            start, end = words[at][0], words[inside[-1]][1]
            if len(seen) == 1 < len(wording.weights) and not seen & wording.names:
                named = named and _OPTION.match(lower, end) is not None  # "the dropout option"
            if named and weight >= wording.least:
                done = inside[-1]
                if not any(start < stop and begin < end for begin, stop in taken):
                    found.append((start, end, wording.label))
    return found


def _may_name(lower: str, wording: Wording) -> bool:
    """Whether a text holds enough of an option's words to name it: cheaper than to look for them."""
    weight, own = 0.0, False
    for probe, counts in wording.probes:
        if probe in lower:
            weight += counts
            own = own or counts == 1.0
    return own and weight >= wording.least


def _apart(text: str, start: int, end: int) -> bool:
    return start < end and bool(_BREAK.search(text, start, end))


_OPTION = re.compile(r"[\"'”’*]{0,3} (?:option|choice|answer|one)\b")
_BREAK = re.compile(r"[.!?;:](?=\s)|\n|[。！？]")
