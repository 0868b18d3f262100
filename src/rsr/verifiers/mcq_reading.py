"""Reading at one place of a response: the labels that stand there, or the option whose text does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from rsr.verifiers.mcq_options import Options, plain


class Scene(NamedTuple):
    """A response with what is known of its question."""

    text: str
    options: Options
    labels: frozenset[str]
    several: bool
    """Whether the reference names several labels."""
    texts: Mapping[str, str] = MappingProxyType({})
    """The options in the form in which texts are compared; without those of a single letter."""
    longest: int = 0
    """The length of the longest option."""
    lower: str = ""
    """The text in lower case, position by position, without lone surrogates; needed by the functions that collect."""


class Labels(NamedTuple):
    """Labels that stand together: `B`, `A, C`, `ACD`, `A or B`."""

    end: int
    labels: frozenset[str]
    hedged: bool


_OPEN = (
    r"(?:[*_`\"'“‘’(\[{<$~ ]|\\(?:text|textbf|mathrm|mathbf|textit|boxed|fbox)\b|\\[(\[]){0,8}+"
    r"(?:(?:option|choice|选项)[ *]{1,3})?[(*]{0,3}"
)
_CLOSE = r"(?:[*_`\"”’)\]}>$~]|'(?![A-Za-z])|\\[)\]]){0,8}+"
_ITEM = re.compile(
    rf"({_OPEN})([A-Z]{{1,10}}|[a-z]|\d{{1,2}})({_CLOSE})(?![A-Za-z0-9À-ɏЀ-ӿ_+#^%]|['’][A-Za-z]|-[A-Za-z0-9]|\.\d)",
    re.I,
)
_SEPARATOR = re.compile(
    r"[.)]?\s{0,3}(?:,?\s{0,3}(?:\b(?P<either>or|oder|ou|o)\b|\b(?:and|und|et|e|y)\b)|,|、|;|&|\+|(?P<slash>/)|或者?|和|と|및|또는)\s{0,3}"
)
_FOLLOWERS = re.compile(
    r"[\s*_]{0,3}(?:$|[^\w\s]|\n|(?:because|since|as|for|which|and|or|but|with|in|due|given|that|is|was|based|from|by|so"
    r"|where|here|according|on|when|not|correct|we|this|it|if|unless|rather|instead|i|only|the)\b|[^\x00-\x7f])",
    re.I,
)
_HYPOTHESIS = re.compile(r"[\s*_)\],]{0,4}(?:only )?(?:if|unless)\b|[\s*_)\]]{0,4}\?", re.I)
_OR = re.compile(
    r"\b(?:or|oder|ou|或者?|maybe|perhaps|possibly)\s{1,3}(?:also |option |choice |possibly |maybe |perhaps )?"
    r"[(*]{0,3}([A-Z])(?![A-Za-z0-9'’])"
)
_SHORTEST_OR = len("或 A")


_DELIMITER = re.compile(r"[(\[{*_`\"'“$]|option|choice", re.I)
_INITIALS = re.compile(r"\. ?[A-Z]\.")  # of a person
_AT_END = re.compile(r"\s*(?:$|[.,;:)\n])")
_SENTENCE_END = re.compile(r"\n|[.!] |\.$")
_GOES_ON = re.compile(r"\w|[.,]\d|\s?[/^*+=%]\s?\w")


def read_labels(scene: Scene, at: int) -> Labels | None:
    """The labels at a position, or None where something else stands."""
    item = _ITEM.match(scene.text, at)
    first = _one(scene, item) if item else None
    if item is None or first is None:
        return None
    labels, hedged, end = set(first), False, item.end()
    while separator := _SEPARATOR.match(scene.text, end):
        item = _ITEM.match(scene.text, separator.end())
        more = _one(scene, item, listed=True) if item else None
        if item is None or more is None:
            break
        hedged = (
            hedged or bool(separator["either"] or separator["slash"]) or separator[0].strip() in ("或", "或者", "또는")
        )
        labels |= more
        end = item.end()
    if len(scene.text) - end >= _SHORTEST_OR:
        rest = scene.text[end : end + 60].split("\n")[0].split(". ")[0]
        other = _OR.search(rest)
        if other and other[1] in scene.labels and other[1] not in labels:
            hedged = True
    return Labels(end, frozenset(labels), hedged)


def _one(scene: Scene, item: re.Match[str], listed: bool = False) -> frozenset[str] | None:
    """The labels of one item (several when written together), or None when it is a word."""
    opened, word, closed = item.groups()
    after = scene.text[item.end() : item.end() + 24]
    delimited = bool(closed) or (opened != "" and _DELIMITER.search(opened) is not None)
    if len(word) > 1 and not word.isdigit():
        known = word.isupper() and set(word) <= scene.labels and list(word) == sorted(set(word))
        return (
            frozenset(word) if known and (scene.several or len(word) == 2 or len(word) == len(scene.labels)) else None
        )
    label = word.upper()
    if label not in scene.labels:
        return None
    if _HYPOTHESIS.match(after):
        return None
    if not listed and _INITIALS.match(after):
        return None
    if word.islower() and not delimited and not _AT_END.match(after):
        return None
    if label in "AI" and not delimited and not _FOLLOWERS.match(after) and not _own_text(scene, label, after):
        return None  # an article, a pronoun
    return frozenset(label) if len(label) == 1 else frozenset([label])


def _own_text(scene: Scene, label: str, after: str) -> bool:
    text = scene.texts.get(label, "")
    return bool(text) and plain(after).startswith(text[: len(plain(after))][:12])


def read_option_text(scene: Scene, at: int, whole: bool = False) -> Labels | None:
    """The option whose text stands at a position (`whole`: up to the end of the line)."""
    if not scene.texts:
        return None
    longest = scene.longest
    line = scene.text[at : at + longest + 60].lstrip()
    given = plain(_SENTENCE_END.split(line)[0]) if whole else plain(line.split("\n")[0])
    found = [
        (len(text), label)
        for label, text in scene.texts.items()
        if given == text or (not whole and given.startswith(text) and ends(given, len(text)))
    ]
    if not found:
        return None
    best = max(found)[0]
    labels = frozenset(label for length, label in found if length == best)
    if len(labels) != 1:
        return None
    exact = scene.text[at : at + longest + 60].lower().find(scene.texts[max(found)[1]])
    end = at + best if exact < 0 else at + exact + best
    return Labels(min(end, len(scene.text)), labels, False)


def ends(text: str, at: int) -> bool:
    """Whether a word, number or formula ends at a position."""
    return at >= len(text) or not _GOES_ON.match(text, at)
