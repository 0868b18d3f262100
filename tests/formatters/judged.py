"""Prompts and judged rollouts for tests of the formatters, and the rows that are made of them."""

import json
from collections.abc import Sequence
from typing import Any

from rsr.hashing import answer_key
from rsr.types import FormattedRow, Formatter, Outcome, Prompt, Reason, Rollout, Verdict

TEXT = "Which is correct?\n\nA: X\nB: Y"


def prompt(messages: list[dict[str, Any]] | None = None, **more: Any) -> Prompt:
    return Prompt(order=0, key=b"k" * 16, id="q", messages=messages or [{"role": "user", "content": TEXT}], **more)


def rollout(
    index: int, score: float | None, text: str | None = None, reasoning: str = "", extracted: str | None = None
) -> Rollout:
    """A valid rollout; without a score the verifier found no answer."""
    response = f"Answer {index}" if text is None else text
    return Rollout(
        index=index,
        outcome=Outcome.OK,
        verdict=Verdict(score=score, extracted=extracted, reason=Reason.NO_ANSWER if score is None else None),
        answer_key=answer_key(response),
        has_reasoning=bool(reasoning.strip()),
        response=response,
        reasoning=reasoning,
    )


def scores(*values: float | None) -> list[Rollout]:
    return [rollout(index, value) for index, value in enumerate(values)]


def rows(formatter: Formatter, rollouts: Sequence[Rollout], of: Prompt | None = None) -> list[FormattedRow]:
    return list(formatter.rows(of or prompt(), rollouts))


def row(formatter: Formatter, rollouts: Sequence[Rollout], of: Prompt | None = None) -> dict[str, Any]:
    (only,) = rows(formatter, rollouts, of)
    return only.row


def written(value: Any) -> str:
    return json.dumps(value)  # the order of keys counts
