"""Rows of the input: read from JSONL or Parquet, transformed, made into messages and metadata, or refused."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rsr.errors import InputError, PluginError
from rsr.hashing import canonical_json
from rsr.registry import load_from_file
from rsr.sections import FieldsConfig

_PLAIN_QUESTION = ("prompt", "question")
_ROLES = {"system", "developer", "user", "assistant", "tool"}
_PAGE = 512


class Source(NamedTuple):
    """Where a row stands: for error texts."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class Content(msgspec.Struct, omit_defaults=True):
    """What is kept of a row."""

    messages: list[dict[str, Any]]
    metadata: dict[str, Any] = {}
    tools: list[Any] | None = None
    images: list[Any] | None = None


def read(files: list[Path]) -> Iterator[tuple[Source, Any]]:
    """All rows of the files, each with where it stands.

    Raises:
        InputError: a file can't be read; names the line that was reached.
    """
    for file in files:
        yield from _read_parquet(file) if file.suffix == ".parquet" else _read_lines(file)


def given(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Source, Any]]:
    """Rows in memory, numbered."""
    for number, row in enumerate(rows, start=1):
        yield Source("the given rows", number), row


def _read_lines(file: Path) -> Iterator[tuple[Source, Any]]:
    decode = msgspec.json.Decoder().decode
    number = 0
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if not text.strip():
                    continue
                source = Source(str(file), number)
                try:
                    row = decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
                    row = _Unusable(f"not JSON ({cause})")
                yield source, row
    except (OSError, EOFError, zlib.error) as cause:
        raise InputError(f"{file}, after line {number}: can't be read: {cause}") from cause


def _read_parquet(file: Path) -> Iterator[tuple[Source, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            number = 0
            for batch in table.iter_batches(batch_size=_PAGE):
                for row in batch.to_pylist():
                    number += 1
                    yield Source(str(file), number), row
    except (pa.ArrowException, OSError) as cause:
        raise InputError(f"{file}: not a readable Parquet file: {str(cause).splitlines()[0]}") from cause


class _Unusable(str):
    """Why a row can't be used, in place of the row."""


def transformed(rows: Iterable[tuple[Source, Any]], reference: str | None) -> Iterator[tuple[Source, Any]]:
    """The rows that `data.preprocess.transform` makes of them.

    Raises:
        PluginError: it raised; names the row.
    """
    if reference is None:
        yield from rows
        return
    transform = load_from_file(reference)
    for source, row in rows:
        if isinstance(row, _Unusable):
            yield source, row
            continue
        try:
            made = transform(row)
        except Exception as cause:
            raise PluginError(f"{source}: {reference} raised {type(cause).__name__}: {cause}") from cause
        for item in made if isinstance(made, list) else [made]:
            if item is not None:
                yield source, item


def normalised(row: Any, fields: FieldsConfig) -> tuple[str | None, Content]:
    """A row's own id and its content.

    Raises:
        ValueError: it can't be used; says why.
    """
    if isinstance(row, _Unusable):
        raise ValueError(str(row))
    if not isinstance(row, Mapping):
        raise ValueError(f"a row is a JSON object, this is a {type(row).__name__}")
    id = row.get(fields.id)
    if id is not None and (isinstance(id, bool) or not isinstance(id, str | int)):
        raise ValueError(f"{fields.id}: must be a string or a whole number, is {id!r}")
    messages = row.get(fields.messages)
    metadata = row.get(fields.metadata)
    plain = messages is None
    if plain:
        messages = _question(row, fields)
    if metadata is None:
        metadata = {}
    elif not isinstance(metadata, Mapping):
        raise ValueError(f"{fields.metadata}: must be an object, is a {type(metadata).__name__}")
    metadata = {**_columns(row, fields, plain), **metadata}
    content = Content(_checked_messages(messages), metadata, _listed(row, "tools"), _listed(row, "images"))
    return None if id is None else str(id), content


def _listed(row: Mapping[str, Any], name: str) -> list[Any] | None:
    """A column that holds a list, or one written as JSON, as LLaMA-Factory's tools are."""
    value = row.get(name)
    if isinstance(value, str) and value.strip():
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            value = [value] if name == "images" else value
    if not value:
        return None
    if not isinstance(value, list):
        raise ValueError(f"{name}: must be a list, is a {type(value).__name__}")
    return value


def _question(row: Mapping[str, Any], fields: FieldsConfig) -> Any:
    names = [fields.prompt] if fields.prompt else list(_PLAIN_QUESTION)
    for name in names:
        question = row.get(name)
        if isinstance(question, list):
            return question
        if isinstance(question, str) and question.strip():
            return [{"role": "user", "content": question}]
    wanted = fields.messages if not fields.prompt else f"{fields.messages} or {fields.prompt}"
    there = ", ".join(map(str, row)) or "nothing"
    raise ValueError(f"there are no {wanted} in it, but {there}; data.fields says which columns to read")


def _columns(row: Mapping[str, Any], fields: FieldsConfig, plain: bool) -> dict[str, Any]:
    """What columns beside the messages say: answer and choices, and of a plain row everything else too."""
    named = {"answer": row.get(fields.answer), "choices": row.get(fields.choices)}
    found = {name: value for name, value in named.items() if value is not None}
    if plain:
        used = {
            fields.id,
            fields.prompt,
            fields.metadata,
            fields.answer,
            fields.choices,
            "tools",
            "images",
            *_PLAIN_QUESTION,
        }
        found.update({str(key): _jsonable(value) for key, value in row.items() if key not in used})
    return found


def _jsonable(value: Any) -> Any:
    try:
        canonical_json(value)
    except (TypeError, ValueError):
        return str(value)
    return value


def _checked_messages(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages: must be a list of at least one message")
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise ValueError(f"messages[{number}]: must be an object with role and content")
        if message.get("role") not in _ROLES:
            known = ", ".join(sorted(_ROLES))
            raise ValueError(f"messages[{number}].role: must be one of {known}, is {message.get('role')!r}")
        content = message.get("content")
        if not isinstance(content, str | list) and not (content is None and message.get("tool_calls")):
            raise ValueError(f"messages[{number}].content: must be a text, is {content!r}")
        if isinstance(content, list) and not (content and all(isinstance(part, str | dict) for part in content)):
            raise ValueError(f"messages[{number}].content: must be a text or a list of parts, is {content!r}")
    if messages[-1]["role"] not in ("user", "tool"):
        raise ValueError(f"messages: the last one must be the user's, is the {messages[-1]['role']}'s")
    if isinstance(messages[-1]["content"], str) and not messages[-1]["content"].strip():
        raise ValueError("messages: the last one is empty")
    return messages
