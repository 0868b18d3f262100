"""Room on the disk: a reserve that is given up for what is in flight when the disk is full, and taken again later."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LEAST = 1 << 16  # bytes; a smaller reserve is none
_WITHOUT = 1 << 20  # bytes that must be free to go on where there was no reserve
_SHARE = 8  # the reserve takes at most an eighth of what is free


class Room:
    """The reserve of a folder.

    Args:
        folder: where the store writes.
        wanted: bytes to keep free, where the disk has enough.

    Attributes:
        short: None while all is well, else in one line how much room is needed and where.
    """

    def __init__(self, folder: Path, wanted: int) -> None:
        self.short: str | None = None
        self._folder = folder
        self._path = folder / ".reserve"
        self._path.unlink(missing_ok=True)  # a run that was killed left it
        size = min(wanted, shutil.disk_usage(folder).free // _SHARE)
        self._size = size if size >= _LEAST and self._take(size) else 0
        self._held = bool(self._size)
        self._largest: int | None = None

    def give_up(self) -> bool:
        """Free the reserve, as the disk is full; False where there is none (any more)."""
        needed = self._size or _WITHOUT
        if self._largest is None:
            self.short = f"{self._folder}: the disk is full; {_in_words(needed)} of free room are needed there to go on"
        else:
            fix = "raise that limit (ulimit -f), or set store.segment_bytes to less than half of it in the next run"
            self.short = f"{self._folder}: files may not grow beyond {_in_words(self._largest)} there; {fix}"
        if not self._held:
            return False
        self.release()
        return True

    def regain(self) -> bool:
        """Try to have the room again that is kept free."""
        if not self._take(self._size or _WITHOUT):
            return False
        self._held = bool(self._size)
        if not self._held:
            self.release()
        self.short = None
        return True

    def release(self) -> None:
        """Free the reserve: all has been written."""
        self._held = False
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def is_full(self, error: sqlite3.Error) -> bool:
        """Whether an error says that there is no room: on the disk, in a quota, or for one file."""
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL:
            return True
        # SQLite has one code for a write that failed, whatever the reason.
        may_be = code is not None and code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
        return may_be and not self._can_write()

    def _can_write(self) -> bool:
        """Whether a file here can grow beyond the size of those that are there."""
        probe = self._folder / ".room"
        largest = max((file.stat().st_size for file in self._folder.glob("*.sqlite*")), default=0)
        try:
            with probe.open("wb") as file:
                file.seek(largest)
                file.write(bytes(_LEAST))
                file.flush()
                os.fsync(file.fileno())
        except OSError as cause:
            self._largest = largest if cause.errno == errno.EFBIG else None
            return cause.errno not in _NO_ROOM
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
        return True

    def _take(self, size: int) -> bool:
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            # No room, or a file system that can't promise any.
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        return True


def _in_words(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{max(1, size >> 10)} KB"
