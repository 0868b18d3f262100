"""Multi-SFT: several different correct responses of each prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from rsr.formatters.layouts import openai_messages, with_images, with_reasoning
from rsr.formatters.thresholds import Messages, check_count, check_thresholds, passed
from rsr.types import FormattedRow, Prompt, Rollout


class MultiSFT:
    """Multi-SFT: up to `num_responses` different correct responses of each prompt.

    Satisfied by `num_responses` passes whose final answers differ after trimming white space. A prompt whose budget
    ends with fewer writes what it has, if that is at least `min_responses`.

    Args:
        num_responses: how many to collect.
        pass_threshold: a score of at least this passes.
        min_responses: the least that is worth a row.
        reasoning: `keep` it in `<think>` tags or `drop` it.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
        fail_threshold: not used; taken because configs of the reference implementation carry it.
    """

    name = "multi_sft"

    def __init__(
        self,
        *,
        num_responses: int = 16,
        pass_threshold: float = 1.0,
        min_responses: int = 1,
        reasoning: Literal["keep", "drop"] = "keep",
        messages: Messages = "original",
        fail_threshold: float | None = None,
    ) -> None:
        check_thresholds(pass_threshold, fail_threshold)
        check_count("num_responses", num_responses)
        check_count("min_responses", min_responses)
        if min_responses > num_responses:
            raise ValueError(f"min_responses: {min_responses} must be at most num_responses {num_responses}")
        self.num_responses = num_responses
        self.pass_threshold = pass_threshold
        self.min_responses = min_responses
        self.reasoning: Literal["keep", "drop"] = reasoning
        self.messages = messages

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """`num_responses` less the different passes."""
        threshold = self.pass_threshold
        unique = {rollout.answer_key for rollout in rollouts if passed(rollout, threshold)}
        return max(0, self.num_responses - len(unique))

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """One row: the best first, ties by lowest index; of equal answers the first."""
        unique = self.reads(rollouts)
        if len(unique) < self.min_responses:
            return
        row = {
            "messages": openai_messages(prompt.messages),
            "responses": [with_reasoning(rollout, self.reasoning) for rollout in unique],
        }
        yield FormattedRow(with_images(row, prompt), tuple(rollout.index for rollout in unique))

    def reads(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Those that the row is made of."""
        return self._unique(rollouts)[: self.num_responses]

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`no_pass`, or `too_few` where there are fewer than `min_responses`."""
        return "too_few" if self._unique(rollouts) else "no_pass"

    def dataset_info(self) -> None:
        """No trainer reads this shape, so it is not registered."""
        return

    def _unique(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        passes = [rollout for rollout in rollouts if passed(rollout, self.pass_threshold)]
        first: dict[int, Rollout] = {}
        for rollout in sorted(passes, key=lambda rollout: (-(rollout.score or 0.0), rollout.index)):
            first.setdefault(rollout.answer_key, rollout)
        return list(first.values())
