"""Makes the verdicts that are missing on stored rollouts, with nothing sampled, and says what they change.

What a rollout was judged before is found by the verdict key that the index of prompts held then: a copy of that index
stays beside it (`prompts.before.sqlite`) until all verdicts are made, so that one that was interrupted goes on.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from rsr.errors import RSRError, RunDirError, StoreError
from rsr.flips import Flips
from rsr.prompts import Prompts
from rsr.replay import Stored, pages, replay
from rsr.store.rollouts import NewVerdict, RolloutStore, Said
from rsr.store.rundir import RunDir
from rsr.types import Outcome, Rollout, Verdict
from rsr.verifiers.verification import Verification

_AHEAD = 256  # verdicts on their way at once
_COMMIT = 256
_COMMIT_SECONDS = 1.0


class _Pending(NamedTuple):
    stored: Stored
    rollout: Rollout
    old: Verdict | None
    verdict: Verdict | Future[Verdict]


class Before:
    """The verdicts that counted before the index of prompts was brought up to date, where others count now.

    Args:
        index: as it was then; None: there was none that tells.
        store: the rollouts.
    """

    def __init__(self, index: Path | None, store: RolloutStore) -> None:
        self._store = store
        self._prompts: Prompts | None = None
        if index is not None:
            with suppress(RSRError):  # then nobody knows, and nothing is compared
                self._prompts = Prompts(index)

    def of(self, page: Sequence[Stored]) -> list[dict[tuple[int, int], Verdict]]:
        """For each prompt that was judged otherwise its old verdicts, by index and limit."""
        found: list[dict[tuple[int, int], Verdict]] = [{} for _ in page]
        keys = self._prompts.verdict_keys([(one.id, one.key) for one in page]) if self._prompts is not None else []
        other = {at: key for at, key in enumerate(keys) if key is not None and key != page[at].verdict_key}
        rollouts = self._store.load_keys([page[at].key for at in other], list(other.values()), -1)
        for at, some in zip(other, rollouts, strict=True):
            found[at] = {(one.index, one.limit): one.verdict for one in some if one.verdict is not None}
        return found

    def close(self) -> None:
        """Close the old index."""
        if self._prompts is not None:
            self._prompts.close()


@contextmanager
def index_before(run_dir: RunDir, verification: Verification) -> Iterator[Path | None]:
    """Keep the index of prompts as it is now until all verdicts are made; one that is kept already stays."""
    kept = run_dir.prompts.with_name("prompts.before.sqlite")
    if run_dir.prompts.exists() and not kept.exists():
        staged = kept.with_name(kept.name + ".new")
        staged.unlink(missing_ok=True)
        try:
            try:
                os.link(run_dir.prompts, staged)  # it is replaced as a whole, never changed
            except OSError:
                shutil.copyfile(run_dir.prompts, staged)
            staged.replace(kept)
        except OSError as cause:
            raise StoreError(f"{kept}: can't be written: {cause.strerror}") from cause
    yield kept if kept.exists() else None
    if verification.stopped is None:
        kept.unlink(missing_ok=True)


def refuse_costs(run_dir: RunDir, store: RolloutStore, verification: Verification) -> None:
    """Where verdicts are missing that cost requests, say how many.

    Raises:
        RunDirError: there are any.
    """
    prompts = Prompts(run_dir.prompts)
    try:
        owing = ((stored, sum(map(_is_owed, stored.rollouts))) for stored in replay(prompts, store, verification, -1))
        count = sum(owed for stored, owed in owing if owed and stored.reference.check.remote)
    finally:
        prompts.close()
    if count:
        fix = f"to make them, rsr verify {run_dir.path} --yes"
        raise RunDirError(f"verifier: {count:,} verdicts are missing, each of which may cost requests; {fix}")


def missing_verdicts(
    run_dir: RunDir, store: RolloutStore, verification: Verification, flips: Flips, before: Path | None
) -> int:
    """Judge every valid rollout that has no final verdict under the config of now; returns how many were judged.

    Ends early where no verdict can be had any more (`verification.stopped`).

    Args:
        run_dir: each rollout that is judged otherwise now is listed in its `summary/flips.jsonl`.
        store: the rollouts.
        verification: judges.
        flips: told of every verdict that replaces one.
        before: the index of prompts as it was when the old verdicts were made.
    """
    prompts, old = Prompts(run_dir.prompts), Before(before, store)
    verification.remote.before = store.counters()
    work = _Work(store, verification, flips, run_dir.summary / "flips.jsonl")
    try:
        for page in pages(prompts, store, verification, -1):
            for stored, were in zip(page, old.of(page), strict=True):
                if verification.stopped is not None:
                    return work.finish()
                owed = [rollout for rollout in stored.rollouts if _is_owed(rollout)]
                store.fill(stored.prompt, owed)
                for rollout in owed:
                    old_verdict = were.pop((rollout.index, rollout.limit), rollout.verdict)
                    verdict = verification.submit(stored.prompt, stored.reference, rollout.response)
                    work.add(_Pending(stored, rollout, old_verdict, verdict))
                work.compare(stored, were)
        return work.finish()
    finally:
        work.close()  # after Ctrl-C too
        old.close()
        prompts.close()


class _Work:
    """Verdicts on their way, to disk and to the listing."""

    def __init__(self, store: RolloutStore, verification: Verification, flips: Flips, listing: Path) -> None:
        self.made = 0
        self._verification = verification
        self._flips = flips
        self._store = store
        self._pending: deque[_Pending] = deque()
        self._done: list[NewVerdict] = []
        self._committed = time.monotonic()
        self._path = listing
        self._listing = listing.open("wb")

    def add(self, item: _Pending) -> None:
        """Wait for a verdict, not too long and not for too many."""
        self._pending.append(item)
        while self._pending and (len(self._pending) >= _AHEAD or _is_there(self._pending[0].verdict)):
            self._settle(self._pending.popleft())

    def compare(self, stored: Stored, old: Mapping[tuple[int, int], Verdict]) -> None:
        """Tell what became of rollouts whose verdicts are there already."""
        for rollout in stored.rollouts if old else ():
            verdict = old.get((rollout.index, rollout.limit))
            if verdict is not None and rollout.verdict is not None:
                self._compared(stored, rollout, verdict, rollout.verdict)

    def finish(self) -> int:
        """Wait for all; how many there are."""
        while self._pending:
            self._settle(self._pending.popleft())
        return self.made

    def close(self) -> None:
        """Commit what has come."""
        try:
            self._commit()
        finally:
            self._listing.close()
            if not self._flips.counts:
                self._path.unlink(missing_ok=True)

    def _settle(self, item: _Pending) -> None:
        stored, rollout = item.stored, item.rollout
        verdict = item.verdict.result() if isinstance(item.verdict, Future) else item.verdict
        if not verdict.final and self._verification.stopped is not None:  # it was not asked
            return
        self.made += 1
        reference = stored.reference
        verifier = self._store.verifier_id(reference.check.name, reference.check.params, reference.check.version)
        self._done.append(NewVerdict(stored.prompt, rollout, Said(verdict, reference.key, verifier)))
        rollout.forget_text()
        if item.old is not None:
            self._compared(stored, rollout, item.old, verdict)
        if len(self._done) >= _COMMIT or time.monotonic() - self._committed > _COMMIT_SECONDS:
            self._commit()

    def _compared(self, stored: Stored, rollout: Rollout, old: Verdict, new: Verdict) -> None:
        flip = self._flips.heard(stored.id, rollout.index, stored.reference.answer, old, new)
        if flip is not None:
            self._listing.write(msgspec.json.encode(flip.row()) + b"\n")

    def _commit(self) -> None:
        self._store.count(commits=1, **self._verification.uncounted())
        self._store.add_verdicts(self._done)
        self._done.clear()
        self._committed = time.monotonic()


def _is_owed(rollout: Rollout) -> bool:
    return rollout.outcome is Outcome.OK and not rollout.decided


def _is_there(verdict: Verdict | Future[Verdict]) -> bool:
    return isinstance(verdict, Verdict) or verdict.done()
