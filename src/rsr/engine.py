"""Acts on what the schedule decides: the only place with concurrency.

    feed ──> schedule ──draw──> sampler ──completions──> store (committed) ──> schedule
                                                            └──> verifier ──verdict──> store ──> schedule

One event loop. What arrives within a few milliseconds is committed in one transaction, and only then does the schedule
hear of it. Nothing waits for anything else: there is no barrier between prompts, nor between sampling and verifying.
What is held in memory is bounded: so many prompts are open, so many verdicts are waited for, and while the disk is
full nothing is drawn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from rsr.arrivals import Arrival, Arrivals, Batch, Judged, Open
from rsr.commits import Commits
from rsr.errors import (
    ConfigError,
    PluginError,
    PromptRefused,
    RequestFailed,
    RSRError,
    SamplerDown,
    SamplerError,
    SamplerStopped,
    StoreError,
    boundary,
)
from rsr.guards import REFUSED_AT_START
from rsr.hashing import seed_base
from rsr.judging import Case, Judge, Judging
from rsr.oversight import Oversight
from rsr.progress import Progress
from rsr.replay import Stored
from rsr.schedule import Draw, Schedule, Update
from rsr.settings import Settings
from rsr.slots import Slots
from rsr.store.rollouts import NewRollout, RolloutStore, Said
from rsr.types import Outcome, Sampler, SampleRequest, Verdict

_OPEN_PER_SLOT = 4
_OPENED_AT_ONCE = 64  # between two turns of the loop, so that a long replay doesn't hold up what is in flight
_FEW, _GATHER = 16, 0.005  # with more requests than so many on their way, seconds between two commits
_LINGER = 0.01  # seconds between the wish to cancel a request and doing it
_ROUND_PAUSES = (0.5, 5.0)  # seconds before what failed in the pass over the input is taken up again
_BEAT = 0.25  # seconds between two looks at whether requests that rest have left slots free
_REMEMBERED = 100_000  # indices whose request failed, so that it is recorded that they were drawn again

log = logging.getLogger("rsr")


class Engine:
    """Runs a schedule against a sampler, a verifier and a store.

    Args:
        settings: rules, slots, keys.
        sampler: started when the first request is due, unless `started`.
        judge: verdicts.
        store: where completions and verdicts are committed.
        feed: makes a pass over the input; called again for what failed.
        progress: counted up.
        oversight: guards and budgets.
        warn: told what the user should know while it goes on.
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
        oversight: Oversight,
        warn: Callable[[str], None],
        started: bool = True,
        give_up: bool = False,
    ) -> None:
        self._start_sampler = None if started else asyncio.Lock()
        self._give_up, self._giving_up = give_up, False
        self.progress = progress
        self._settings = settings
        self._sampler = sampler
        self._oversight = oversight
        self._judging = Judging(judge, self._hear, self._fail)
        self._store = store
        self._feed = feed
        self._slots = Slots(settings.slots, sampler, self._judging, progress, oversight)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._tasks: dict[tuple[int, int], asyncio.Task[bool]] = {}
        self._arrived = Arrivals()
        self._judged: list[Judged] = []
        self._commits = Commits(store, self._take, self._fail, warn, self._wake.set, settings.wait_for_room)
        self._flushing = self._stopping = self._aborted = False
        self._flushed = 0.0
        self._running = 0
        self._fatal: RSRError | None = None
        self._drawn_in_pass = 0
        self._lost: set[tuple[int, int]] = set()

    async def run(self) -> None:
        """Sample until nothing more can be had, or until stopped.

        Raises:
            SamplerStopped: no request can succeed; what was in flight is drained first.
            StoreError: the disk failed.
        """
        self._oversight.begin(self._loop.time())
        self._beat()
        if (left := self._oversight.seconds_left()) is not None:
            self._loop.call_later(left, self._wake.set)
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
        self._store.count(**self._oversight.uncounted(self._loop.time()))
        if self._commits.lost:
            raise StoreError(self._commits.lost)
        if self._fatal is not None:
            raise self._fatal

    def stop(self, at_most: float | None = None) -> None:
        """Start nothing new; `run` returns when what is in flight has come, or after the grace time (seconds)."""
        if not self._stopping:
            self._stopping = self._judging.stopping = True
            grace = self._settings.grace if at_most is None else min(at_most, self._settings.grace)
            self._loop.call_later(grace, self.abort)
            drain = getattr(self._sampler, "drain", None)
            if drain is not None:
                drain()
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
            settings.rules, settings.needs, max_open=max(_OPEN_PER_SLOT * self._slots.count, REFUSED_AT_START)
        )
        self._opened: dict[int, Open] = {}
        self._drawn_in_pass = 0
        feed = self._feed()
        while True:
            self._wake.clear()
            with boundary(PluginError, "what decides on the rollouts failed"):
                self._fill(feed)
            if not self._running:
                if self._arrived.refusals_wait and not self._stopping and not self._arrived:
                    self._flush(ended=True)
                    continue
                if self._aborted or self._settled():
                    break
            await self._wake.wait()
        self._flush()
        self._commits.flush()

    def _settled(self) -> bool:
        """Whether nothing is on its way, and nothing is left to do."""
        if self._judging.pending or self._arrived or self._judged:
            return False
        if self._commits and not isinstance(self._fatal, StoreError):
            return False
        if self._stopping or (self._schedule.input_ended and not self._schedule.open_streams):
            return True
        spent = self._oversight.spent()
        if spent is not None:
            self._fail(spent)
        return spent is not None

    # Drawing

    def _fill(self, feed: Iterator[Stored]) -> None:
        """Give every free slot something to do."""
        opened = 0
        while not self._stopping and not self._commits.full:
            free = self._slots.free(self._loop.time())
            if free < 1:
                return
            draw = self._schedule.next(free, self._sampler.max_choices)
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
        stream = self._schedule.open(found.order, found.rollouts)
        self.progress.replayed += bool(found.rollouts)
        if stream.stop is not None:
            self.progress.closed(stream.stop)
            return
        prompt = found.prompt
        check = found.reference.check
        verifier = self._store.verifier_id(check.name, check.params, check.version)
        base = seed_base(self._settings.sampling_key, prompt.key)
        opened = Open(prompt, found.reference, stream, base, verifier)
        self._opened[prompt.order] = opened
        owed = [rollout for rollout in found.rollouts if not rollout.decided]
        if owed:
            self._store.fill(prompt, owed)
            for rollout in owed:
                verdict = self._judging.ask(Case(opened, opened.prompt, opened.reference, rollout))
                if verdict is not None:
                    self._judged.append(Judged(opened, rollout, verdict))
            self._flush_soon()

    def _start(self, draw: Draw) -> None:
        opened = self._opened[draw.order]
        self._oversight.drawn(draw.n)
        self._running += 1
        task = asyncio.create_task(self._sample(opened, draw))
        self._tasks[draw.order, draw.start] = task
        # Not a `finally` in the task: one that is cancelled before its first step never runs at all.
        task.add_done_callback(lambda task: self._landed(draw, task))

    def _landed(self, draw: Draw, task: asyncio.Task[bool]) -> None:
        """A request is over, whichever way. Its slot is free, unless it brought what is still to be committed."""
        self._running -= 1
        if task.cancelled() or task.exception() is not None or not task.result():
            self.progress.in_flight -= draw.n
        if self._tasks.get((draw.order, draw.start)) is task:
            del self._tasks[draw.order, draw.start]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(PluginError(f"the engine failed on prompt {draw.order}: {type(error).__name__}: {error}"))
        self._wake.set()

    async def _sample(self, opened: Open, draw: Draw) -> bool:
        """Make a request; whether completions came, which are on their way to disk then."""
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
            self._arrive(Arrival(opened, draw, [], str(refusal)))
        except (SamplerStopped, SamplerDown, ConfigError) as stopped:
            self._fail(stopped)
        except SamplerError as failure:
            self._failed(opened, draw, failure)
        else:
            self._arrive(Arrival(opened, draw, completions))
            return True
        return False

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

    def _failed(self, opened: Open, draw: Draw, failure: SamplerError) -> None:
        if self._stopping and not self._giving_up:  # let go of by `drain`, or it would have been tried again
            return
        log.warning("prompt %s: %s", opened.prompt.id, failure)
        self._oversight.failed(opened.prompt.id, str(failure))
        self._heed_guards()
        if getattr(failure, "may_have_generated", False) and len(self._lost) < _REMEMBERED:
            self._lost.update((draw.order, index) for index in draw.indices)
        if self._giving_up:
            self._arrive(Arrival(opened, draw, [], str(failure), Outcome.FAILED))
        else:
            self._apply(opened, self._schedule.failed(draw))

    def _beat(self) -> None:
        """A request that begins to rest tells nobody."""
        if self._slots.resting:
            self._wake.set()
        self._loop.call_later(_BEAT, self._beat)

    def _heed_guards(self) -> None:
        tripped = self._oversight.tripped
        if tripped is not None and not self._stopping:
            self._fail(tripped)

    def _fail(self, error: RSRError) -> None:
        """End the run; what is in flight has been paid for and may still come, but not for ever."""
        self._fatal = self._fatal or error
        self.stop()

    # What came back

    def _arrive(self, arrival: Arrival) -> None:
        self._arrived.put(arrival)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            # At once, unless many are on their way: those had better share a transaction.
            wait = self._flushed + _GATHER - self._loop.time() if self._running > _FEW else 0.0
            self._loop.call_later(max(0.0, wait), self._flush)

    def _flush(self, ended: bool = False) -> None:
        """Commit what has arrived, then tell the schedule."""
        self._flushing = False
        self._flushed = self._loop.time()
        judged, self._judged = self._judged, []
        batch = Batch([], [], judged)
        for arrival in self._arrived.take(ended):
            self._prepare(arrival, batch)
        if self._arrived.refused_from_the_start:
            self._fail(SamplerStopped(self._arrived.refused_from_the_start))
        if batch.drawn or batch.judged:
            self._store.count(**self._oversight.uncounted(self._loop.time()))
            self._commits.put(batch)
        self._wake.set()

    def _prepare(self, arrival: Arrival, batch: Batch) -> None:
        """Make rollouts of what arrived, with their verdicts where they are there at once."""
        opened, rollouts = arrival.open, []
        for rollout, completion in arrival.rollouts(self._settings.limit):
            said = None
            if rollout.outcome is Outcome.OK and opened.stream.stop is None:
                verdict = self._judging.ask(Case(opened, opened.prompt, opened.reference, rollout))
                if verdict is not None:
                    rollout.verdict = verdict
                    said = Said(verdict, opened.reference.key, opened.verifier)
            if self._lost and (opened.prompt.order, rollout.index) in self._lost:
                self._lost.discard((opened.prompt.order, rollout.index))
                rollout.redrawn = True
            batch.rows.append(NewRollout(opened.prompt, rollout, completion, said))
            rollouts.append(rollout)
        batch.drawn.append((arrival, rollouts))

    def _take(self, batch: Batch) -> None:
        """What is on disk counts now."""
        for arrival, rollouts in batch.drawn:
            self.progress.in_flight -= arrival.draw.n if arrival.completions else 0
            self._drawn_in_pass += len(rollouts)
            self._oversight.came(arrival.open.prompt.id, rollouts)
            self._apply(arrival.open, self._schedule.drawn(arrival.draw, rollouts))
        for opened, rollout, verdict in batch.judged:
            rollout.verdict = verdict
            self._oversight.judged(opened.prompt.id, rollout)
            self._apply(opened, self._schedule.judged(opened.prompt.order, rollout.index, verdict))
        self._heed_guards()

    # Verdicts

    def _hear(self, case: Case, verdict: Verdict) -> None:
        self._judged.append(Judged(case.asker, case.rollout, verdict))
        self._flush_soon()

    # Bookkeeping

    def _apply(self, opened: Open, update: Update) -> None:
        for draw in update.cancel:
            task = self._tasks.pop((draw.order, draw.start), None)
            if task is not None:
                # A reply that has just been paid for is kept; a generation goes on for a token at most.
                self._loop.call_later(_LINGER, task.cancel)
        if update.closed:
            self._opened.pop(opened.prompt.order, None)
            self.progress.closed(opened.stream.stop)
            self._oversight.closed(opened.prompt.id, opened.stream.stop is not None)
        self._wake.set()
