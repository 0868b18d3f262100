"""SFT: the best correct response of each prompt, as OpenAI messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rsr.formatters.layouts import (
    OPENAI_TAGS,
    Reasoning,
    assistant_message,
    openai_messages,
    with_images,
)
from rsr.formatters.thresholds import Messages, check_count, check_thresholds, passed
from rsr.types import FormattedRow, Prompt, Rollout


class SFT:
    """SFT: the best correct response of each prompt.

    Satisfied by 1 pass, or, with `best_of: n`, by n valid rollouts of which one passes.

    Args:
        pass_threshold: a score of at least this passes.
        best_of: choose among so many valid rollouts.
        reasoning: `keep` it in `<think>` tags, `drop` it, or put it into the `field` reasoning_content.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
        fail_threshold: not used; taken because configs of the reference implementation carry it.
    """

    name = "sft"

    def __init__(
        self,
        *,
        pass_threshold: float = 1.0,
        best_of: int | None = None,
        reasoning: Reasoning = "keep",
        messages: Messages = "original",
        fail_threshold: float | None = None,
    ) -> None:
        check_thresholds(pass_threshold, fail_threshold)
        check_count("best_of", best_of)
        self.pass_threshold = pass_threshold
        self.best_of = best_of or 1
        self.reasoning = reasoning
        self.messages = messages

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """1 until there is a pass; with `best_of`, n valid ones."""
        more = self.best_of - len(rollouts) if self.best_of > 1 else 0
        threshold = self.pass_threshold
        for rollout in reversed(rollouts):  # asked after each rollout: where there is a pass, it is mostly the last
            if passed(rollout, threshold):
                return max(0, more)
        return max(1, more)

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """One row: the best score, ties by lowest index."""
        for best in self.reads(rollouts):
            messages = [*openai_messages(prompt.messages), assistant_message(best, self.reasoning)]
            yield FormattedRow(with_images({"messages": messages}, prompt), (best.index,))

    def reads(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """The one that the row is made of."""
        passes = [rollout for rollout in rollouts if passed(rollout, self.pass_threshold)]
        return [min(passes, key=lambda rollout: (-(rollout.score or 0.0), rollout.index))] if passes else []

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`no_pass`."""
        return "no_pass"

    def dataset_info(self) -> Mapping[str, Any]:
        """LLaMA-Factory's entry."""
        return {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": OPENAI_TAGS}
