"""The files of rollouts of a run directory: found, mended where they are damaged, sealed when they have grown.

0001.sqlite, 0002.sqlite      sealed: never written again, and read-only by mode
0003.sqlite                   live: the one that is written; on a local disk meanwhile where `store.local_dir` says
manifest.json                 see `rsr.store.manifest`
NNNN.sqlite.damaged           what a mended one was
NNNN.sqlite.suspect           something in this one was not what had been written: it is mended at the next opening
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from rsr.errors import StoreError
from rsr.hashing import content_hash
from rsr.sections import StoreConfig
from rsr.store import connections, manifest, mending
from rsr.store.manifest import Entry
from rsr.store.mounts import file_system, is_network
from rsr.store.salvage import salvage
from rsr.store.segment import Segment
from rsr.store.syncing import Syncing, sync

_NAME = re.compile(r"\d{4,}\.sqlite")
_READ_ONLY = 0o444
_COPIED_BACK = 64 << 20  # bytes; a larger file is sealed rather than copied to the local disk again


class Files:
    """The open files of a folder, to be written.

    Args:
        folder: made where there is none.
        settings: the config's `store`.

    Attributes:
        segments: oldest first; the last one is live.
        problems: what was found wrong, a line each.

    Raises:
        StoreError: a file can't be opened or mended.
        RunDirError: a file was written by a newer version of RSR.
    """

    def __init__(self, folder: Path, settings: StoreConfig) -> None:
        self.problems: list[str] = []
        self.segments: list[Segment] = []
        self._folder, self._settings = folder, settings
        self._syncing: Syncing | None = None
        self._postponed = 0
        path = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._local = _local_place(folder, settings.local_dir)
            self._exclusive = self._local is None and is_network(file_system(folder))
            known = manifest.read(folder)
            self._entries = known or {}
            paths = self._find()
            for path in paths:
                self._check(path)
            live = self._live_of(paths)
            for path in paths:
                if path != live:
                    self.segments.append(self._open_sealed(path))
            path = live
            self._open_live(path)
            self._write_manifest(durable=False)
        except BaseException as cause:
            if self._syncing is not None:
                self._syncing.close()
            for segment in self.segments:
                segment.db.close()
            if isinstance(cause, sqlite3.Error | OSError):
                raise StoreError(f"{path}: can't be opened: {_in_words(cause)}") from cause
            raise

    @property
    def live(self) -> Segment:
        """The one that is written."""
        return self.segments[-1]

    def committed(self) -> None:
        """Something was committed: see that it comes onto the disk, and seal the file where it has grown.

        Raises:
            OSError: what was committed before could not be brought onto the disk.
        """
        if self._syncing is not None:
            self._syncing.committed()
        if self.live.size() >= self._settings.segment_bytes + self._postponed:
            try:
                self._begin_next()
            except (sqlite3.Error, OSError):
                # No room, mostly. What was committed is safe, and a file may grow further.
                self._postponed += self._settings.segment_bytes // 8

    def suspect(self, segment: Segment) -> None:
        """Have a file mended at the next opening."""
        with suppress(OSError):
            mending.suspect_mark(segment.path).touch()

    def close(self) -> None:
        """Leave the files so that they are quickly opened again. A full disk doesn't keep it from ending."""
        if self._syncing is not None:
            self._syncing.close()
        for number, segment in enumerate(self.segments):
            if not segment.sealed:
                self._settle(segment, seal=number < len(self.segments) - 1)
            segment.db.close()
        with suppress(OSError):
            self._bring_home()
        with suppress(OSError):
            self._write_manifest()

    # Opening

    def _find(self) -> list[Path]:
        """Every file, oldest first; says which are missing."""
        paths = {path.name: path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)}
        for name, entry in list(self._entries.items()):
            if name in paths:
                continue
            if entry.place is not None and entry.host not in (None, socket.gethostname()):
                where = f"lies on {entry.host} in {entry.place}"
                self.problems.append(
                    f"rollouts/{name} {where}: its rollouts are not seen here, and are sampled again; "
                    "run there to have them"
                )
            elif entry.place is not None and (Path(entry.place) / name).exists():
                paths[name] = Path(entry.place) / name
            else:
                self.problems.append(
                    f"rollouts/{name} is missing: {entry.rows:,} rollouts are gone and are sampled again; "
                    "put the file back to have them"
                )
                entry.place = None
        return [paths[name] for name in sorted(paths, key=_number)]

    def _check(self, path: Path) -> None:
        entry = self._entries.get(path.name)
        if entry is not None and mending.lacks_log(path, entry):
            self.problems.append(f"rollouts/{path.name}-wal is missing: what was in it is sampled again")
        if not mending.is_damaged(path, entry, self._exclusive):
            return
        mode = path.stat().st_mode
        kept, old = mending.mend(path)
        self.problems.append(f"{mending.said(path.name, entry, kept)}; the damaged file is kept as rollouts/{old}")
        if not mode & stat.S_IWUSR:
            path.chmod(_READ_ONLY)

    def _live_of(self, paths: list[Path]) -> Path:
        """The file to write: the last one, where it isn't sealed."""
        numbers = [_number(name) for name in (*self._entries, *(path.name for path in paths))]
        if paths and not self._is_sealed(paths[-1]) and _number(paths[-1].name) == max(numbers):
            last = paths[-1]
            if self._local in (None, last.parent):
                return last if self._local or last.parent == self._folder else self._moved(last, self._folder)
            if last.stat().st_size < _COPIED_BACK:
                return self._moved(last, self._local)
        return (self._local or self._folder) / f"{max(numbers, default=0) + 1:04}.sqlite"

    def _is_sealed(self, path: Path) -> bool:
        entry = self._entries.get(path.name)
        return (entry is not None and entry.sealed) or not path.stat().st_mode & stat.S_IWUSR

    def _open_sealed(self, path: Path) -> Segment:
        entry = self._entries.setdefault(path.name, Entry(path.name))
        if not (entry.sealed and entry.is_as_left(path)) or connections.has_log(path):
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
            segment = Segment(path, connections.to_write(path, self._settings.sync, self._exclusive))
            if not self._settle(segment, seal=True):
                return segment  # no room, or somebody is reading it: its log is still needed
            segment.db.close()
        if path.parent != self._folder:
            path = self._moved(path, self._folder)
        return Segment(path, connections.sealed(path), sealed=True)

    def _open_live(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        segment = Segment(path, connections.to_write(path, self._settings.sync, self._exclusive))
        if self.segments:
            try:
                segment.take_verifiers(self.segments[-1])
            except sqlite3.Error:
                segment.db.close()
                raise
        self.segments.append(segment)
        entry = self._entries.setdefault(path.name, Entry(path.name))
        entry.user = f"{os.getpid()} on {socket.gethostname()}"
        entry.place = str(path.parent) if path.parent != self._folder else None
        entry.host = socket.gethostname() if entry.place else None
        if self._syncing is not None:
            self._syncing.close()
        seconds = self._settings.sync
        self._syncing = Syncing(connections.wal_of(path), seconds) if seconds else None

    # Sealing and leaving

    def _begin_next(self) -> None:
        """Begin a new file, then seal the one before it. Where somebody is reading that one, this is done later."""
        before = self.live
        path = before.path.with_name(f"{_number(before.path.name) + 1:04}.sqlite")
        try:
            self._open_live(path)
        except BaseException:
            for left in (path, connections.wal_of(path), path.with_name(path.name + "-shm")):
                with suppress(OSError):
                    left.unlink(missing_ok=True)
            raise
        self._postponed = 0
        if self._settle(before, seal=True):
            before.db.close()
            path = before.path
            if path.parent != self._folder:
                path = self._moved(path, self._folder)
            self.segments[-2] = Segment(path, connections.sealed(path), sealed=True)
        with suppress(OSError):
            self._write_manifest()

    def _settle(self, segment: Segment, seal: bool) -> bool:
        """Do without a log, and note how the file is left; False where that can't be now."""
        entry = self._entries[segment.path.name]
        try:
            rows = segment.row_count()
            if not connections.settle(segment.db):
                return False
            if seal:
                sync(segment.path.parent)
                segment.path.chmod(_READ_ONLY)
                entry.sealed = True
            entry.note(segment.path, rows)
        except (sqlite3.Error, OSError):
            return False
        return True

    def _bring_home(self) -> None:
        """Move what lies on the local disk beside the others."""
        for entry in self._entries.values():
            if entry.place is not None and entry.user is None and entry.host == socket.gethostname():
                self._moved(Path(entry.place) / entry.name, self._folder)

    def _moved(self, path: Path, folder: Path) -> Path:
        """Move a file that is not open; a crash leaves it at one of the two places, or at both."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / path.name
        staged = folder / f"{path.name}.moving"
        if connections.has_log(path):
            db = connections.to_write(path, self._settings.sync, False)
            connections.settle(db)
            db.close()
        shutil.copyfile(path, staged)
        staged.chmod(path.stat().st_mode)
        sync(staged)
        staged.replace(target)
        sync(folder)
        entry = self._entries[path.name]
        entry.place = str(folder) if folder != self._folder else None
        entry.host = socket.gethostname() if entry.place else None
        entry.note(target, entry.rows)
        self._write_manifest()
        path.unlink(missing_ok=True)
        return target

    def _write_manifest(self, durable: bool = True) -> None:
        present = {segment.path.name for segment in self.segments}
        away = {name for name, entry in self._entries.items() if entry.place is not None}
        entries = [entry for name, entry in self._entries.items() if name in present | away]
        manifest.write(self._folder, entries, durable)


class Looking:
    """The open files of a folder, only to be read: nothing is made, migrated or mended in it.

    Attributes:
        segments: oldest first.
        problems: what was found wrong, a line each.
    """

    def __init__(self, folder: Path) -> None:
        self.problems: list[str] = []
        self.segments: list[Segment] = []
        self._copies: list[tempfile.TemporaryDirectory[str]] = []
        self._exclusive = is_network(file_system(folder))
        entries = manifest.read(folder) or {}
        paths = sorted(folder.glob("*.sqlite"), key=lambda path: path.name) if folder.is_dir() else []
        paths = [path for path in paths if _NAME.fullmatch(path.name)]
        for name, entry in entries.items():
            if name not in {path.name for path in paths}:
                self._look_elsewhere(entry, paths)
        path = folder
        try:
            for path in sorted(paths, key=lambda path: _number(path.name)):
                self._open(path, entries.get(path.name))
        except BaseException as cause:
            self.close()
            if isinstance(cause, sqlite3.Error | OSError):
                raise StoreError(f"{path}: can't be opened: {_in_words(cause)}") from cause
            raise
        if not self.segments:
            self.segments = [Segment(folder / "0001.sqlite", connections.memory())]

    def close(self) -> None:
        """Close the files."""
        for segment in self.segments:
            segment.db.close()
        for copy in self._copies:
            copy.cleanup()

    def _look_elsewhere(self, entry: Entry, paths: list[Path]) -> None:
        name, place = entry.name, Path(entry.place or "/nowhere") / entry.name
        if entry.host == socket.gethostname() and place.exists():
            paths.append(place)
        elif entry.host is not None:
            self.problems.append(f"rollouts/{name} is on {entry.host} in {entry.place}: its rollouts are not seen here")
        else:
            self.problems.append(f"rollouts/{name} is missing: {entry.rows:,} rollouts are gone")

    def _open(self, path: Path, entry: Entry | None) -> None:
        if self._exclusive and entry is not None and entry.user is not None:
            self.problems.append(f"rollouts/{path.name} is being written by process {entry.user}: it is not seen here")
            return
        try:
            damaged = mending.is_damaged(path, entry)
            db = None if damaged else connections.to_read(path)
            if db is not None:
                db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # The folder can't be written, and there is a log.
            db, copy = connections.copied(path)
            self._copies.append(copy)
            damaged = mending.is_damaged(Path(copy.name) / path.name, None)
        if damaged:
            db = self._what_is_left(path, entry)
        assert db is not None
        segment = Segment(path, db)
        if segment.version:  # else it had just been begun
            self.segments.append(segment)
        else:
            db.close()

    def _what_is_left(self, path: Path, entry: Entry | None) -> sqlite3.Connection:
        copy = tempfile.TemporaryDirectory(prefix="rsr-")
        self._copies.append(copy)
        mended = Path(copy.name) / path.name
        kept = salvage(path, connections.wal_of(path), mended)
        self.problems.append(f"{mending.said(path.name, entry, kept)}; rsr run mends it")
        return connections.sealed(mended)


def _in_words(cause: sqlite3.Error | OSError) -> str:
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)


def _number(name: str) -> int:
    return int(name.removesuffix(".sqlite"))


def _local_place(folder: Path, local_dir: str | None) -> Path | None:
    """The folder on a local disk for the live file of this run."""
    if local_dir is None:
        return None
    return Path(local_dir).expanduser().resolve() / content_hash(str(folder.resolve())).hex()[:16]
