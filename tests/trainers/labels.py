"""What the checks of all trainers share: rows of a file, texts of token ids, and how an outcome is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """How one file fared in one trainer."""

    trainer: str
    file: str
    rows: int
    kept: int
    equal: int
    """Of the texts trained on, those that are the file's."""
    texts: int
    step: str = ""
    """What an optimizer step said; empty: only loaded."""
    difference: str = ""
    """The first text that differs."""

    @property
    def good(self) -> bool:
        return self.rows == self.kept > 0 and self.equal == self.texts > 0


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, by other code than the trainer's."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def shown_ids(ids: Sequence[int], tokenizer: Any) -> str:
    return tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def compared(
    trainer: str, file: str, rows: Sequence[Any], kept: int, wanted: Sequence[str], there: Sequence[str]
) -> Outcome:
    """Texts of the file against texts of the labels, in order."""
    equal = sum(left == right for left, right in zip(wanted, there, strict=False))
    pairs = zip(wanted, there, strict=False)
    difference = next((f"wanted {left!r}, is {right!r}" for left, right in pairs if left != right), "")
    return Outcome(trainer, file, len(rows), kept, equal, len(wanted), difference=difference[:400])


def emit(outcome: Outcome) -> None:
    """Tell an outcome on the real stdout, whatever a trainer prints."""
    print(json.dumps(outcome._asdict()), file=sys.__stdout__, flush=True)


def chatml(messages: Sequence[dict[str, Any]]) -> str:
    """A conversation in SmolLM2's template, rendered by code of our own."""
    first = [] if messages[0]["role"] == "system" else [{"role": "system", "content": DEFAULT_SYSTEM}]
    return "".join(f"<|im_start|>{it['role']}\n{it['content']}{END}" for it in [*first, *messages])


DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
END = "<|im_end|>\n"
OPEN = "<|im_start|>assistant\n"
