"""A prompt's messages as they are sent: with the sampler's system prompt and suffix."""

from __future__ import annotations

from collections.abc import Sequence

from rsr.types import Message


def sampled_messages(messages: Sequence[Message], system_prompt: str | None, suffix: str | None) -> list[Message]:
    """The messages with the system prompt before them and the suffix after the last user message.

    A system message that the prompt has already comes after ours, in the same message. The suffix gets a paragraph of
    its own unless it begins with white space.
    """
    sent = list(messages)
    if system_prompt:
        own = sent.pop(0).get("content") if sent and sent[0]["role"] in ("system", "developer") else None
        sent.insert(0, {"role": "system", "content": _before(system_prompt, own)})
    if suffix:
        last = max((at for at, message in enumerate(sent) if message["role"] == "user"), default=None)
        if last is not None:
            sent[last] = {**sent[last], "content": _with_suffix(sent[last]["content"], suffix)}
    return sent


def _before(text: str, content: object) -> object:
    if isinstance(content, list):
        return [{"type": "text", "text": f"{text}\n\n"}, *content]
    return f"{text}\n\n{content}" if content else text


def _with_suffix(content: object, suffix: str) -> object:
    text = suffix if suffix[0].isspace() else f"\n\n{suffix}"
    if isinstance(content, list):
        return [*content, {"type": "text", "text": text}]
    return f"{content}{text}"
