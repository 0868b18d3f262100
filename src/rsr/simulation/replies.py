"""The bodies of OpenAI's chat completions, as bytes: whole replies, events of a stream, errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rsr.simulation.faults import Fault

DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


class Choice(msgspec.Struct):
    """One choice of a reply."""

    index: int
    seed: int
    content: str | None
    finish_reason: str
    tokens: int
    reasoning: str | None = None
    reasoning_field: str = "reasoning_content"

    def message(self) -> dict[str, str | None]:
        """As an unstreamed reply has it."""
        message: dict[str, str | None] = {"role": "assistant", "content": self.content}
        if self.reasoning is not None:
            message[self.reasoning_field] = self.reasoning
        return message

    def spoil(self, fault: Fault) -> None:
        """Change what a fault changes of it."""
        if fault.kind in ("null", "nullstop"):
            self.content = None
            self.finish_reason = "length" if fault.kind == "null" else "stop"
        elif fault.kind == "filtered":
            self.finish_reason = "content_filter"
        elif fault.kind == "finish":
            self.finish_reason = fault.detail or "eos_limit"


class Envelope(msgspec.Struct):
    """What is around the choices."""

    id: str
    model: str
    prompt_tokens: int
    first_only: bool = False
    """Usage counts choice 0 only, as llama.cpp's does."""

    def usage(self, choices: Sequence[Choice]) -> dict[str, int]:
        """Token counts."""
        made = sum(choice.tokens for choice in (choices[:1] if self.first_only else choices))
        asked = self.prompt_tokens
        return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}

    def head(self, object: str) -> dict[str, Any]:
        """The fields before the choices."""
        return {"id": self.id, "object": object, "created": 0, "model": self.model}


def whole(envelope: Envelope, choices: Sequence[Choice], usage: bool) -> bytes:
    """An unstreamed reply."""
    listed = [
        {"index": one.index, "message": one.message(), "finish_reason": one.finish_reason, "logprobs": None}
        for one in choices
    ]
    body = envelope.head("chat.completion") | {"choices": listed}
    if usage:
        body["usage"] = envelope.usage(choices)
    return _encode(body)


class Events:
    """A streamed reply.

    Args:
        envelope: what is around the choices.
        tokens: of one event.
    """

    def __init__(self, envelope: Envelope, tokens: int) -> None:
        self._envelope = envelope
        self._tokens = tokens
        # Built once: an event is this, a choice's number, a delta, and the end.
        self._head = _encode(envelope.head("chat.completion.chunk"))[:-1]

    def deltas(self, choice: Choice) -> list[bytes]:
        """The events of a choice without its end: its role, then one for each `tokens` tokens, reasoning first."""
        start = b'data: %s,"choices":[{"index":%d,"delta":{' % (self._head, choice.index)
        end = b'},"finish_reason":null}]}\n\n'
        made = [start + b'"role":"assistant","content":""' + end]
        for field, text in ((choice.reasoning_field, choice.reasoning), ("content", choice.content)):
            made += [start + b'"%s":%s' % (field.encode(), _encode(piece)) + end for piece in self._pieces(text)]
        return made

    def finish(self, choice: Choice) -> bytes:
        """The event that ends a choice."""
        listed = [{"index": choice.index, "delta": {}, "finish_reason": choice.finish_reason}]
        return self._event(choices=listed)

    def usage(self, choices: Sequence[Choice]) -> bytes:
        """The event with the token counts."""
        return self._event(choices=[], usage=self._envelope.usage(choices))

    def _event(self, **more: Any) -> bytes:
        return b"data: %s,%s\n\n" % (self._head, _encode(more)[1:])

    def _pieces(self, text: str | None) -> Iterator[str]:
        words = text.split(" ") if text else []
        for at in range(0, len(words), self._tokens):
            yield (" " if at else "") + " ".join(words[at : at + self._tokens])


def error(message: str, **more: Any) -> bytes:
    """An error's body."""
    return _encode({"error": {"message": message, "type": "error", "param": None, "code": None} | more})


def context_error(words: int, limit: int) -> bytes:
    """The prompt is too long."""
    text = f"This model's maximum context length is {limit} tokens. However, your request has {words} input tokens."
    return error(text, param="input_tokens", code=400)


def unknown_model(model: object) -> bytes:
    """There is no such model."""
    return error(f"The model `{model}` does not exist.", param="model", code="model_not_found")
