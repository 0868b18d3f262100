"""What goes into the store and comes out of it, and which of several rows of one index counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rsr.types import Completion, Outcome, Prompt, Rollout, Verdict


class Said(NamedTuple):
    """A verdict and who said so."""

    verdict: Verdict
    key: int
    verifier: int


class NewRollout(NamedTuple):
    """A completion with its outcome, on its way to disk; `said` where the verdict is known already."""

    prompt: Prompt
    rollout: Rollout
    completion: Completion
    said: Said | None = None


class NewVerdict(NamedTuple):
    """A verdict on a stored rollout."""

    prompt: Prompt
    rollout: Rollout
    said: Said


class Totals(NamedTuple):
    """Tokens of everything that is stored under a sampling key, surplus and superseded rollouts too."""

    prompt_tokens: int
    completion_tokens: int
    completions: int
    """What came; no refusals."""
    uncounted: int
    """Completions among them without a count of tokens."""


def effective(rollouts: Sequence[Rollout], limit: int) -> list[Rollout]:
    """The rows that count under a limit: of each index the first that was not cut, else the cut at the highest limit.

    A cut below `limit` doesn't count: the index is open and drawn again. `limit` -1 keeps every row.

    Args:
        rollouts: sorted by index and limit.
        limit: `max_tokens` of now.
    """
    if limit < 0:
        return list(rollouts)
    chosen: dict[int, Rollout] = {}
    for rollout in rollouts:
        there = chosen.get(rollout.index)
        if there is None or there.outcome is Outcome.TRUNCATED:
            chosen[rollout.index] = rollout
    cut = Outcome.TRUNCATED
    return [rollout for rollout in chosen.values() if rollout.outcome is not cut or rollout.limit >= limit]
