"""SFT: the best correct response of each prompt, or several of them, a row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from rsr.formatters.chance import chance
from rsr.formatters.layouts import Layout, Reasoning, ReasoningField, Style
from rsr.formatters.thresholds import Messages, check_count, check_thresholds, passed
from rsr.row_files import FileFormat
from rsr.types import FormattedRow, Prompt, Rollout

Select = Literal["best", "first", "shortest", "longest", "random"]


class SFT:
    """SFT: the best correct response of each prompt.

    Satisfied by `per_prompt` passes with different answers, or, with `best_of: n`, by n valid rollouts among them.

    Args:
        pass_threshold: a score of at least this passes.
        best_of: choose among so many valid rollouts.
        select: which of the passes: `best` score, `first` index, `shortest` or `longest` text, `random` by the seed.
        per_prompt: rows per prompt at most.
        reasoning: `keep` it as the layout's trainer wants it, `inline` in `<think>` tags, in a `field`, or `drop` it.
        reasoning_field: the field's name; `thinking` for gpt-oss.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
        layout: `llamafactory`, `trl`, `openrlhf`, `verl`, `axolotl` or `openai`.
        file_format: `jsonl` or `parquet`. Default: jsonl, for verl parquet.
        seed: for random choices. Default: the run's.
        fail_threshold: not used; taken because configs of the reference implementation carry it.
    """

    name = "sft"

    def __init__(
        self,
        *,
        pass_threshold: float = 1.0,
        best_of: int | None = None,
        select: Select = "best",
        per_prompt: int = 1,
        reasoning: Reasoning = "keep",
        reasoning_field: ReasoningField = "reasoning_content",
        messages: Messages = "original",
        layout: Layout = "llamafactory",
        file_format: FileFormat | None = None,
        seed: int | None = None,
        fail_threshold: float | None = None,
    ) -> None:
        check_thresholds(pass_threshold, fail_threshold)
        check_count("best_of", best_of)
        check_count("per_prompt", per_prompt)
        self.pass_threshold = pass_threshold
        self.best_of = best_of or 1
        self.select: Select = select
        self.per_prompt = per_prompt
        self.messages = messages
        self.style = Style.checked("responses", layout, file_format, reasoning, reasoning_field)
        self.shape = self.style.shape()
        self.seed = seed or 0

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """The passes that are missing; with `best_of`, n valid ones."""
        more = self.best_of - len(rollouts) if self.best_of > 1 else 0
        threshold = self.pass_threshold
        if self.per_prompt > 1:
            keys = {rollout.answer_key for rollout in rollouts if passed(rollout, threshold)}
            return max(0, self.per_prompt - len(keys), more)
        for rollout in reversed(rollouts):  # asked after each rollout: where there is a pass, it is mostly the last
            if passed(rollout, threshold):
                return max(0, more)
        return max(1, more)

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """A row for each of the selected ones, the first of them first."""
        for rollout in self._selected(prompt.key, rollouts):
            yield FormattedRow(self.style.response(prompt, rollout), (rollout.index,))

    def reads(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Those whose texts are compared or written."""
        if self.select in ("best", "first"):
            return self._selected(b"", rollouts)
        return [rollout for rollout in rollouts if passed(rollout, self.pass_threshold)]

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`no_pass`."""
        return "no_pass"

    def dataset_info(self) -> Mapping[str, Any] | None:
        """LLaMA-Factory's entry."""
        return self.style.dataset_info()

    def _selected(self, key: bytes, rollouts: Sequence[Rollout]) -> list[Rollout]:
        passes = [rollout for rollout in rollouts if passed(rollout, self.pass_threshold)]
        if not passes:
            return []
        rank = self._rank(key)
        if self.per_prompt == 1:
            return [min(passes, key=rank)]
        first: dict[int, Rollout] = {}
        for rollout in sorted(passes, key=rank):
            first.setdefault(rollout.answer_key, rollout)
        return list(first.values())[: self.per_prompt]

    def _rank(self, key: bytes) -> Callable[[Rollout], tuple[float, int]]:
        if self.select == "first":
            return lambda one: (0, one.index)
        if self.select == "random":
            return lambda one: (chance(self.seed, key, one.index), one.index)
        if self.select == "best":
            return lambda one: (-(one.score or 0.0), one.index)
        sign, thoughts = (1 if self.select == "shortest" else -1), not self.style.drops
        return lambda one: (sign * (len(one.response) + (len(one.reasoning) if thoughts else 0)), one.index)
