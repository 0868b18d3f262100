"""The input joined with what is stored of it, in input order, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rsr.prompts import Prompts
from rsr.store.rollouts import RolloutStore
from rsr.types import Prompt, Rollout
from rsr.verifiers.verification import Reference, Verification


class Stored(NamedTuple):
    """A prompt, what it is judged by, and its rollouts that count under the config of now, without texts."""

    prompt: Prompt
    reference: Reference
    rollouts: list[Rollout]


def replay(prompts: Prompts, store: RolloutStore, verification: Verification, limit: int) -> Iterator[Stored]:
    """Every prompt with its rollouts.

    Args:
        prompts: the input.
        store: the rollouts.
        verification: says which verdicts count.
        limit: `max_tokens` of now (-1: all rows, superseded ones too).
    """
    for page in prompts.pages():
        references = [verification.reference(prompt) for prompt in page]
        stored = store.load(page, [reference.key for reference in references], limit)
        yield from (Stored(*row) for row in zip(page, references, stored, strict=True))
