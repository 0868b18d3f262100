"""How many completions may be drawn now: the free slots, and what keeps them from being filled."""

from __future__ import annotations

from rsr.judging import Judging
from rsr.oversight import Oversight
from rsr.progress import Progress
from rsr.types import Sampler

_JUDGED_PER_SLOT = 4  # verdicts waited for, beyond which nothing is drawn: a slow judge must not fill the memory
_JUDGED = 64  # so many may be waited for in any case


class Slots:
    """The slots of a run.

    Args:
        wanted: completions in flight at most.
        sampler: may allow fewer; one that has `resting` says how many of those in flight only wait.
        judging: verdicts that are waited for.
        progress: counts what is in flight.
        oversight: knows the budget.

    Attributes:
        count: how many there are.
    """

    def __init__(
        self, wanted: int, sampler: Sampler, judging: Judging, progress: Progress, oversight: Oversight
    ) -> None:
        self.count = min(wanted, sampler.max_in_flight or wanted)
        self._sampler = sampler
        self._judging, self._progress, self._oversight = judging, progress, oversight

    @property
    def resting(self) -> int:
        """Completions in flight that wait for a time that they were told, or have chosen; their slots are free.

        At most as many as there are slots, so that what is at work stays bounded.
        """
        return min(int(getattr(self._sampler, "resting", 0)), self.count)

    def free(self, now: float) -> int:
        """Completions that may be drawn now."""
        in_flight = self._progress.in_flight
        judging = self._judging.room(max(_JUDGED, _JUDGED_PER_SLOT * self.count), in_flight)
        return min(self.count - in_flight + self.resting, self._oversight.room(now), judging)
