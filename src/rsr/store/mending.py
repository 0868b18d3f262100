"""What is wrong with a file of rollouts when it is opened, and how it is mended: everything readable is kept."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from rsr.store.connections import has_log, to_read, wal_of
from rsr.store.manifest import Entry
from rsr.store.pages import lacks_pages, look_at_log
from rsr.store.salvage import Kept, is_intact, is_sound, salvage, tells_of_damage
from rsr.store.syncing import sync


def suspect_mark(path: Path) -> Path:
    """A file that says: in this one, something was read that was not what had been written."""
    return path.with_name(path.name + ".suspect")


def is_damaged(path: Path, entry: Entry | None, exclusive: bool = False) -> bool:
    """Whether a file is not what was written to it.

    One that is as it was left needs no look. One whose process was killed has its trees looked at. One that changed
    although it had been closed properly is read as a whole.
    """
    if suspect_mark(path).exists():
        return True
    if entry is not None and entry.is_as_left(path) and not has_log(path):
        return False
    log = look_at_log(wal_of(path)) if has_log(path) else None
    if log is not None and (log.broken or lacks_pages(path, log)):
        return True
    size = path.stat().st_size
    if entry is not None and entry.rows and size < entry.bytes:
        return True  # SQLite takes an empty file for a new one
    if not size and log is None:
        return False
    closed = entry is not None and entry.user is None
    return not _looks_sound(path, closed, begun=log is not None and log.size > 0, exclusive=exclusive)


def lacks_log(path: Path, entry: Entry) -> bool:
    """Whether a file whose process was killed should have a log and has none."""
    if entry.user is None or wal_of(path).exists():
        return False
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\x02\x02"


def _looks_sound(path: Path, whole: bool, begun: bool, exclusive: bool) -> bool:
    # Opened for reading: closing it must not bring a log that was cut into the file.
    try:
        with closing(to_read(path, exclusive)) as db:
            if begun and not db.execute("PRAGMA user_version").fetchone()[0]:
                return False
            return is_sound(db) and (not whole or is_intact(db))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as cause:
        if tells_of_damage(cause):
            return False
        raise


def mend(path: Path) -> tuple[Kept, str]:
    """Put what can be read of a damaged file in its place; how much that is, and the name that the old one has now.

    Raises:
        sqlite3.Error: the new file can't be written.
        OSError: as above.
    """
    staged = path.with_name(path.name + ".new")
    try:
        kept = salvage(path, wal_of(path), staged)
        sync(staged)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    old = _free_name(path.with_name(path.name + ".damaged"))
    try:
        os.link(path, old)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, old)
    # Before the new file is there: it must never be seen with the log of the old one.
    with suppress(FileNotFoundError):
        wal_of(path).replace(wal_of(old))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    staged.replace(path)
    suspect_mark(path).unlink(missing_ok=True)
    sync(path.parent)
    return kept, old.name


def said(name: str, entry: Entry | None, kept: Kept) -> str:
    """What was found, in one line."""
    if not kept.rollouts:
        return f"rollouts/{name} was damaged: nothing in it can be read, so all of it is sampled again"
    about = max(kept.known, entry.rows if entry else 0)
    if kept.rollouts >= about:
        return f"rollouts/{name} was damaged: all {kept.rollouts:,} rollouts that were found in it are kept"
    return (
        f"rollouts/{name} was damaged: {kept.rollouts:,} of about {about:,} rollouts are kept, "
        "the rest is sampled again"
    )


def _free_name(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
