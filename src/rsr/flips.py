"""What a new verdict changes: pass to fail, fail to pass, no answer to pass; counted, with a few examples of each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rsr.types import Verdict

_EXAMPLES = 3  # of each kind
_SHOWN = 40  # characters


@dataclasses.dataclass(frozen=True, slots=True)
class Flip:
    """A rollout that is judged otherwise now."""

    id: str
    index: int
    was: str
    """`pass`, `fail`, or why there was no score: `no_answer`, `unverifiable`, `verifier_error`."""
    now: str
    old: Verdict
    new: Verdict
    answer: Any

    def row(self) -> dict[str, Any]:
        """For `summary/flips.jsonl`."""
        verdicts = (("old", self.old), ("new", self.new))
        read = {f"{name}_extracted": verdict.extracted for name, verdict in verdicts}
        scores = {f"{name}_score": verdict.score for name, verdict in verdicts}
        return {"id": self.id, "index": self.index, "was": self.was, "now": self.now, **scores, **read} | {
            "answer": self.answer
        }

    def __str__(self) -> str:
        return (
            f"{self.was} to {self.now}: {self.id}, index {self.index}: "
            f"{_read(self.old)} -> {_read(self.new)}, the answer is {_short(self.answer)}"
        )


class Flips:
    """All of them.

    Args:
        threshold: a score of at least this passes.
    """

    def __init__(self, threshold: float) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._threshold = threshold
        self._examples: list[Flip] = []

    def heard(self, id: str, index: int, answer: Any, old: Verdict, new: Verdict) -> Flip | None:
        """Compare two verdicts on one rollout; None where they say the same."""
        was, now = self._word(old), self._word(new)
        if was == now:
            return None
        flip = Flip(id, index, was, now, old, new, answer)
        self.counts[was, now] += 1
        if self.counts[was, now] <= _EXAMPLES:
            self._examples.append(flip)
        return flip

    def lines(self) -> Iterator[str]:
        """How many of each kind, then examples."""
        if self.counts:
            kinds = ", ".join(f"{was} to {now} {count:,}" for (was, now), count in self.counts.most_common())
            yield f"flips      {kinds}"
        for flip in sorted(self._examples, key=lambda flip: (-self.counts[flip.was, flip.now], flip.was, flip.now)):
            yield f"           {flip}"

    def _word(self, verdict: Verdict) -> str:
        if verdict.score is None:
            return verdict.reason.value if verdict.reason else "none"
        return "pass" if verdict.score >= self._threshold else "fail"


def _read(verdict: Verdict) -> str:
    return "nothing" if verdict.extracted is None else _short(verdict.extracted)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
