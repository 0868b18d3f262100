"""JSON types of a file's columns: `datasets` wants one for each, and takes texts that all look like dates for dates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from rsr.lint.report import EXAMPLES

_KINDS = {str: "text", int: "number", float: "number", bool: "true/false", dict: "object", list: "list"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$")
_DEEPEST = 20  # levels of objects and lists
_MOST_PATHS = 2_000  # of one file: objects whose keys are data must not fill the memory


class Mixed(NamedTuple):
    """A column of several types."""

    column: str
    usual: str
    others: int
    """Rows."""
    examples: list[tuple[int, str]]
    """Line and type."""


class _Column:
    __slots__ = ("counts", "date", "first", "last")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[int]] = {}
        self.date: bool | None = None
        self.last = 0


class Columns:
    """Collects the types of the columns of every row.

    Args:
        checked: columns whose content the rules look at themselves; only their own type is noted.
    """

    def __init__(self, checked: frozenset[str]) -> None:
        self._checked = checked
        self._columns: dict[str, _Column] = {}

    def add(self, line: int, row: dict[str, Any]) -> None:
        """Note the types of a row."""
        for name, value in row.items():
            if value is None:
                continue
            if name in self._checked:
                self._note(line, name, value)
            else:
                self._walk(line, name, value)

    def message(self, line: int, name: str, message: dict[str, Any]) -> None:
        """Note what a message has beside its role and text."""
        for key, value in message.items():
            if key not in _OWN and value is not None:
                self._walk(line, f"{name}[].{key}", value)

    def text(self, line: int, name: str, text: str) -> None:
        """Note a text of a checked column, for its dates."""
        column = self._columns.get(name)
        if column is None or column.date is not False:
            self._note(line, name, text)

    def mixed(self) -> Iterator[Mixed]:
        """Columns of more than one type; null goes with any."""
        for name, column in self._columns.items():
            if len(column.counts) > 1:
                usual = max(column.counts, key=lambda kind: column.counts[kind])
                others = {kind: count for kind, count in column.counts.items() if kind != usual}
                examples = [(line, kind) for kind in others for line in column.first[kind]]
                yield Mixed(name, usual, sum(others.values()), sorted(examples)[:EXAMPLES])

    def dates(self) -> Iterator[tuple[str, int]]:
        """Columns in which every text looks like a date, and how many values they have."""
        for name, column in self._columns.items():
            if column.date and set(column.counts) == {"text"}:
                yield name, column.counts["text"]

    def _walk(self, line: int, name: str, value: Any, depth: int = 0) -> None:
        self._note(line, name, value)
        if depth == _DEEPEST:
            return
        if isinstance(value, dict):
            for key, item in value.items():
                if item is not None:
                    self._walk(line, f"{name}.{key}", item, depth + 1)
        elif isinstance(value, list):
            for item in value:
                if item is not None:
                    self._walk(line, f"{name}[]", item, depth + 1)

    def _note(self, line: int, name: str, value: Any) -> None:
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= _MOST_PATHS:
                return
            column = self._columns[name] = _Column()
        kind = _KINDS.get(type(value), "other")
        if column.date is not False and kind == "text":
            column.date = _DATE.match(value) is not None
        count = column.counts.get(kind, 0)
        if column.last == line and count:
            return
        column.last = line
        column.counts[kind] = count + 1
        if count < EXAMPLES:
            column.first.setdefault(kind, []).append(line)


_OWN = frozenset(("role", "content", "from", "value"))
