"""What lint found in a file: reasons, how many rows each, and the first few of them."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

EXAMPLES = 3


class Trainer(enum.StrEnum):
    """Whose reading of the file is checked."""

    LLAMAFACTORY = "llamafactory"
    TRL = "trl"
    VERL = "verl"
    OPENRLHF = "openrlhf"
    AXOLOTL = "axolotl"
    OPENAI = "openai"


class Reason(enum.StrEnum):
    """Why a row or a file is no good."""

    NOT_JSON = "not_json"
    WRONG_KEYS = "wrong_keys"
    WRONG_SHAPE = "wrong_shape"
    STRAY_COLUMN = "stray_column"
    STRING_PROMPT = "string_prompt"
    BAD_MESSAGE = "bad_message"
    UNKNOWN_ROLE = "unknown_role"
    ROLE_ORDER = "role_order"
    NO_ANSWER = "no_answer"
    EMPTY_ANSWER = "empty_answer"
    EMPTY_PROMPT = "empty_prompt"
    WRONG_CONTENT = "wrong_content"
    WRONG_SIDE = "wrong_side"
    EQUAL_PAIR = "equal_pair"
    WRONG_LABEL = "wrong_label"
    MISSING_END = "missing_end"
    THINKING_ONE_SIDE = "thinking_one_side"
    CONTROL_TOKENS = "control_tokens"
    IMAGES = "images"
    NOT_FOUND_AGAIN = "not_found_again"
    TOOLS = "tools"
    CUT_OFF = "cut_off"
    TEMPLATE = "template"
    DUPLICATE = "duplicate"
    MIXED_TYPES = "mixed_types"
    UNEVEN_KEYS = "uneven_keys"
    DATES = "dates"
    REGISTER = "register"
    TRAINER = "trainer"


MEANS: dict[Reason, str] = {
    Reason.NOT_JSON: "the line can't be read",
    Reason.WRONG_KEYS: "a column is missing; the trainer stops with a KeyError or takes the row for something else",
    Reason.WRONG_SHAPE: "the trainer does not read rows of this shape, or reads them as something else",
    Reason.STRAY_COLUMN: "a column has a name that the trainer reads as its own",
    Reason.STRING_PROMPT: "verl filters out prompts that are not lists of messages, without a word",
    Reason.BAD_MESSAGE: "a message is not an object with a role and a text",
    Reason.UNKNOWN_ROLE: "LLaMA-Factory drops the row; the others render the role as it is, or stop",
    Reason.ROLE_ORDER: "LLaMA-Factory drops rows whose roles don't alternate; many templates raise",
    Reason.NO_ANSWER: "there is no answer to train on: the row is dropped, or its prompt is trained on",
    Reason.EMPTY_ANSWER: "no trainer refuses an empty answer: it learns to end at once",
    Reason.EMPTY_PROMPT: "a turn before the answer is empty",
    Reason.WRONG_CONTENT: "a content that is not a text stops the load or the template",
    Reason.WRONG_SIDE: "chosen or rejected is not of the kind that the trainer reads",
    Reason.EQUAL_PAIR: "chosen and rejected are equal: no trainer refuses it, and nothing can be learned",
    Reason.WRONG_LABEL: "the label of KTO must be true or false",
    Reason.MISSING_END: "the answer was cut: something that it opens is not closed",
    Reason.THINKING_ONE_SIDE: "only one side has a thinking block: the pair teaches whether to think",
    Reason.CONTROL_TOKENS: "the text holds control tokens of a chat template, which tokenizers take for the real ones",
    Reason.IMAGES: "the number of <image> placeholders is not that of the images",
    Reason.NOT_FOUND_AGAIN: "Axolotl looks the answer up in the rendered text and would cut at another place",
    Reason.TOOLS: "tools are not of the kind that the trainer reads",
    Reason.CUT_OFF: "longer than the cutoff: the trainer cuts or drops the row",
    Reason.TEMPLATE: "the chat template refuses or rewrites the row",
    Reason.DUPLICATE: "the same prompt with the same answer as an earlier row",
    Reason.MIXED_TYPES: "a column has several JSON types; `datasets` stops, or its older versions do",
    Reason.UNEVEN_KEYS: "OpenRLHF would split the text of such a column into letters; name it input, fill the keys",
    Reason.DATES: "every value of the column looks like a date; `datasets` turns them into timestamps",
    Reason.REGISTER: "dataset_info.json makes LLaMA-Factory read the file wrongly",
    Reason.TRAINER: "the trainer's own loader says so",
}
"""What each reason does to the training."""


class Example(NamedTuple):
    """One place."""

    line: int
    """From 1; 0: the file as a whole."""
    detail: str


class Report:
    """The findings of one file.

    Args:
        path: the file.
        trainer: whose reading was checked.
        shape: what its rows are.
    """

    def __init__(self, path: Path, trainer: Trainer, shape: str) -> None:
        self.path = path
        self.trainer = trainer
        self.shape = shape
        self.rows = 0
        self.counts: dict[Reason, int] = {}
        """Rows (or columns, for what concerns a column) by reason."""
        self.examples: dict[Reason, list[Example]] = {}
        self.notes: list[str] = []
        """What was not checked, or only estimated."""
        self._last: dict[Reason, int] = {}

    def add(self, line: int, reason: Reason, detail: str, rows: int = 1) -> None:
        """Note a finding; a row counts once for each reason."""
        if line and self._last.get(reason) == line:
            return
        self._last[reason] = line
        self.counts[reason] = self.counts.get(reason, 0) + rows
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(Example(line, "".join(char if char.isprintable() else " " for char in detail)))

    def __bool__(self) -> bool:
        return bool(self.counts)

    def figures(self) -> dict[str, Any]:
        """As JSON values: trainer, shape, rows, and per reason the count and the first lines."""
        found = {
            reason.value: {
                "rows": count,
                "lines": [example.line for example in self.examples[reason]],
                "first": self.examples[reason][0].detail,
            }
            for reason, count in self.counts.items()
        }
        return {"trainer": self.trainer.value, "shape": self.shape, "rows": self.rows, "found": found}

    def text(self) -> Iterator[str]:
        """For people: a headline, then a paragraph per reason."""
        kind = f"{self.rows:,} rows, {self.shape} for {self.trainer.value}"
        if not self.counts:
            yield f"{self.path}: {kind}: nothing found"
        else:
            yield f"{self.path}: {kind}"
        for reason, count in sorted(self.counts.items(), key=lambda found: -found[1]):
            yield f"  {reason.value:<18} {count:>9,}  {MEANS[reason]}"
            for example in self.examples[reason]:
                where = f"line {example.line:,}: " if example.line else ""
                yield f"  {'':<18} {'':>9}  {where}{example.detail}"
        for note in self.notes:
            yield f"  note: {note}"


def shown(value: Any, most: int = 60) -> str:
    """A value in a message: short, on one line."""
    text = repr(value if not isinstance(value, str) else value[: most + 1])
    return text if len(text) <= most else f"{text[:most]}..."
