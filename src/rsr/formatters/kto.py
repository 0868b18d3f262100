"""KTO: every verified pass and fail of each prompt, with a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rsr.formatters.layouts import Layout, Reasoning, ReasoningField, Style
from rsr.formatters.thresholds import Messages, check_count, check_thresholds, failed, passed
from rsr.row_files import FileFormat
from rsr.types import FormattedRow, Prompt, Rollout


class KTO:
    """KTO: every verified pass and fail of each prompt, labelled true and false.

    Satisfied by `min_passes` passes and `min_fails` fails. A prompt whose budget ends earlier writes what it has.

    Args:
        pass_threshold: a score of at least this is good.
        fail_threshold: a score of at most this is bad.
        min_passes: passes that a prompt is sampled for.
        min_fails: fails that a prompt is sampled for.
        balance: of each prompt as many good as bad ones, the first of each.
        unique: no answer twice; one that was judged both ways is left out.
        reasoning: `keep` it as the layout's trainer wants it, `inline` in `<think>` tags, in a `field`, or `drop` it.
        reasoning_field: the field's name; `thinking` for gpt-oss.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
        layout: `llamafactory` or `trl`.
        file_format: `jsonl` or `parquet`. Default: jsonl.
    """

    name = "kto"

    def __init__(
        self,
        *,
        pass_threshold: float = 1.0,
        fail_threshold: float = 0.0,
        min_passes: int = 1,
        min_fails: int = 1,
        balance: bool = False,
        unique: bool = False,
        reasoning: Reasoning = "keep",
        reasoning_field: ReasoningField = "reasoning_content",
        messages: Messages = "original",
        layout: Layout = "llamafactory",
        file_format: FileFormat | None = None,
    ) -> None:
        check_thresholds(pass_threshold, fail_threshold)
        check_count("min_passes", min_passes, least=0)
        check_count("min_fails", min_fails, least=0)
        if not min_passes + min_fails:
            raise ValueError("min_passes: is 0 and min_fails too, so nothing would be sampled; raise one of them")
        if balance and not (min_passes and min_fails):
            raise ValueError(
                "balance: needs a pass and a fail of each prompt; set min_passes and min_fails to at least 1"
            )
        self.pass_threshold = pass_threshold
        self.fail_threshold = fail_threshold
        self.min_passes, self.min_fails = min_passes, min_fails
        self.balance, self.unique = balance, unique
        self.messages = messages
        self.style = Style.checked("labelled", layout, file_format, reasoning, reasoning_field)
        self.shape = self.style.shape()

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """The passes and fails that are missing; what is judged both ways later does not take one back."""
        labelled = self._scored(rollouts)
        if self.unique:
            first = {rollout.answer_key: (rollout, label) for rollout, label in reversed(labelled)}
            labelled = list(first.values())
        good = sum(label for _, label in labelled)
        return max(0, self.min_passes - good) + max(0, self.min_fails - (len(labelled) - good))

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """A row for each pass and fail, in index order."""
        for rollout, label in self._written(rollouts):
            yield FormattedRow(self.style.labelled(prompt, rollout, label), (rollout.index,))

    def reads(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Those that are written."""
        return [rollout for rollout, _ in self._written(rollouts)]

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`no_score` where nothing passes or fails; `no_pass` or `no_fail` where balance wants both."""
        labels = [label for _, label in self._labelled(rollouts)]
        if not labels:
            return "no_difference" if self.unique and self._scored(rollouts) else "no_score"
        return "no_fail" if labels[0] else "no_pass"

    def dataset_info(self) -> Mapping[str, Any] | None:
        """LLaMA-Factory's entry."""
        return self.style.dataset_info()

    def _scored(self, rollouts: Sequence[Rollout]) -> list[tuple[Rollout, bool]]:
        good, bad = self.pass_threshold, self.fail_threshold
        labelled = [(rollout, passed(rollout, good)) for rollout in rollouts]
        return [(rollout, label) for rollout, label in labelled if label or failed(rollout, bad)]

    def _labelled(self, rollouts: Sequence[Rollout]) -> list[tuple[Rollout, bool]]:
        """The passes and fails; with `unique`, one of each answer."""
        labelled = self._scored(rollouts)
        if not self.unique:
            return labelled
        labels: dict[int, set[bool]] = {}
        first: dict[int, tuple[Rollout, bool]] = {}
        for rollout, label in labelled:
            labels.setdefault(rollout.answer_key, set()).add(label)
            first.setdefault(rollout.answer_key, (rollout, label))
        return [one for key, one in first.items() if len(labels[key]) == 1]

    def _written(self, rollouts: Sequence[Rollout]) -> list[tuple[Rollout, bool]]:
        labelled = self._labelled(rollouts)
        if not self.balance:
            return labelled
        good = sum(label for _, label in labelled)
        left = dict.fromkeys((True, False), min(good, len(labelled) - good))
        written = []
        for rollout, label in labelled:
            if left[label]:
                left[label] -= 1
                written.append((rollout, label))
        return written
