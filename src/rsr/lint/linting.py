"""Lint: reads a training file once, row by row, and tells what its trainer would drop, mangle or cut.

Memory does not grow with the file: column types and counts are held, hashes of rows go to disk (`rsr.lint.duplicates`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from rsr.errors import ConfigError
from rsr.lint.columns import Columns
from rsr.lint.duplicates import Duplicates
from rsr.lint.lengths import Check, Estimate, Template
from rsr.lint.reading import Unreadable, rows
from rsr.lint.real import Real
from rsr.lint.register import Entry, entries
from rsr.lint.report import EXAMPLES, Reason, Report, Trainer
from rsr.lint.rules import Conversation, Reading, Rules
from rsr.lint.shapes import (
    OPENAI_ROLES,
    SHAREGPT_ROLES,
    TAGGED_ROLES,
    UNKNOWN,
    Shape,
    file_shape,
    guessed_trainer,
    strays,
    wrong_keys,
)

_PEEKED = 64
_KNOWN_KEYS = 1_000


class Options(NamedTuple):
    """What is checked beside the rules."""

    trainer: Trainer | None = None
    """Default: by the shape of the rows."""
    tokenizer: Path | None = None
    """A tokenizer's folder: lengths are counted, and the chat template is tried."""
    cutoff: int | None = None
    """In tokens."""
    real: bool = False
    """Rows are given to the trainer's own loader too."""
    as_asked: bool = False
    """The shape is what a recipe asked for: that no trainer reads it is not a finding."""


_PLAIN = Options()


def lint(path: Path, options: Options = _PLAIN) -> Report:
    """Look through a training file.

    Raises:
        InputError: it is missing, damaged or of another kind.
        ConfigError: an option can't be used.
    """
    if options.cutoff is not None and options.cutoff < 1:
        raise ConfigError(f"--cutoff-len: must be at least 1, is {options.cutoff}")
    numbered = rows(path)
    peeked = list(islice(numbered, _PEEKED))
    first = [row for _, row in peeked if not isinstance(row, Unreadable)]
    found, problem = entries(path)
    shape = file_shape(first, options.trainer)
    parquet = path.suffix == ".parquet"
    trainer = options.trainer or (
        Trainer.LLAMAFACTORY if found else guessed_trainer(shape, parquet, problem is not None)
    )
    if options.trainer is None:
        shape = file_shape(first, trainer)
    entry = found[0] if found and trainer is Trainer.LLAMAFACTORY else None
    if entry is not None:
        shape = entry.shape(shape)
    report = Report(path, trainer, shape.name)
    if trainer is Trainer.LLAMAFACTORY:
        _register(report, found, problem, shape, first)
    if trainer is Trainer.VERL and not parquet and shape.name == "messages":
        report.add(0, Reason.WRONG_SHAPE, "verl's SFT reads Parquet files only")
    reading = _reading(shape, trainer, entry)
    with closing(Duplicates()) as duplicates:
        _File(report, reading, _further(options, reading, report, entry), duplicates).read(
            chain(peeked, numbered), options.as_asked
        )
    return report


def lint_files(folder: Path, trainers: Mapping[str, str]) -> dict[str, Any]:
    """Look through the files that a run wrote, each by its name for its trainer.

    Returns:
        `Report.figures` of each file in which something was found. A file that can't be read is not of a run.
    """
    found = {}
    for name, trainer in trainers.items():
        report = lint(folder / name, Options(Trainer(trainer), as_asked=True))
        if report and report.rows:
            found[name] = report.figures()
    return found


class _File:
    """One pass over a file."""

    def __init__(self, report: Report, reading: Reading, further: list[Check], duplicates: Duplicates) -> None:
        self._report, self._reading, self._further, self._duplicates = report, reading, further, duplicates
        shape = reading.shape
        self._columns = Columns(frozenset((*shape.keys, "tools", "images")) - {"reward_model", "data_source"})
        self._rules = Rules(reading, report, self._columns)
        self._keys: dict[tuple[str, ...], tuple[str | None, list[str]]] = {}

    def read(self, numbered: Iterator[tuple[int, Any]], as_asked: bool) -> None:
        """Check every row, then what only the whole file tells."""
        report, reading, parquet = self._report, self._reading, self._report.path.suffix == ".parquet"
        readable = as_asked or reading.trainer in reading.shape.readers or reading.shape is UNKNOWN
        for line, row in numbered:
            report.rows += 1
            if isinstance(row, Unreadable):
                report.add(line, Reason.NOT_JSON, str(row))
                continue
            wrong, stray = self._known(row)
            if not parquet:
                self._columns.add(line, row)
            if wrong is not None:
                report.add(line, Reason.WRONG_KEYS, wrong)
                continue
            if stray:
                detail = f"{', '.join(stray)} beside {'+'.join(reading.shape.keys)}"
                report.add(line, Reason.STRAY_COLUMN, detail)
            if not readable:
                report.add(line, Reason.WRONG_SHAPE, _NOT_READ.get(reading.shape.name, _not_read(reading)))
            conversation = self._rules.check(line, row)
            self._duplicates.add(_hash(reading, row, conversation), line)
            for check in self._further:
                check.check(line, row, conversation)
        self._end()

    def _known(self, row: dict[str, Any]) -> tuple[str | None, list[str]]:
        """What is wrong with a row's columns; looked at once for each set of columns."""
        keys = tuple(row)
        known = self._keys.get(keys)
        if known is None:
            shape, trainer = self._reading.shape, self._reading.trainer
            known = wrong_keys(row, shape, trainer), strays(row, shape, trainer)
            if len(self._keys) < _KNOWN_KEYS:
                self._keys[keys] = known
        return known

    def _end(self) -> None:
        """What only the whole file tells."""
        report = self._report
        if not report.rows:
            report.add(0, Reason.NO_ANSWER, "the file is empty")
        first: list[tuple[int, int]] = []
        count = 0
        for line, earlier in self._duplicates.found():
            count += 1
            first = sorted([*first, (line, earlier)])[:EXAMPLES]
        for line, earlier in first:
            report.add(line, Reason.DUPLICATE, f"as line {earlier:,}", rows=0)
        if count:
            report.counts[Reason.DUPLICATE] = count
        for mixed in self._columns.mixed():
            for number, (line, kind) in enumerate(mixed.examples):
                detail = f"{mixed.column}: here {kind}, mostly {mixed.usual}"
                report.add(line, Reason.MIXED_TYPES, detail, rows=0 if number else mixed.others)
        for column, values in self._columns.dates():
            report.add(0, Reason.DATES, f"{column}: all of {values:,} values", rows=values)


def _reading(shape: Shape, trainer: Trainer, entry: Entry | None) -> Reading:
    label = "label" if shape.name.startswith("kto") else None
    if trainer is Trainer.LLAMAFACTORY and entry is not None and entry.formatting != "alpaca":
        role, content = str(entry.tags.get("role_tag")), str(entry.tags.get("content_tag"))
        return Reading(shape, trainer, entry.roles, role, content, entry.label)
    if shape.sharegpt:
        return Reading(shape, trainer, SHAREGPT_ROLES, "from", "value", label)
    tagged = trainer is Trainer.LLAMAFACTORY and shape.name != "multi_sft"
    roles = TAGGED_ROLES if tagged else OPENAI_ROLES
    return Reading(shape, trainer, roles, "role", "content", label)


def _further(options: Options, reading: Reading, report: Report, entry: Entry | None) -> list[Check]:
    """What looks at a row after the rules."""
    checks: list[Check] = []
    folder = options.tokenizer.expanduser() if options.tokenizer is not None else None
    if folder is not None:
        checks.append(Template(folder, options.cutoff, reading, report))
    elif options.cutoff is not None:
        checks.append(Estimate(options.cutoff, reading, report))
    if options.real:
        checks.append(Real(reading, report, entry.values if entry is not None else None, folder))
    return checks


def _register(report: Report, found: list[Entry], problem: str | None, shape: Shape, first: list[Any]) -> None:
    """What LLaMA-Factory's register says of the file. A shape that no trainer reads is better not in it."""
    if problem is not None and shape.name != "multi_sft":
        report.add(0, Reason.REGISTER, problem)
    row: dict[str, Any] = {key: value for row in first for key, value in row.items()}
    for entry in found:
        for reason, detail in entry.problems(row):
            report.add(0, reason, detail)


def _hash(reading: Reading, row: dict[str, Any], conversation: Conversation) -> int:
    """Of a row's prompt and answers. Python's own hash: other numbers in every process, and nothing keeps them."""
    texts = [message.get(reading.content) for message in conversation.turns]
    parts = [text if isinstance(text, str) else repr(text) for text in texts]
    label = row.get(reading.label) if reading.label else None
    images, calls = row.get("images"), row.get("tools")
    extra = repr((images, calls)) if images or calls else None
    return hash((*parts, "", conversation.prompt, *conversation.answers, repr(label), extra))


_NOT_READ = {
    "multi_sft": "messages+responses: no trainer reads it, TRL trains on the prompt alone; write one row per response",
}


def _not_read(reading: Reading) -> str:
    readers = ", ".join(sorted(trainer.value for trainer in reading.shape.readers)) or "none"
    return f"{'+'.join(reading.shape.keys)}: {reading.trainer.value} does not read it ({readers} do)"
