"""Requests and tokens per minute, never more than the provider allows.

A request's tokens are estimated when it goes, and corrected when its reply says what it used.
"""

from __future__ import annotations

from collections import deque

from rsr.gate.tickets import Ticket

SPAN = 61.0
"""Seconds that a window looks back: a minute, and a second for what the way to the server may differ in length."""
_UNKNOWN_LENGTH = 1024  # tokens of a completion before anything is known about them


class Window:
    """What was booked in the last minute: `most` at most."""

    def __init__(self, most: float) -> None:
        self.most = most
        self._entries: deque[list[float]] = deque()  # [time, amount], oldest first
        self._sum = 0.0

    def booked(self, now: float) -> float:
        """The sum of what the window holds."""
        while self._entries and self._entries[0][0] + SPAN <= now:
            entry = self._entries.popleft()
            self._sum -= entry[1]
            entry[0] = float("-inf")
        if not self._entries:
            self._sum = 0.0  # no rounding error outlives what it came from
        return self._sum

    def free_at(self, now: float, amount: float) -> float:
        """When `amount` fits; one that is larger than a window fits when that is empty."""
        total, when = self.booked(now), now
        for time, booked in self._entries:
            if total + amount <= self.most:
                break
            total -= booked
            when = time + SPAN
        return when

    def book(self, now: float, amount: float) -> list[float]:
        """Count it; returns the entry, for `correct`."""
        entry = [now, amount]
        self._entries.append(entry)
        self._sum += amount
        return entry

    def correct(self, entry: list[float], now: float, amount: float) -> None:
        """It was less than that; or more, which counts from now on."""
        if amount > entry[1]:
            self.book(now, amount - entry[1])
        elif entry[0] > float("-inf"):
            self._sum += amount - entry[1]
            entry[1] = amount


class Rates:
    """Both windows; None where there is no limit."""

    def __init__(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        self.requests = Window(requests_per_minute) if requests_per_minute else None
        self.tokens = Window(tokens_per_minute) if tokens_per_minute else None
        self._completions = self._completion_tokens = 0

    def narrow(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        """Keep to these as well."""
        other = Rates(requests_per_minute, tokens_per_minute)
        for mine, its in ((self.requests, other.requests), (self.tokens, other.tokens)):
            if mine is not None and its is not None:
                mine.most = min(mine.most, its.most)
        self.requests = self.requests or other.requests
        self.tokens = self.tokens or other.tokens

    def free_at(self, now: float, ticket: Ticket) -> float:
        """When a request may go."""
        when = now if self.requests is None else self.requests.free_at(now, 1)
        return when if self.tokens is None else max(when, self.tokens.free_at(now, self._estimate(ticket)))

    def sent(self, now: float, ticket: Ticket) -> None:
        """It goes."""
        if self.requests is not None:
            self.requests.book(now, 1)
        if self.tokens is not None:
            ticket.booked = self.tokens.book(now, self._estimate(ticket))

    def succeeded(self, now: float, ticket: Ticket) -> None:
        """Its reply has come; `ticket.used` says what it took."""
        if self.tokens is None or ticket.used is None:
            return
        self._completions += ticket.weight
        self._completion_tokens += max(0, ticket.used - ticket.prompt_tokens)
        if ticket.booked is not None:
            self.tokens.correct(ticket.booked, now, ticket.used)
            ticket.booked = None

    def _estimate(self, ticket: Ticket) -> float:
        """The tokens that it will use: for each completion the mean so far, or the most that it can be."""
        each: float = ticket.max_tokens or _UNKNOWN_LENGTH
        if self._completions:
            each = self._completion_tokens / self._completions
        return ticket.prompt_tokens + ticket.weight * each
