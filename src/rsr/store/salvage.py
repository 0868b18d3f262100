"""Finds out whether a file of rollouts is what was written, and takes what can be read out of one that is not.

A rollout is kept if its row, its stream and its text are whole: by their checksums, or, in rows that are older than
checksums, if the answer key is that of the text. A verdict is kept if its rollout is.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from rsr.completions import split_completion
from rsr.hashing import ANSWER_KEY_FUNCTION, answer_key
from rsr.migrations import migrate
from rsr.store.migrations import COUNTED, ROLLOUT_MIGRATIONS, count_anew
from rsr.store.pages import Pages, Row
from rsr.store.segment import KEEP_FINAL, checksum
from rsr.store.texts import Damaged, Texts
from rsr.types import Completion, Outcome, Reason

_OUTCOMES = set(Outcome)
_REASONS = {None, *Reason}

_NUMBER, _NUMBER_OR_NONE = (int,), (int, type(None))
_TEXT_OR_NONE, _SCORE = (str, type(None)), (float, int, type(None))
_ROLLOUT = (_NUMBER, _NUMBER, _NUMBER, (str,), (str,), _NUMBER, _NUMBER_OR_NONE, _NUMBER_OR_NONE, *[_NUMBER] * 3)
_SAID = (_NUMBER, _SCORE, _TEXT_OR_NONE, _TEXT_OR_NONE, _TEXT_OR_NONE)
_VERDICT = (*[_NUMBER] * 4, *_SAID)
_LATER = (*[_NUMBER] * 5, *_SAID, _NUMBER)


class Kept(NamedTuple):
    """How much of a damaged file was kept."""

    rollouts: int
    known: int
    """Rollouts of which anything was found."""


def tells_of_damage(error: Exception) -> bool:
    """Whether an error of SQLite's says that a file is not what was written."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # Python's own: names or texts that are no UTF-8 (any more)
        return isinstance(error, UnicodeDecodeError) or "decode" in str(error)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_sound(db: sqlite3.Connection) -> bool:
    """Whether the trees of a file hang together; its rows are not looked into."""
    return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))


def is_intact(db: sqlite3.Connection) -> bool:
    """Whether every row and every text is what was written. Reads all of it."""
    unpack = Texts().unpack
    try:
        if db.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            return False
        if int(db.execute("PRAGMA user_version").fetchone()[0]) > 1:
            counted = db.execute("SELECT coalesce(sum(value), 0) FROM counters WHERE name = 'rollouts'").fetchone()[0]
            if counted != _count(db, "rollouts"):
                return False
            for table in ("rollouts", "verdicts", "later_verdicts"):
                for *row, crc in db.execute(f"SELECT {_COLUMNS[table]}, crc FROM {table} WHERE crc IS NOT NULL"):
                    if checksum(row) != crc:
                        return False
        for (content,) in db.execute("SELECT content FROM texts"):
            unpack(content)
        lacking = "SELECT 1 FROM rollouts r LEFT JOIN texts t USING (text) WHERE t.text IS NULL LIMIT 1"
        return db.execute(lacking).fetchone() is None
    except (Damaged, sqlite3.DatabaseError, UnicodeDecodeError):
        return False


_COLUMNS = {
    "rollouts": "stream, idx, lim, outcome, finish_reason, seed, prompt_tokens, completion_tokens, answer_key, "
    "has_reasoning, text, redrawn",
    "verdicts": "stream, idx, lim, verdict_key, verifier, score, extracted, reason, detail",
    "later_verdicts": "stream, idx, lim, verdict_key, answer_key, verifier, score, extracted, reason, detail",
}


def salvage(path: Path, wal: Path, target: Path) -> Kept:
    """Write everything readable of a damaged file into a new one.

    Args:
        path: the damaged file.
        wal: its log, which may not be there.
        target: made anew; durable when this returns.

    Raises:
        sqlite3.Error: the new file can't be written.
        OSError: as above.
    """
    target.unlink(missing_ok=True)
    db = sqlite3.connect(target, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = FULL")
        migrate(db, ROLLOUT_MIGRATIONS, target)
        db.execute("BEGIN")
        db.execute("INSERT OR IGNORE INTO meta VALUES ('answer_key', ?)", [ANSWER_KEY_FUNCTION])
        db.execute("CREATE TEMP TABLE known (stream, idx, lim, PRIMARY KEY (stream, idx, lim)) WITHOUT ROWID")
        db.execute("CREATE TEMP TABLE spare (stream INTEGER PRIMARY KEY, prompt_key BLOB, sampling_key BLOB)")
        pages = Pages(path, wal)
        try:
            keeper = _Keeper(db)
            for row in pages.rows():
                keeper.take(row)
        finally:
            pages.close()
        _complete(db)
        kept = Kept(_count(db, "rollouts"), _count(db, "known"))
        db.execute("COMMIT")
        return kept
    finally:
        db.close()


class _Keeper:
    """Knows each row by its shape and puts it where it belongs, if it is whole."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._unpack = Texts().unpack

    def take(self, row: Row) -> None:
        values = row.values
        if row.rowid is not None:
            self._take_of_table(row.rowid, values)
        elif _fits(values[:11], _ROLLOUT):
            self._take_rollout(values)
        elif _fits(values, _LATER):
            self._take_said("later_verdicts", values, 5)
        elif _fits(values[:9], _VERDICT):
            self._take_said("verdicts", values, 4)
        elif _fits(values, ((bytes,), (bytes,), _NUMBER)):
            # The index over streams tells of a stream whose own row is gone.
            self._db.execute("INSERT OR IGNORE INTO spare VALUES (?, ?, ?)", (values[2], values[0], values[1]))
        elif _fits(values, ((bytes,), (str,), (int, float))) and values[1] not in COUNTED:
            self._db.execute("INSERT OR IGNORE INTO counters VALUES (?, ?, ?)", values)

    def _take_of_table(self, rowid: int, values: tuple[Any, ...]) -> None:
        if _fits(values, ((type(None),), (bytes,))):
            try:
                self._unpack(values[1])
            except Damaged:
                return
            self._db.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (rowid, values[1]))
        elif _fits(values, ((type(None),), (bytes,), (bytes,), (str,))):
            self._db.execute("INSERT OR IGNORE INTO streams VALUES (?, ?, ?, ?)", (rowid, *values[1:]))
        elif _fits(values, ((type(None),), (str,), (str,), (str,))):
            self._db.execute("INSERT OR IGNORE INTO verifiers VALUES (?, ?, ?, ?)", (rowid, *values[1:]))

    def _take_rollout(self, values: tuple[Any, ...]) -> None:
        redrawn, crc = (*values[11:], *(0, None)[len(values) - 11 :]) if len(values) < 13 else values[11:13]
        row = (*values[:11], redrawn)
        self._db.execute("INSERT OR IGNORE INTO known VALUES (?, ?, ?)", row[:3])
        if (crc is None or checksum(row) == crc) and row[3] in _OUTCOMES:
            marks = ", ".join("?" * 13)
            self._db.execute(f"INSERT OR IGNORE INTO rollouts VALUES ({marks})", (*row, crc))

    def _take_said(self, table: str, values: tuple[Any, ...], place: int) -> None:
        """A verdict; `place` columns say which one."""
        score = values[place + 1]
        said = (values[place], None if score is None else float(score), *values[place + 2 : place + 5])
        row, crc = (*values[:place], *said), (values[place + 5] if len(values) > place + 5 else None)
        if table == "verdicts":
            self._db.execute("INSERT OR IGNORE INTO known VALUES (?, ?, ?)", row[:3])
        if (crc is None or checksum(row) == crc) and row[-2] in _REASONS:
            marks = ", ".join("?" * (len(row) + 1))
            self._db.execute(f"INSERT INTO {table} VALUES ({marks}) {KEEP_FINAL.format(table)}", (*row, crc))


def _complete(db: sqlite3.Connection) -> None:
    """Take out rows whose other half is gone, and count anew."""
    db.execute("INSERT OR IGNORE INTO streams SELECT stream, prompt_key, sampling_key, '' FROM spare")
    db.execute("DELETE FROM rollouts WHERE text NOT IN (SELECT text FROM texts)")
    db.execute("DELETE FROM rollouts WHERE stream NOT IN (SELECT stream FROM streams)")
    _check_old_rows(db)
    db.execute("DELETE FROM texts WHERE text NOT IN (SELECT text FROM rollouts)")
    db.execute(
        """DELETE FROM verdicts WHERE NOT EXISTS (SELECT 1 FROM rollouts r
            WHERE (r.stream, r.idx, r.lim) = (verdicts.stream, verdicts.idx, verdicts.lim))"""
    )
    db.execute("DELETE FROM later_verdicts WHERE stream NOT IN (SELECT stream FROM streams)")
    count_anew(db)


def _check_old_rows(db: sqlite3.Connection) -> None:
    """Rows without a checksum must have the answer key of their text."""
    unpack = Texts().unpack
    query = "SELECT stream, idx, lim, answer_key, content FROM rollouts JOIN texts USING (text) WHERE crc IS NULL"
    wrong = []
    for *place, key, content in db.execute(query):
        text, reasoning = unpack(content)
        if answer_key(split_completion(Completion(text=text, reasoning=reasoning)).response) != key:
            wrong.append(place)
    db.executemany("DELETE FROM rollouts WHERE stream = ? AND idx = ? AND lim = ?", wrong)


def _fits(values: tuple[Any, ...], kinds: tuple[tuple[type, ...], ...]) -> bool:
    return len(values) == len(kinds) and all(map(isinstance, values, kinds))


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
