"""Rows that are there twice, by 64-bit hashes: bounded in memory, beyond two million rows on disk.

Two different rows are taken for the same with a chance of rows^2 / 2^65: one in 37 million for a million rows.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PARTS = 256
_HELD = 2_000_000  # hashes in memory, 16 bytes each


class Twice(NamedTuple):
    """A row and the first one that is equal."""

    line: int
    first: int


class Duplicates:
    """Collects a hash per row; `found` then tells which came twice."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]
        self._held = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def add(self, hash: int, line: int) -> None:
        """Note a row."""
        part = self._parts[hash & 255]
        part.append(hash)
        part.append(line)
        self._held += 1
        if self._held >= _HELD:
            self._spill()

    def found(self) -> Iterator[Twice]:
        """Every row that repeats an earlier one; not in their order."""
        for number, part in enumerate(self._parts):
            first: dict[int, int] = {}
            for stored in (self._spilt(number), part):
                pairs = iter(stored)
                for hash, line in zip(pairs, pairs, strict=True):
                    earlier = first.setdefault(hash, line)
                    if earlier != line:
                        yield Twice(line, earlier)

    def close(self) -> None:
        """Remove what is on disk."""
        if self._folder is not None:
            self._folder.cleanup()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="rsr-lint-")
        for number, part in enumerate(self._parts):
            with (Path(self._folder.name) / str(number)).open("ab") as file:
                part.tofile(file)
            self._parts[number] = array("q")
        self._held = 0

    def _spilt(self, number: int) -> array[int]:
        part = array("q")
        path = Path(self._folder.name) / str(number) if self._folder else None
        if path is not None and path.exists():
            with path.open("rb") as file:
                part.fromfile(file, path.stat().st_size // part.itemsize)
        return part
