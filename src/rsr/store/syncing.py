"""Brings what was committed onto the disk itself, so that a power failure costs at most the last second or so.

SQLite hands every commit to the operating system at once, so that killing this process costs nothing. For power it
would have to wait for the disk at each commit; instead a thread asks for that, for all commits of a while together.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Syncing:
    """Syncs the log of the file that is written.

    Args:
        wal: the log. (Only that one: closing a second handle of a database would drop SQLite's locks on it.)
        seconds: a commit is on the disk at most so much later.
    """

    def __init__(self, wal: Path, seconds: float) -> None:
        self.error: OSError | None = None
        self._wal = wal
        self._pause = seconds / 2  # the other half is for the disk
        self._dirty = threading.Event()
        self._ended = threading.Event()
        self._folder_synced = False
        self._thread = threading.Thread(target=self._run, name="rsr-sync", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Something new is in the log.

        Raises:
            OSError: what was committed before could not be brought onto the disk.
        """
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self._dirty.set()

    def close(self) -> None:
        """Sync what is left and end."""
        self._ended.set()
        self._dirty.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._dirty.wait()
            self._ended.wait(self._pause)
            self._dirty.clear()
            try:
                self._sync()
            except FileNotFoundError:  # the log was emptied into the file, which SQLite syncs
                continue
            except OSError as error:
                self.error = error

    def _sync(self) -> None:
        sync(self._wal)
        if not self._folder_synced:
            sync(self._wal.parent)  # so that the log's name is on the disk too
            self._folder_synced = True


def sync(path: Path) -> None:
    """Bring a file's content, or a folder's names, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
