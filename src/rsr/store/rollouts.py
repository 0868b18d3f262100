"""The store of rollouts: a rollout is on disk whole, or it is owed again.

    rollouts/0001.sqlite, 0002.sqlite, ...   see `rsr.store.segment`; the last one is written, the others are sealed
    rollouts/manifest.json                   what the sealed ones hold, and how all of them were left
    rollouts/answer-keys.db                  see `rsr.store.keys`
    rollouts/.reserve                        room kept free while the store is open (see `rsr.store.room`)

The first committed row of a key (stream, index, limit) wins for ever, whatever file it is in. Verifying again adds
verdicts, a final verdict is never overwritten. An index that a limit cut (`truncated`) is drawn again under a higher
limit; both rows stay, and `effective` says which one counts under the limit of now.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rsr.completions import encodable, split_completion
from rsr.errors import StoreError, StoreFull
from rsr.redaction import redacted
from rsr.sections import StoreConfig
from rsr.store.files import Files, Looking
from rsr.store.keys import Keys
from rsr.store.reading import Reader
from rsr.store.records import NewRollout, NewVerdict, Said, Totals, effective
from rsr.store.room import Room
from rsr.store.segment import Segment
from rsr.store.texts import Texts
from rsr.types import Completion, Outcome, Prompt, Rollout, Verdict

__all__ = ["NewRollout", "NewVerdict", "RolloutStore", "Said", "Totals", "effective"]

_SERVERS_WORDS = (Outcome.REFUSED, Outcome.FAILED)
_REMEMBERED = 1 << 16  # prompts


class RolloutStore:
    """The rollouts of one way of sampling in a run directory.

    Args:
        folder: the run directory's `rollouts/`.
        sampling_key: which streams are seen and written.
        readonly: don't create, migrate, mend or write.
        redact: takes secrets out of error texts; what a model said is kept as it is.
        settings: the config's `store`.
        keys: which keys of answers rollouts shall have, by the names in `rsr.alike`.

    Attributes:
        problems: what was found wrong at opening, a line each.
    """

    def __init__(
        self,
        folder: Path,
        sampling_key: bytes,
        readonly: bool = False,
        redact: Callable[[str], str] = str,
        settings: StoreConfig | None = None,
        keys: Sequence[str] = (),
    ) -> None:
        self._redact = redact
        self._sampling_key = sampling_key
        self._pack = Texts().pack
        self._verifiers: dict[tuple[str, str, str], int] = {}
        self._counted: dict[str, float] = {}
        self._older: dict[bytes, frozenset[tuple[int, int]]] = {}
        self._older_in = 0
        self._room: Room | None = None
        if readonly:
            self._files: Files | Looking = Looking(folder)
        else:
            settings = settings or StoreConfig()
            self._files = Files(folder, settings)
            try:
                self._room = Room(self._live.path.parent, settings.reserve_bytes)
            except OSError as cause:
                self._files.close()
                raise StoreError(f"{folder}: can't be written: {cause.strerror}") from cause
        self.problems = self._files.problems
        self._reader = Reader(self._files, sampling_key)
        self._keys = Keys(folder, keys, readonly) if keys else None

    def close(self) -> None:
        """Close the files; everything committed stays."""
        if self._room is not None:
            self._room.release()
            if self._counted:
                with suppress(StoreError):  # a full disk doesn't keep a run from ending
                    self._commit(lambda: None)
        if self._keys is not None:
            self._keys.close()
        self._files.close()

    # Writing

    def add(self, rollouts: Iterable[NewRollout]) -> None:
        """Commit completions, with their verdicts where known. Rows whose key is there already change nothing.

        Raises:
            StoreFull: there is no room. Nothing of this call was committed; the same call may succeed later.
            StoreError: nothing of this call was committed.
        """
        rows = [(new, self._packed(new)) for new in rollouts]
        if len(self._segments) > 1:
            rows = [row for row in rows if not self._is_older(row[0])]

        def write() -> None:
            count = prompt_tokens = completion_tokens = completions = uncounted = 0
            for new, content in rows:
                rollout = new.rollout
                stream = self._live.stream(self._sampling_key, new.prompt.key, new.prompt.id)
                if not self._live.add_rollout(stream, rollout, encodable(rollout.finish_reason), content):
                    continue
                count += 1
                prompt_tokens += rollout.prompt_tokens or 0
                completion_tokens += rollout.completion_tokens or 0
                if rollout.outcome not in _SERVERS_WORDS:
                    completions += 1
                    uncounted += rollout.completion_tokens is None
                if new.said is not None:
                    self._live.add_verdict(stream, rollout, new.said, self._storable(new.said.verdict), here=True)
            added = {
                "rollouts": count,
                "completions": completions,
                "uncounted": uncounted,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
            }
            self._live.count(self._sampling_key, added)

        for new, _ in rows:
            self._reader.noted(new.prompt.key)
        self._commit(write)
        if self._keys is not None:
            self._keys.attach(new.rollout for new, _ in rows)

    def add_verdicts(self, verdicts: Iterable[NewVerdict]) -> None:
        """Commit verdicts. A final verdict that is there already stays.

        Raises:
            StoreFull: as for `add`.
            StoreError: nothing of this call was committed.
        """
        rows = list(verdicts)

        def write() -> None:
            for new in rows:
                stream = self._live.stream(self._sampling_key, new.prompt.key, new.prompt.id)
                here = self._live.holds(stream, new.rollout.index, new.rollout.limit)
                self._live.add_verdict(stream, new.rollout, new.said, self._storable(new.said.verdict), here)

        self._commit(write)

    def verifier_id(self, name: str, params: Mapping[str, object], version: str) -> int:
        """The number under which verdicts of this verifier are stored."""
        row = (name, json.dumps(redacted(params), sort_keys=True, default=str), version)
        if row not in self._verifiers:

            def write() -> None:
                insert = "INSERT OR IGNORE INTO verifiers (name, params, version) VALUES (?, ?, ?)"
                self._live.db.execute(insert, row)

            self._commit(write)  # which may begin a new file; it has the same numbers
            query = "SELECT verifier FROM verifiers WHERE name = ? AND params = ? AND version = ?"
            self._verifiers[row] = int(self._live.db.execute(query, row).fetchone()[0])
        return self._verifiers[row]

    def count(self, **added: float) -> None:
        """Add to the counters; on disk with the next commit, or at `close`."""
        for name, value in added.items():
            self._counted[name] = self._counted.get(name, 0) + value

    # Room

    @property
    def short_of_room(self) -> str | None:
        """None while all is well; else in one line how much room is needed and where."""
        return self._room.short if self._room else None

    def regain(self) -> bool:
        """Look whether there is room again; True when all is well."""
        if self._room is None or self._room.short is None:
            return True
        try:
            self._live.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:
            return False
        return self._room.regain()

    # Reading

    def load(self, prompts: Sequence[Prompt], verdict_keys: Sequence[int], limit: int) -> list[list[Rollout]]:
        """For each prompt its rollouts that count under `limit`, in index order, without texts.

        Args:
            prompts: any number.
            verdict_keys: for each prompt the key of the verdicts that count.
            limit: `max_tokens` of now.
        """
        return self.load_keys([prompt.key for prompt in prompts], verdict_keys, limit)

    def load_all(self, prompts: Sequence[Prompt], verdict_keys: Sequence[int]) -> list[list[Rollout]]:
        """As `load`, but every stored row, superseded ones too."""
        return self.load(prompts, verdict_keys, limit=-1)

    def load_keys(self, keys: Sequence[bytes], verdict_keys: Sequence[int], limit: int) -> list[list[Rollout]]:
        """As `load`, by prompt keys."""
        found = self._reader.rollouts(keys, verdict_keys, limit)
        if self._keys is not None:
            prompts = {id(rollout): key for key, rollouts in zip(keys, found, strict=True) for rollout in rollouts}

            def read(some: list[Rollout]) -> None:
                self.fill_all([(prompts[id(rollout)], [rollout]) for rollout in some])

            self._keys.fill([rollout for rollouts in found for rollout in rollouts], read)
        return found

    def completions(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> list[Completion]:
        """What the model said in each of these rollouts of a prompt."""
        return [
            Completion(
                text=text,
                reasoning=reasoning,
                finish_reason=rollout.finish_reason,
                prompt_tokens=rollout.prompt_tokens,
                completion_tokens=rollout.completion_tokens,
                redrawn=rollout.redrawn,
            )
            for rollout, (text, reasoning) in zip(rollouts, self._reader.texts([(prompt.key, rollouts)]), strict=True)
        ]

    def fill(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> None:
        """Fill in `response` and `reasoning` of these rollouts."""
        self.fill_all([(prompt.key, rollouts)])

    def fill_all(self, wanted: Sequence[tuple[bytes, Sequence[Rollout]]]) -> None:
        """Fill in `response` and `reasoning` of rollouts of several prompts (by key), in few statements."""
        texts = iter(self._reader.texts(wanted))
        for _, rollouts in wanted:
            for rollout in rollouts:
                text, reasoning = next(texts)
                split = split_completion(Completion(text=text, reasoning=reasoning))
                rollout.response, rollout.reasoning = split.response, split.reasoning

    def is_empty(self) -> bool:
        """Whether nothing has been sampled yet under this sampling key."""
        for segment in self._segments:
            with self._reader.guarded(segment):
                if not segment.is_empty(self._sampling_key):
                    return False
        return True

    def totals(self) -> Totals:
        """What everything stored under this sampling key has cost."""
        counters = self.counters()
        return Totals(*(int(counters.get(name, 0)) for name in Totals._fields))

    def counters(self) -> dict[str, float]:
        """What was counted (`count`) under this sampling key so far, by all starts of the run, and the tokens."""
        sums = dict(self._counted)
        for segment in self._segments:
            with self._reader.guarded(segment):
                for name, value in segment.counters(self._sampling_key).items():
                    sums[name] = sums.get(name, 0) + value
        return sums

    # Inside

    @property
    def _segments(self) -> list[Segment]:
        return self._files.segments

    @property
    def _live(self) -> Segment:
        return self._files.segments[-1]

    def _is_older(self, new: NewRollout) -> bool:
        """Whether a sealed file has this rollout."""
        sealed = self._segments[:-1]
        if len(sealed) != self._older_in or len(self._older) >= _REMEMBERED:
            self._older, self._older_in = {}, len(sealed)
        key = new.prompt.key
        if key not in self._older:
            there: set[tuple[int, int]] = set()
            for segment in sealed:
                with self._reader.guarded(segment):
                    there.update(segment.indices(self._sampling_key, key))
            self._older[key] = frozenset(there)
        return (new.rollout.index, new.rollout.limit) in self._older[key]

    def _packed(self, new: NewRollout) -> bytes:
        text, reasoning = encodable(new.completion.text), new.completion.reasoning
        if new.rollout.outcome in _SERVERS_WORDS:
            text = self._redact(text)
        return self._pack(text, None if reasoning is None else encodable(reasoning))

    def _storable(self, verdict: Verdict) -> tuple[str | None, str | None]:
        extracted = None if verdict.extracted is None else encodable(verdict.extracted)
        return extracted, None if verdict.detail is None else encodable(self._redact(verdict.detail))

    def _commit(self, write: Callable[[], None]) -> None:
        """Do `write` and commit it, with what was counted; on a full disk once more without the reserve."""
        while True:
            try:
                self._transact(write)
                break
            except sqlite3.Error as cause:
                if self._room is None or not self._room.is_full(cause):
                    raise self._reader.failed(self._live, cause, "can't be written") from cause
                if not self._room.give_up():
                    raise StoreFull(str(self._room.short)) from cause
        if isinstance(self._files, Files):
            try:
                self._files.committed()
            except OSError as cause:
                raise StoreError(f"{self._live.path}: can't be brought onto the disk: {cause.strerror}") from cause

    def _transact(self, write: Callable[[], None]) -> None:
        db = self._live.db
        try:
            db.execute("BEGIN IMMEDIATE")
            write()
            if self._counted:
                self._live.count(self._sampling_key, self._counted)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # SQLite ends it by itself after some errors
                db.execute("ROLLBACK")
            self._live.undone()
            raise
        self._counted = {}
