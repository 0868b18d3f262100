"""`sampler.type: openai-compatible-api`: any server that speaks OpenAI's chat completions.

One request asks for `n` choices, choice j being the answer to `seed + j`. Servers differ in what they make of that, so
the largest `n` (`max_choices`) is found out while running:

    refuses n > 1                       asked singly from then on, or with the largest n that its error names
    returns fewer choices               those are used; asked singly from then on
    returns the same text n times       one more request with seed + 1, one in a run, tells a constant answer from a
                                        server that gives equal choices for one seed: that is asked singly from then on

Requests are streamed only where a disconnect would not stop the generation of an unstreamed one (llama.cpp).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

import msgspec

from rsr.bodies import max_tokens, most_bytes
from rsr.endpoint import Endpoint, Limits
from rsr.errors import ConfigError, PromptRefused, RequestFailed, SamplerStopped
from rsr.failures import Failed, Failure, ParameterRefused, listing
from rsr.gate import Ticket
from rsr.listed_models import is_listed, listed_models
from rsr.registry import nearest
from rsr.replies import Assembly, read_choices
from rsr.types import Completion, Message, SampleRequest
from rsr.wire import Wire, sendable

_log = logging.getLogger("rsr")

OPENAI = "https://api.openai.com/v1"
_PATH = "chat/completions"
_TELLING = 20
"""Equal choices of more characters than this are suspicious."""
_CHARACTERS_PER_TOKEN = 4
_CUT_SHORT = frozenset({Failure.TIMEOUT, Failure.STALLED, Failure.BROKEN})


class OpenAICompatible:
    """Completions from vLLM, SGLang, llama.cpp, Ollama, OpenAI and whatever else speaks their protocol.

    Args:
        model: as the server names it.
        base_url: address of the API, usually ending in /v1; default: OpenAI's.
        api_key: default: the environment variable OPENAI_API_KEY; an empty string sends none.
        headers: further HTTP headers.
        temperature: not sent where None, as are the next three.
        top_p: nucleus sampling.
        max_tokens: longest response in tokens.
        stop: stop strings.
        extra_params: merged into the request.
        concurrent_requests: completions in flight at most.
        timeout: seconds for one try of a request; default: no shorter than the generation that max_tokens allows.
        stall_timeout: seconds without a byte of a streamed reply that has begun.
        requests_per_minute: sent in any minute at most.
        tokens_per_minute: of prompts and completions in any minute at most.
        max_outage: seconds to wait for a server that is out of order.
        max_retries: further tries of a request that failed.
        stream: auto: only where a server would go on generating after we hang up, and something may be cancelled.
        send_seed: send each request's seed.
        may_cancel: whether requests may be cancelled at all; only `stream: auto` asks.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        headers: dict[str, str] | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: list[str] | None = None,
        extra_params: dict[str, Any] | None = None,
        concurrent_requests: int = 128,
        timeout: float | None = None,
        stall_timeout: float = 300.0,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        max_outage: float = 3600.0,
        max_retries: int = 6,
        stream: bool | Literal["auto"] = "auto",
        send_seed: bool = True,
        may_cancel: bool = True,
    ) -> None:
        self._nowhere = model is None and base_url is None
        headers = dict(headers or {})
        key = os.environ.get("OPENAI_API_KEY") if api_key is None else api_key
        key = sendable(key or "", "sampler.api_key")
        if key and "authorization" not in {name.lower() for name in headers}:
            headers["Authorization"] = f"Bearer {key}"
        self._wire = Wire(
            base_url or OPENAI,
            headers=headers,
            timeout=timeout,
            stall_timeout=stall_timeout,
            max_retries=max_retries,
            limits=Limits(concurrent_requests, requests_per_minute, tokens_per_minute, max_outage),
        )
        given = {"model": model, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "stop": stop}
        self._common = {name: value for name, value in given.items() if value is not None} | (extra_params or {})
        self._send_seed = send_seed
        self._wanted_stream = stream
        self._may_cancel = may_cancel
        self._stream = stream is True
        self._llama_cpp = False
        self._max_choices: int | None = None
        self._tells_choices_apart = self._common.get("temperature") == 0
        self._confirming = asyncio.Lock()
        self._unconfirmed = 0
        self._warned_of: set[str] = set()

    @property
    def max_in_flight(self) -> int | None:
        """No limit of its own."""
        return None

    @property
    def max_choices(self) -> int | None:
        """The largest `n`, as far as it is known; falls when the server turns out not to do it."""
        return self._max_choices

    @property
    def endpoint(self) -> Endpoint | None:
        """The server as all its requests share it: how many wait, and why; None before the first."""
        return self._wire.endpoint

    def identity(self) -> Mapping[str, Any]:
        """Nothing beside the common sampling keys."""
        return {}

    async def start(self) -> None:
        """Ask the server which models it has; nothing is generated.

        Raises:
            ConfigError: no model is configured.
            SamplerStopped: nothing answers, the key is refused, or the server lists other models.
        """
        if self._nowhere:
            raise ConfigError("sampler.model: missing; set it, and sampler.base_url where the server is not OpenAI's")
        reply = None
        try:
            reply = await self._wire.get("models")
        except RequestFailed as cause:
            _log.warning("%s; going on without its list of models", cause)
        listed: list[dict[str, Any]] = []
        if reply is not None:
            failed = self._wire.failure(reply.status, reply.body, self._common, reply.headers)
            if failed is not None and failed.failure is Failure.KEY:
                raise SamplerStopped(str(failed))
            listed = listed_models(reply.body) if reply.status == 200 else []
            self._llama_cpp = _is_llama_cpp(listed, reply.headers)
        self._wire.models = [str(entry.get("id")) for entry in listed]
        self._check_model(listed)
        if self._wanted_stream == "auto":
            self._stream = self._llama_cpp and self._may_cancel

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        """The completions of one request, in choice order; fewer than `n` where the server gives fewer."""
        messages = _with_images(request)
        n = min(request.n, self._max_choices or request.n)
        if n == 1:
            return (await self._ask(messages, request, 1))[:1]
        try:
            completions = await self._ask(messages, request, n)
        except (ParameterRefused, PromptRefused) as refusal:
            n = self._allowed_choices(refusal, n)
            completions = await self._ask(messages, request, n)
            # Now it is certain that the number was the trouble.
            self._limit_choices(n, "the server refuses more choices in one request")
        if len(completions) < n:
            self._limit_choices(1, "the server returns fewer choices than it is asked for")
        return await self._told_apart(messages, request, completions[:n])

    @property
    def state(self) -> str:
        """What holds everything up, in a few words; empty while nothing does."""
        return self.endpoint.state if self.endpoint is not None else ""

    @property
    def resting(self) -> int:
        """Completions that wait for Retry-After or backoff: no slot is taken by them."""
        return self.endpoint.resting if self.endpoint is not None else 0

    def drain(self) -> None:
        """Send nothing new; what is in flight may still come."""
        if self.endpoint is not None:
            self.endpoint.drain()

    async def close(self) -> None:
        """Close all connections."""
        await self._wire.close()

    async def _ask(self, messages: list[Message], request: SampleRequest, n: int, later: int = 0) -> list[Completion]:
        """The choices of one request with `n` from `seed + later` on, tried again as the table of failures says."""
        payload: dict[str, Any] = {"messages": messages, **self._common}
        if request.tools:
            payload["tools"] = request.tools
        if self._send_seed:
            payload["seed"] = request.seed + later
        if n > 1:
            payload["n"] = n
        if self._stream:
            payload |= {"stream": True, "stream_options": {"include_usage": True}}

        ticket = self._ticket(request, payload, n)

        async def attempt() -> list[Completion]:
            reply = await (self._assembled(payload, n) if self._stream else self._wire.post_once(_PATH, payload))
            found = read_choices(reply, self._llama_cpp, ticket.redrawn)
            ticket.used = _used(found)
            return found

        found = await self._wire.persist(attempt, ticket)
        self._watch_model(found[0].model)
        return found

    def _ticket(self, request: SampleRequest, payload: dict[str, Any], n: int) -> Ticket:
        ticket = Ticket(request.tag or None, n)
        if self._wire.limits.tokens_per_minute:
            ticket.prompt_tokens = len(msgspec.json.encode(payload["messages"])) // _CHARACTERS_PER_TOKEN
            ticket.max_tokens = max_tokens(payload)
        return ticket

    async def _assembled(self, payload: dict[str, Any], n: int) -> dict[str, Any]:
        """A streamed reply put together to what an unstreamed one would be.

        When time is up, what has come by then is the reply. To ask again for what takes long would favour short
        answers.
        """
        parts = Assembly(most_bytes(payload))
        try:
            async with aclosing(self._wire.stream(_PATH, payload)) as events:
                async for event in events:
                    parts.add(event)
        except Failed as failed:
            if failed.failure in _CUT_SHORT and parts.complete(n):  # only what follows the last text is missing
                return parts.reply()
            if failed.failure is Failure.TIMEOUT and parts.begun:
                return parts.cut()
            raise
        return parts.reply()

    async def _told_apart(
        self, messages: list[Message], request: SampleRequest, completions: list[Completion]
    ) -> list[Completion]:
        """The choices that are answers to seeds of their own."""
        first = completions[0]
        texts = {(completion.text, completion.reasoning) for completion in completions}
        if len(texts) > 1:
            self._tells_choices_apart = True
        length = len(first.text) + len(first.reasoning or "")
        if self._tells_choices_apart or len(completions) == 1 or length <= _TELLING:
            return completions
        unconfirmed = self._unconfirmed
        async with self._confirming:  # one request finds it out for all replies
            if self._tells_choices_apart:
                return completions
            # Choice 0 is what it is in either case.
            if self._max_choices == 1 or self._unconfirmed > unconfirmed:
                return completions[:1]
            try:
                second = (await self._ask(messages, request, 1, later=1))[0]
            except RequestFailed:
                self._unconfirmed += 1
                return completions[:1]
            if (second.text, second.reasoning) == (first.text, first.reasoning):
                self._tells_choices_apart = True
            if self._tells_choices_apart:  # or other choices, which came meanwhile, do differ
                return completions
            self._limit_choices(1, "the server gives equal choices for one seed")
            return [first, second]

    def _allowed_choices(self, refusal: ParameterRefused | PromptRefused, n: int) -> int:
        """How many choices to ask for after a refusal that may be about their number; raises it where it is not."""
        about_n = isinstance(refusal, ParameterRefused) and refusal.parameter == "n"
        # A server that never gave several choices may refuse them without naming the parameter.
        unnamed = isinstance(refusal, PromptRefused) and not self._tells_choices_apart and "context" not in str(refusal)
        if not about_n and not unnamed:
            raise refusal
        limit = re.search(r"(?:<=|at most|up to|maximum(?: of| is)?)\s*(\d+)", str(refusal)) if about_n else None
        return int(limit[1]) if limit and 1 <= int(limit[1]) < n else 1

    def _limit_choices(self, n: int, why: str) -> None:
        if self._max_choices is None or n < self._max_choices:
            self._max_choices = n
            _log.info("%s; asking for %s at a time from now on", why, n)

    def _check_model(self, listed: list[dict[str, Any]]) -> None:
        """Refuse a model that the server does not list, where it lists any."""
        names = self._wire.models
        if not self._common.get("model"):
            have = f"the server lists: {listing(names)}" if names else "set it to the name that the server gives it"
            raise ConfigError(f"sampler.model: missing; {have}")
        model = str(self._common["model"])
        if listed and not is_listed(model, listed):
            hint = nearest(model, names) if len(names) > 8 else f"it lists: {listing(names)}"
            raise SamplerStopped(f"sampler.model: the server does not have {model!r}; {hint}")

    def _watch_model(self, replied: str | None) -> None:
        """Warn once of each other model that a reply names; dated versions and paths of ours are not other ones."""
        asked = str(self._common.get("model"))
        if not replied or replied == asked or replied in self._warned_of:
            return
        self._warned_of.add(replied)
        if not replied.startswith(f"{asked}-") and replied.rpartition("/")[2] != asked.rpartition("/")[2]:
            _log.warning("sampler.model: %r was asked for, but replies come from %r", asked, replied)


def _used(completions: list[Completion]) -> int | None:
    """The tokens of a reply by its usage."""
    counts = [completion.completion_tokens for completion in completions]
    if None in counts:
        return None
    return sum(count or 0 for count in counts) + (completions[0].prompt_tokens or 0)


def _is_llama_cpp(listed: list[dict[str, Any]], headers: Mapping[str, str]) -> bool:
    return "llama.cpp" in headers.get("Server", "").lower() or any(
        entry.get("owned_by") == "llamacpp" for entry in listed
    )


def _with_images(request: SampleRequest) -> list[Message]:
    """The messages, with the prompt's images as parts of the last one of the user."""
    if not request.images:
        return request.messages
    parts: list[Any] = []
    for image in request.images:
        if isinstance(image, str) and not image.startswith(("http://", "https://", "data:")):
            raise PromptRefused(f"image {image[:80]!r}: neither a URL nor a data: URI")
        parts.append({"type": "image_url", "image_url": {"url": image}} if isinstance(image, str) else image)
    messages = list(request.messages)
    at = max((j for j, message in enumerate(messages) if message.get("role") == "user"), default=len(messages) - 1)
    content = messages[at].get("content") or ""
    text = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    messages[at] = {**messages[at], "content": [*parts, *text]}
    return messages
