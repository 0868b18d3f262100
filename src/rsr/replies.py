"""What is in a chat reply: its choices as completions, from a whole reply or from the pieces of a streamed one.

Servers agree on little beyond `choices[].message.content`. What is odd or missing stays out; a reply that could not be
an answer (no message, a stream without its end) raises `Failed`, and is asked for again.
"""

from __future__ import annotations

from typing import Any

from rsr.bodies import MOST, too_large
from rsr.failures import Failed, Failure
from rsr.types import Completion

TIMEOUT = "timeout"
"""The finish reason of a text that our own limit of time cut."""
_CHOICE = 256  # bytes, about, of a choice without a text
_REASONING = ("reasoning_content", "reasoning", "thinking")


class Assembly:
    """The choices of a stream as they grow.

    Args:
        most: bytes, about, that they may grow to.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._size = 0
        self._choices: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}
        self._envelope: dict[str, Any] = {}
        self._usages: dict[int, Any] = {}
        self._ended = -1

    @property
    def begun(self) -> bool:
        """Whether any text has come."""
        return bool(self._pieces)

    def complete(self, n: int) -> bool:
        """Whether `n` choices have come to their end."""
        return len(self._choices) >= n and all(choice["finish_reason"] for choice in self._choices.values())

    def add(self, event: dict[str, Any]) -> None:
        """One event: pieces of choices, or the usage at the end."""
        if event.get("usage"):
            self._envelope["usage"] = event["usage"]
            if not event.get("choices"):
                # llama.cpp sends one for each choice, when that has ended; others one at the end for all of them.
                self._usages[self._ended] = event["usage"]
        if event.get("model"):
            self._envelope["model"] = event["model"]
        choices = event.get("choices") or []
        for choice in choices if isinstance(choices, list) else [choices]:
            if not isinstance(choice, dict):
                raise Failed(Failure.BODY, f"{Failure.BODY}: a choice is no object")
            index = choice.get("index")
            index = index if isinstance(index, int) else 0
            whole = self._choices.get(index)
            if whole is None:
                whole = self._choices[index] = {"index": index, "finish_reason": None}
                self._size += _CHOICE
            # A server that does not stream sends `message`.
            for field, piece in _object(choice.get("delta") or choice.get("message")).items():
                if piece and (field == "content" or field in _REASONING):
                    text = _text(piece)
                    self._size += len(text)
                    self._pieces.setdefault((index, field), []).append(text)
            if self._size > self._most:
                raise too_large(self._most)
            if choice.get("finish_reason"):
                whole["finish_reason"] = choice["finish_reason"]
                self._ended = index

    def reply(self) -> dict[str, Any]:
        """All of it; raises `Failed` for a stream that broke off: without its end, a text is not an answer."""
        if not self._choices or any(choice["finish_reason"] is None for choice in self._choices.values()):
            raise Failed(Failure.BODY, f"{Failure.BODY}: the stream has no end (no finish_reason)")
        for index, choice in self._choices.items():
            fields = [field for at, field in self._pieces if at == index]
            choice["message"] = {field: "".join(self._pieces[index, field]) for field in fields}
            if self._usages.keys() >= self._choices.keys():
                choice["usage"] = self._usages[index]
        return {**self._envelope, "choices": list(self._choices.values())}

    def cut(self) -> dict[str, Any]:
        """What has come by now, where no more will be waited for: choices without an end have ended by `timeout`."""
        for choice in self._choices.values():
            choice["finish_reason"] = choice["finish_reason"] or TIMEOUT
        return self.reply()


def read_choices(reply: dict[str, Any], counts_first_only: bool, redrawn: bool = False) -> list[Completion]:
    """The choices of a reply, in order.

    Args:
        reply: as `Wire.post_once` or `Assembly.reply` gives it.
        counts_first_only: the server's `completion_tokens` are those of choice 0, as llama.cpp's are.
        redrawn: an earlier try may have generated something.

    Raises:
        Failed: a choice has no message.
    """
    choices = _in_order(reply["choices"])
    usage = _object(reply.get("usage"))
    texts: list[str] = []
    reasonings: list[str | None] = []
    for choice in choices:
        message = choice.get("message")
        if not isinstance(message, dict):
            raise Failed(Failure.BODY, f"{Failure.BODY}: a choice has no message")
        texts.append(_text(message.get("content")))
        reasonings.append(_reasoning(message))
    tokens: list[int | None] = [_count(usage, "completion_tokens")]
    if len(choices) > 1:
        lengths = [len(text) + len(reasoning or "") for text, reasoning in zip(texts, reasonings, strict=True)]
        tokens = _divided(tokens[0], lengths, counts_first_only)
    if all("usage" in choice for choice in choices):
        tokens = [_count(_object(choice["usage"]), "completion_tokens") for choice in choices]
    asked = _count(usage, "prompt_tokens")
    model = reply.get("model")
    return [
        Completion(
            text=texts[j],
            reasoning=reasonings[j],
            finish_reason=str(choice.get("finish_reason") or ""),
            prompt_tokens=asked if j == 0 or asked is None else 0,  # paid for once per request
            completion_tokens=tokens[j],
            model=model if isinstance(model, str) else None,
            redrawn=redrawn,
        )
        for j, choice in enumerate(choices)
    ]


def _in_order(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By `index`, up to the first that is missing; as they come where the indices make no sense."""
    if len(choices) == 1:
        return choices
    by_index = {str(choice.get("index")): choice for choice in choices}
    if "0" not in by_index or len(by_index) < len(choices):
        return choices
    ordered: list[dict[str, Any]] = []
    while str(len(ordered)) in by_index:
        ordered.append(by_index[str(len(ordered))])
    return ordered


def _reasoning(message: dict[str, Any]) -> str | None:
    for name in _REASONING:
        if message.get(name):
            return _text(message[name])
    return None


def _text(content: Any) -> str:
    """The text of a message's content, which may be null or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else str(_object(part).get("text") or "") for part in content)
    return ""


def _object(value: Any) -> dict[str, Any]:
    """The value where it is a JSON object; servers also send null, or leave it out."""
    return value if isinstance(value, dict) else {}


def _count(usage: dict[str, Any], name: str) -> int | None:
    count = usage.get(name)
    return count if isinstance(count, int) else None


def _divided(total: int | None, lengths: list[int], counts_first_only: bool) -> list[int | None]:
    """The completion tokens of each choice, in proportion to their lengths where only the sum is known."""
    if total is None:
        return [None] * len(lengths)
    if counts_first_only and len(lengths) > 1:
        return [total, *(round(total * length / max(1, lengths[0])) for length in lengths[1:])]
    whole = sum(lengths) or len(lengths)
    shares: list[int | None] = []
    before = reached = 0
    for length in lengths:
        reached += length if sum(lengths) else 1
        upto = round(total * reached / whole)
        shares.append(upto - before)
        before = upto
    return shares
