"""Pairs for reward models: as DPO's, with the margin between their scores where it is asked for."""

from __future__ import annotations

from typing import Any

from rsr.formatters.dpo import DPO
from rsr.formatters.layouts import Kind, Layout, Reasoning, ReasoningField
from rsr.formatters.pairs import Strategy
from rsr.formatters.thresholds import Messages
from rsr.row_files import FileFormat
from rsr.types import Prompt, Rollout


class RewardPairs(DPO):
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
    kind: Kind = "rewards"

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
        super().__init__(
            pass_threshold=pass_threshold,
            fail_threshold=fail_threshold,
            strategy=strategy,
            pairs_per_prompt=pairs_per_prompt,
            reuse=reuse,
            min_margin=min_margin,
            max_similarity=max_similarity,
            reasoning=reasoning,
            reasoning_field=reasoning_field,
            messages=messages,
            layout=layout,
            file_format=file_format,
            seed=seed,
        )
        if margin_column and layout == "llamafactory":
            raise ValueError("margin_column: LLaMA-Factory reads none; leave it out, or use layout trl or openrlhf")
        if margin_column:
            self.shape = self.style.shape(margin="number")
        self.margin_column = margin_column

    def row(self, prompt: Prompt, chosen: Rollout, rejected: Rollout) -> dict[str, Any]:
        """The columns of a pair, with its margin where that is asked for."""
        row = super().row(prompt, chosen, rejected)
        if self.margin_column:
            row["margin"] = round((chosen.score or 0.0) - (rejected.score or 0.0), 9)
        return row
