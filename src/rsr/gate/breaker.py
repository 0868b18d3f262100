"""Whether an endpoint is out of order, and when it is probed.

It opens when nothing can be reached, or when the requests of several prompts failed in a row. While it is open one
request at a time goes, every 1, 2, 4, then 5 seconds, never before the largest Retry-After of the storm; the first that
is answered closes it. What failed on the way to that, and what comes back failed meanwhile, costs its requests no try:
it says nothing about them. Only a probe that may have failed by its prompt's own fault does.
"""

from __future__ import annotations

import math
import random

from rsr.gate.tickets import Sign, Ticket

STORM = 3
"""Prompts that fail in a row before it opens: fewer may be at fault themselves."""
CHANCE = 1e-4
"""Where failures are common anyway, more of them in a row: as many as come about by chance this rarely."""
MOST_IN_A_ROW = 12
_MEMORY = 128  # replies, about, that tell how common failures are
PROBE_FIRST, PROBE_LONGEST = 1.0, 5.0
"""Seconds between probes: they double from the first to the longest."""


def in_a_row(share: float) -> int:
    """How many failures in a row are a storm, where that share of all replies are failures."""
    if share >= 1 or share**MOST_IN_A_ROW > CHANCE:
        return MOST_IN_A_ROW
    return STORM if share <= 0 else max(STORM, math.ceil(math.log(CHANCE) / math.log(share)))


class Breaker:
    """The failures in a row, and what follows from them."""

    def __init__(self, rng: random.Random) -> None:
        self.open_since: float | None = None
        self.hold = 0.0
        """The largest Retry-After of the storm: when it has passed."""
        self.limit_before = 0.0
        """The limit when the failures began."""
        self._rng = rng
        self._streak: list[Ticket] = []
        self._suspects: set[Ticket] = set()
        self._share = 0.0  # of failures among the latest replies
        self._needed = STORM
        self._last_success = float("-inf")
        self._probe_at = 0.0
        self.ill_since: float | None = None
        """Since when every probe was answered with a failure; None: the last one was not."""
        self._wait = PROBE_FIRST

    @property
    def probe_at(self) -> float:
        """When the next probe may go."""
        return max(self._probe_at, self.hold)

    def answered(self, ticket: Ticket, now: float) -> None:
        """The endpoint answered a request."""
        if ticket.probing:
            self.open_since = self.ill_since = None
        if self.open_since is None:
            # While it is open, what was sent before may still come, and says nothing of what is sent now.
            self._last_success = now
            self._share -= self._share / _MEMORY
            if self._streak:
                self._streak.clear()
                self._suspects.clear()

    def failed(self, ticket: Ticket, now: float, sign: Sign, until: float, limit: float) -> bool:
        """Whether it opens by that failure; `until` is when its Retry-After has passed."""
        if self.open_since is not None:
            self.hold = max(self.hold, until)
            if ticket.probing:
                if sign is not Sign.ILL:
                    self.ill_since = None
                elif self.ill_since is None:
                    self.ill_since = self.open_since
                self._probe_at = max(now, min(self._probe_at, ticket.sent_at + self._jittered(self._wait)))
                self._burn(ticket, sign, sign.may_be_the_prompt)
            return False
        self._burn(ticket, sign, True)
        if sign is Sign.NONE:
            return False
        if not self._streak:
            self.limit_before, self.hold = limit, 0.0
            self._needed = in_a_row(self._share)
        self._streak.append(ticket)
        if sign.may_be_the_prompt:
            self._suspects.add(ticket)  # a prompt that always fails must not be tried for ever
        self._share += (1 - self._share) / _MEMORY
        self.hold = max(self.hold, until)
        storm = len(self._streak) >= self._needed and len({each.key for each in self._streak}) >= STORM
        if not storm and (sign is not Sign.GONE or self._last_success >= ticket.sent_at):
            return False
        for each in self._streak:
            each.burnt -= each not in self._suspects
        if not self._suspects:
            self._share = 0.0
        self._streak.clear()
        self._suspects.clear()
        self.open_since = now
        self._wait = PROBE_FIRST
        self._probe_at = now + self._jittered(PROBE_FIRST)
        return True

    def probed(self, ticket: Ticket, now: float) -> None:
        """A probe goes."""
        ticket.probing = True
        ticket.probes += 1
        # One that is silent may be generating, for minutes: after the longest wait another may try.
        self._probe_at = now + self._jittered(PROBE_LONGEST)
        self._wait = min(2 * self._wait, PROBE_LONGEST)

    def _burn(self, ticket: Ticket, sign: Sign, counts: bool) -> None:
        if counts:
            ticket.burnt += 1
            ticket.late += sign is Sign.SLOW

    def _jittered(self, seconds: float) -> float:
        return seconds * self._rng.uniform(0.8, 1.0)
