"""Pairs of which no member is used twice: how many there can be, and how many rollouts more are needed for some."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

Allowed = Callable[[int, int], bool]
"""Whether the i-th of the left and the j-th of the right make a pair."""


def augmented(
    left: int, right: int, allowed: Allowed, pairs: Sequence[tuple[int, int]], most: int
) -> list[tuple[int, int]]:
    """`pairs` made more, up to `most`, by exchanging partners where that is needed; in the order of the left."""
    partner = {j: i for i, j in pairs}
    matched = {i for i, _ in pairs}

    def reach(i: int, tried: set[int]) -> bool:
        for j in range(right):
            if j not in tried and allowed(i, j):
                tried.add(j)
                if j not in partner or reach(partner[j], tried):
                    partner[j] = i
                    return True
        return False

    for i in range(left):
        if len(matched) >= most:
            break
        if i not in matched and reach(i, set()):
            matched.add(i)
    return sorted((i, j) for j, i in partner.items())


def missing_of_two(left: int, right: int, pairs: int, wanted: int) -> int:
    """The least number of further members, of either side, for so many disjoint pairs.

    Args:
        left: how many there are of one side.
        right: of the other.
        pairs: the most disjoint pairs that they make.
        wanted: how many there shall be.
    """
    short = wanted - pairs
    if short <= 0:
        return 0
    return max(short, max(0, short - (left - pairs)) + max(0, short - (right - pairs)))


def missing_of_one(groups: Sequence[Sequence[Hashable]], wanted: int) -> int:
    """The same where both members are of one group, and two of a group make a pair unless their keys are equal."""
    pairs = left = 0
    for keys in groups:
        count = len(keys)
        made = min(count // 2, count - max((keys.count(key) for key in set(keys)), default=0))
        pairs += made
        left += count - 2 * made
    short = max(0, wanted - pairs)
    return short if short <= left else 2 * short - left
