"""Reads an SQLite file page by page, without its trees: what is left of a damaged one.

Every page says of itself whether it holds rows, so rows are found where the tree above them, or the file's header, is
gone. Pages come from the file and from every whole frame of its write-ahead log, committed or not, before and after
broken ones: what is in them is for the caller to judge. Source: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

_LEAF, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x0A, 0x02
_PAGE_SIZE = 4096  # SQLite's default, which we never change
_LARGEST = 1 << 30  # bytes of a row; SQLite's own limit
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # bytes by serial type


class Row(NamedTuple):
    """A row as it stands in a page."""

    rowid: int | None
    """Of a table's row; None: it is an entry of an index, or of a table WITHOUT ROWID."""
    values: tuple[Any, ...]


class Frame(NamedTuple):
    """A page in the log."""

    page: int
    offset: int
    """Where its content begins."""
    whole: bool
    committed: int
    """Pages of the database, where it ends a transaction; else 0."""


class Pages:
    """The pages of a database file and of its log.

    Args:
        path: the file.
        wal: its log, where there is one.
    """

    def __init__(self, path: Path, wal: Path) -> None:
        self._files = ExitStack()
        self._main: IO[bytes] = self._files.enter_context(path.open("rb"))
        self._log = self._files.enter_context(wal.open("rb")) if wal.exists() else None
        self._size = self._page_size()
        self._count = path.stat().st_size // self._size
        self._frames: dict[int, list[int]] = {}
        """Page number -> where its images are in the log, newest first."""
        if self._log is not None:
            for frame in _frames(self._log, self._size):
                if frame.whole:
                    self._frames.setdefault(frame.page, []).insert(0, frame.offset)

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def rows(self) -> Iterator[Row]:
        """Every row that can be read, some of them more than once; newer images of a page come first."""
        for number in range(1, max(self._count, *self._frames, 0, 0) + 1):
            seen: list[bytes] = []
            for page in self._images(number):
                if page not in seen:
                    seen.append(page)
                    yield from self._rows_of(page, 100 if number == 1 else 0)

    def _page_size(self) -> int:
        header = self._main.read(18)
        if header[:16] == b"SQLite format 3\0" and len(header) == 18:
            size = int.from_bytes(header[16:18])
            size = 65536 if size == 1 else size
            if size >= 512 and size & (size - 1) == 0:
                return size
        return _PAGE_SIZE

    def _images(self, number: int) -> Iterator[bytes]:
        if self._log is not None:
            for offset in self._frames.get(number, ()):
                self._log.seek(offset)
                yield self._log.read(self._size)
        if 0 < number <= self._count:
            self._main.seek((number - 1) * self._size)
            yield self._main.read(self._size)

    def _rows_of(self, page: bytes, start: int) -> Iterator[Row]:
        kind = page[start]
        if kind not in (_LEAF, _INDEX_LEAF, _INDEX_INTERIOR):
            return
        count = int.from_bytes(page[start + 3 : start + 5])
        first = start + (12 if kind == _INDEX_INTERIOR else 8)
        for at in range(first, min(first + 2 * count, self._size - 1), 2):
            try:
                row = self._cell(page, kind, int.from_bytes(page[at : at + 2]))
            except (IndexError, ValueError, struct.error):
                continue
            if row is not None:
                yield row

    def _cell(self, page: bytes, kind: int, at: int) -> Row | None:
        if kind == _INDEX_INTERIOR:
            at += 4
        size, at = _varint(page, at)
        rowid = None
        if kind == _LEAF:
            rowid, at = _varint(page, at)
        if size > _LARGEST:
            return None
        local = _local(size, self._size, kind == _LEAF)
        payload = page[at : at + local]
        if len(payload) < local:
            return None
        if local < size:
            payload += self._overflow(int.from_bytes(page[at + local : at + local + 4]), size - local)
        return Row(rowid, _record(payload)) if len(payload) == size else None

    def _overflow(self, number: int, size: int) -> bytes:
        """The rest of a long row. A chain that is broken gives fewer bytes."""
        parts, left = [], size
        while left > 0 and number:
            page = next(self._images(number), b"")
            part = page[4 : 4 + min(left, self._size - 4)]
            if not part:
                break
            parts.append(part)
            left -= len(part)
            number = int.from_bytes(page[:4])
        return b"".join(parts)


class Log(NamedTuple):
    """What a write-ahead log looks like."""

    broken: bool
    """Whether frames can't be reached, since one before them is broken. SQLite takes such a log for one that ends
    there. A broken frame at the very end is what a crash leaves."""
    size: int
    """Pages of the database after the last commit; 0: nothing was committed."""
    pages: frozenset[int]
    """Pages that are in it."""


def look_at_log(wal: Path) -> Log:
    """Read a log without SQLite."""
    broken, reached, committed = False, True, 0
    pages = set()
    with wal.open("rb") as log:
        header = log.read(32)
        size = int.from_bytes(header[8:12]) if _is_whole(header) else _PAGE_SIZE
        for frame in _frames(log, size):
            broken = broken or not reached or not _is_whole(header)
            reached = frame.whole
            committed = frame.committed or committed
            pages.add(frame.page)
    return Log(broken, committed, frozenset(pages))


def lacks_pages(path: Path, log: Log) -> bool:
    """Whether pages are neither in the file nor in its log."""
    with path.open("rb") as file:
        header = file.read(18)
        size = int.from_bytes(header[16:18]) if len(header) == 18 else _PAGE_SIZE
        there = path.stat().st_size // max(size, 512)
    return any(number not in log.pages for number in range(there + 1, log.size + 1))


def _frames(log: IO[bytes], size: int) -> Iterator[Frame]:
    """The frames of the log's last round. Each checksum goes on from the one before it, as it stands there."""
    log.seek(0)
    header = log.read(32)
    order, salt, before = _order(header), header[16:24], header[24:32]
    if not _is_whole(header):
        salt = log.read(16)[8:]
        log.seek(32)
    lost = False
    while len(frame := log.read(24 + size)) == 24 + size:
        offset = log.tell() - size
        if frame[8:16] == salt:
            sums = _checksum(frame[:8], struct.unpack(">II", before), order)
            whole = struct.pack(">II", *_checksum(frame[24:], sums, order)) == frame[16:24]
            if lost:  # the one before was one of these
                yield Frame(0, offset, whole=False, committed=0)
            yield Frame(int.from_bytes(frame[:4]), offset, whole, int.from_bytes(frame[4:8]) if whole else 0)
            lost = False
        else:  # left over from an earlier round, or broken
            lost = True
        before = frame[16:24]


def _is_whole(header: bytes) -> bool:
    if len(header) < 32 or header[:3] != b"\x37\x7f\x06":
        return False
    return struct.pack(">II", *_checksum(header[:24], (0, 0), _order(header))) == header[24:]


def _order(header: bytes) -> str:
    return ">" if header[:4] == b"\x37\x7f\x06\x83" else "<"


def _checksum(data: bytes, sums: tuple[int, ...], order: str) -> tuple[int, int]:
    first, second = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second


def _local(size: int, page: int, table: bool) -> int:
    """How many bytes of a row of `size` bytes stand in its own page."""
    least = (page - 12) * 32 // 255 - 23
    most = page - 35 if table else (page - 12) * 64 // 255 - 23
    if size <= most:
        return size
    local = least + (size - least) % (page - 4)
    return local if local <= most else least


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    value = value << 8 | data[at]
    return value - (1 << 64) if value >> 63 else value, at + 1


def _record(data: bytes) -> tuple[Any, ...]:
    end, at = _varint(data, 0)
    if not 0 < end <= len(data):
        raise ValueError("no header")
    types = []
    while at < end:
        kind, at = _varint(data, at)
        types.append(kind)
    values: list[Any] = []
    at = end
    for kind in types:
        size = _INTEGERS.get(kind, 8 if kind == 7 else (kind - 12) // 2 if kind >= 12 else 0)
        part = data[at : at + size]
        if len(part) < size or kind < 0 or kind in (10, 11):
            raise ValueError("too short")
        at += size
        values.append(_value(kind, part))
    return tuple(values)


def _value(kind: int, part: bytes) -> Any:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return struct.unpack(">d", part)[0]
    if kind < 7:
        return int.from_bytes(part, signed=True)
    return part.decode() if kind % 2 else part
