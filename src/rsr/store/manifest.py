"""`rollouts/manifest.json`: which files of rollouts there are, what is in them, and how they were left.

A file whose size and time are those of the manifest was closed properly and needs no look at its inside.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

NAME = "manifest.json"


class Entry(msgspec.Struct):
    """A file of rollouts."""

    name: str
    rows: int = 0
    """Rollouts in it when it was last closed."""
    bytes: int = 0
    mtime_ns: int = 0
    sealed: bool = False
    """Whether it is never written again."""
    user: str | None = None
    """The process that writes it, as `pid on host`; None: it was closed properly."""
    place: str | None = None
    """Where it lies, if not beside this manifest."""
    host: str | None = None
    """On which host that is."""

    def is_as_left(self, path: Path) -> bool:
        """Whether the file is as it was when it was last closed."""
        stat = path.stat()
        return self.user is None and (stat.st_size, stat.st_mtime_ns) == (self.bytes, self.mtime_ns)

    def note(self, path: Path, rows: int) -> None:
        """Take down how a file is left."""
        stat = path.stat()
        self.rows, self.bytes, self.mtime_ns, self.user = rows, stat.st_size, stat.st_mtime_ns, None


class _Content(msgspec.Struct):
    segments: list[Entry]
    version: int = 1


def read(folder: Path) -> dict[str, Entry] | None:
    """The entries by name; None: there is none that can be read."""
    try:
        content = msgspec.json.decode((folder / NAME).read_bytes(), type=_Content)
    except (OSError, msgspec.DecodeError):
        return None
    return {entry.name: entry for entry in content.segments}


def write(folder: Path, entries: Iterable[Entry], durable: bool = True) -> None:
    """Replace the manifest as a whole.

    Args:
        folder: where.
        entries: all of them.
        durable: wait until it is on the disk.

    Raises:
        OSError: it can't be written.
    """
    content = _Content(sorted(entries, key=lambda entry: entry.name))
    path = folder / NAME
    staged = folder / f"{NAME}.{os.getpid()}-{id(content):x}"  # several may do so at once
    try:
        with staged.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
            file.flush()
            if durable:
                os.fsync(file.fileno())
        staged.replace(path)
    except OSError:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        raise
