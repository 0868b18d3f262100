"""Writes `train/` and `provenance/` from decided prompts in input order; nothing is seen until all of it is there.

train/<name>.jsonl           one row a line, exactly the formatter's keys; or <name>.parquet
train/dataset_info.json      LLaMA-Factory takes the folder as it is
provenance/<name>.jsonl      line by line: prompt, indices, scores, seeds
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import msgspec

from rsr.errors import RSRError, StoreError, boundary
from rsr.row_files import PLAIN, RowFile, Shape
from rsr.store.rundir import RunDir, write_atomically
from rsr.types import FormattedRow, Formatter, Message, Prompt, Rollout, Row


class FormatterFailed(RSRError):
    """A formatter raised or wrote what no trainer can use."""


@runtime_checkable
class InPairs(Protocol):
    """A formatter whose rows are pairs, chosen before rejected."""

    writes_reasoning: bool


class LengthBias:
    """By how much chosen responses are longer than rejected ones, in characters: a model trained on pairs learns it.

    Args:
        with_reasoning: count the reasoning too, as it is written.
    """

    def __init__(self, with_reasoning: bool) -> None:
        self._with_reasoning = with_reasoning
        self._pairs = self._longer = self._shorter = self._chosen = self._rejected = 0

    def add(self, chosen: Rollout, rejected: Rollout) -> None:
        """Count a pair."""
        good, bad = self._length(chosen), self._length(rejected)
        self._pairs += 1
        self._chosen += good
        self._rejected += bad
        self._longer += good > bad
        self._shorter += good < bad

    def summary(self) -> dict[str, Any]:
        """Means, and the shares of pairs whose chosen response is the longer or the shorter one."""
        pairs = self._pairs or 1
        return {
            "chosen_mean": round(self._chosen / pairs, 1),
            "rejected_mean": round(self._rejected / pairs, 1),
            "chosen_longer": round(self._longer / pairs, 4),
            "chosen_shorter": round(self._shorter / pairs, 4),
        }

    def _length(self, rollout: Rollout) -> int:
        return len(rollout.response) + (len(rollout.reasoning) if self._with_reasoning else 0)


class TrainingFiles:
    """The training files of one replay.

    Args:
        run_dir: where they go.
        formatters: by file stem.
        sampled: a prompt's messages as they were sent, for formatters with `messages: sampled`.
    """

    def __init__(
        self, run_dir: RunDir, formatters: dict[str, Formatter], sampled: Callable[[Prompt], list[Message]]
    ) -> None:
        self.counts = dict.fromkeys(formatters, 0)
        self.files = {name: file_name(name, formatter) for name, formatter in formatters.items()}
        self._bias = {
            name: LengthBias(with_reasoning=formatter.writes_reasoning)
            for name, formatter in formatters.items()
            if isinstance(formatter, InPairs)
        }
        self._run_dir = run_dir
        self._formatters = formatters
        self._sampled = sampled
        self._staged = run_dir.path / ".train.new"
        self._encode = msgspec.json.Encoder().encode
        try:
            shutil.rmtree(self._staged, ignore_errors=True)
            self._staged.mkdir()
            self._train = {name: RowFile(self._staged / name, shape_of(it)) for name, it in formatters.items()}
            self._provenance = {name: self._open(f"{name}.provenance") for name in formatters}
        except OSError as cause:
            raise StoreError(f"{self._staged}: can't be written: {cause.strerror}") from cause

    def reads(self, rollouts: Sequence[Rollout], again: bool = False) -> list[Rollout]:
        """Those of a decided prompt's rollouts whose texts are needed for its rows.

        Args:
            rollouts: the valid ones of the prompt.
            again: ask only formatters that want to look at the texts that are there before they name more.
        """
        wanted: dict[int, Rollout] = {}
        for name, formatter in self._formatters.items():
            reads = getattr(formatter, "reads", None)
            if again and not getattr(formatter, "looks_again", False):
                continue
            with boundary(FormatterFailed, f"formatter {name}"):
                for rollout in rollouts if reads is None else reads(rollouts):
                    wanted[rollout.index] = rollout
        return list(wanted.values())

    def add(self, prompt: Prompt, rollouts: Sequence[Rollout], kept: Sequence[Rollout] | None = None) -> dict[str, str]:
        """Write the rows of a decided prompt.

        Args:
            prompt: the prompt.
            rollouts: the valid ones of its decided prefix; those that `reads` names, with texts.
            kept: those of them that may be written; None: all. A formatter that writes no responses sees all.

        Returns:
            For each formatter that wrote no row, why.

        Raises:
            FormatterFailed: a formatter raised, or wrote an empty answer or an equal pair.
        """
        without = {}
        for name, formatter in self._formatters.items():
            seen = rollouts if kept is None or not getattr(formatter, "writes_responses", True) else kept
            with boundary(FormatterFailed, f"formatter {name}, prompt {prompt.id}"):
                rows = list(formatter.rows(self._as_asked(formatter, prompt), seen))
                if not rows:
                    without[name] = self._why_none(formatter, prompt, rollouts, seen)
            for formatted in rows:
                self._write(name, prompt, formatted, rollouts)
        return without

    def length_bias(self, name: str) -> dict[str, Any] | None:
        """How long the chosen and the rejected responses of a file are; None where it has no pairs."""
        bias = self._bias.get(name)
        return bias.summary() if bias else None

    def commit(self) -> None:
        """Put the files in place, take away those of formatters that are no longer asked for."""
        try:
            for name, file in self._train.items():
                file.finish(self._staged / self.files[name])
                self._provenance[name].close()
            for name, file_name in self.files.items():
                (self._staged / file_name).replace(self._run_dir.train / file_name)
                (self._staged / f"{name}.provenance").replace(self._run_dir.provenance / f"{name}.jsonl")
            kept = {*self.files.values()}
            for stale in (*self._run_dir.train.glob("*.jsonl"), *self._run_dir.train.glob("*.parquet")):
                if stale.name not in kept:
                    stale.unlink()
            for stale in self._run_dir.provenance.glob("*.jsonl"):
                if stale.stem not in self.files:
                    stale.unlink()
            self._staged.rmdir()
        except OSError as cause:
            raise StoreError(f"{self._run_dir.train}: can't be written: {cause.strerror}") from cause
        columns = {name: file.seen for name, file in self._train.items()}
        write_atomically(self._run_dir.train / "dataset_info.json", dataset_info(self._formatters, columns))

    def discard(self) -> None:
        """Leave the old files as they are."""
        for close in (it.close for files in (self._train, self._provenance) for it in files.values()):
            with suppress(OSError):  # what could not be written is thrown away
                close()
        shutil.rmtree(self._staged, ignore_errors=True)

    def _why_none(
        self, formatter: Formatter, prompt: Prompt, rollouts: Sequence[Rollout], seen: Sequence[Rollout]
    ) -> str:
        if len(seen) < len(rollouts) and any(True for _ in formatter.rows(self._as_asked(formatter, prompt), rollouts)):
            return "filtered"
        missing = getattr(formatter, "missing", None)
        return missing(rollouts) if missing else "no_row"

    def _open(self, name: str) -> IO[bytes]:
        return Path(self._staged / name).open("wb")

    def _as_asked(self, formatter: Formatter, prompt: Prompt) -> Prompt:
        if getattr(formatter, "messages", "original") == "original":
            return prompt
        return msgspec.structs.replace(prompt, messages=self._sampled(prompt))

    def _write(self, name: str, prompt: Prompt, formatted: FormattedRow, rollouts: Sequence[Rollout]) -> None:
        problem = unusable(formatted.row)
        if problem:
            raise FormatterFailed(f"formatter {name}, prompt {prompt.id}: {problem}")
        by_index = {rollout.index: rollout for rollout in rollouts}
        made_of = [by_index[index] for index in formatted.indices if index in by_index]
        self.counts[name] += 1
        if name in self._bias:
            self._bias[name].add(*made_of)
        line = {
            "line": self.counts[name],
            "id": prompt.id,
            "indices": list(formatted.indices),
            "scores": [rollout.score for rollout in made_of],
            "seeds": [rollout.seed for rollout in made_of],
        }
        try:
            self._train[name].add(formatted.row)
            self._provenance[name].write(self._encode(line) + b"\n")
        except OSError as cause:
            raise StoreError(f"{self._staged}: can't be written: {cause.strerror}") from cause


def unusable(row: Row) -> str | None:
    """What no trainer should be given: an empty answer, or a pair of equal ones. No trainer refuses them."""
    sides = ("preferred_output", "non_preferred_output") if "preferred_output" in row else ("chosen", "rejected")
    pair: list[Any] = [row.get(side) for side in sides]
    if pair[0] is not None and pair[0] == pair[1]:
        return "chosen and rejected are equal"
    single = pair[0] is None and "responses" not in row
    last = (row.get("completion") or row.get("messages") or [])[-1:] if single else []
    for answer in [*pair, *row.get("responses", []), *last]:
        if isinstance(answer, list):
            answer = answer[-1] if answer else ""
        if isinstance(answer, dict):
            answer = answer.get("value", answer.get("content"))
        if isinstance(answer, str) and not answer.strip():
            return "an answer is empty"
    return None


def shape_of(formatter: Formatter) -> Shape:
    """The columns of a formatter's file; one of a plug-in may leave that open."""
    shape: Shape = getattr(formatter, "shape", PLAIN)
    return shape


def file_name(name: str, formatter: Formatter) -> str:
    """The name of a formatter's training file."""
    return f"{name}.{shape_of(formatter).file_format}"


def dataset_info(formatters: dict[str, Formatter], columns: Mapping[str, Collection[str]] | None = None) -> str:
    """LLaMA-Factory's register of the files that it can read, names `rsr_<file stem>`.

    Args:
        formatters: by file stem.
        columns: of each file the columns among images and tools that it has; others must not be named.
    """
    info: dict[str, Any] = {}
    for name, formatter in formatters.items():
        described = getattr(formatter, "dataset_info", None)
        entry = described() if described else None
        if entry is not None:
            beside = {column: column for column in sorted((columns or {}).get(name, ()))}
            named = {"columns": {**entry.get("columns", {}), **beside}} if beside else {}
            info[f"rsr_{name}"] = {"file_name": file_name(name, formatter), **entry, **named}
    return msgspec.json.format(msgspec.json.encode(info), indent=2).decode() + "\n"
