"""Writes `train/` and `provenance/` from decided prompts in input order; nothing is seen until all of it is there.

train/<name>.jsonl           one row a line, exactly the formatter's keys
train/dataset_info.json      LLaMA-Factory takes the folder as it is
provenance/<name>.jsonl      line by line: prompt, indices, scores, seeds
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from rsr.errors import RSRError, StoreError, boundary
from rsr.store.rundir import RunDir, write_atomically
from rsr.types import FormattedRow, Formatter, Message, Prompt, Rollout, Row


class FormatterFailed(RSRError):
    """A formatter raised or wrote what no trainer can use."""


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
        self._run_dir = run_dir
        self._formatters = formatters
        self._sampled = sampled
        self._staged = run_dir.path / ".train.new"
        self._encode = msgspec.json.Encoder().encode
        try:
            shutil.rmtree(self._staged, ignore_errors=True)
            self._staged.mkdir()
            self._train = {name: self._open(f"{name}.jsonl") for name in formatters}
            self._provenance = {name: self._open(f"{name}.provenance") for name in formatters}
        except OSError as cause:
            raise StoreError(f"{self._staged}: can't be written: {cause.strerror}") from cause

    def reads(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Those of a decided prompt's rollouts whose texts are needed for its rows."""
        wanted: dict[int, Rollout] = {}
        for name, formatter in self._formatters.items():
            reads = getattr(formatter, "reads", None)
            with boundary(FormatterFailed, f"formatter {name}"):
                for rollout in rollouts if reads is None else reads(rollouts):
                    wanted[rollout.index] = rollout
        return list(wanted.values())

    def add(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> dict[str, str]:
        """Write the rows of a decided prompt.

        Args:
            prompt: the prompt.
            rollouts: the valid ones of its decided prefix; those that `reads` names, with texts.

        Returns:
            For each formatter that wrote no row, why.

        Raises:
            FormatterFailed: a formatter raised, or wrote an empty answer or an equal pair.
        """
        without = {}
        for name, formatter in self._formatters.items():
            with boundary(FormatterFailed, f"formatter {name}, prompt {prompt.id}"):
                rows = list(formatter.rows(self._as_asked(formatter, prompt), rollouts))
            for formatted in rows:
                self._write(name, prompt, formatted, rollouts)
            if not rows:
                missing = getattr(formatter, "missing", None)
                without[name] = missing(rollouts) if missing else "no_row"
        return without

    def commit(self) -> None:
        """Put the files in place, take away those of formatters that are no longer asked for."""
        keep = {f"{name}.jsonl" for name in self._formatters}
        try:
            for file in (*self._train.values(), *self._provenance.values()):
                file.close()
            for name in self._formatters:
                (self._staged / f"{name}.jsonl").replace(self._run_dir.train / f"{name}.jsonl")
                (self._staged / f"{name}.provenance").replace(self._run_dir.provenance / f"{name}.jsonl")
            for folder in (self._run_dir.train, self._run_dir.provenance):
                for stale in folder.glob("*.jsonl"):
                    if stale.name not in keep:
                        stale.unlink()
            self._staged.rmdir()
        except OSError as cause:
            raise StoreError(f"{self._run_dir.train}: can't be written: {cause.strerror}") from cause
        write_atomically(self._run_dir.train / "dataset_info.json", dataset_info(self._formatters))

    def discard(self) -> None:
        """Leave the old files as they are."""
        for file in (*self._train.values(), *self._provenance.values()):
            with suppress(OSError):  # what could not be written is thrown away
                file.close()
        shutil.rmtree(self._staged, ignore_errors=True)

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
        line = {
            "line": self.counts[name],
            "id": prompt.id,
            "indices": list(formatted.indices),
            "scores": [rollout.score for rollout in made_of],
            "seeds": [rollout.seed for rollout in made_of],
        }
        try:
            self._train[name].write(self._encode(formatted.row) + b"\n")
            self._provenance[name].write(self._encode(line) + b"\n")
        except OSError as cause:
            raise StoreError(f"{self._staged}: can't be written: {cause.strerror}") from cause


def unusable(row: Row) -> str | None:
    """What no trainer should be given: an empty answer, or a pair of equal ones. No trainer refuses them."""
    chosen, rejected = row.get("chosen"), row.get("rejected")
    if chosen is not None and chosen == rejected:
        return "chosen and rejected are equal"
    answers = [chosen, rejected, *row.get("responses", []), *row.get("messages", [])[-1:]]
    for answer in answers:
        if isinstance(answer, dict):
            answer = answer.get("value", answer.get("content"))
        if isinstance(answer, str) and not answer.strip():
            return "an answer is empty"
    return None


def dataset_info(formatters: dict[str, Formatter]) -> str:
    """LLaMA-Factory's register of the files that it can read, names `rsr_<file stem>`."""
    info = {}
    for name, formatter in formatters.items():
        described = getattr(formatter, "dataset_info", None)
        entry = described() if described else None
        if entry is not None:
            info[f"rsr_{name}"] = {"file_name": f"{name}.jsonl", **entry}
    return msgspec.json.format(msgspec.json.encode(info), indent=2).decode() + "\n"
