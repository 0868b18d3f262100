"""A run from config to files: finds or makes the run directory, samples what is owed, writes what is decided.

A `Session` holds a run directory for one command: `sample` (rsr run), `verify` and `format`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import rsr
from rsr import freshness
from rsr import prompts as prompts_index
from rsr.config import Loaded, changes, key_class
from rsr.engine import Engine
from rsr.errors import BudgetSpent, GuardTripped, InputError, RSRError, RunDirError
from rsr.flips import Flips
from rsr.loading import work_dir
from rsr.parts import NOTHING, PYTHON, Given, build
from rsr.progress import Progress
from rsr.prompt_changes import Change
from rsr.prompts import Prompts
from rsr.redaction import Redactor, redacted
from rsr.replay import Stored, replay
from rsr.reverify import index_before, missing_verdicts, refuse_costs
from rsr.sections import KeyClass
from rsr.settings import Settings
from rsr.signals import Signals
from rsr.store.rollouts import RolloutStore
from rsr.store.rundir import EventLog, Lease, RunDir, StoredConfig
from rsr.writing import figures, write_files

log = logging.getLogger("rsr")

OK, FAILED, INCOMPLETE = 0, 1, 3
_CHANGED_SHARE = 0.01


class Options(NamedTuple):
    """What a command is told beside the config."""

    new_samples: bool = False
    """Take up another stream of samples where the config asks for one."""
    yes: bool = False
    """Go on although much of the input changed."""
    give_up: bool = False
    """Make what fails for good a final outcome."""
    partial: bool = False
    """Write rows of undecided prompts too."""


_PLAIN = Options()


class Watch:
    """Hears how a run goes; the display is one. This one is silent."""

    def indexing(self) -> None:
        """The input is being read."""

    def begin(self, progress: Progress, work_dir: Path) -> None:
        """Sampling begins; `progress` is counted up from now on."""

    def tick(self) -> None:
        """Called a few times a second."""

    def writing(self) -> None:
        """Sampling is over; the files are being written."""

    def warn(self, text: str) -> None:
        """Something the user should know."""
        log.warning("%s", text)


class Ended(NamedTuple):
    """How a command ended."""

    run_dir: RunDir
    summary: dict[str, Any]
    exit_code: int
    error: RSRError | None = None


class Session:
    """A run directory held by this process, with its parts.

    Args:
        loaded: the config.
        given: ready-made parts.
        watch: told how it goes.
        options: see `Options`.
        command: for the record of revisions.
    """

    def __init__(
        self,
        loaded: Loaded,
        command: str,
        options: Options = _PLAIN,
        watch: Watch | None = None,
        given: Given = NOTHING,
    ) -> None:
        self.loaded = loaded
        self.options = options
        self.watch = watch or Watch()
        self.redactor = Redactor()
        self.given = given
        self._failing: set[str] = set()
        self._command = command
        for warning in loaded.config.warnings():
            self.watch.warn(warning)
        self.parts = build(loaded, self.redactor, given)
        self.parts.filters.check()
        self.run_dir = RunDir(work_dir(loaded, self.parts, given.rows))

    def __enter__(self) -> Session:
        self._input_there = self._find_input()
        self._refuse_other_samples()
        self.run_dir.create()
        self._lease = Lease(self.run_dir)
        try:
            self.events = EventLog(self.run_dir, self.redactor)
        except BaseException:
            self._lease.release()
            raise
        self.events.write("began", command=self._command, version=rsr.__version__)
        return self

    def __exit__(self, *_: object) -> None:
        self.parts.close()
        self.events.close()
        self._lease.release()

    def index(self) -> None:
        """Bring the prompts up to date."""
        if not self._input_there:
            return
        self.watch.indexing()
        verifier = self.parts.verification.default
        change = prompts_index.index(
            self.parts.config.data,
            self.parts.config.seed,
            self.run_dir.prompts,
            check=self.parts.verification.problem,
            keys=self.parts.verification,
            check_key=[verifier.name, verifier.identity, verifier.version],
            rows=self.given.rows,
            accept=self._accept,
        )
        if change.skipped:
            self.watch.warn(f"data: {change.skipped} rows can't be used and are listed in summary/dropped.jsonl")

    def _find_input(self) -> bool:
        """Whether the input is there. A run that has read it can go on without."""
        if self.given.rows is not None:
            return True
        try:
            prompts_index.input_files(self.parts.config.data)
        except InputError as error:
            if not self.run_dir.prompts.exists() or not self.run_dir.exists:
                raise
            if self.run_dir.stored().values["data"]["input_path"] != self.parts.config.data.input_path:
                raise
            self.watch.warn(f"{error}; going on with the prompts as they were")
            return False
        return True

    def _accept(self, change: Change) -> None:
        if not (change.added or change.removed or change.edited or change.answers):
            return
        text = f"the input changed: {change.added} prompts added, {change.removed} removed, {change.edited} edited"
        if change.answers:
            text += f", {change.answers} with another answer, which are judged again"
        if change.share > _CHANGED_SHARE and not self.options.yes:
            raise RunDirError(f"data: {text}, of {change.total}; to go on with it, add --yes")
        self.watch.warn(text)

    def _refuse_other_samples(self) -> None:
        if not self.run_dir.exists:
            return
        old, new = self.run_dir.stored().identity, redacted(self.parts.identity)
        if old == new or self.options.new_samples:
            return
        differ = ", ".join(f"{key} ({was!r} -> {now!r})" for key, (was, now) in changes(old, new).items())
        fix = "use another work_dir, or add --new-samples to rsr run to sample anew in this one"
        raise RunDirError(f"{self.run_dir.path}: was sampled with other settings: {self.redactor(differ)}; {fix}")

    def save_config(self) -> None:
        """Make the config of now the run's own."""
        values = redacted(self.parts.config.model_dump(mode="json"))
        old = self.run_dir.stored() if self.run_dir.exists else None
        differ = changes(old.values, values) if old else {}
        if old is not None and not differ and old.identity == redacted(self.parts.identity):
            return
        decided = [
            key for key in differ if key_class(key) is KeyClass.DECISIONS and not key.startswith(("data.", "budget."))
        ]
        if old is not None and decided:
            self.watch.warn(
                f"{self.run_dir.path} was made with another {', '.join(decided)}: its files are written anew"
            )
        revision: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "command": self._command,
            "changes": {key: now for key, (_, now) in differ.items()},
        }
        revisions = [*(old.revisions if old else []), revision]
        recipe = old.recipe if old else self.loaded.recipe
        source = redacted(self.loaded.source)
        source["work_dir"] = str(self.run_dir.path)
        self._name_given(source)
        stored = StoredConfig(source, values, redacted(self.parts.identity), revisions, recipe)
        self.run_dir.store_config(stored, rsr.__version__)

    def _name_given(self, source: dict[str, Any]) -> None:
        """What a Python caller handed over has no name that a config could load; say so where one would look."""
        if self.given.verifier is not None:
            source["verifier"] = {"type": PYTHON + self.parts.verification.default.name}
        if self.given.formatters is not None:
            source["formatter"] = [{"type": PYTHON + type(made).__qualname__} for made in self.given.formatters]

    def store(self, readonly: bool = False) -> RolloutStore:
        """The rollouts."""
        parts, rollouts = self.parts, self.run_dir.rollouts
        store = RolloutStore(rollouts, parts.sampling_key, readonly, self.redactor, parts.config.store, parts.keys)
        for problem in store.problems:
            self._tell(problem)
        return store

    def sample(self) -> Ended:
        """Draw what is owed, write the files."""
        store = self.store()
        try:
            error, code = self._sampled(store)
            self.watch.writing()
            try:
                summary = self.write(store, unless_fresh=error is None)
            except RSRError as later:
                error = error or later
                try:
                    summary = self._figures(store)
                except RSRError:
                    raise error from None
        finally:
            store.close()
        if isinstance(error, BudgetSpent) and not summary["prompts"]["incomplete"]:
            error = code = None  # it was just enough
        elif isinstance(error, BudgetSpent):
            error = BudgetSpent(str(error).replace("rsr run RUN", f"rsr run {self.run_dir.path}"))
        if isinstance(error, GuardTripped):
            for example in error.examples:
                self._tell(f"for example {example}")
        return self._ended(summary, code, error)

    def _sampled(self, store: RolloutStore) -> tuple[RSRError | None, int | None]:
        fresh = store.is_empty()
        sampler = self.parts.sampler
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            try:
                if fresh:
                    # Before the input is read: a wrong address or key is found within a second.
                    runner.run(self.parts.start())
                self.index()  # not in the loop, where Ctrl-C would have to wait for it
                self.save_config()
                return runner.run(self._drive(store, started=fresh))
            finally:
                runner.run(sampler.close())

    async def _drive(self, store: RolloutStore, started: bool) -> tuple[RSRError | None, int | None]:
        parts, prompts = self.parts, Prompts(self.run_dir.prompts)
        progress = Progress(len(prompts))
        self._failing = progress.failing
        engine = Engine(
            self._settings(),
            parts.sampler,
            parts.verification,
            store,
            lambda: self._replay(prompts, store),
            progress,
            parts.oversight(progress, store, self.redactor),
            self._tell,
            started=started,
            give_up=self.options.give_up,
        )
        self.watch.begin(progress, self.run_dir.path)
        signals = Signals(engine)
        ticking = asyncio.create_task(self._tick(progress))
        try:
            await engine.run()
        except RSRError as error:
            return error, error.exit_code
        finally:
            ticking.cancel()
            signals.restore()
            prompts.close()
        return None, signals.exit_code

    def _settings(self) -> Settings:
        parts = self.parts
        return Settings(
            rules=parts.rules,
            needs=parts.needs,
            slots=parts.config.sampler.concurrent_requests,
            limit=parts.limit,
            sampling_key=parts.sampling_key,
            messages=parts.messages,
            passes=parts.passes,
            grace=parts.config.stop_grace,
            wait_for_room=parts.config.store.wait_for_room,
        )

    def _tell(self, text: str) -> None:
        self.watch.warn(text)
        self.events.write("warning", text=text)

    async def _tick(self, progress: Progress) -> None:
        while True:
            await asyncio.sleep(0.25)
            self._lease.beat()
            held_up = getattr(self.parts.sampler, "state", "") or self.parts.verification.held_up
            if held_up and not progress.held_up:
                self._tell(held_up)
            progress.held_up = held_up
            self.watch.tick()

    def _replay(self, prompts: Prompts, store: RolloutStore) -> Iterator[Stored]:
        return replay(prompts, store, self.parts.verification, self.parts.limit)

    def _figures(self, store: RolloutStore) -> dict[str, Any]:
        """The summary alone, where the files could not be written."""
        prompts = Prompts(self.run_dir.prompts)
        try:
            return figures(self.parts, prompts, store, self.run_dir.rows(self.parts.formatters), self._failing)
        finally:
            prompts.close()

    def write(self, store: RolloutStore, unless_fresh: bool = False) -> dict[str, Any]:
        """Write training files, provenance and summary from what is stored."""
        run_dir, parts, partial = self.run_dir, self.parts, self.options.partial
        prompts = Prompts(run_dir.prompts)
        try:
            stamp = None if partial else freshness.stamp(run_dir, parts, prompts, store)
            fresh = freshness.is_fresh(run_dir, stamp) if unless_fresh else None
            if fresh is not None:
                return fresh
            summary = write_files(run_dir, parts, prompts, store, partial, self._failing)
            freshness.note(run_dir, stamp)
            return summary
        finally:
            prompts.close()

    def verify(self) -> tuple[int, Flips, Ended]:
        """Make every missing verdict on what is stored, write the files; how many were made, and what that changed."""
        flips = Flips(self.parts.pass_threshold)
        verification = self.parts.verification
        with index_before(self.run_dir, verification) as before:
            self.index()
            store = self.store()
            try:
                if not self.options.yes:
                    refuse_costs(self.run_dir, store, verification)
                self.save_config()  # not before: what is refused must not be what the next run does
                made = missing_verdicts(self.run_dir, store, verification, flips, before)
                return made, flips, self._ended(self.write(store), None, verification.stopped)
            finally:
                store.close()

    def format(self) -> Ended:
        """Write the files again under the config of now."""
        store = self.store()
        try:
            return self._ended(self.write(store), None, None)
        finally:
            store.close()

    def _ended(self, summary: dict[str, Any], code: int | None, error: RSRError | None) -> Ended:
        if code is None:
            code = error.exit_code if error else exit_code(summary)
        self.events.write("ended", exit_code=code, error=str(error) if error else None, summary=summary)
        return Ended(self.run_dir, summary, code, error)


def exit_code(summary: Mapping[str, Any]) -> int:
    """3 where something is owed, 1 where a requested file has no row, else 0."""
    if summary["prompts"]["incomplete"]:
        return INCOMPLETE
    return OK if all(file["rows"] for file in summary["files"].values()) else FAILED


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
