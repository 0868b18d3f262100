"""A server as all requests to it share it: one gate, one clock, and those that wait.

`Endpoint.shared` gives the same object to everyone who asks for the same address in the same event loop. What may go
when is decided in `rsr.gate`; here is only the waiting.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import NamedTuple
from weakref import WeakValueDictionary

from rsr.errors import RequestFailed, SamplerDown, SamplerError
from rsr.gate import Gate, Sign, Ticket

_STOPPING = "not sent, since the run ends"
_EARLIEST = 0.001  # timers are as fine as this, and may fire early: no use in asking for less


class Limits(NamedTuple):
    """What one user of an endpoint asks of it."""

    in_flight: int = 128
    """Completions in flight at most."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_outage: float = 3600.0
    """Seconds to wait for a server that is out of order."""


class Endpoint:
    """Who may send to a server now, and who waits.

    Args:
        address: fit to be shown.
        limits: of its first user.
    """

    def __init__(self, address: str, limits: Limits) -> None:
        self.address = address
        self.gate = Gate(*limits)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last = ""
        self._draining = False

    @classmethod
    def shared(cls, origin: tuple[str, str, int], address: str, limits: Limits) -> Endpoint:
        """The endpoint at an origin (scheme, host, port): one for all of the running loop, while anyone holds it."""
        key = (asyncio.get_running_loop(), origin)
        endpoint = _ENDPOINTS.get(key)
        if endpoint is None:
            endpoint = _ENDPOINTS[key] = cls(address, limits)
        else:
            endpoint.gate.widen(*limits)
        return endpoint

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self.gate.waiting

    @property
    def resting(self) -> int:
        """Completions whose requests wait for a time of their own."""
        return self.gate.resting

    @property
    def sent(self) -> int:
        """Tries so far."""
        return self.gate.sent

    @property
    def limit(self) -> int:
        """Completions that may be in flight now."""
        return self.gate.limit

    @property
    def state(self) -> str:
        """What holds everything up, in a few words; empty while nothing does."""
        since = self.gate.open_since
        if since is None:
            return ""
        now = time.monotonic()
        next_try = max(0, math.ceil(self.gate.probe_at - now))
        return (
            f"nothing usable comes from the server since {now - since:.0f} s ({self._last}), next try in {next_try} s"
        )

    async def turn(self, ticket: Ticket) -> None:
        """Returns when the request may be sent; it counts as in flight from then on, until one of the next is called.

        Raises:
            SamplerDown: the server has been out of order for as long as anyone waits.
            RequestFailed: nothing is sent any more, see `drain`.
        """
        if self._draining:
            raise RequestFailed(_STOPPING)
        if self.gate.enter(ticket, time.monotonic()):
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        ticket.waiter = waiter
        self._pump()
        try:
            await waiter
        except asyncio.CancelledError:
            self.left(ticket)
            raise

    def succeeded(self, ticket: Ticket) -> None:
        """A usable reply came."""
        self.gate.succeeded(ticket, time.monotonic())
        self._pump()

    def answered(self, ticket: Ticket) -> None:
        """It was refused for a reason of its own."""
        self.gate.answered(ticket, time.monotonic())
        self._pump()

    def failed(self, ticket: Ticket, sign: Sign, retry_after: float | None, why: str) -> None:
        """A try failed, see `Gate.failed`; for another it has to wait for its turn again."""
        if sign is not Sign.NONE:
            self._last = why
        ticket.why = why
        self.gate.failed(ticket, time.monotonic(), sign, retry_after)
        for each in self.gate.spent(time.monotonic()):
            _tell(each, failed_to_the_end(each))
        self._pump()

    def left(self, ticket: Ticket) -> None:
        """Whoever sent it, or waited to, has gone."""
        self.gate.left(ticket)
        self._pump()

    def rest(self, ticket: Ticket, seconds: float) -> None:
        """It is not to go before that, by its own choice. A server that is out of order is tried at its own times."""
        if self.gate.open_since is None:
            ticket.rest_until = time.monotonic() + seconds

    def drain(self) -> None:
        """Send nothing new: the run ends, and what only waits for its turn need not be waited for."""
        self._draining = True
        for ticket in self.gate.give_up():
            _tell(ticket, RequestFailed(_STOPPING))

    def _pump(self) -> None:
        """Let go whoever may, and come again when the next may."""
        gate = self.gate
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not gate.waiting:
            return
        now = time.monotonic()
        for ticket in gate.ready(now):
            _tell(ticket, None)
        for ticket in gate.down(now):
            _tell(ticket, SamplerDown(self._down(now)))
        wake = gate.wake(now)
        if wake is not None and wake < math.inf:
            self._timer = self._loop.call_later(max(wake - now, _EARLIEST), self._pump)

    def _down(self, now: float) -> str:
        seconds = now - (now if self.gate.open_since is None else self.gate.open_since)
        return f"nothing usable has come from {self.address} for {seconds:.0f} s (last: {self._last})"


_ENDPOINTS: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, tuple[str, str, int]], Endpoint] = (
    WeakValueDictionary()
)


def failed_to_the_end(ticket: Ticket) -> RequestFailed:
    """What a request comes to that has no try left."""
    error = RequestFailed(f"{ticket.why} ({ticket.tries} {'try' if ticket.tries == 1 else 'tries'})")
    error.may_have_generated = ticket.redrawn
    return error


def _tell(ticket: Ticket, error: SamplerError | None) -> None:
    waiter = ticket.waiter
    assert isinstance(waiter, asyncio.Future)
    if waiter.done():  # its sender was cancelled, and will say so as soon as it runs
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
