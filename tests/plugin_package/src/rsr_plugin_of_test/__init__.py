"""A plug-in package as a third party would write it: no base class, nothing of RSR's inside but its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rsr import Completion, FormattedRow, Prompt, Rollout, SampleRequest, Verdict


def contains(response: str, answer: str, *, case: bool = True) -> bool:
    """Whether the answer stands in the response."""
    return answer in response if case else answer.casefold() in response.casefold()


class Length:
    """Scores short responses high.

    Args:
        most: a response of so many characters scores 0.
    """

    version = "7"
    needs_answer = False

    def __init__(self, *, most: int = 100) -> None:
        if most < 1:
            raise ValueError(f"most: must be at least 1, is {most}")
        self.most = most

    def __call__(self, response: str, answer: Any = None) -> Verdict:
        return Verdict(score=max(0.0, 1 - len(response) / self.most), extracted=str(len(response)))


class Labels:
    """Every scored response with its label."""

    name = "labels"

    def __init__(self, *, pass_threshold: float = 1.0, count: int = 2) -> None:
        self.pass_threshold = pass_threshold
        self.count = count

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        return max(0, self.count - sum(rollout.score is not None for rollout in rollouts))

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        for rollout in rollouts:
            if rollout.score is not None:
                answer = {"role": "assistant", "content": rollout.response}
                row = {"messages": [*prompt.messages, answer], "label": rollout.score >= self.pass_threshold}
                yield FormattedRow(row, (rollout.index,))

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        return "no_score"

    def dataset_info(self) -> Mapping[str, Any] | None:
        return None


class Parrot:
    """Says the last message again.

    Args:
        prefix: put before it.
    """

    max_in_flight = None
    max_choices = 1

    def __init__(self, *, prefix: str = "", model: str | None = None) -> None:
        self.prefix = prefix

    def identity(self) -> Mapping[str, Any]:
        return {"prefix": self.prefix}

    async def start(self) -> None:
        pass

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        return [Completion(text=f"{self.prefix}{request.messages[-1]['content']} #{request.index}")]

    async def close(self) -> None:
        pass
