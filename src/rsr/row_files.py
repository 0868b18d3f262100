"""One training file while it is written: JSONL rows, made type-stable and into Parquet where that is asked for.

Trainers load a file by columns. A column that only some rows have is filled in the others, a content that is blocks in
one row is blocks in all; the types of a Parquet file are those of its layout and never depend on which rows come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from rsr.errors import RSRError
from rsr.types import Row

FileFormat = Literal["jsonl", "parquet"]

_GROUP_ROWS = 4096
_GROUP_BYTES = 16 << 20
_OPTIONAL = ("name", "tool_calls", "tool_call_id", "reasoning_content", "thinking")


class RowsDiffer(RSRError):
    """Rows have values of several types where a file can have one."""


class Shape(NamedTuple):
    """The columns of a training file."""

    columns: Mapping[str, Any] = {}
    """Name to kind: text, flag, number, count, texts, images, message, messages, json (of free form); or a mapping of
    such, or a list of one of them."""
    fills: Mapping[str, Any] = {}
    """Columns that a row may lack, and what stands there where another row has them."""
    file_format: FileFormat = "jsonl"
    one_content: bool = False
    """Whether contents must be blocks in all messages where they are in one; a column has one type."""
    thoughts: str | None = None
    """The field of assistant messages that holds reasoning: empty in all others where one has it. A loader that reads
    the first megabytes only takes a field that comes later for an error."""


PLAIN = Shape()


class RowFile:
    """A file of rows, staged until `finish`.

    Args:
        staged: where the rows are put meanwhile.
        shape: its columns.

    Attributes:
        seen: of the columns that rows may lack, those that some row has.
    """

    def __init__(self, staged: Path, shape: Shape = PLAIN) -> None:
        self.shape = shape
        self.seen: set[str] = set()
        self._staged = staged
        self._encode = msgspec.json.Encoder().encode
        self._file = staged.open("wb")
        self._lacking: set[str] = set()
        self._blocks = False
        self._thinks: set[bool] = set()

    def add(self, row: Row) -> None:
        """Write a row."""
        if self.shape.fills:
            there = {name for name in self.shape.fills if name in row}
            self.seen |= there
            self._lacking |= self.shape.fills.keys() - there
        if self.shape.one_content and not self._blocks:
            self._blocks = _has_blocks(row, self.shape)
        if self.shape.thoughts is not None and len(self._thinks) < 2:
            self._thinks |= {self.shape.thoughts in message for message in self._assistants(row)}
        self._file.write(self._encode(row) + b"\n")

    def close(self) -> None:
        """Close the staged file."""
        self._file.close()

    def finish(self, target: Path) -> None:
        """Put the file in place.

        Raises:
            RowsDiffer: Parquet can't hold the rows.
        """
        self.close()
        if self.shape.file_format == "parquet":
            made = self._staged.with_suffix(".made")
            self._make_parquet(made, target.name)
            self._staged.unlink()
            made.replace(target)
            return
        if self.seen & self._lacking or self._blocks or len(self._thinks) > 1:
            made = self._staged.with_suffix(".made")
            with made.open("wb") as file:
                for row in self._final_rows():
                    file.write(self._encode(row) + b"\n")
            made.replace(self._staged)
        self._staged.replace(target)

    def _make_parquet(self, made: Path, name: str) -> None:
        import pyarrow as pa

        try:
            _write_parquet(self._final_rows, made, self.shape, self.seen)
        except pa.ArrowException as cause:
            fix = "a column has one type in Parquet; look for what differs in the prompts, or use file_format: jsonl"
            raise RowsDiffer(f"{name}: can't be written: {str(cause).splitlines()[0]}; {fix}") from cause

    def _final_rows(self) -> Iterator[Row]:
        """The rows with every column filled."""
        fills = {name: fill for name, fill in self.shape.fills.items() if name in self.seen}
        with self._staged.open("rb") as lines:
            for line in lines:
                row = msgspec.json.decode(line)
                for name, fill in fills.items():
                    row[name] = row.pop(name, fill)
                if self._blocks:
                    _make_blocks(row, self.shape)
                if self.shape.thoughts is not None and len(self._thinks) > 1:
                    for message in self._assistants(row):
                        message.setdefault(self.shape.thoughts, "")
                yield row

    def _assistants(self, row: Row) -> Iterator[dict[str, Any]]:
        return (message for message in _messages_of(row, self.shape.columns) if message["role"] == "assistant")


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a training file."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=512):
                yield from batch.to_pylist()
        return
    with path.open("rb") as lines:
        for line in lines:
            yield msgspec.json.decode(line)


def _messages_of(row: Row, columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, kind in columns.items():
        value = row.get(name)
        if not value:
            continue
        if kind == "messages":
            yield from value
        elif kind == "message":
            yield value
        elif isinstance(kind, Mapping):
            yield from _messages_of(value, kind)


def _json_of(row: Row, columns: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of free form, by where they stand."""
    for name, kind in columns.items():
        value = row.get(name)
        if value and kind == "json":
            yield (*path, name), value
        elif value and isinstance(kind, Mapping):
            yield from _json_of(value, kind, (*path, name))


def _has_blocks(row: Row, shape: Shape) -> bool:
    return any(isinstance(message.get("content"), list) for message in _messages_of(row, shape.columns))


def _make_blocks(row: Row, shape: Shape) -> None:
    for message in _messages_of(row, shape.columns):
        if isinstance(message["content"], str):
            message["content"] = [{"type": "text", "text": message["content"]}]


def _write_parquet(rows: Any, target: Path, shape: Shape, seen: set[str]) -> None:
    """Two passes: which optional fields there are, then the rows, in groups of bounded size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(rows(), shape, seen)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        group: list[Row] = []
        size = 0
        for row in rows():
            group.append(_typed(row, shape))
            size += sum(len(value) if isinstance(value, str) else 256 for value in row.values())
            size += sum(len(str(message.get("content"))) for message in _messages_of(row, shape.columns))
            if len(group) >= _GROUP_ROWS or size >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                group, size = [], 0
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


class _Seen(NamedTuple):
    """What a first pass over the rows finds of what is optional."""

    columns: set[str]
    keys: set[str]
    """Of messages."""
    parts: set[str]
    """Keys of the blocks of contents."""
    types: dict[tuple[str, ...], Any]
    """Of columns of free form."""


def _schema(rows: Iterator[Row], shape: Shape, columns: set[str]) -> Any:
    """The types of the layout, with the optional fields that some row has."""
    import pyarrow as pa

    seen = _Seen(columns, set(), set(), {})
    for row in rows:
        for message in _messages_of(row, shape.columns):
            seen.keys.update(message)
            if isinstance(message.get("content"), list):
                seen.parts.update(key for part in message["content"] for key in part)
        for path, value in _json_of(row, shape.columns):
            if (united := _united(seen.types.get(path), value)) is not None:
                seen.types[path] = united
    wanted = {name: kind for name, kind in shape.columns.items() if name not in shape.fills or name in columns}
    return pa.schema(_fields(wanted, seen))


def _fields(columns: Mapping[str, Any], seen: _Seen, path: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    fields = []
    for name, kind in columns.items():
        if kind != "json":
            fields.append((name, _type(kind, seen, (*path, name))))
        elif (*path, name) in seen.types:
            fields.append((name, seen.types[*path, name]))
    return fields


def _united(known: Any, value: Any) -> Any:
    import pyarrow as pa

    found = _held(pa.array([value]).type)
    if known is None or found is None or known == found:
        return known if found is None else found
    schemas = [pa.schema([("it", type_)]) for type_ in (known, found)]
    return pa.unify_schemas(schemas, promote_options="permissive").field("it").type


def _held(type_: Any) -> Any:
    """A type as Parquet can hold it: without structs that have no field; None where nothing is left."""
    import pyarrow as pa

    if pa.types.is_list(type_):
        inner = _held(type_.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(type_):
        fields = [(field.name, held) for field in type_ if (held := _held(field.type)) is not None]
        return pa.struct(fields) if fields else None
    return pa.string() if pa.types.is_null(type_) else type_


def _type(kind: Any, seen: _Seen, path: tuple[str, ...]) -> Any:
    import pyarrow as pa

    if isinstance(kind, Mapping):
        return pa.struct(_fields(kind, seen, path))
    if isinstance(kind, list):
        return pa.list_(_type(kind[0], seen, path))
    if kind == "message":
        content = pa.string()
        if seen.parts:
            part = {key: {"url": "text"} if key == "image_url" else "text" for key in sorted(seen.parts)}
            content = pa.list_(pa.struct(_fields(part, seen)))
        call = {"id": "text", "type": "text", "function": {"name": "text", "arguments": "text"}}
        optional = {name: [call] if name == "tool_calls" else "text" for name in _OPTIONAL if name in seen.keys}
        return pa.struct([("role", pa.string()), ("content", content), *_fields(optional, seen)])
    lists = {"messages": "message", "texts": "text", "images": {"image": "text"}}
    if kind in lists:
        return pa.list_(_type(lists[kind], seen, path))
    return {"text": pa.string(), "flag": pa.bool_(), "number": pa.float64(), "count": pa.int64()}[kind]


def _typed(row: Row, shape: Shape) -> Row:
    """Arguments of calls as JSON text: they have any type, a column has one."""
    for message in _messages_of(row, shape.columns):
        for call in message.get("tool_calls") or ():
            function = call.get("function")
            if function and not isinstance(function.get("arguments"), str | None):
                function["arguments"] = msgspec.json.encode(function["arguments"]).decode()
    return row
