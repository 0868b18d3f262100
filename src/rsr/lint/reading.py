"""Rows of a training file with their numbers, one at a time: JSONL (gzip too) and Parquet."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from rsr.errors import InputError

_PAGE = 256


class Unreadable(str):
    """Why there is no row on this line."""


def rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line (from 1) and row; where a line can't be read, an `Unreadable`.

    Raises:
        InputError: the file is missing, of another kind, or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix in (".jsonl", ".ndjson") or path.name.endswith(".jsonl.gz"):
        return _lines(path)
    raise InputError(f"{path}: lint reads .jsonl, .jsonl.gz and .parquet")


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    decode = msgspec.json.Decoder().decode
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    row = decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
                    if not line.strip():
                        yield number, Unreadable("an empty line")
                    else:
                        yield number, Unreadable(f"not JSON: {cause}")
                    continue
                yield number, row if isinstance(row, dict) else Unreadable(f"not an object but {type(row).__name__}")
    except (OSError, EOFError, zlib.error) as cause:
        raise InputError(f"{path}, after line {number}: can't be read: {cause}") from cause


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=_PAGE):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _without_nulls(row)
    except (pa.ArrowException, OSError) as cause:
        raise InputError(f"{path}: not a readable Parquet file: {str(cause).splitlines()[0]}") from cause


def _without_nulls(value: Any) -> Any:
    """Parquet gives every message the keys of all others; those that it has not are null."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None or key in _KEPT}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


_KEPT = {"content", "value", "chosen", "rejected", "completion", "prompt", "label"}
