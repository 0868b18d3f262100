"""Decides which indices of which prompt to draw next, when a prompt stops, and what in flight is no longer wanted.

No clock, no network, no async: events go in, draws come out. A prompt's samples are an ordered stream of indices
0, 1, 2, ... and everything is decided on its **decided prefix**, the longest run of indices from 0 of which nothing
more is to be learnt. So what a prompt stops at is a property of its stream, and not of the order of arrival.

    continuous   every k is looked at; a prompt stops at the first k whose prefix satisfies. Indices that no outcome
                 of the unknown ones could make superfluous are certainly wanted; anything beyond is speculation.
    steps        draws min(step_size, what is left), waits for all of them, looks, up to max_steps times.

`Stream` is one prompt, `Schedule` all open ones. State is never saved: a `Stream` is built by replaying what is
stored, under the rules of now.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from rsr.types import Formatter, Outcome, Reason, Rollout, Verdict

Needs = Callable[[Sequence[Rollout]], int]
"""The least number of further valid rollouts that could satisfy everybody; 0: satisfied."""


class Rules(NamedTuple):
    """The budget and the policy, from `sampling.*`."""

    max_rollouts: int = 16
    """Valid rollouts at most."""
    step_size: int = 4
    max_steps: int = 4
    early_stop: bool = True
    policy: Literal["continuous", "steps"] = "continuous"
    speculate: float = 0.0
    """0: draw only what is certainly wanted; 1: whatever a free slot can take."""

    @property
    def attempts(self) -> int:
        """The most indices that a prompt can have."""
        return self.step_size * self.max_steps


class Stop(enum.StrEnum):
    """Why a prompt stopped."""

    SATISFIED = "satisfied"  # every formatter has what it needs
    FULL = "full"  # max_rollouts valid ones
    EXHAUSTED = "exhausted"  # all attempts spent
    REFUSED = "refused"  # the server won't answer this prompt


class Draw(NamedTuple):
    """Ask for `n` completions of a prompt, from index `start` on, in one request."""

    order: int
    start: int
    n: int
    speculative: bool = False

    @property
    def indices(self) -> range:
        """The indices that it covers."""
        return range(self.start, self.start + self.n)


class Update(NamedTuple):
    """What an event changed: draws to cancel, and whether the prompt is done with (for now)."""

    cancel: list[Draw]
    closed: bool = False


def combined_needs(formatters: Sequence[Formatter]) -> Needs:
    """The need of all formatters together: each rollout serves them all."""
    if len(formatters) == 1:
        return formatters[0].needs
    return lambda rollouts: max(formatter.needs(rollouts) for formatter in formatters)


class Stream:
    """One prompt's indices: what is known, what is in flight, where it stops.

    Attributes:
        prefix: length of the decided prefix; after the stop, the k it stopped at.
        valid: the valid rollouts of the decided prefix, in index order.
        need: what `needs` says of them.
        stop: why it stopped; None while it is open.
    """

    def __init__(self, order: int, rules: Rules, needs: Needs, stored: Iterable[Rollout] = ()) -> None:
        self.order = order
        self.rules = rules
        self.results: dict[int, Rollout] = {rollout.index: rollout for rollout in stored}
        self.in_flight: dict[int, Draw] = {}
        self.stuck: set[int] = set()
        self.prefix = 0
        self.valid: list[Rollout] = []
        self.stop: Stop | None = None
        self.hits = 0
        self.low = self.high = 0
        self._needs = needs
        self._steps = 0
        self._boundary = 0
        self._last = max(self.results, default=-1)
        self._ahead: tuple[float, int] | None = None
        self._ahead_known = False
        self.need = needs(self.valid)
        self._look()
        self.advance()

    def learn(self, rollout: Rollout) -> None:
        """Take down what became of an index."""
        self.results[rollout.index] = rollout
        self._last = max(self._last, rollout.index)

    def launch(self, draw: Draw) -> None:
        """Take down that a request is on its way."""
        self.in_flight[draw.start] = draw
        self._ahead_known = False

    def advance(self) -> None:
        """Move over what has been decided since, stop where the rules say, and bound where that can be."""
        self._ahead_known = False
        results, valid = self.results, self.valid  # a million prompts go through here before a run goes on
        while self.stop is None:
            rollout = results.get(self.prefix)
            if rollout is None:
                break
            outcome = rollout.outcome
            if outcome is Outcome.OK:
                verdict = rollout.verdict
                if verdict is None or verdict.reason is Reason.VERIFIER_ERROR:  # `not decided`
                    break
                valid.append(rollout)
                need = self._needs(valid)
                self.hits += need < self.need
                self.need = need
            elif outcome is Outcome.REFUSED:
                self.stop = Stop.REFUSED
                break
            self.prefix += 1
            self._look()
        self._bound()

    def _look(self) -> None:
        """Stop here, if this is a place to look and there is a reason to."""
        rules = self.rules
        steps = rules.policy == "steps"
        if steps and self.prefix < self._boundary:
            return
        if rules.early_stop and self.need == 0:
            self.stop = Stop.SATISFIED
        elif len(self.valid) >= rules.max_rollouts:
            self.stop = Stop.FULL
        elif self.prefix >= rules.attempts or (steps and self._steps >= rules.max_steps):
            self.stop = Stop.EXHAUSTED
        elif steps:
            self._steps += 1
            left = min(rules.attempts - self.prefix, rules.max_rollouts - len(self.valid))
            self._boundary = self.prefix + min(rules.step_size, left)

    def _bound(self) -> None:
        """Set `low`, below which every index is certainly wanted, and `high`, from which on none is."""
        if self.stop is not None:
            self.low = self.high = self.prefix
            return
        if self.rules.policy == "steps":
            self.low = self.high = self._boundary
            return
        self.low, self.high = self._bounds()

    def _bounds(self) -> tuple[int, int]:
        rules, end = self.rules, self.rules.attempts
        need = self.need if rules.early_stop else end + 1
        known = self.valid
        low, unknown = -1, 0
        for index in range(self.prefix, end):
            if low < 0 and (need <= unknown or len(known) + unknown >= rules.max_rollouts):
                low = index
            if need == 0 or len(known) >= rules.max_rollouts:
                return low, index
            if low >= 0 and index > self._last:
                return low, end
            rollout = self.results.get(index)
            if rollout is None or not rollout.decided:
                unknown += 1
            elif rollout.outcome is Outcome.REFUSED:
                return (index if low < 0 else low), index
            elif rollout.outcome is Outcome.OK:
                known = [*known, rollout]
                if rules.early_stop:
                    need = self._needs(known)
        return (end if low < 0 else low), end

    def missing(self, end: int) -> list[int]:
        """The indices below `end` that are neither known nor in flight nor stuck."""
        if self._last < self.prefix and not self.in_flight and not self.stuck:
            return list(range(self.prefix, end))
        flying = {index for draw in self.in_flight.values() for index in draw.indices}
        skip = self.stuck
        return [
            index
            for index in range(self.prefix, end)
            if index not in self.results and index not in flying and index not in skip
        ]

    def wanted(self, most: int) -> Draw | None:
        """The next run of at most `most` certainly wanted indices."""
        missing = self.missing(self.low)
        if not missing or most < 1:
            return None
        n = 1
        while n < min(most, len(missing)) and missing[n] == missing[0] + n:
            n += 1
        return Draw(self.order, missing[0], n)

    def speculation(self, pass_rate: float) -> tuple[float, int] | None:
        """The next index beyond the certain ones and the chance that it will be needed; None: there is none.

        The chance is that of fewer than `need` hits among the unknown indices before it, with a beta-binomial whose
        prior has the weight of two draws at the run's own rate.
        """
        if not self._ahead_known:
            self._ahead, self._ahead_known = self._looked_ahead(pass_rate), True
        return self._ahead

    def _looked_ahead(self, pass_rate: float) -> tuple[float, int] | None:
        if self.stop is not None or self.stuck or self.rules.policy == "steps":
            return None
        missing = self.missing(self.high)
        if not missing:
            return None
        index, known, unknown = missing[0], self.valid, 0
        for before in range(self.prefix, index):
            rollout = self.results.get(before)
            if rollout is None or not rollout.decided:
                unknown += 1
            elif rollout.outcome is Outcome.OK:
                known = [*known, rollout]
        if len(known) + unknown >= self.rules.max_rollouts:
            return None
        need = self._needs(known) if self.rules.early_stop else self.rules.attempts
        return _chance_of_fewer(
            need, unknown, self.hits + 2 * pass_rate, self.prefix - self.hits + 2 - 2 * pass_rate
        ), index

    def surplus(self) -> list[Draw]:
        """What is in flight and certainly not wanted any more."""
        return [draw for draw in self.in_flight.values() if draw.start >= self.high]

    @property
    def idle(self) -> bool:
        """Whether it waits for nothing: no request, no verdict, nothing to draw."""
        if self.in_flight or self.missing(self.low):
            return False
        return all(rollout.decided or index in self.stuck for index, rollout in self.results.items())


def _chance_of_fewer(hits: int, draws: int, alpha: float, beta: float) -> float:
    """P(X < hits) for X beta-binomial over `draws`."""
    if hits > draws:
        return 1.0
    term = 1.0
    for i in range(draws):
        term *= (beta + i) / (alpha + beta + i)
    total = 0.0
    for x in range(hits):
        total += term
        remaining = draws - x
        term *= remaining / (x + 1) * (alpha + x) / (beta + remaining - 1)
    return min(total, 1.0)


class Schedule:
    """All open prompts: hands out draws, hears what became of them.

    Args:
        rules: the budget and the policy.
        needs: the combined need of the formatters.
        max_open: how many prompts may be open at once.
    """

    def __init__(self, rules: Rules, needs: Needs, max_open: int) -> None:
        self.rules = rules
        self.open_streams: dict[int, Stream] = {}
        self.input_ended = False
        self._needs = needs
        self._max_open = max_open
        self._ready: list[int] = []
        self._queued: set[int] = set()
        self._hits = 1.0
        self._tries = 2.0

    @property
    def has_room(self) -> bool:
        """Whether another prompt may be opened."""
        return not self.input_ended and len(self.open_streams) < self._max_open

    def open(self, order: int, stored: Iterable[Rollout] = ()) -> Stream:
        """Take up a prompt with what is stored of it. It may turn out to be stopped already."""
        stream = Stream(order, self.rules, self._needs, stored)
        if stream.stop is None:
            self.open_streams[order] = stream
            self._queue(stream)
        self._count(stream, 0, 0)
        return stream

    def next(self, free: int, max_choices: int | None = None) -> Draw | None:
        """What to draw now into `free` slots: certain work of started prompts, in input order, then speculation.

        None while prompts are left to start: start one instead.
        """
        if free < 1:
            return None
        most = free if max_choices is None else min(free, max_choices)
        while self._ready:
            stream = self.open_streams.get(self._ready[0])
            draw = stream.wanted(most) if stream else None
            if stream is not None and draw is not None:
                stream.launch(draw)
                return draw
            self._queued.discard(heapq.heappop(self._ready))
        return self._speculate() if self.input_ended and self.rules.speculate > 0 else None

    def drawn(self, draw: Draw, rollouts: Iterable[Rollout]) -> Update:
        """A request came back; what it lacks of its `n` will be drawn again."""
        return self._settle(draw, rollouts, stuck=())

    def failed(self, draw: Draw) -> Update:
        """A request failed for good: its indices stay open and are not drawn again while the prompt is open."""
        return self._settle(draw, (), stuck=draw.indices)

    def judged(self, order: int, index: int, verdict: Verdict) -> Update:
        """A verdict came. One that is not final leaves the index open."""
        stream = self.open_streams.get(order)
        if stream is None:
            return Update([])
        stream.results[index].verdict = verdict
        if not verdict.final:
            stream.stuck.add(index)
        return self._changed(stream)

    def _settle(self, draw: Draw, rollouts: Iterable[Rollout], stuck: Iterable[int]) -> Update:
        stream = self.open_streams.get(draw.order)
        if stream is None:
            return Update([])
        stream.in_flight.pop(draw.start, None)
        stream.stuck.update(stuck)
        for rollout in rollouts:
            stream.learn(rollout)
        return self._changed(stream)

    def _changed(self, stream: Stream) -> Update:
        hits, tries = stream.hits, stream.prefix
        stream.advance()
        self._count(stream, hits, tries)
        cancel = stream.surplus()
        for draw in cancel:
            del stream.in_flight[draw.start]
        if stream.stop is not None or stream.idle:
            del self.open_streams[stream.order]
            return Update(cancel, closed=True)
        self._queue(stream)
        return Update(cancel)

    def _queue(self, stream: Stream) -> None:
        if stream.order not in self._queued and stream.missing(stream.low):
            self._queued.add(stream.order)
            heapq.heappush(self._ready, stream.order)

    def _count(self, stream: Stream, hits: int, tries: int) -> None:
        self._hits += stream.hits - hits
        self._tries += stream.prefix - tries

    def _speculate(self) -> Draw | None:
        rate = self._hits / self._tries
        best: tuple[float, int, Stream] | None = None
        for stream in self.open_streams.values():
            found = stream.speculation(rate)
            if found is not None and (best is None or found[0] > best[0]):
                best = (*found, stream)
        if best is None or best[0] < 1 - self.rules.speculate:
            return None
        _, index, stream = best
        draw = Draw(stream.order, index, 1, speculative=True)
        stream.launch(draw)
        return draw
