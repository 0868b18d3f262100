"""DPO: one (chosen, rejected) pair of each prompt, as ShareGPT conversations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from rsr.formatters.layouts import sharegpt_turns, with_images, with_reasoning
from rsr.formatters.thresholds import Messages, check_thresholds, failed, passed
from rsr.types import FormattedRow, Prompt, Rollout


class DPO:
    """DPO: one (chosen, rejected) pair of each prompt.

    Satisfied by 1 pass and 1 fail with different answers. A rollout without a score is never rejected.

    Args:
        pass_threshold: a score of at least this is chosen.
        fail_threshold: a score of at most this is rejected.
        reasoning: `keep` it in `<think>` tags on both sides, where both have some, or `drop` it.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
    """

    name = "dpo"

    def __init__(
        self,
        *,
        pass_threshold: float = 1.0,
        fail_threshold: float = 0.0,
        reasoning: Literal["keep", "drop"] = "keep",
        messages: Messages = "original",
    ) -> None:
        check_thresholds(pass_threshold, fail_threshold)
        self.pass_threshold = pass_threshold
        self.fail_threshold = fail_threshold
        self.reasoning: Literal["keep", "drop"] = reasoning
        self.messages = messages

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """The sides that are missing: 2, 1, 0."""
        passes, fails = self._sides(rollouts)
        if not passes or not fails:
            return (not passes) + (not fails)
        answers = {rollout.answer_key for rollout in (*passes, *fails)}
        return 0 if len(answers) > 1 else 1

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """One row: the best pass and the worst fail, ties by lowest index, both with reasoning or both without."""
        pair = self._pair(rollouts)
        if pair is None:
            return
        chosen, rejected = pair
        both = chosen.has_reasoning == rejected.has_reasoning
        reasoning = self.reasoning if both else "drop"
        row = {
            "conversations": sharegpt_turns(prompt.messages),
            "chosen": {"from": "gpt", "value": with_reasoning(chosen, reasoning)},
            "rejected": {"from": "gpt", "value": with_reasoning(rejected, reasoning)},
        }
        yield FormattedRow(with_images(row, prompt), (chosen.index, rejected.index))

    def reads(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        """The pair."""
        return self._pair(rollouts) or ()

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`no_pass`, `no_fail`, or `no_difference` where the same answer was judged both ways."""
        passes, fails = self._sides(rollouts)
        return "no_pass" if not passes else "no_fail" if not fails else "no_difference"

    def dataset_info(self) -> Mapping[str, Any]:
        """LLaMA-Factory's entry."""
        columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
        return {"formatting": "sharegpt", "ranking": True, "columns": columns}

    def _sides(self, rollouts: Sequence[Rollout]) -> tuple[list[Rollout], list[Rollout]]:
        passes = [rollout for rollout in rollouts if passed(rollout, self.pass_threshold)]
        fails = [rollout for rollout in rollouts if failed(rollout, self.fail_threshold)]
        return passes, fails

    def _pair(self, rollouts: Sequence[Rollout]) -> tuple[Rollout, Rollout] | None:
        """The best pair of different answers; of the equally good ones the first whose reasoning matches."""
        passes, fails = self._sides(rollouts)
        pairs = [(good, bad) for good in passes for bad in fails if good.answer_key != bad.answer_key]
        if not pairs:
            return None

        def rank(pair: tuple[Rollout, Rollout]) -> tuple[float, float, bool, int, int]:
            good, bad = pair
            uneven = self.reasoning == "keep" and good.has_reasoning != bad.has_reasoning
            return (-(good.score or 0.0), bad.score or 0.0, uneven, good.index, bad.index)

        return min(pairs, key=rank)
