"""Pairs for reward models: as DPO's, with the margin between their scores where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rsr.formatters.layouts import Layout, Reasoning, ReasoningField, Style
from rsr.formatters.pairs import Pairing, Strategy
from rsr.formatters.thresholds import Messages
from rsr.row_files import FileFormat
from rsr.types import FormattedRow, Prompt, Rollout


class RewardPairs:
    """Pairs for reward models: chosen and rejected responses of each prompt.

    Satisfied by 1 pass and 1 fail with different answers, for each pair. A rollout without a score is never rejected.

    Args:
        pass_threshold: a score of at least this is chosen.
        fail_threshold: a score of at most this is rejected.
        strategy: `best_worst`, `random`, `nearest_length`, `hard_negative`, `margin`, `shortest_vs_longest_correct`.
        pairs_per_prompt: pairs of a prompt at most.
        reuse: whether a response may be in several pairs.
        min_margin: the least by which the scores of a pair differ.
        max_similarity: the most, 0 to 1, that the answers of a pair have in common; 1: all that differ will do.
        margin_column: write the difference of the scores into a column `margin` (trl, openrlhf).
        reasoning: `keep` it as the layout's trainer wants it, `inline` in `<think>` tags, in a `field`, or `drop` it.
        reasoning_field: the field's name; `thinking` for gpt-oss.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
        layout: `llamafactory`, `trl` or `openrlhf`.
        file_format: `jsonl` or `parquet`. Default: jsonl.
        seed: for random choices. Default: the run's.
    """

    name = "reward_pairs"
    in_pairs = True

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
        margin_column: bool = False,
        reasoning: Reasoning = "keep",
        reasoning_field: ReasoningField = "reasoning_content",
        messages: Messages = "original",
        layout: Layout = "llamafactory",
        file_format: FileFormat | None = None,
        seed: int | None = None,
    ) -> None:
        self.pass_threshold = pass_threshold
        self.style = Style.checked("rewards", layout, file_format, reasoning, reasoning_field)
        if margin_column and layout == "llamafactory":
            raise ValueError("margin_column: LLaMA-Factory reads none; leave it out, or use layout trl or openrlhf")
        self.shape = self.style.shape(**({"margin": "number"} if margin_column else {}))
        self.pairing = Pairing(
            pass_threshold,
            fail_threshold,
            strategy,
            pairs_per_prompt,
            reuse,
            min_margin,
            max_similarity,
            same_reasoning=not self.style.drops,
            seed=seed or 0,
        )
        self.pairing.check()
        self.margin_column = margin_column
        self.messages = messages
        self.looks_again = max_similarity < 1  # whether the next pair is needed is told by texts

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """For one pair the sides that are missing: 2, 1, 0."""
        return self.pairing.needs(rollouts)

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """A row for each pair, the first by the strategy first."""
        for chosen, rejected in self.pairing.pairs(prompt.key, rollouts):
            row = self.style.pair(prompt, chosen, rejected)
            if self.margin_column:
                row["margin"] = round((chosen.score or 0.0) - (rejected.score or 0.0), 9)
            yield FormattedRow(row, (chosen.index, rejected.index))

    def reads(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        """Those whose texts are compared or written."""
        return self.pairing.reads(rollouts)

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`no_pass`, `no_fail`, or what is wrong with every possible pair."""
        return self.pairing.missing(rollouts)

    def dataset_info(self) -> Mapping[str, Any] | None:
        """LLaMA-Factory's entry."""
        return self.style.dataset_info()
