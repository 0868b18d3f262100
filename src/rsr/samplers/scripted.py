"""`sampler.type: scripted`: replies from a list, a dict or a function; no model. For tests and dry runs.

    replies: [...]                  index i of every prompt gets entry i % len
    replies: {id: [...], "*": ...}  the same, by prompt id
    replies: ./file.py:function     called with (request, j) for choice j; returns an entry
    no replies                      made up from the seed: "Draft 17. The answer is C."

An entry is a text, a `Completion`, or a dict with any of `text`, `reasoning`, `finish_reason`, `completion_tokens`,
`delay` (seconds), `error` (`failed`, `refused` or `stopped`) and `times` (how often the error comes before the text).
A function of the prompt and the index, whatever the timing: only `times` and `fail` remember what was asked before.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rsr.errors import ConfigError, PromptRefused, RequestFailed, SamplerError, SamplerStopped
from rsr.hashing import content_hash
from rsr.registry import file_version, load_from_file
from rsr.types import Completion, SampleRequest

_ERRORS: dict[str, type[SamplerError]] = {
    "failed": RequestFailed,
    "refused": PromptRefused,
    "stopped": SamplerStopped,
}
_KEYS = {"text", "reasoning", "finish_reason", "completion_tokens", "delay", "error", "times"}


class Scripted:
    """Replies from a script instead of a model.

    Args:
        replies: list, dict of lists, callable or `./file.py:function`; see the file's docstring.
        delay: seconds that every request takes; an entry's own `delay` goes before it.
        fail: share of indices (0 to 1) whose first request fails, chosen by their hash.
        model: the model that completions name.
        max_tokens: replies of more words are cut there and end with `length`.
        max_choices: the largest `n` of one request.
        max_in_flight: how many completions it says that it can take at once.
        concurrent_requests: accepted and not used, as are the other sampling keys.
        temperature: not used.
        top_p: not used.
        stop: not used.
        extra_params: not used.
    """

    def __init__(
        self,
        *,
        replies: list[Any] | dict[str, Any] | str | Callable[..., Any] | None = None,
        delay: float | None = None,
        fail: float = 0.0,
        model: str | None = None,
        max_tokens: int | None = None,
        max_choices: int | None = None,
        max_in_flight: int | None = None,
        concurrent_requests: int = 128,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: list[str] | str | None = None,
        extra_params: dict[str, Any] | None = None,
    ) -> None:
        self._reference = replies if isinstance(replies, str) else None
        self._script = load_from_file(replies) if isinstance(replies, str) else replies
        _check(self._script)
        self._delay = delay
        self._fail = fail
        self._model = model
        self._max_tokens = max_tokens
        self._max_choices = max_choices
        self._max_in_flight = max_in_flight
        self._failed: Counter[tuple[str, int]] = Counter()

    @property
    def max_in_flight(self) -> int | None:
        """As configured."""
        return self._max_in_flight

    @property
    def max_choices(self) -> int | None:
        """As configured."""
        return self._max_choices

    def identity(self) -> Mapping[str, Any]:
        """The script: its content, or for a function its name and the hash of its file; never a model's samples."""
        if self._reference is not None:
            return {"scripted": self._reference.rpartition(":")[2], "version": file_version(self._reference)}
        if callable(self._script):
            return {"scripted": getattr(self._script, "__qualname__", type(self._script).__qualname__)}
        return {"scripted": content_hash(self._script).hex()}

    async def start(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        """The scripted completions; those before a choice with an error, or the error where that is the first."""
        completions: list[Completion] = []
        wait = -1.0
        for j in range(min(request.n, self._max_choices or request.n)):
            entry = self._entry(request, j)
            if isinstance(entry, str) and self._max_tokens is None and not self._fail:
                completions.append(
                    Completion(text=entry, completion_tokens=entry.count(" ") + 1 if entry else 0, model=self._model)
                )
                continue
            if isinstance(entry, dict):
                wait = max(wait, entry.get("delay", -1.0))
            error = self._error(request, j, entry)
            if error is None:
                completions.append(self._completion(entry))
            elif completions:
                break
            else:
                await self._pause(wait)
                raise error
        await self._pause(wait)
        return completions

    async def _pause(self, own: float) -> None:
        seconds = own if own >= 0 else self._delay
        if seconds is not None:
            await asyncio.sleep(seconds)

    def _entry(self, request: SampleRequest, j: int) -> Any:
        script = self._script
        if isinstance(script, dict):
            script = script[request.tag] if request.tag in script else script.get("*")
            if script is None:
                raise SamplerStopped(f"sampler.replies: none for prompt {request.tag!r}; add it, or '*' for the rest")
        if isinstance(script, list):
            return script[(request.index + j) % len(script)]
        if script is None:
            seed = request.seed + j
            return f"Draft {seed}. The answer is {'ABCD'[_fraction(seed) * 4 // 65536]}."
        return script(request, j) if callable(script) else script

    def _error(self, request: SampleRequest, j: int, entry: Any) -> SamplerError | None:
        index = request.index + j
        kind = entry.get("error") if isinstance(entry, dict) else None
        times = entry.get("times") if kind else None
        if kind is None and self._fail and _fraction(f"{request.tag}/{index}") < self._fail * 65536:
            kind, times = "failed", 1
        if kind is None:
            return None
        if times is not None:
            self._failed[request.tag, index] += 1
            if self._failed[request.tag, index] > times:
                return None
        return _ERRORS[kind](f"scripted: {kind} at index {index} of prompt {request.tag!r}")

    def _completion(self, entry: Any) -> Completion:
        if isinstance(entry, Completion):
            return entry
        if isinstance(entry, str):
            entry = {"text": entry}
        if not isinstance(entry, dict):
            raise ConfigError(f"sampler.replies: a {type(entry).__name__} is no reply; give a text or a dict")
        text = entry.get("text", "")
        finish = entry.get("finish_reason", "stop")
        if self._max_tokens is not None and "finish_reason" not in entry:
            words = text.split(" ")
            if len(words) > self._max_tokens:
                text, finish = " ".join(words[: self._max_tokens]), "length"
        tokens = entry.get("completion_tokens")
        return Completion(
            text=text,
            reasoning=entry.get("reasoning"),
            finish_reason=finish,
            completion_tokens=(text.count(" ") + 1 if text else 0) if tokens is None else tokens,
            model=self._model,
        )


def _fraction(value: object) -> int:
    """A hash in [0, 65536)."""
    return int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=2).digest())


def _check(script: Any) -> None:
    """Refuse a script that could only fail later."""
    for entries in script.values() if isinstance(script, dict) else [script]:
        if entries == []:
            raise ConfigError("sampler.replies: the list is empty; give at least one reply")
        for entry in entries if isinstance(entries, list) else [entries]:
            unknown = set(entry) - _KEYS if isinstance(entry, dict) else set()
            if unknown:
                raise ConfigError(f"sampler.replies: unknown key {sorted(unknown)[0]!r}; known: {sorted(_KEYS)}")
            if isinstance(entry, dict) and entry.get("error") not in (None, *_ERRORS):
                raise ConfigError(f"sampler.replies: unknown error {entry['error']!r}; known: {', '.join(_ERRORS)}")
