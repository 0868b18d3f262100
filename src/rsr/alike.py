"""When two answers are as good as the same: by normalised text, or by the short pieces that they have in common.

normalized    compatibility forms, no case, no punctuation, white space as one space
shingles      the pieces of 5 characters of the normalised text; their share in common (Jaccard) is the similarity
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from rsr.hashing import answer_key

PIECE = 5
"""Characters of a shingle."""

_BITS = 512

_MARK = re.compile(r"[^\w\s]|_")
_KEPT = frozenset("-/%\\")
_SPACE = re.compile(r"\s+")


def normalized(text: str) -> str:
    """The text without what makes no difference to a reader; signs of mathematics stay."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SPACE.sub(" ", _MARK.sub(_unless_kept, folded)).strip()


@lru_cache(maxsize=1024)
def _is_punctuation(mark: str) -> bool:
    return mark in "`$" or (unicodedata.category(mark)[0] == "P" and mark not in _KEPT)


def _unless_kept(found: re.Match[str]) -> str:
    return "" if _is_punctuation(found[0]) else found[0]


def shingles(text: str) -> set[str]:
    """The different pieces of a text; of a shorter one, itself."""
    plain = normalized(text)
    return {plain[at : at + PIECE] for at in range(max(1, len(plain) - PIECE + 1))}


def similarity(one: str, other: str) -> float:
    """The share of pieces in common, 0 to 1; 1 for answers that are equal once normalised."""
    left, right = shingles(one), shingles(other)
    common = len(left & right)
    return common / (len(left) + len(right) - common)


def signature(text: str) -> int:
    """512 bits; two texts agree in about half of them, and in more the more pieces they share (see `estimate`)."""
    from rensa import RMinHash

    minima = RMinHash(num_perm=_BITS, seed=1)
    minima.update(list(shingles(text)))
    return sum((minimum & 1) << at for at, minimum in enumerate(minima.digest()))


def estimate(one: int, other: int) -> float:
    """The similarity of two texts from their signatures: at 0.9 within 0.02, at 0.5 within 0.04 (standard error)."""
    return max(0.0, 1 - 2 * (one ^ other).bit_count() / _BITS)


def normalized_key(text: str) -> int:
    """63 bits that are equal for texts that are equal once normalised."""
    return answer_key(normalized(text))


class KeyFunction(NamedTuple):
    """Something that decisions need of an answer and that is computed once, and stored under name and version."""

    version: str
    of: Callable[[str], int]


KEY_FUNCTIONS: Mapping[str, KeyFunction] = {
    "normalized": KeyFunction("normalized/1", normalized_key),
    "near": KeyFunction(f"minhash{_BITS}/1", signature),
}
"""By name. A function that gives other values needs another version."""
