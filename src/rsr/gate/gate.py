"""The gate before one endpoint: who may go, who waits, and for how long. All requests to it pass here.

    enter ──────────────(True: goes at once)──────────────> in flight ──> succeeded, answered, failed, left
      └──(False)──> waiting ──ready, at `wake` or sooner──^

Time is any monotonic clock in seconds; nothing is awaited and nothing is sent here. What holds a request back:

    limit       completions in flight (limit.py)
    rates       requests and tokens per minute (rates.py)
    Retry-After whatever its length: the request that got it, and all others of its prompt
    backoff     its own
    breaker     the endpoint is out of order: a probe at a time goes, and nothing else (breaker.py)
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Hashable

from rsr.gate.breaker import Breaker
from rsr.gate.limit import Limit
from rsr.gate.rates import Rates
from rsr.gate.tickets import Sign, Ticket

STUBBORN = 45.0
"""Seconds of failures, and of nothing else, after which what has failed makes room for what has not been tried."""
_HOLDS = 4096  # so many are kept before those that have passed are looked for


class Gate:
    """The state of one endpoint.

    Args:
        ceiling: completions in flight at most.
        requests_per_minute: None: no limit.
        tokens_per_minute: None: no limit.
        max_outage: seconds after which waiting makes no more sense, see `down`.
        rng: for jitter.
    """

    def __init__(
        self,
        ceiling: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        max_outage: float = 3600.0,
        rng: random.Random | None = None,
    ) -> None:
        self.max_outage = max_outage
        self.sent = 0
        """Tries so far."""
        self._limit = Limit(ceiling)
        self._rates = Rates(requests_per_minute, tokens_per_minute)
        self._breaker = Breaker(rng or random.Random())
        self._waiting: dict[Ticket, None] = {}
        self._queue: deque[tuple[int, Ticket]] = deque()
        self._resting: list[tuple[float, int, int, Ticket]] = []
        self._entries = 0
        self._holds: dict[Hashable, float] = {}
        self._most_holds = _HOLDS
        self._unmetered = self._rates.requests is None and self._rates.tokens is None

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiting)

    @property
    def resting(self) -> int:
        """Completions whose requests wait for a time of their own: Retry-After or backoff. None while all wait."""
        if not self._resting or self._breaker.open_since is not None:
            return 0
        return sum(ticket.weight for _, _, turn, ticket in self._resting if turn == ticket.turn)

    @property
    def in_flight(self) -> int:
        """Completions that were asked for and are not back."""
        return self._limit.in_flight

    @property
    def limit(self) -> int:
        """Completions that may be in flight now."""
        return int(self._limit.now)

    @property
    def open_since(self) -> float | None:
        """When the endpoint went out of order; None: it is not."""
        return self._breaker.open_since

    @property
    def probe_at(self) -> float:
        """When an endpoint that is out of order may be tried again."""
        return self._breaker.probe_at

    @property
    def counts_tokens(self) -> bool:
        """Whether a ticket's tokens matter."""
        return self._rates.tokens is not None

    def widen(
        self, ceiling: int, requests_per_minute: int | None, tokens_per_minute: int | None, max_outage: float
    ) -> None:
        """Serve another user of the endpoint too: the larger ceiling, the smaller of the provider's limits."""
        limit = self._limit
        if ceiling > limit.ceiling:
            limit.now = float(ceiling) if limit.now >= limit.ceiling else limit.now
            limit.ceiling = ceiling
        self._rates.narrow(requests_per_minute, tokens_per_minute)
        self._unmetered = self._rates.requests is None and self._rates.tokens is None
        self.max_outage = max(self.max_outage, max_outage)

    # Going in

    def enter(self, ticket: Ticket, now: float) -> bool:
        """Whether it may go at once, and is in flight then; else it waits until `ready` names it."""
        if (
            not self._waiting
            and self._breaker.open_since is None
            and self._due(ticket) <= now
            and self._limit.room(ticket, now)
            and (self._unmetered or self._rates.free_at(now, ticket) <= now)
        ):
            self._send(ticket, now)
            return True
        ticket.turn += 1
        self._waiting[ticket] = None
        self._enqueue(ticket, now)
        return False

    def ready(self, now: float) -> list[Ticket]:
        """Those that may go now, and are in flight from here on. To be asked after every change, and at `wake`."""
        if self._breaker.open_since is not None:
            prober = self._prober(now)
            if prober is None or now < self._probe_due(prober, now):
                return []
            self._stop_waiting(prober)
            self._send(prober, now)
            self._breaker.probed(prober, now)
            return [prober]
        while self._resting and self._resting[0][0] <= now:
            _, _, turn, ticket = heapq.heappop(self._resting)
            self._queue.append((turn, ticket))
        going: list[Ticket] = []
        while (head := self._head(now)) is not None:
            if not self._limit.room(head, now) or self._rates.free_at(now, head) > now:
                break
            self._queue.popleft()
            self._stop_waiting(head)
            self._send(head, now)
            going.append(head)
        return going

    def wake(self, now: float) -> float | None:
        """When something may happen although nothing comes back; None: never, or nobody waits."""
        if not self._waiting:
            return None
        if self._breaker.open_since is not None:
            down_at = self._breaker.open_since + self.max_outage
            prober = self._prober(now)
            if prober is not None:
                return min(self._probe_due(prober, now), down_at)
            held = min(self._hard_due(ticket) for ticket in self._waiting)
            return min(max(held, self._breaker.probe_at), down_at)
        times = [self._resting[0][0]] if self._resting else []
        head = self._head(now)
        if head is not None:
            room = now if self._limit.room(head, now) else self._limit.room_at(head)
            if room is not None:
                times.append(max(room, self._rates.free_at(now, head)))
        return min(times, default=None)

    def down(self, now: float) -> list[Ticket]:
        """All that wait, and do no more, once the endpoint has been out of order for `max_outage`; else nobody."""
        since = self._breaker.open_since
        return [] if since is None or now < since + self.max_outage else self.give_up()

    def spent(self, now: float) -> list[Ticket]:
        """Those that have failed and do not wait any more: the endpoint is there, and fails for long.

        They may all be prompts that it can't do, and keep from their turn those that it can.
        """
        if self._breaker.ill_since is None or now < self._breaker.ill_since + STUBBORN:
            return []
        spent = [each for each in self._waiting if each.tries]
        for ticket in spent:
            self._stop_waiting(ticket)
        return spent

    def give_up(self) -> list[Ticket]:
        """All that wait; they do no more."""
        given_up = list(self._waiting)
        for ticket in given_up:
            self._stop_waiting(ticket)
        return given_up

    # Coming back

    def succeeded(self, ticket: Ticket, now: float) -> None:
        """A usable reply came."""
        if not self._unmetered:
            self._rates.succeeded(now, ticket)
        self.answered(ticket, now)
        if self._breaker.open_since is None:
            self._limit.rise(ticket, now - ticket.sent_at)

    def answered(self, ticket: Ticket, now: float) -> None:
        """It was refused for a reason of its own: the endpoint is there."""
        self._breaker.answered(ticket, now)
        self._land(ticket)

    def failed(self, ticket: Ticket, now: float, sign: Sign, retry_after: float | None = None) -> None:
        """A try failed; `ticket.burnt` grows where that counts. It has to `enter` again for another."""
        until = 0.0 if retry_after is None else now + retry_after
        if until:
            self._hold(ticket, until, now)
        limit = self._limit.now
        if sign in (Sign.BUSY, Sign.SLOW) and self._breaker.open_since is None:
            self._limit.busy(ticket, self.sent)
        if self._breaker.failed(ticket, now, sign, until, limit):
            self._limit.restart(self._breaker.limit_before, self.sent)
        self._land(ticket)

    def left(self, ticket: Ticket) -> None:
        """Whoever sent it, or waited to, has gone."""
        if ticket in self._waiting:
            self._stop_waiting(ticket)
        elif ticket.flying:
            self._land(ticket)

    def _send(self, ticket: Ticket, now: float) -> None:
        self.sent += 1
        ticket.tries += 1
        ticket.number, ticket.sent_at, ticket.flying = self.sent, now, True
        self._limit.sent(ticket)
        if not self._unmetered:
            self._rates.sent(now, ticket)

    def _land(self, ticket: Ticket) -> None:
        ticket.probing = ticket.flying = False
        self._limit.landed(ticket)

    # Who waits, and for what

    def _hold(self, ticket: Ticket, until: float, now: float) -> None:
        ticket.not_before = max(ticket.not_before, until)
        if len(self._holds) >= self._most_holds:
            self._holds = {key: time for key, time in self._holds.items() if time > now}
            self._most_holds = max(_HOLDS, 2 * len(self._holds))
        self._holds[ticket.key] = max(until, self._holds.get(ticket.key, until))

    def _hard_due(self, ticket: Ticket) -> float:
        """When Retry-After, its own and its prompt's, has passed."""
        if not self._holds:
            return ticket.not_before
        return max(ticket.not_before, self._holds.get(ticket.key, 0.0))

    def _due(self, ticket: Ticket) -> float:
        return max(ticket.rest_until, self._hard_due(ticket))

    def _enqueue(self, ticket: Ticket, now: float) -> None:
        due = self._due(ticket)
        if due <= now:
            self._queue.append((ticket.turn, ticket))
        else:
            self._entries += 1
            heapq.heappush(self._resting, (due, self._entries, ticket.turn, ticket))

    def _head(self, now: float) -> Ticket | None:
        """The first in the queue that still waits and is not held."""
        while self._queue:
            turn, ticket = self._queue[0]
            if turn == ticket.turn:
                if self._due(ticket) <= now:
                    return ticket
                self._enqueue(ticket, now)
            self._queue.popleft()
        return None

    def _stop_waiting(self, ticket: Ticket) -> None:
        ticket.turn += 1
        del self._waiting[ticket]

    def _prober(self, now: float) -> Ticket | None:
        """Whose turn it is to probe: who has probed least and tried least of those that are not held."""
        able = (ticket for ticket in self._waiting if self._hard_due(ticket) <= now)
        return min(able, key=lambda ticket: (ticket.probes, ticket.tries), default=None)

    def _probe_due(self, prober: Ticket, now: float) -> float:
        if self._limit.in_flight and self._limit.in_flight + prober.weight > self._limit.ceiling:
            return float("inf")
        return max(self._breaker.probe_at, self._rates.free_at(now, prober))
