"""Opens a file of rollouts: to be written, sealed, or only to be looked at."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from rsr.hashing import ANSWER_KEY_FUNCTION
from rsr.migrations import migrate, refuse_newer
from rsr.store.migrations import ROLLOUT_MIGRATIONS

_AUTOCOMMIT: dict[str, Any] = {"isolation_level": None, "check_same_thread": False}


def wal_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(path.name + "-wal")


def has_log(path: Path) -> bool:
    """Whether something that was committed is in its log only."""
    wal = wal_of(path)
    return wal.exists() and wal.stat().st_size > 0


def to_write(path: Path, sync: float | None, exclusive: bool) -> sqlite3.Connection:
    """The file that is written, made where there is none.

    Args:
        path: the file.
        sync: 0: every commit is on the disk before it returns.
        exclusive: keep others out. SQLite's log needs memory that all who read it share, which hosts do not.
    """
    db: sqlite3.Connection = sqlite3.connect(path, **_AUTOCOMMIT)
    try:
        refuse_newer(db, ROLLOUT_MIGRATIONS, path)
        db.execute("PRAGMA cache_size = -16000")
        if exclusive:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if sync == 0 else 'NORMAL'}")
        migrate(db, ROLLOUT_MIGRATIONS, path)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('answer_key', ?)", [ANSWER_KEY_FUNCTION])
    except BaseException:
        db.close()
        raise
    return db


def settle(db: sqlite3.Connection) -> bool:
    """Bring everything from the log into the file and do without a log; False where somebody is reading it."""
    busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy and db.execute("PRAGMA journal_mode = DELETE").fetchone()[0] == "delete"


def sealed(path: Path) -> sqlite3.Connection:
    """A file that nobody writes any more."""
    db: sqlite3.Connection = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True, **_AUTOCOMMIT)
    refuse_newer(db, ROLLOUT_MIGRATIONS, path)
    db.execute("PRAGMA cache_size = -4000")
    return db


def to_read(path: Path, exclusive: bool = False) -> sqlite3.Connection:
    """A file that somebody may be writing. Nothing is changed, and its folder need not be writable.

    Raises:
        sqlite3.OperationalError: it can only be read where files can be made beside it (see `copied`).
    """
    mode = "mode=ro"
    if not has_log(path) and not os.access(path.parent, os.W_OK):
        mode = "immutable=1"
    db: sqlite3.Connection = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, **_AUTOCOMMIT)
    try:
        if exclusive:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
        refuse_newer(db, ROLLOUT_MIGRATIONS, path)
        db.execute("PRAGMA query_only = ON")
        db.execute("PRAGMA cache_size = -16000")
    except BaseException:
        db.close()
        raise
    return db


def copied(path: Path) -> tuple[sqlite3.Connection, tempfile.TemporaryDirectory[str]]:
    """A file read in a copy, with its log: for media that can't be written, where SQLite can't read a log."""
    folder = tempfile.TemporaryDirectory(prefix="rsr-")
    try:
        copy = Path(folder.name) / path.name
        shutil.copyfile(path, copy)
        with suppress(FileNotFoundError):
            shutil.copyfile(wal_of(path), wal_of(copy))
        return to_read(copy), folder
    except BaseException:
        folder.cleanup()
        raise


def memory() -> sqlite3.Connection:
    """An empty one, where nothing has been stored yet."""
    db: sqlite3.Connection = sqlite3.connect(":memory:", **_AUTOCOMMIT)
    migrate(db, ROLLOUT_MIGRATIONS, Path(":memory:"))
    return db
