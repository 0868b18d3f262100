"""Acts on what the schedule decides: the only place with concurrency.

    feed ──> schedule ──draw──> sampler ──completions──> store (committed) ──> schedule
                                                            └──> verifier ──verdict──> store ──> schedule

One event loop. What arrives within one turn of it is committed in one transaction, and only then does the schedule
hear of it. Nothing waits for anything else: there is no barrier between prompts, nor between sampling and verifying.
What is held in memory is bounded by the number of open prompts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rsr.completions import to_rollout
from rsr.errors import (
    ConfigError,
    PluginError,
    PromptRefused,
    RequestFailed,
    RSRError,
    SamplerError,
    SamplerStopped,
    boundary,
)
from rsr.guards import REFUSED_AT_START, Refusals
from rsr.hashing import seed_base
from rsr.judging import Case, Judge, Judging
from rsr.progress import Progress
from rsr.replay import Stored
from rsr.schedule import Draw, Schedule, Stream, Update
from rsr.settings import Settings
from rsr.store.rollouts import NewRollout, NewVerdict, RolloutStore, Said
from rsr.types import Completion, Outcome, Prompt, Rollout, Sampler, SampleRequest, Verdict
from rsr.verifiers.verification import Reference

_OPEN_PER_SLOT = 4
_OPENED_AT_ONCE = 64  # between two turns of the loop, so that a long replay doesn't hold up what is in flight
_LINGER = 0.01  # seconds between the wish to cancel a request and doing it
_ROUND_PAUSES = (0.5, 5.0)  # seconds before what failed in the pass over the input is taken up again

log = logging.getLogger("rsr")


class _Open(NamedTuple):
    """A prompt at work."""

    prompt: Prompt
    reference: Reference
    stream: Stream
    base: int
    """The seed of index 0."""
    verifier: int
    """The verifier's number in the store."""


class _Arrival(NamedTuple):
    open: _Open
    draw: Draw
    completions: list[Completion]
    message: str | None = None
    """Why there are none."""
    outcome: Outcome = Outcome.REFUSED


class Engine:
    """Runs a schedule against a sampler, a verifier and a store.

    Args:
        settings: rules, slots, keys.
        sampler: started when the first request is due, unless `started`.
        judge: verdicts.
        store: where completions and verdicts are committed.
        feed: makes a pass over the input; called again for what failed.
        progress: counted up.
        started: whether the sampler has been started.
        give_up: make what fails to the end a final outcome, so that nothing stays open.
    """

    def __init__(
        self,
        settings: Settings,
        sampler: Sampler,
        judge: Judge,
        store: RolloutStore,
        feed: Callable[[], Iterator[Stored]],
        progress: Progress,
        started: bool = True,
        give_up: bool = False,
    ) -> None:
        self._start_sampler = None if started else asyncio.Lock()
        self._give_up, self._giving_up = give_up, False
        self.progress = progress
        self._settings = settings
        self._sampler = sampler
        self._judging = Judging(judge, self._judged)
        self._store = store
        self._feed = feed
        self._slots = min(settings.slots, sampler.max_in_flight or settings.slots)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._arrived: deque[_Arrival] = deque()
        self._refusals: Refusals[_Arrival] = Refusals()
        self._verdicts: deque[tuple[_Open, Rollout, Verdict]] = deque()
        self._flushing = self._stopping = self._aborted = False
        self._fatal: RSRError | None = None
        self._drawn_in_pass = 0

    async def run(self) -> None:
        """Sample until nothing more can be had, or until stopped.

        Raises:
            SamplerStopped: no request can succeed; what was in flight is drained first.
            StoreError: the disk failed.
        """
        for pause in (None, *_ROUND_PAUSES):
            if pause is not None:
                if self._stopping or not self.progress.incomplete or not self._drawn_in_pass:
                    break
                await asyncio.sleep(pause)
                self.progress.reopened()
            await self._pass()
        if self._give_up and self.progress.incomplete and not self._stopping:
            self._giving_up = self._judging.give_up = True
            self.progress.reopened()
            await self._pass()
        if self._fatal is not None:
            raise self._fatal

    def stop(self, at_most: float | None = None) -> None:
        """Start nothing new; `run` returns when what is in flight has come, or after the grace time (seconds)."""
        if not self._stopping:
            self._stopping = self._judging.stopping = True
            grace = self._settings.grace if at_most is None else min(at_most, self._settings.grace)
            self._loop.call_later(grace, self.abort)
            self._wake.set()

    def abort(self) -> None:
        """Let go of everything in flight at once."""
        self._stopping = self._aborted = True
        for task in self._tasks.values():
            task.cancel()
        self._wake.set()

    async def _pass(self) -> None:
        settings = self._settings
        self._schedule = Schedule(
            settings.rules, settings.needs, max_open=max(_OPEN_PER_SLOT * self._slots, REFUSED_AT_START)
        )
        self._opened: dict[int, _Open] = {}
        self._drawn_in_pass = 0
        feed = self._feed()
        while True:
            self._wake.clear()
            with boundary(PluginError, "what decides on the rollouts failed"):
                self._fill(feed)
            if not self.progress.in_flight:
                if self._refusals.held and not self._stopping and not self._arrived:
                    self._take_completions(self._counting([], ended=True))
                    continue
                if self._aborted or self._settled():
                    break
            await self._wake.wait()
        self._flush()

    def _settled(self) -> bool:
        """Whether nothing is on its way, and nothing is left to do."""
        if self._judging.pending or self._arrived or self._verdicts:
            return False
        return self._stopping or (self._schedule.input_ended and not self._schedule.open_streams)

    # Drawing

    def _fill(self, feed: Iterator[Stored]) -> None:
        """Give every free slot something to do."""
        opened = 0
        while not self._stopping and self.progress.in_flight < self._slots:
            draw = self._schedule.next(self._slots - self.progress.in_flight, self._sampler.max_choices)
            if draw is not None:
                self._start(draw)
            elif not self._schedule.has_room:
                return
            elif opened == _OPENED_AT_ONCE:
                self._loop.call_soon(self._wake.set)
                return
            else:
                opened += 1
                self._open_next(feed)

    def _open_next(self, feed: Iterator[Stored]) -> None:
        found = next(feed, None)
        if found is None:
            self._schedule.input_ended = True
            return
        prompt = found.prompt
        stream = self._schedule.open(prompt.order, found.rollouts)
        self.progress.replayed += bool(found.rollouts)
        if stream.stop is not None:
            self.progress.closed(stream.stop)
            return
        check = found.reference.check
        verifier = self._store.verifier_id(check.name, check.params, check.version)
        base = seed_base(self._settings.sampling_key, prompt.key)
        opened = _Open(prompt, found.reference, stream, base, verifier)
        self._opened[prompt.order] = opened
        owed = [rollout for rollout in found.rollouts if not rollout.decided]
        if owed:
            self._store.fill(prompt, owed)
            for rollout in owed:
                verdict = self._judging.ask(Case(opened, opened.prompt, opened.reference, rollout))
                if verdict is not None:
                    self._verdicts.append((opened, rollout, verdict))
            self._flush_soon()

    def _start(self, draw: Draw) -> None:
        opened = self._opened[draw.order]
        self.progress.in_flight += draw.n
        self.progress.requests += 1
        task = asyncio.create_task(self._sample(opened, draw))
        self._tasks[draw.order, draw.start] = task
        # Not a `finally` in the task: one that is cancelled before its first step never runs at all.
        task.add_done_callback(lambda task: self._landed(draw, task))

    def _landed(self, draw: Draw, task: asyncio.Task[None]) -> None:
        """A request is over, whichever way: its slot is free."""
        self.progress.in_flight -= draw.n
        if self._tasks.get((draw.order, draw.start)) is task:
            del self._tasks[draw.order, draw.start]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(PluginError(f"the engine failed on prompt {draw.order}: {type(error).__name__}: {error}"))
        self._wake.set()

    async def _sample(self, opened: _Open, draw: Draw) -> None:
        prompt = opened.prompt
        request = SampleRequest(
            messages=self._settings.messages(prompt),
            seed=opened.base + draw.start,
            n=draw.n,
            tools=prompt.tools,
            images=prompt.images,
            tag=prompt.id,
            index=draw.start,
        )
        try:
            await self._started()
            with boundary(RequestFailed, "the sampler"):
                completions = list(await self._sampler.sample(request))[: draw.n]
                if not completions:
                    raise RequestFailed("the sampler gave no completion")
        except PromptRefused as refusal:
            self._arrive(_Arrival(opened, draw, [], str(refusal)))
        except (SamplerStopped, ConfigError) as stopped:
            self._fail(stopped)
        except SamplerError as failure:
            self._failed(opened, draw, failure)
        else:
            self._arrive(_Arrival(opened, draw, completions))

    async def _started(self) -> None:
        """Start the sampler before the first request: a run that only replays never needs it."""
        if self._start_sampler is None:
            return
        async with self._start_sampler:
            if self._fatal is not None:
                raise SamplerStopped(str(self._fatal))
            if self._start_sampler is not None:
                await self._sampler.start()
                self._start_sampler = None

    def _failed(self, opened: _Open, draw: Draw, failure: SamplerError) -> None:
        self.progress.failed_requests += 1
        log.warning("prompt %s: %s", opened.prompt.id, failure)
        if self._giving_up:
            self._arrive(_Arrival(opened, draw, [], str(failure), Outcome.FAILED))
        else:
            self._apply(opened, self._schedule.failed(draw))

    def _fail(self, error: RSRError) -> None:
        """End the run; what is in flight has been paid for and may still come, but not for ever."""
        self._fatal = self._fatal or error
        self.stop()

    # What came back

    def _arrive(self, arrival: _Arrival) -> None:
        self._arrived.append(arrival)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Commit what has arrived in this turn of the loop, then tell the schedule."""
        self._flushing = False
        arrived, self._arrived = self._arrived, deque()
        verdicts, self._verdicts = self._verdicts, deque()
        try:
            # Whatever a formatter of the user's raises must end the run, not leave it waiting for ever.
            with boundary(PluginError, "what decides on the rollouts failed"):
                self._take_completions(self._counting(arrived))
                self._take_verdicts(verdicts)
        except RSRError as error:
            self._fail(error)
        self._wake.set()

    def _take_completions(self, arrived: Sequence[_Arrival]) -> None:
        new: list[NewRollout] = []
        drawn: list[tuple[_Arrival, list[Rollout]]] = []
        for arrival in arrived:
            opened, rollouts = arrival.open, []
            for rollout, completion in self._rollouts(arrival):
                said = None
                if rollout.outcome is Outcome.OK and opened.stream.stop is None:
                    verdict = self._judging.ask(Case(opened, opened.prompt, opened.reference, rollout))
                    if verdict is not None:
                        rollout.verdict = verdict
                        said = Said(verdict, opened.reference.key, opened.verifier)
                new.append(NewRollout(opened.prompt, rollout, completion, said))
                rollouts.append(rollout)
            drawn.append((arrival, rollouts))
        if new:
            self._store.add(new)
        for arrival, rollouts in drawn:
            self._count(rollouts)
            self._apply(arrival.open, self._schedule.drawn(arrival.draw, rollouts))

    def _rollouts(self, arrival: _Arrival) -> Iterator[tuple[Rollout, Completion]]:
        draw, base, limit = arrival.draw, arrival.open.base, self._settings.limit
        if arrival.message is not None:
            for index in draw.indices if arrival.outcome is Outcome.FAILED else [draw.start]:
                outcome, seed = arrival.outcome, base + index
                yield Rollout(index=index, outcome=outcome, seed=seed, limit=limit), Completion(text=arrival.message)
            return
        for offset, completion in enumerate(arrival.completions):
            index = draw.start + offset
            yield to_rollout(completion, index, seed=base + index, limit=limit), completion

    def _counting(self, arrived: Sequence[_Arrival], ended: bool = False) -> list[_Arrival]:
        """What may count: refusals only after the server has answered anything, or when nothing more comes."""
        refused = [arrival for arrival in arrived if arrival.message and arrival.outcome is Outcome.REFUSED]
        others = [arrival for arrival in arrived if arrival not in refused]
        counting = self._refusals.sift(refused, ended or any(arrival.completions for arrival in others))
        if self._refusals.tripped:
            last = self._refusals.held[-1].message
            self._fail(
                SamplerStopped(f"the server refused the first {REFUSED_AT_START} prompts, the last with: {last}")
            )
        return [*counting, *others]

    # Verdicts

    def _judged(self, case: Case, verdict: Verdict) -> None:
        self._verdicts.append((case.asker, case.rollout, verdict))
        self._flush_soon()

    def _take_verdicts(self, verdicts: Sequence[tuple[_Open, Rollout, Verdict]]) -> None:
        self._store.add_verdicts(
            NewVerdict(opened.prompt, rollout, Said(verdict, opened.reference.key, opened.verifier))
            for opened, rollout, verdict in verdicts
        )
        for opened, rollout, verdict in verdicts:
            self._count_verdict(rollout, verdict)
            self._apply(opened, self._schedule.judged(opened.prompt.order, rollout.index, verdict))

    # Bookkeeping

    def _apply(self, opened: _Open, update: Update) -> None:
        for draw in update.cancel:
            task = self._tasks.pop((draw.order, draw.start), None)
            if task is not None:
                # A reply that has just been paid for is kept; a generation goes on for a token at most.
                self._loop.call_later(_LINGER, task.cancel)
        if update.closed:
            self._opened.pop(opened.prompt.order, None)
            self.progress.closed(opened.stream.stop)
        self._wake.set()

    def _count(self, rollouts: Sequence[Rollout]) -> None:
        for rollout in rollouts:
            self._drawn_in_pass += 1
            self.progress.drawn(rollout)
            if rollout.verdict is not None:
                self._count_verdict(rollout, rollout.verdict)
            elif rollout.outcome is not Outcome.OK:
                rollout.forget_text()

    def _count_verdict(self, rollout: Rollout, verdict: Verdict) -> None:
        rollout.verdict = verdict
        rollout.forget_text()
        self.progress.judged(verdict, passed=self._settings.passes(rollout))
