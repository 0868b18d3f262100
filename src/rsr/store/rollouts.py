"""The store of rollouts: a rollout is on disk whole, or it is owed again.

    rollouts/0001.sqlite
        streams     (prompt key, sampling key) -> stream: the ordered indices of one prompt under one way of sampling
        rollouts    one narrow row per (stream, index, limit); the first committed row of a key wins for ever
        texts       what the model said, zstd-compressed msgpack [text, reasoning field]
        verdicts    one row per rollout and verdict key; verifying again adds, a final verdict is never overwritten
        verifiers   name, parameters and version behind a verdict

An index that a limit cut (`truncated`) is drawn again under a higher limit; both rows stay, and `effective` says which
one counts under the limit of now.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import zstandard

from rsr.completions import encodable, split_completion
from rsr.errors import StoreError
from rsr.hashing import ANSWER_KEY_FUNCTION
from rsr.migrations import migrate
from rsr.redaction import redacted
from rsr.store.migrations import ROLLOUT_MIGRATIONS
from rsr.types import Completion, Outcome, Prompt, Reason, Rollout, Verdict

_SMALL = 128  # bytes; below this zstd gains nothing
_BATCH = 400  # SQLite takes 999 parameters in its oldest builds


class Said(NamedTuple):
    """A verdict and who said so."""

    verdict: Verdict
    key: int
    verifier: int


class NewRollout(NamedTuple):
    """A completion with its outcome, on its way to disk; `said` where the verdict is known already."""

    prompt: Prompt
    rollout: Rollout
    completion: Completion
    said: Said | None = None


class NewVerdict(NamedTuple):
    """A verdict on a stored rollout."""

    prompt: Prompt
    rollout: Rollout
    said: Said


class RolloutStore:
    """The rollouts of one way of sampling in a run directory.

    Args:
        folder: the run directory's `rollouts/`.
        sampling_key: which streams are seen and written.
        readonly: don't create, migrate or write.
        redact: takes secrets out of error texts; what a model said is kept as it is.
    """

    def __init__(
        self,
        folder: Path,
        sampling_key: bytes,
        readonly: bool = False,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.path = folder / "0001.sqlite"
        self._redact = redact
        self._sampling_key = sampling_key
        self._compress = zstandard.ZstdCompressor(level=3).compress
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._verifiers: dict[tuple[str, str, str], int] = {}
        if readonly and not self.path.exists():
            self._db = sqlite3.connect(":memory:", isolation_level=None)
            migrate(self._db, ROLLOUT_MIGRATIONS, self.path)
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA cache_size = -16000")
            if not readonly:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
            migrate(self._db, ROLLOUT_MIGRATIONS, self.path)
            if readonly:
                self._db.execute("PRAGMA query_only = ON")
            else:
                self._note_functions()
        except (sqlite3.Error, OSError) as cause:
            raise StoreError(f"{self.path}: can't be opened: {cause}") from cause

    def close(self) -> None:
        """Close the database; everything committed stays."""
        self._db.close()

    # Writing

    def add(self, rollouts: Iterable[NewRollout]) -> None:
        """Commit completions, with their verdicts where known. Rows whose key is there already change nothing.

        Raises:
            StoreError: nothing of this call was committed.
        """
        with self._transaction():
            for new in rollouts:
                stream = self._stream(new.prompt)
                if self._add_rollout(stream, new.rollout, new.completion) and new.said is not None:
                    self._add_verdict(stream, new.rollout, new.said)

    def add_verdicts(self, verdicts: Iterable[NewVerdict]) -> None:
        """Commit verdicts. A final verdict that is there already stays.

        Raises:
            StoreError: nothing of this call was committed.
        """
        with self._transaction():
            for new in verdicts:
                self._add_verdict(self._stream(new.prompt), new.rollout, new.said)

    def verifier_id(self, name: str, params: Mapping[str, object], version: str) -> int:
        """The number under which verdicts of this verifier are stored."""
        row = (name, json.dumps(redacted(params), sort_keys=True, default=str), version)
        if row not in self._verifiers:
            try:
                self._db.execute("INSERT OR IGNORE INTO verifiers (name, params, version) VALUES (?, ?, ?)", row)
            except sqlite3.Error as cause:
                raise StoreError(f"{self.path}: can't be written: {cause}") from cause
            found = self._db.execute(
                "SELECT verifier FROM verifiers WHERE name = ? AND params = ? AND version = ?", row
            ).fetchone()
            self._verifiers[row] = found[0]
        return self._verifiers[row]

    # Reading

    def load(self, prompts: Sequence[Prompt], verdict_keys: Sequence[int], limit: int) -> list[list[Rollout]]:
        """For each prompt its rollouts that count under `limit`, in index order, without texts.

        Args:
            prompts: any number.
            verdict_keys: for each prompt the key of the verdicts that count.
            limit: `max_tokens` of now.
        """
        keys = {prompt.key: position for position, prompt in enumerate(prompts)}
        streams = {stream: keys[key] for stream, key in self._streams(list(keys))}
        found: list[list[Rollout]] = [[] for _ in prompts]
        if not streams:
            return found
        verdicts = self._verdicts(list(streams), {stream: verdict_keys[at] for stream, at in streams.items()})
        for stream, rollout in self._rollouts(list(streams)):
            rollout.verdict = verdicts.get((stream, rollout.index, rollout.limit))
            found[streams[stream]].append(rollout)
        return [effective(rollouts, limit) for rollouts in found]

    def load_all(self, prompts: Sequence[Prompt], verdict_keys: Sequence[int]) -> list[list[Rollout]]:
        """As `load`, but every stored row, superseded ones too."""
        return self.load(prompts, verdict_keys, limit=-1)

    def completions(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> list[Completion]:
        """What the model said in each of these rollouts of a prompt."""
        streams = [stream for stream, _ in self._streams([prompt.key])]
        texts = {}
        if streams:
            query = (
                """SELECT r.idx, r.lim, t.content FROM rollouts r JOIN texts t ON t.text = r.text WHERE r.stream = ?"""
            )
            wanted = {(rollout.index, rollout.limit) for rollout in rollouts}
            for index, limit, content in self._db.execute(query, streams):
                if (index, limit) in wanted:
                    texts[index, limit] = self._unpack(content)
        said = []
        for rollout in rollouts:
            text, reasoning = texts[rollout.index, rollout.limit]
            said.append(
                Completion(
                    text=text,
                    reasoning=reasoning,
                    finish_reason=rollout.finish_reason,
                    prompt_tokens=rollout.prompt_tokens,
                    completion_tokens=rollout.completion_tokens,
                )
            )
        return said

    def fill(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> None:
        """Fill in `response` and `reasoning` of these rollouts."""
        for rollout, completion in zip(rollouts, self.completions(prompt, rollouts), strict=True):
            split = split_completion(completion)
            rollout.response, rollout.reasoning = split.response, split.reasoning

    def is_empty(self) -> bool:
        """Whether nothing has been sampled yet under this sampling key."""
        query = "SELECT 1 FROM streams JOIN rollouts USING (stream) WHERE sampling_key = ? LIMIT 1"
        return self._db.execute(query, [self._sampling_key]).fetchone() is None

    # Inside

    def _streams(self, keys: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        for part in _parts(keys):
            marks = ",".join("?" * len(part))
            query = f"SELECT stream, prompt_key FROM streams WHERE sampling_key = ? AND prompt_key IN ({marks})"
            yield from self._db.execute(query, [self._sampling_key, *part]).fetchall()

    def _rollouts(self, streams: Sequence[int]) -> Iterator[tuple[int, Rollout]]:
        columns = "stream, idx, lim, outcome, finish_reason, seed, prompt_tokens, completion_tokens"
        for part in _parts(streams):
            marks = ",".join("?" * len(part))
            query = (
                f"SELECT {columns}, answer_key, has_reasoning FROM rollouts WHERE stream IN ({marks}) ORDER BY 1, 2, 3"
            )
            for row in self._db.execute(query, part):
                yield (
                    row[0],
                    Rollout(
                        index=row[1],
                        limit=row[2],
                        outcome=Outcome(row[3]),
                        finish_reason=row[4],
                        seed=row[5],
                        prompt_tokens=row[6],
                        completion_tokens=row[7],
                        answer_key=row[8],
                        has_reasoning=bool(row[9]),
                    ),
                )

    def _verdicts(self, streams: Sequence[int], keys: Mapping[int, int]) -> dict[tuple[int, int, int], Verdict]:
        found = {}
        columns = "stream, idx, lim, verdict_key, score, extracted, reason, detail"
        for part in _parts(streams):
            marks = ",".join("?" * len(part))
            query = f"SELECT {columns} FROM verdicts WHERE stream IN ({marks})"
            for stream, index, limit, key, score, extracted, reason, detail in self._db.execute(query, part):
                if keys[stream] == key:
                    why = Reason(reason) if reason else None
                    verdict = Verdict(score=score, extracted=extracted, reason=why, detail=detail)
                    found[stream, index, limit] = verdict
        return found

    def _stream(self, prompt: Prompt) -> int:
        query = "SELECT stream FROM streams WHERE prompt_key = ? AND sampling_key = ?"
        found = self._db.execute(query, [prompt.key, self._sampling_key]).fetchone()
        if found is None:
            row = [prompt.key, self._sampling_key, prompt.id]
            insert = "INSERT INTO streams (prompt_key, sampling_key, prompt_id) VALUES (?, ?, ?)"
            return int(self._db.execute(insert, row).lastrowid or 0)
        return int(found[0])

    def _add_rollout(self, stream: int, rollout: Rollout, completion: Completion) -> bool:
        there = "SELECT 1 FROM rollouts WHERE stream = ? AND idx = ? AND lim = ?"
        if self._db.execute(there, [stream, rollout.index, rollout.limit]).fetchone():
            return False
        said_by_server = rollout.outcome in (Outcome.REFUSED, Outcome.FAILED)
        content = self._pack(self._redact(completion.text) if said_by_server else completion.text, completion.reasoning)
        text = self._db.execute("INSERT INTO texts (content) VALUES (?)", [content]).lastrowid
        row = (
            stream,
            rollout.index,
            rollout.limit,
            rollout.outcome.value,
            encodable(rollout.finish_reason),
            rollout.seed,
            rollout.prompt_tokens,
            rollout.completion_tokens,
            rollout.answer_key,
            rollout.has_reasoning,
            text,
        )
        self._db.execute(f"INSERT INTO rollouts VALUES ({','.join('?' * len(row))})", row)
        return True

    def _add_verdict(self, stream: int, rollout: Rollout, said: Said) -> None:
        verdict = said.verdict
        reason = verdict.reason.value if verdict.reason else None
        extracted = None if verdict.extracted is None else encodable(verdict.extracted)
        detail = None if verdict.detail is None else encodable(self._redact(verdict.detail))
        row = (stream, rollout.index, rollout.limit, said.key, said.verifier, verdict.score, extracted, reason, detail)
        self._db.execute(
            """INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET verifier = excluded.verifier, score = excluded.score,
                extracted = excluded.extracted, reason = excluded.reason, detail = excluded.detail
            WHERE verdicts.reason = 'verifier_error'""",
            row,
        )

    def _note_functions(self) -> None:
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('answer_key', ?)", [ANSWER_KEY_FUNCTION])

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db, self.path)

    def _pack(self, text: str, reasoning: str | None) -> bytes:
        raw = msgspec.msgpack.encode([encodable(text), None if reasoning is None else encodable(reasoning)])
        return raw if len(raw) < _SMALL else self._compress(raw)

    def _unpack(self, content: bytes) -> tuple[str, str | None]:
        raw = self._decompress(content) if content[:4] == zstandard.FRAME_HEADER else content
        return msgspec.msgpack.decode(raw, type=tuple[str, str | None])


class _Transaction:
    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db, self._path = db, path

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as cause:
            raise StoreError(f"{self._path}: can't be written: {cause}") from cause

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._db.execute("ROLLBACK" if error else "COMMIT")
        except sqlite3.Error as cause:
            if error is None:
                self._undo()
                raise StoreError(f"{self._path}: can't be written: {cause}") from cause
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"{self._path}: can't be written: {error}") from error

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def effective(rollouts: Sequence[Rollout], limit: int) -> list[Rollout]:
    """The rows that count under a limit: of each index the first that was not cut, else the cut at the highest limit.

    A cut below `limit` doesn't count: the index is open and drawn again. `limit` -1 keeps every row.
    """
    if limit < 0:
        return list(rollouts)
    chosen: dict[int, Rollout] = {}
    for rollout in rollouts:
        there = chosen.get(rollout.index)
        if there is None or there.outcome is Outcome.TRUNCATED:
            chosen[rollout.index] = rollout
    cut = Outcome.TRUNCATED
    return [rollout for rollout in chosen.values() if rollout.outcome is not cut or rollout.limit >= limit]


def _parts(values: Sequence[object]) -> Iterator[list[object]]:
    for start in range(0, len(values), _BATCH):
        yield list(values[start : start + _BATCH])
