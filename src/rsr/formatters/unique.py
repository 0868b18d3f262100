"""Which correct responses count as different.

text          final answers that differ after trimming white space
normalized    ... that differ in more than case, punctuation and white space
answer        responses of which different answers were read; where none was read, as text
near          ... that share at most a part of their short pieces; in index order, one that is near an earlier
              different one is none
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rsr.alike import KEY_FUNCTIONS, estimate
from rsr.formatters.thresholds import check_share
from rsr.types import Rollout

UniqueBy = Literal["text", "normalized", "answer", "near"]

_REMEMBERED = 4096


class Unique:
    """Tells different responses.

    Args:
        by: how.
        max_similarity: for `near`: the largest share of pieces in common, 0 to 1, of two that count as different.
    """

    def __init__(self, by: UniqueBy, max_similarity: float) -> None:
        check_share("max_similarity", max_similarity)
        self.by: UniqueBy = by
        self.max_similarity = max_similarity
        self.key_function = by if by in KEY_FUNCTIONS else None
        self._kept: dict[tuple[int, ...], tuple[int, ...]] = {}

    def count(self, passes: Sequence[Rollout]) -> int:
        """How many of these, in index order, are different."""
        if self.by == "text":
            return len({rollout.answer_key for rollout in passes})
        if self.by == "near":
            return len(self._far(passes))
        return len({self._key(rollout) for rollout in passes})

    def pick(self, passes: Sequence[Rollout]) -> list[Rollout]:
        """As many different ones, best score first, ties by lowest index; of equal ones the best."""
        if self.by == "near":
            passes = [passes[at] for at in self._far(passes)]
        first: dict[int | str, Rollout] = {}
        for rollout in sorted(passes, key=lambda one: (-(one.score or 0.0), one.index)):
            first.setdefault(rollout.index if self.by == "near" else self._key(rollout), rollout)
        return list(first.values())

    def _key(self, rollout: Rollout) -> int | str:
        if self.by == "answer" and rollout.verdict is not None and rollout.verdict.extracted is not None:
            return rollout.verdict.extracted.strip()
        return _stored(rollout, "normalized") if self.by == "normalized" else rollout.answer_key

    def _far(self, passes: Sequence[Rollout]) -> tuple[int, ...]:
        """Positions of those that are near no earlier one of them. Asked after each rollout, so the last is kept."""
        answers = tuple(rollout.answer_key for rollout in passes)
        known = self._kept.get(answers)
        if known is not None:
            return known
        before = self._kept.get(answers[:-1]) if answers else None
        start = len(answers) - 1 if before is not None else 0
        kept = list(before or ())
        for at in range(start, len(passes)):
            mine = _stored(passes[at], "near")
            if all(estimate(mine, _stored(passes[it], "near")) <= self.max_similarity for it in kept):
                kept.append(at)
        if len(self._kept) >= _REMEMBERED:
            self._kept.clear()
        self._kept[answers] = tuple(kept)
        return tuple(kept)


def _stored(rollout: Rollout, name: str) -> int:
    """A key as the store gave it; of a rollout that is in no store, from its text."""
    if rollout.keys is not None and name in rollout.keys:
        return rollout.keys[name]
    return KEY_FUNCTIONS[name].of(rollout.response)
