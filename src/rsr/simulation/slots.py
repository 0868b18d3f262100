"""How long replies take: so many slots at so many tokens a second each, and a queue in order of arrival.

A request is a `Batch` of one job for each of its choices; jobs start and end one by one, as they do on real engines,
and the batch is over when its last job is. Nothing is generated here: a job is a number of tokens and takes

    time_scale * (latency + prompt_tokens / prompt_tokens_per_second + tokens / tokens_per_second)    seconds

The clock is handed in, so that a test or a benchmark can use one of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol


class Clock(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float:
        """Seconds."""

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Any:
        """Call it then."""


class Speed(NamedTuple):
    """How quick an engine is."""

    slots: int = 0
    """Completions generated at once; 0: no limit."""
    tokens_per_second: float = 0.0
    """Of one slot; 0: no time at all."""
    prompt_tokens_per_second: float = 0.0
    """How quickly a prompt is read; 0: in no time."""
    latency: float = 0.0
    """Seconds before the first token."""
    time_scale: float = 1.0
    """All times are multiplied by it; 0: nothing takes any."""


class Job:
    """One completion.

    Attributes:
        began: when it got its slot; None while it waits.
        ended: when it was done or aborted; None before.
    """

    __slots__ = ("_before", "batch", "began", "ended", "takes", "tokens")

    def __init__(self, batch: Batch, tokens: int, before: float, takes: float) -> None:
        self.batch = batch
        self.tokens = tokens
        self.takes = takes
        self.began: float | None = None
        self.ended: float | None = None
        self._before = before

    def produced(self, now: float) -> int:
        """Tokens generated so far."""
        if self.began is None:
            return 0
        generating = self.takes - self._before
        passed = (now if self.ended is None else self.ended) - self.began - self._before
        if passed < 0:
            return 0
        if passed >= generating - 1e-9:
            return self.tokens
        return int(self.tokens * passed / generating)


class Batch:
    """The jobs of one request; `done` is called with it when the last one is over."""

    __slots__ = ("aborted", "done", "jobs", "left")

    def __init__(self, done: Callable[[Batch], None]) -> None:
        self.jobs: list[Job] = []
        self.left = 0
        self.done = done
        self.aborted = False


class Slots:
    """An engine's slots.

    Args:
        speed: see there.
        clock: an event loop, or something like one.

    Attributes:
        running: jobs that hold a slot; `most` is the largest number so far.
        waiting: jobs that don't hold one yet.
        generated_tokens: of jobs that ended by themselves.
        aborted_tokens: generated of jobs that did not.
    """

    def __init__(self, speed: Speed, clock: Clock) -> None:
        self.speed = speed
        self.running = self.most = 0
        self.generated = self.aborted = 0
        self.generated_tokens = self.aborted_tokens = 0
        self._clock = clock
        self._queue: deque[Job] = deque()
        self._gone = 0  # in the queue and aborted
        self._busy = 0.0
        self._since = 0.0
        self._first: float | None = None
        self._last = 0.0

    @property
    def waiting(self) -> int:
        """Jobs that don't hold a slot yet."""
        return len(self._queue) - self._gone

    @property
    def instant(self) -> bool:
        """Whether nothing ever takes time or waits."""
        speed = self.speed
        takes = speed.latency or speed.tokens_per_second or speed.prompt_tokens_per_second
        return not speed.time_scale or not takes

    @property
    def busy_seconds(self) -> float:
        """Slot-seconds in use so far."""
        return self._busy + self.running * (self._clock.time() - self._since)

    def utilization(self) -> float | None:
        """Slot-seconds in use over slot-seconds since the first job; None: there is no limit, or no job yet."""
        if self._first is None or not self.speed.slots:
            return None
        passed = self._clock.time() - self._first
        return self.busy_seconds / (self.speed.slots * passed) if passed > 0 else None

    @property
    def makespan(self) -> float:
        """Seconds from the first job's arrival to the end of the last one so far."""
        return 0.0 if self._first is None else max(0.0, self._last - self._first)

    def submit(self, lengths: Sequence[int], prompt_tokens: int, done: Callable[[Batch], None]) -> Batch:
        """Queue a completion of each of these lengths (tokens); the prompt is read for the first one only."""
        speed = self.speed
        batch = Batch(done)
        batch.left = len(lengths)
        if self._first is None:
            self._first = self._since = self._clock.time()
        rate, read = speed.tokens_per_second, speed.prompt_tokens_per_second
        for at, tokens in enumerate(lengths):
            before = speed.time_scale * (speed.latency + (prompt_tokens / read if read and not at else 0.0))
            takes = before + (speed.time_scale * tokens / rate if rate else 0.0)
            batch.jobs.append(Job(batch, tokens, before, takes))
        self._queue.extend(batch.jobs)
        self._start()
        return batch

    def abort(self, batch: Batch) -> None:
        """End what is left of a request; its slots are free at once."""
        if batch.aborted or not batch.left:
            return
        batch.aborted = True
        now = self._clock.time()
        for job in batch.jobs:
            if job.ended is not None:
                continue
            job.ended = now
            self.aborted += 1
            if job.began is None:
                self._gone += 1
            else:
                self.aborted_tokens += job.produced(now)
                self._use(-1)
        self._start()

    def _start(self) -> None:
        limit = self.speed.slots
        while self._queue and (not limit or self.running < limit):
            job = self._queue.popleft()
            if job.ended is not None:
                self._gone -= 1
                continue
            job.began = self._clock.time()
            self._use(1)
            self._clock.call_at(job.began + job.takes, self._finish, job)

    def _finish(self, job: Job) -> None:
        if job.ended is not None:
            return
        assert job.began is not None
        job.ended = job.began + job.takes
        self.generated += 1
        self.generated_tokens += job.tokens
        self._use(-1)
        batch = job.batch
        batch.left -= 1
        self._start()
        if not batch.left:
            batch.done(batch)

    def _use(self, slots: int) -> None:
        now = self._last = self._clock.time()
        self._busy += self.running * (now - self._since)
        self._since = now
        self.running += slots
        self.most = max(self.most, self.running)
