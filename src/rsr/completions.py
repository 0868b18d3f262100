"""What a completion is worth: its reasoning and final answer, and the outcome of the index that it was drawn for."""

from __future__ import annotations

from rsr.hashing import answer_key
from rsr.reasoning import Split, split_reasoning
from rsr.types import NO_LIMIT, Completion, Outcome, Rollout

_CUT = {"length", "timeout"}  # the second is our own: time was up while tokens still came
_ENDED_BY_ITSELF = {"stop", "eos", "end_turn", "stop_sequence", ""}


def split_completion(completion: Completion) -> Split:
    """Reasoning and final answer, whichever way the server gave them."""
    text = encodable(completion.text)
    if completion.reasoning is None:
        return split_reasoning(text)
    return split_reasoning({"content": text, "reasoning_content": encodable(completion.reasoning)})


def encodable(text: str) -> str:
    """The text with `?` for lone surrogates, as some tokenizers give: they are not UTF-8, so no file can hold them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def to_rollout(completion: Completion, index: int, seed: int = 0, limit: int = NO_LIMIT) -> Rollout:
    """The rollout, still without a verdict, that a completion is at an index."""
    split = split_completion(completion)
    return Rollout(
        index=index,
        outcome=_outcome(completion.finish_reason, split.response),
        seed=seed,
        limit=limit,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        redrawn=completion.redrawn,
        answer_key=answer_key(split.response),
        has_reasoning=bool(split.reasoning.strip()),
        response=split.response,
        reasoning=split.reasoning,
    )


def _outcome(finish_reason: str, response: str) -> Outcome:
    if finish_reason in _CUT:
        return Outcome.TRUNCATED
    if finish_reason not in _ENDED_BY_ITSELF:
        return Outcome.FILTERED
    return Outcome.OK if response.strip() else Outcome.EMPTY
