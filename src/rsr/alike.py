"""When two answers are as good as the same: by normalised text, or by the short pieces that they have in common.

normalized    compatibility forms, no case, no punctuation, white space as one space
shingles      the pieces of 5 characters of the normalised text; their share in common (Jaccard) is the similarity
"""

from __future__ import annotations

import re
import unicodedata

PIECE = 5
"""Characters of a shingle."""

_PUNCTUATION = re.compile(r"[^\w\s+\-/%=<>^|~\\]|_")
_SPACE = re.compile(r"\s+")


def normalized(text: str) -> str:
    """The text without what makes no difference to a reader; signs of mathematics stay."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _SPACE.sub(" ", _PUNCTUATION.sub("", folded)).strip()


def shingles(text: str) -> set[str]:
    """The different pieces of a text; of a shorter one, itself."""
    plain = normalized(text)
    return {plain[at : at + PIECE] for at in range(max(1, len(plain) - PIECE + 1))}


def similarity(one: str, other: str) -> float:
    """The share of pieces in common, 0 to 1; 1 for answers that are equal once normalised."""
    left, right = shingles(one), shingles(other)
    common = len(left & right)
    return common / (len(left) + len(right) - common)
