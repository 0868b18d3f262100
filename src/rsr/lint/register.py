"""LLaMA-Factory's `dataset_info.json` beside a file: what it makes of the file, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rsr.lint.report import Reason
from rsr.lint.shapes import SHAPES, Shape

_TAGS = ("role_tag", "content_tag", "user_tag", "assistant_tag", "system_tag")
_ROLE_OF = {"user_tag": "u", "assistant_tag": "a", "observation_tag": "t", "function_tag": "a", "system_tag": "s"}
_SHAREGPT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
"""LLaMA-Factory's own, where an entry has no tags."""


class Entry:
    """The entry of one file.

    Args:
        name: of the dataset.
        values: the entry.
    """

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self.values = values
        self.formatting = values.get("formatting", "alpaca")
        tags = values.get("tags")
        self.tags: dict[str, Any] = dict(tags) if isinstance(tags, dict) else dict(_SHAREGPT_TAGS)
        self._tagged = isinstance(tags, dict)
        columns = values.get("columns")
        self.columns: dict[str, Any] = dict(columns) if isinstance(columns, dict) else {"messages": "conversations"}

    @property
    def roles(self) -> dict[str, str]:
        """Role names to letters."""
        named = {self.tags.get(tag): letter for tag, letter in _ROLE_OF.items()}
        return {role: letter for role, letter in named.items() if isinstance(role, str)}

    @property
    def label(self) -> str | None:
        """The column with KTO's label."""
        return self.columns.get("kto_tag")

    def shape(self, shape: Shape) -> Shape:
        """The shape that the entry says, where it says another than the file's columns do."""
        if self.formatting == "alpaca":
            return shape
        turns = self.columns.get("messages")
        if self.values.get("ranking"):
            names = {"conversations": "sharegpt_pairs", "messages": "message_pairs"}
        elif self.label:
            names = {"conversations": "kto_sharegpt", "messages": "kto_messages"}
        else:
            names = {"conversations": "sharegpt", "messages": "messages"}
        wanted = names.get(str(turns))
        return next((other for other in SHAPES if other.name == wanted), shape)

    def problems(self, row: Mapping[str, Any]) -> Iterator[tuple[Reason, str]]:
        """What is wrong with the entry, for a file with such rows."""
        if self.formatting == "openai":
            yield (
                Reason.REGISTER,
                (
                    f'{self.name}: "formatting": "openai" puts "detailed thinking off" into every system prompt; '
                    'take "sharegpt" with tags'
                ),
            )
        if self.formatting != "alpaca" and self._tagged:
            for tag in _TAGS:
                if not self.tags.get(tag):
                    drops = ": every row with a system prompt is dropped" if tag == "system_tag" else ""
                    yield Reason.REGISTER, f"{self.name}: tags without {tag}{drops}"
        for key, column in self.columns.items():
            if isinstance(column, str) and column not in row and key not in ("images", "tools", "system"):
                yield Reason.REGISTER, f"{self.name}: columns.{key} is {column!r}, which the rows have not"
        for column in ("tools", "images"):
            if row.get(column) and self.columns.get(column) != column:
                yield Reason.REGISTER, f"{self.name}: the rows have {column}, columns has not: they are not read"


def entries(path: Path) -> tuple[list[Entry], str | None]:
    """The entries of a file in the `dataset_info.json` beside it, and what is wrong with that as a whole."""
    register = path.with_name("dataset_info.json")
    if not register.is_file():
        return [], None
    try:
        info = json.loads(register.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        return [], f"{register.name} can't be read: {cause}"
    if not isinstance(info, dict):
        return [], f"{register.name} is not an object"
    found = [
        Entry(name, values)
        for name, values in info.items()
        if isinstance(values, dict) and values.get("file_name") == path.name
    ]
    return found, None if found else f"{register.name} does not name {path.name}"
