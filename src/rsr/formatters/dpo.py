"""DPO: (chosen, rejected) pairs of each prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rsr.formatters.layouts import Kind, Layout, Reasoning, ReasoningField, Style
from rsr.formatters.pairs import Pairing, Strategy
from rsr.formatters.thresholds import Messages
from rsr.row_files import FileFormat
from rsr.types import FormattedRow, Prompt, Rollout


class DPO:
    """DPO: one (chosen, rejected) pair of each prompt, or several.

    Satisfied by 1 pass and 1 fail with different answers, for each pair. A rollout without a score is never rejected.

    Args:
        pass_threshold: a score of at least this is chosen.
        fail_threshold: a score of at most this is rejected.
        strategy: `best_worst`, `random`, `nearest_length`, `hard_negative`, `margin`, `shortest_vs_longest_correct`.
        pairs_per_prompt: pairs of a prompt at most.
        reuse: whether a response may be in several pairs.
        min_margin: the least by which the scores of a pair differ.
        max_similarity: the most, 0 to 1, that the answers of a pair have in common; 1: all that differ will do.
        reasoning: `keep` it as the layout's trainer wants it, `inline` in `<think>` tags, in a `field`, or `drop` it.
        reasoning_field: the field's name; `thinking` for gpt-oss.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
        layout: `llamafactory`, `trl`, `openrlhf`, `axolotl` or `openai`.
        file_format: `jsonl` or `parquet`. Default: jsonl.
        seed: for random choices. Default: the run's.
    """

    name = "dpo"
    kind: Kind = "pairs"

    def __init__(
        self,
        *,
        pass_threshold: float = 1.0,
        fail_threshold: float = 0.0,
        strategy: Strategy = "best_worst",
        pairs_per_prompt: int = 1,
        reuse: bool = False,
        min_margin: float = 0.0,
        max_similarity: float = 1.0,
        reasoning: Reasoning = "keep",
        reasoning_field: ReasoningField = "reasoning_content",
        messages: Messages = "original",
        layout: Layout = "llamafactory",
        file_format: FileFormat | None = None,
        seed: int | None = None,
    ) -> None:
        self.pass_threshold, self.fail_threshold = pass_threshold, fail_threshold
        self.style = Style.checked(self.kind, layout, file_format, reasoning, reasoning_field)
        self.shape = self.style.shape()
        self.writes_reasoning = not self.style.drops
        self.pairing = Pairing(
            pass_threshold,
            fail_threshold,
            strategy,
            pairs_per_prompt,
            reuse,
            min_margin,
            max_similarity,
            same_reasoning=self.writes_reasoning,
            seed=seed or 0,
        )
        self.pairing.check()
        self.messages = messages
        self.looks_again = max_similarity < 1  # whether the next pair is needed is told by texts

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """For one pair the sides that are missing: 2, 1, 0."""
        return self.pairing.needs(rollouts)

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """A row for each pair, the first by the strategy first."""
        for chosen, rejected in self.pairing.pairs(prompt.key, rollouts):
            yield FormattedRow(self.row(prompt, chosen, rejected), (chosen.index, rejected.index))

    def row(self, prompt: Prompt, chosen: Rollout, rejected: Rollout) -> dict[str, Any]:
        """The columns of a pair."""
        return self.style.pair(prompt, chosen, rejected)

    def reads(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        """Those whose texts are compared or written."""
        return self.pairing.reads(rollouts)

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`no_pass`, `no_fail`, or what is wrong with every possible pair."""
        return self.pairing.missing(rollouts)

    def dataset_info(self) -> Mapping[str, Any] | None:
        """LLaMA-Factory's entry."""
        return self.style.dataset_info()
