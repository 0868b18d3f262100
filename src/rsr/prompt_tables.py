"""The database of prompts (see `rsr.prompts`): its tables, its versions, and how it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rsr.errors import StoreError
from rsr.migrations import Migration, migrate, refuse_newer

COLUMNS = (
    "ord INTEGER PRIMARY KEY, key BLOB, id TEXT, file INTEGER, line INTEGER, row BLOB, own_id INTEGER, verdict INTEGER"
)
LIGHT = "CREATE INDEX light ON prompts (ord, key, id, verdict)"
"""What replaying reads instead of the rows."""

_AUTOCOMMIT: dict[str, Any] = {"isolation_level": None, "check_same_thread": False}


def m001_prompts(db: sqlite3.Connection) -> None:
    """Prompts, skipped rows, meta."""
    db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    db.execute(
        "CREATE TABLE prompts (ord INTEGER PRIMARY KEY, key BLOB, id TEXT, file INTEGER, line INTEGER, row BLOB, "
        "own_id INTEGER)"
    )
    db.execute("CREATE TABLE skipped (line INTEGER, reason TEXT)")


def m002_verdict_keys(db: sqlite3.Connection) -> None:
    """Verdict keys, and an index that replaying reads instead of the rows."""
    db.execute("ALTER TABLE prompts ADD COLUMN verdict INTEGER")
    db.execute(LIGHT)


_MIGRATIONS: tuple[Migration, ...] = (m001_prompts, m002_verdict_keys)


def connect(path: Path, readonly: bool = False) -> sqlite3.Connection:
    """Open it, make it where there is none.

    Raises:
        StoreError: it can't be opened.
        RunDirError: it was written by a newer version of RSR.
    """
    try:
        if readonly:
            # Nobody writes to it: it is replaced as a whole. So it may lie where nothing can be written.
            db: sqlite3.Connection = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True, **_AUTOCOMMIT)
            refuse_newer(db, _MIGRATIONS, path)
        else:
            db = sqlite3.connect(path, **_AUTOCOMMIT)
            # Nothing is lost with it: the pass is made again.
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            migrate(db, _MIGRATIONS, path)
        db.execute("PRAGMA cache_size = -8000")
    except sqlite3.Error as cause:
        raise StoreError(f"{path}: can't be opened: {cause}") from cause
    return db


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one line that reading it failed."""
    try:
        yield
    except sqlite3.Error as cause:
        raise StoreError(f"{path}: can't be read: {cause}; remove it, and it is made again from the input") from cause


def version(db: sqlite3.Connection) -> int:
    """Its schema."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def counts(db: sqlite3.Connection) -> tuple[int, int]:
    """How many prompts there are, and how many rows were skipped."""
    known = db.execute("SELECT value FROM meta WHERE name = 'total'").fetchone()
    total = known[0] if known else db.execute("SELECT count(*) FROM prompts").fetchone()[0]
    return int(total), int(db.execute("SELECT count(*) FROM skipped").fetchone()[0])
