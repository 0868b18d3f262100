"""How much more may be drawn, as a pure decision: what was spent, what is in flight, what is allowed.

    budget     is spent by                                                    ends a run at most
    requests   requests sent, failed ones too (not their retries)             at it, exactly
    tokens     prompt and completion tokens of the completions that came      over it by what is in flight beyond its
    usd        the same at the prices                                         estimate
    seconds    sampling                                                       over it by what is in flight then

A further completion is drawn only while what is spent, what is in flight and that one fit, each at an estimate: before
the first reply `max_tokens`, or 500 where that is not set, then the mean so far. What is in flight is taken at the mean
weighted by length, since a long response is in flight for longer. So fewer and fewer are in flight as a budget
ends, and with m of them when the last was drawn,

    overrun <= sum over these m of (its tokens - the mean) <= m * (longest - mean)

Measured with lognormal lengths (sigma 1, mean 480, cut at 4,000): 64 in flight overrun a budget of 1 M tokens by 2 %
(3 % at worst of 40 runs), 256 one of 10 M by 1 %; with few completions per slot it is more, 35 % for 100,000 tokens on
64 slots, where fewer `concurrent_requests` help. What remains unspent is less than a mean response.

Replies without token counts are taken at the mean of the others, or 500. Requests that were cancelled, and retries,
may be billed but are not told to us: they are in no figure here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rsr.types import NO_LIMIT, Outcome, Rollout

_UNKNOWN = 500
"""Tokens of a response, before there is anything better."""
_ANY = 1 << 31
_MILLION = 1_000_000


class Prices(NamedTuple):
    """US dollars for a million tokens; None: not known."""

    prompt: float | None = None
    completion: float | None = None

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float | None:
        """US dollars; None where the price of completion tokens is not known. Prompt tokens without one are free."""
        if self.completion is None:
            return None
        return ((self.prompt or 0.0) * prompt_tokens + self.completion * completion_tokens) / _MILLION


class Allowed(NamedTuple):
    """The keys of `budget`; None: no limit."""

    tokens: int | None = None
    requests: int | None = None
    seconds: float | None = None
    usd: float | None = None


class Spent(NamedTuple):
    """What a run has spent, all its starts together."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    completions: int = 0
    """Those that came; no refusals. 0 with tokens: not known, so the mean is that of this start alone."""
    uncounted: int = 0
    """Completions among them without a count of tokens."""
    requests: int = 0
    seconds: float = 0.0


_UNPRICED = Prices()
_NOTHING = Spent()


class Budget:
    """Hears what is spent; says how many completions may be drawn.

    Ask `room` before each request, and for at most so many completions in it.

    Args:
        allowed: the limits.
        spent: before this start of the run.
        prices: for `usd`.
        max_tokens: the longest response, where it is limited.
    """

    def __init__(
        self, allowed: Allowed, spent: Spent = _NOTHING, prices: Prices = _UNPRICED, max_tokens: int | None = None
    ) -> None:
        self.allowed = allowed
        self.prices = prices
        self._before = spent
        self._first = _UNKNOWN if max_tokens is None or max_tokens >= NO_LIMIT else max_tokens
        self._prompt_tokens, self._completion_tokens = spent.prompt_tokens, spent.completion_tokens
        self._completions, self._uncounted = spent.completions, spent.uncounted
        self._requests = spent.requests
        self._seconds = 0.0
        # Lengths of earlier starts are not known one by one: taken as equal, until there are more.
        counted = self._counted
        self._squares = self._completion_tokens**2 / counted if counted else 0.0
        # Tokens of nobody knows how many completions are spent, but say nothing about a mean.
        self._unknown = (0, 0) if counted else (spent.prompt_tokens, spent.completion_tokens)

    def asked(self) -> None:
        """A request is sent."""
        self._requests += 1

    def came(self, rollouts: Iterable[Rollout]) -> None:
        """Completions came."""
        for rollout in rollouts:
            if rollout.outcome is Outcome.REFUSED or rollout.outcome is Outcome.FAILED:
                continue
            self._completions += 1
            self._prompt_tokens += rollout.prompt_tokens or 0
            tokens = rollout.completion_tokens
            if tokens is None:
                self._uncounted += 1
            else:
                self._completion_tokens += tokens
                self._squares += tokens * tokens

    def passed(self, seconds: float) -> None:
        """Sampling has gone on for so long since this start of the run."""
        self._seconds = seconds

    @property
    def spent(self) -> Spent:
        """Everything so far, to be handed to the next start."""
        return Spent(
            self._prompt_tokens,
            self._completion_tokens,
            self._completions,
            self._uncounted,
            self._requests,
            self._before.seconds + self._seconds,
        )

    @property
    def seconds_left(self) -> float | None:
        """Until `budget.seconds` is spent; None: no limit."""
        if self.allowed.seconds is None:
            return None
        return max(0.0, self.allowed.seconds - self._before.seconds - self._seconds)

    @property
    def usd(self) -> float | None:
        """US dollars spent; None without prices."""
        return self.prices.cost(*self._tokens())

    def room(self, in_flight: int) -> int:
        """How many completions the next request may ask for; 0: none, for now or (see `ended`) for good.

        Args:
            in_flight: completions that are on their way.
        """
        return min((room for _, _, _, room in self._limits(in_flight)), default=_ANY)

    @property
    def ended(self) -> str | None:
        """Which budget is spent, in one line: nothing could be drawn even with nothing in flight. None: none is."""
        for name, spent, allowed, room in self._limits(0):
            if room == 0:
                about = "about " if name in ("tokens", "usd") and self._uncounted else ""
                rest = "" if spent >= allowed else ", too little is left for another response"
                figures = f"{about}{_figure(name, spent, allowed)} of {_figure(name, allowed, allowed)}"
                return f"budget.{name}: {figures} are spent{rest}; raise it and rsr run RUN goes on"
        return None

    def _limits(self, in_flight: int) -> Iterator[tuple[str, float, float, int]]:
        """Of each budget that is set: its name, what is spent and allowed, and the room that it leaves."""
        allowed = self.allowed
        if allowed.tokens is not None:
            spent, rates = sum(self._tokens()), Prices(_MILLION, _MILLION)
            yield "tokens", spent, allowed.tokens, self._fitting(allowed.tokens - spent, rates, in_flight)
        if allowed.requests is not None:
            yield "requests", self._requests, allowed.requests, _ANY if self._requests < allowed.requests else 0
        if allowed.seconds is not None:
            seconds = self._before.seconds + self._seconds
            yield "seconds", seconds, allowed.seconds, _ANY if seconds < allowed.seconds else 0
        if allowed.usd is not None:
            spent = self.usd or 0.0
            yield "usd", spent, allowed.usd, self._fitting(allowed.usd - spent, self.prices, in_flight)

    def _fitting(self, left: float, rates: Prices, in_flight: int) -> int:
        """How many more fit into what is left."""
        if left <= 0:
            return 0
        prompt, completion, weighted = self._means()
        each = rates.cost(prompt, completion) or 0.0
        left -= in_flight * (rates.cost(prompt, weighted) or 0.0)
        if not self._completions and not in_flight:
            return max(1, int(left // each) if each else _ANY)  # or nothing would ever be known
        if left < 0:
            return 0
        return min(_ANY, int(left // each)) if each else _ANY

    @property
    def _counted(self) -> int:
        return self._completions - self._uncounted

    def _means(self) -> tuple[float, float, float]:
        """Of a completion: its prompt tokens, its tokens, and these weighted by length."""
        counted = self._counted
        if not counted:
            return 0.0, self._first if not self._completions else _UNKNOWN, self._first
        prompt, completion = self._prompt_tokens - self._unknown[0], self._completion_tokens - self._unknown[1]
        weighted = self._squares / completion if completion else 0.0
        return prompt / counted, completion / counted, weighted

    def _tokens(self) -> tuple[float, float]:
        """Prompt and completion tokens of all that came, estimated where they were not counted."""
        if not self._uncounted:
            return self._prompt_tokens, self._completion_tokens
        prompt, completion, _ = self._means()
        return self._prompt_tokens + prompt * self._uncounted, self._completion_tokens + completion * self._uncounted


def _figure(name: str, value: float, allowed: float) -> str:
    """A count with separators; dollars to the cent, smaller ones where the budget is."""
    if name != "usd":
        return f"{int(value):,}" if allowed >= 10 else f"{value:.3g}"
    return f"{value:,.2f}" if allowed >= 1 else f"{value:.6f}"
