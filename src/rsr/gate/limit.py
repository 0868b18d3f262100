"""How many completions may be in flight: additive increase, multiplicative decrease.

Halved at most once per round trip, when more than a few of the latest requests met an endpoint that was busy or late;
raised by each success, so that it grows by a part of the ceiling per window; from 1 after an outage, doubling per
window up to half of what it was.
"""

from __future__ import annotations

from rsr.gate.tickets import Ticket

STEPS = 32
"""Windows of successes that raise the limit from nothing to its ceiling."""
NOISE = 1 / 8
"""A share of busy replies below this is not taken for overload: a provider that answers 5 % with 429 whatever we do
would otherwise be used with an eighth of the slots. 0: any such reply halves."""
PATIENCE = 60.0
"""A request in flight for so long, and for 3 x the longest success of late, takes no room under the limit any more: one
that hangs must not keep others from going. Under the ceiling it does."""


class Limit:
    """The completions in flight and how many there may be, `ceiling` at most."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.now = float(ceiling)
        """The limit of now."""
        self.in_flight = 0
        self._counted: dict[Ticket, None] = {}  # in the order of their sending
        self._weight = 0
        self._longest = 0.0
        self._halved_at = 0  # the number of the last try that had been sent
        self._doubling_to = 0.0
        self._busy = 0.0  # the share of busy replies among the latest

    def room(self, ticket: Ticket, now: float) -> bool:
        """Whether it fits; what is larger than the limit goes alone."""
        if self.in_flight and self.in_flight + ticket.weight > self.ceiling:
            return False
        while self._weight and self._weight + ticket.weight > self.now:
            oldest = next(iter(self._counted))
            if self._forgotten_at(oldest) > now:
                return False
            self._uncount(oldest)
        return True

    def room_at(self, ticket: Ticket) -> float | None:
        """When it may fit although nothing comes back; None: never. Asked where there is no room."""
        if self.in_flight + ticket.weight > self.ceiling or not self._counted:
            return None
        return self._forgotten_at(next(iter(self._counted)))

    def sent(self, ticket: Ticket) -> None:
        """It is in flight."""
        self.in_flight += ticket.weight
        self._weight += ticket.weight
        self._counted[ticket] = None
        ticket.counted = True

    def landed(self, ticket: Ticket) -> None:
        """It is not any more."""
        self.in_flight -= ticket.weight
        self._uncount(ticket)

    def rise(self, ticket: Ticket, took: float) -> None:
        """It succeeded, in so many seconds."""
        self._longest = took if took > self._longest else self._longest * 0.998
        if self._busy:
            self._busy -= self._busy / self._memory()
        if self.now < self.ceiling:
            step = 1.0 if self.now < self._doubling_to else self.ceiling / STEPS / self.now
            self.now = min(self.now + ticket.weight * step, float(self.ceiling))

    def busy(self, ticket: Ticket, last: int) -> None:
        """It may have been too much, unless that is the answer to what was sent before the last decrease."""
        if ticket.number <= self._halved_at:
            return
        self._busy += (1 - self._busy) / self._memory()
        if self._busy > NOISE:
            self.now = max(1.0, self.now / 2)
            self._halved_at, self._doubling_to, self._busy = last, 0.0, 0.0

    def restart(self, was: float, last: int) -> None:
        """Begin again from 1: the endpoint is out of order, and was used with a limit of `was` before."""
        self.now = 1.0
        self._halved_at, self._doubling_to, self._busy = last, was / 2, 0.0
        for ticket in list(self._counted):  # whether they ever come back must not decide when others may go
            self._uncount(ticket)

    def _memory(self) -> float:
        """How many of the latest replies count: about a window."""
        return min(max(self.now, 16.0), 64.0)

    def _forgotten_at(self, ticket: Ticket) -> float:
        return ticket.sent_at + max(PATIENCE, 3 * self._longest)

    def _uncount(self, ticket: Ticket) -> None:
        if ticket.counted:
            ticket.counted = False
            del self._counted[ticket]
            self._weight -= ticket.weight
