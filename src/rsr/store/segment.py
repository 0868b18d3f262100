"""One file of rollouts: its tables and every statement that reads or writes them.

    streams         (prompt key, sampling key) -> stream: the ordered indices of one prompt under one way of sampling
    rollouts        one narrow row per (stream, index, limit)
    texts           what the model said (see `rsr.store.texts`)
    verdicts        one row per rollout of this file and verdict key
    later_verdicts  verdicts on rollouts of older files; the answer key says on which answer
    verifiers       name, parameters and version behind a verdict
    counters        sums over everything in this file, by sampling key

`crc` is the checksum of a row, so that bytes that changed by themselves are told from what was written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from rsr.store.migrations import COUNTED
from rsr.store.records import Said
from rsr.types import Rollout

PAGE = 512
"""Prompts, or texts, in one statement."""

_ROUND = 32

KEEP_FINAL = """ON CONFLICT DO UPDATE SET verifier = excluded.verifier, score = excluded.score,
    extracted = excluded.extracted, reason = excluded.reason, detail = excluded.detail, crc = excluded.crc
    WHERE {}.reason = 'verifier_error'"""
"""What becomes of a second verdict: only an error is replaced."""

_ADD_VERDICT = f"INSERT INTO verdicts VALUES ({', '.join('?' * 10)}) {KEEP_FINAL.format('verdicts')}"
_ADD_ROLLOUT = f"INSERT OR IGNORE INTO rollouts VALUES ({', '.join('?' * 13)})"
_REMEMBERED = 8192  # streams
_ADD_LATER = f"INSERT INTO later_verdicts VALUES ({', '.join('?' * 11)}) {KEEP_FINAL.format('later_verdicts')}"

_encode = msgspec.msgpack.Encoder().encode


def checksum(row: Sequence[Any]) -> int:
    """Of a row of integers, floats, texts and None."""
    return crc32(_encode(row))


class Segment:
    """An open file of rollouts.

    Args:
        path: the file.
        db: a connection to it, in autocommit mode.
        sealed: whether it is never written again.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, sealed: bool = False) -> None:
        self.path, self.db, self.sealed = path, db, sealed
        self.version = int(db.execute("PRAGMA user_version").fetchone()[0])
        self._page_size = int(db.execute("PRAGMA page_size").fetchone()[0])
        self.has_later = False
        if self.version > 1:
            self.has_later = db.execute("SELECT 1 FROM later_verdicts LIMIT 1").fetchone() is not None
        limit = db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        self._page = min(PAGE, (limit - 1) // 3 // _ROUND * _ROUND)
        self._streams: dict[tuple[bytes, bytes], int] = {}
        self._last_text: int | None = None
        self._texts: list[tuple[int, bytes]] = []
        self._verdicts: list[tuple[Any, ...]] = []

    # Reading

    def keys(self, sampling_key: bytes) -> Iterator[tuple[bytes]]:
        """The keys of all prompts that have a stream."""
        yield from self.db.execute("SELECT prompt_key FROM streams WHERE sampling_key = ?", [sampling_key])

    def rollouts(self, sampling_key: bytes, keys: Sequence[bytes], verdict_keys: Sequence[int]) -> Iterator[Any]:
        """Rows (position in `keys`, index, limit, ..., verdict) of prompts; of each prompt in index order."""
        for start in range(0, len(keys), self._page):
            values: list[Any] = []
            for pair in zip(keys[start : start + self._page], verdict_keys[start:], strict=False):
                values += pair
            # No key is empty. Few lengths are few statements to be prepared.
            values += [b"", 0] * (-(len(values) // 2) % _ROUND)
            query = _rollouts_query(start, len(values) // 2, self.version)
            yield from self.db.execute(query, [*values, sampling_key])

    def later_verdicts(self, sampling_key: bytes, keys: Sequence[bytes], verdict_keys: Sequence[int]) -> Iterator[Any]:
        """Rows (position, index, limit, answer key, score, extracted, reason, detail)."""
        for start in range(0, len(keys), self._page):
            part = keys[start : start + self._page]
            values: list[Any] = [value for pair in zip(part, verdict_keys[start:], strict=False) for value in pair]
            yield from self.db.execute(_later_query(start, len(part)), [*values, sampling_key])

    def texts(self, sampling_key: bytes, wanted: Sequence[tuple[bytes, int, int]]) -> Iterator[tuple[int, bytes]]:
        """Position in `wanted` and packed text of each rollout (prompt key, index, limit) that is here."""
        for start in range(0, len(wanted), self._page):
            part = wanted[start : start + self._page]
            values: list[Any] = [value for key in part for value in key]
            yield from self.db.execute(_texts_query(start, len(part)), [*values, sampling_key])

    def indices(self, sampling_key: bytes, key: bytes) -> list[tuple[int, int]]:
        """Index and limit of every rollout of a prompt."""
        query = (
            """SELECT idx, lim FROM streams JOIN rollouts USING (stream) WHERE prompt_key = ? AND sampling_key = ?"""
        )
        return self.db.execute(query, [key, sampling_key]).fetchall()

    def is_empty(self, sampling_key: bytes) -> bool:
        """Whether there is no rollout of this way of sampling."""
        query = "SELECT 1 FROM streams JOIN rollouts USING (stream) WHERE sampling_key = ? LIMIT 1"
        return self.db.execute(query, [sampling_key]).fetchone() is None

    def size(self) -> int:
        """Bytes, with what is in the log only."""
        return int(self.db.execute("PRAGMA page_count").fetchone()[0]) * self._page_size

    def row_count(self) -> int:
        """Rollouts, of all ways of sampling."""
        if self.version > 1:
            query = "SELECT coalesce(sum(value), 0) FROM counters WHERE name = 'rollouts'"
        else:
            query = "SELECT count(*) FROM rollouts"
        return int(self.db.execute(query).fetchone()[0])

    def counters(self, sampling_key: bytes) -> dict[str, float]:
        """The sums by name."""
        if self.version > 1:
            return dict(self.db.execute("SELECT name, value FROM counters WHERE sampling_key = ?", [sampling_key]))
        columns = ", ".join(f"coalesce(sum({value}), 0)" for value in COUNTED.values())
        query = f"SELECT {columns} FROM streams JOIN rollouts USING (stream) WHERE sampling_key = ?"
        return dict(zip(COUNTED, self.db.execute(query, [sampling_key]).fetchone(), strict=True))

    # Writing, always inside a transaction of the caller's

    def take_verifiers(self, other: Segment) -> None:
        """Know the verifiers of another file by the same numbers."""
        rows = other.db.execute("SELECT verifier, name, params, version FROM verifiers").fetchall()
        self.db.executemany("INSERT OR IGNORE INTO verifiers VALUES (?, ?, ?, ?)", rows)

    def stream(self, sampling_key: bytes, key: bytes, id: str) -> int:
        """The number of a prompt's stream, made where there is none."""
        known = self._streams.get((key, sampling_key))
        if known is None:
            query = "SELECT stream FROM streams WHERE prompt_key = ? AND sampling_key = ?"
            found = self.db.execute(query, [key, sampling_key]).fetchone()
            if found is None:
                insert = "INSERT INTO streams (prompt_key, sampling_key, prompt_id) VALUES (?, ?, ?)"
                found = [self.db.execute(insert, [key, sampling_key, id]).lastrowid or 0]
            if len(self._streams) >= _REMEMBERED:
                self._streams.clear()
            known = self._streams[key, sampling_key] = int(found[0])
        return known

    def flush(self) -> None:
        """Write the texts and verdicts that were added; before the transaction is committed."""
        if self._texts:
            self.db.executemany("INSERT INTO texts (text, content) VALUES (?, ?)", self._texts)
            self._texts.clear()
        if self._verdicts:
            self.db.executemany(_ADD_VERDICT, self._verdicts)
            self._verdicts.clear()

    def undone(self) -> None:
        """The transaction was rolled back: what it numbered is numbered anew."""
        self._streams.clear()
        self._texts.clear()
        self._verdicts.clear()
        self._last_text = None

    def holds(self, stream: int, index: int, limit: int) -> bool:
        """Whether there is such a rollout."""
        there = "SELECT 1 FROM rollouts WHERE stream = ? AND idx = ? AND lim = ?"
        return self.db.execute(there, (stream, index, limit)).fetchone() is not None

    def add_rollout(self, stream: int, rollout: Rollout, finish_reason: str, content: bytes) -> bool:
        """Add a rollout with its packed text; False where there is one under its key, which stays."""
        if self._last_text is None:
            self._last_text = int(self.db.execute("SELECT coalesce(max(text), 0) FROM texts").fetchone()[0])
        text = self._last_text + 1
        row = (
            stream,
            rollout.index,
            rollout.limit,
            rollout.outcome.value,
            finish_reason,
            rollout.seed,
            rollout.prompt_tokens,
            rollout.completion_tokens,
            rollout.answer_key,
            int(rollout.has_reasoning),
            text,
            int(rollout.redrawn),
        )
        if self.db.execute(_ADD_ROLLOUT, (*row, checksum(row))).rowcount < 1:
            return False
        self._texts.append((text, content))
        self._last_text = text
        return True

    def add_verdict(self, stream: int, rollout: Rollout, said: Said, texts: Sequence[str | None], here: bool) -> None:
        """Add a verdict; a final one that is there already stays.

        Args:
            stream: of the prompt.
            rollout: the one that was judged.
            said: the verdict.
            texts: what it extracted and its detail, as they may be stored.
            here: whether the rollout is in this file.
        """
        verdict, place = said.verdict, (stream, rollout.index, rollout.limit, said.key)
        reason = verdict.reason.value if verdict.reason else None
        score = None if verdict.score is None else verdict.score + 0.0  # -0.0 comes back as 0.0
        rest = (said.verifier, score, texts[0], reason, texts[1])
        if here:
            row: tuple[Any, ...] = (*place, *rest)
            self._verdicts.append((*row, checksum(row)))
        else:
            row = (*place, rollout.answer_key, *rest)
            self.db.execute(_ADD_LATER, (*row, checksum(row)))
            self.has_later = True

    def count(self, sampling_key: bytes, added: Mapping[str, float]) -> None:
        """Add to the counters."""
        self.db.executemany(
            "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            [(sampling_key, name, value) for name, value in added.items() if value],
        )


# CROSS JOIN keeps SQLite from reordering: the few that are asked for come first, the big tables are only looked up.


@lru_cache(maxsize=64)
def _rollouts_query(first: int, count: int, version: int) -> str:
    rows = ",".join(f"({position},?,?)" for position in range(first, first + count))
    return f"""WITH page(at, key, verdict) AS (VALUES {rows})
        SELECT page.at, r.idx, r.lim, r.outcome, r.finish_reason, r.seed, r.prompt_tokens, r.completion_tokens,
            r.answer_key, r.has_reasoning, {"r.redrawn" if version > 1 else "0"},
            v.verifier, v.score, v.extracted, v.reason, v.detail
        FROM page CROSS JOIN streams s ON s.prompt_key = page.key AND s.sampling_key = ?
        CROSS JOIN rollouts r ON r.stream = s.stream
        LEFT JOIN verdicts v
            ON v.stream = r.stream AND v.idx = r.idx AND v.lim = r.lim AND v.verdict_key = page.verdict"""


@lru_cache(maxsize=64)
def _later_query(first: int, count: int) -> str:
    rows = ",".join(f"({position},?,?)" for position in range(first, first + count))
    return f"""WITH page(at, key, verdict) AS (VALUES {rows})
        SELECT page.at, v.idx, v.lim, v.answer_key, v.score, v.extracted, v.reason, v.detail
        FROM page CROSS JOIN streams s ON s.prompt_key = page.key AND s.sampling_key = ?
        CROSS JOIN later_verdicts v ON v.stream = s.stream AND v.verdict_key = page.verdict"""


@lru_cache(maxsize=64)
def _texts_query(first: int, count: int) -> str:
    rows = ",".join(f"({position},?,?,?)" for position in range(first, first + count))
    return f"""WITH wanted(at, key, idx, lim) AS (VALUES {rows})
        SELECT wanted.at, t.content
        FROM wanted CROSS JOIN streams s ON s.prompt_key = wanted.key AND s.sampling_key = ?
        CROSS JOIN rollouts r ON r.stream = s.stream AND r.idx = wanted.idx AND r.lim = wanted.lim
        CROSS JOIN texts t ON t.text = r.text"""
