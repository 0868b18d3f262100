"""A gate between requests and an endpoint, in virtual time: for tests of the gate."""

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from rsr.gate import Gate, Sign, Ticket

Answer = Callable[[float, Ticket], tuple[float, Sign | None, float | None]]

ENDED = (None, None)
"""What `World.answer` gives for a good reply: no sign, no Retry-After."""


class World:
    """Requests, a gate and an endpoint, in virtual time.

    `answer(time, ticket)` is (seconds that it takes, sign, Retry-After). What the wire does between tries is done here:
    backoff, and an end after `retries` failed tries that count.
    """

    def __init__(self, gate: Gate, answer: Answer, slots: int = 64, retries: int = 6, seed: int = 0) -> None:
        self.gate, self.answer, self.slots, self.retries = gate, answer, slots, retries
        self.rng = random.Random(seed)
        self.now = 0.0
        self.events: list[tuple[float, int, Ticket, Sign | None, float | None]] = []
        self.order = itertools.count()
        self.sent: list[tuple[float, Ticket]] = []  # with their times
        self.delivered: list[Ticket] = []
        self.parked: list[Ticket] = []
        self.given_up: list[Ticket] = []
        self.not_before: defaultdict[Any, float] = defaultdict(float)  # key -> when its Retry-After has passed
        self.using = 0

    def run(self, tickets: Iterable[Ticket], until: float = 1e7) -> "World":
        """Put them in, so many at a time, and go on until nothing is left; time runs on to the next event."""
        self.coming = iter(tickets)
        self.fill()
        while True:
            wake = self.gate.wake(self.now)
            reply = self.events[0][0] if self.events else None
            times = [time for time in (wake, reply) if time is not None]
            if not times:
                break
            step = min(times)
            assert step < until, f"{step}: stands still: {self.gate.waiting} wait, {self.gate.in_flight} in flight"
            self.now = max(self.now, step)
            while self.events and self.events[0][0] <= self.now:
                self.land(*heapq.heappop(self.events)[2:])
            self.pump()
            self.fill()
        assert not self.gate.waiting and not self.gate.in_flight
        return self

    def fill(self) -> None:
        while self.using < self.slots and (ticket := next(self.coming, None)) is not None:
            self.using += 1
            self.enter(ticket)

    def enter(self, ticket: Ticket) -> None:
        if self.gate.enter(ticket, self.now):
            self.go(ticket)
        else:
            self.pump()

    def pump(self) -> None:
        for ticket in self.gate.ready(self.now):
            self.go(ticket)
        for ticket in self.gate.down(self.now):
            self.given_up.append(ticket)
            self.using -= 1

    def go(self, ticket: Ticket) -> None:
        gate = self.gate
        assert self.now >= self.not_before[ticket.key], "Retry-After was not obeyed"
        assert gate.in_flight <= max(gate._limit.ceiling, ticket.weight)
        self.sent.append((self.now, ticket))
        takes, sign, retry_after = self.answer(self.now, ticket)
        heapq.heappush(self.events, (self.now + takes, next(self.order), ticket, sign, retry_after))

    def land(self, ticket: Ticket, sign: Sign | None, retry_after: float | None) -> None:
        gate = self.gate
        if sign is None:
            ticket.used = ticket.prompt_tokens + 100 * ticket.weight
            gate.succeeded(ticket, self.now)
            self.delivered.append(ticket)
            self.using -= 1
        else:
            if retry_after is not None:
                self.not_before[ticket.key] = max(self.not_before[ticket.key], self.now + retry_after)
            gate.failed(ticket, self.now, sign, retry_after)
            if ticket.burnt > self.retries:
                self.parked.append(ticket)
                self.using -= 1
            else:
                if gate.open_since is None:
                    ticket.rest_until = self.now + self.rng.uniform(0, min(60, 0.5 * 2**ticket.burnt))
                self.enter(ticket)
        self.pump()

    def between(self, start: float, end: float) -> list[Ticket]:
        return [ticket for time, ticket in self.sent if start <= time < end]


def tickets(count: int, weight: int = 1, **more: Any) -> list[Ticket]:
    return [Ticket(key=number, weight=weight, **more) for number in range(count)]


def gate_of(ceiling: int = 64, seed: int = 0, **more: Any) -> Gate:
    return Gate(ceiling, rng=random.Random(seed), **more)


def fine(takes: float = 1.0) -> Answer:
    return lambda time, ticket: (takes, *ENDED)
