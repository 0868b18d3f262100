"""Keeps count of a run at work: for the display, for the guards that end it when it goes wrong, for its budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rsr.budgets import Budget
from rsr.errors import BudgetSpent, GuardTripped
from rsr.guards import Guards
from rsr.progress import Progress
from rsr.types import Outcome, Rollout

_REMEMBERED = 100_000
_NO_END = 1 << 31


class Oversight:
    """Hears of everything that the engine does.

    Args:
        progress: counted up.
        guards: may end the run.
        budget: may end the run.
        passes: whether a rollout passes.
        verifiers: what they have spent since this was last asked, by counter.
    """

    def __init__(
        self,
        progress: Progress,
        guards: Guards,
        budget: Budget,
        passes: Callable[[Rollout], bool],
        verifiers: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._progress = progress
        self._guards = guards
        self._budget = budget
        self._passes = passes
        self._verifiers = verifiers
        self._endless = not any(budget.allowed)
        self._began = 0.0
        self._counted_requests = 0
        self._counted_until = 0.0

    def begin(self, now: float) -> None:
        """Sampling begins."""
        self._began = self._counted_until = now

    def uncounted(self, now: float) -> dict[str, float]:
        """Requests, seconds and what verifiers spent since this was last asked.

        The store adds it up over all starts of the run.
        """
        requests, seconds = self._progress.requests - self._counted_requests, now - self._counted_until
        self._counted_requests, self._counted_until = self._progress.requests, now
        return {"requests": requests, "seconds": seconds, **self._verifiers()}

    def seconds_left(self) -> float | None:
        """Seconds until the budget of time is spent; None: there is none."""
        return self._budget.seconds_left

    def room(self, now: float) -> int:
        """Completions that may be drawn now, by the budget."""
        if self._endless:
            return _NO_END
        self._budget.passed(now - self._began)
        return self._budget.room(self._progress.in_flight)

    def spent(self) -> BudgetSpent | None:
        """The end of the run, where the budget has no room for even one more."""
        ended = None if self._endless else self._budget.ended
        return None if ended is None else BudgetSpent(ended)

    @property
    def tripped(self) -> GuardTripped | None:
        """The end of the run, where a guard wants it."""
        tripped = self._guards.tripped
        return None if tripped is None else GuardTripped(str(tripped), [str(one) for one in tripped.examples])

    def drawn(self, n: int) -> None:
        """A request for so many completions is sent."""
        self._progress.in_flight += n
        self._progress.requests += 1
        self._budget.asked()

    def failed(self, id: str, error: str) -> None:
        """A request failed to the end."""
        self._progress.failed_requests += 1
        if len(self._progress.failing) < _REMEMBERED:
            self._progress.failing.add(id)
        self._guards.request(id, error)

    def came(self, id: str, rollouts: Sequence[Rollout]) -> None:
        """A request was answered, and what came is on disk."""
        if not rollouts or rollouts[0].outcome is not Outcome.FAILED:  # given up on: told by `failed`
            self._guards.request(id)
        if not self._endless:
            self._budget.came(rollouts)
        for rollout in rollouts:
            self._progress.drawn(rollout)
            self._guards.drawn(id, rollout)
            if rollout.verdict is not None:
                self.judged(id, rollout)
            elif rollout.outcome is not Outcome.OK:
                rollout.forget_text()

    def judged(self, id: str, rollout: Rollout) -> None:
        """A verdict, in the rollout, is on disk: its text is no longer needed."""
        verdict = rollout.verdict
        assert verdict is not None
        self._guards.judged(id, rollout, verdict)
        rollout.forget_text()
        self._progress.judged(verdict, passed=self._passes(rollout))

    def closed(self, id: str, decided: bool) -> None:
        """A prompt is done with, for now or for good."""
        if decided:
            self._progress.failing.discard(id)
        self._guards.closed(id)
