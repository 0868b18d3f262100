"""What `chat_server` says: its options, texts as a function of (messages, seed), refusals and faults. See there."""

from __future__ import annotations

import asyncio
import dataclasses
import email.utils
import hashlib
import json
import random
import re
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import web

VOCABULARY = """
about after again along among because before between carry check clear close count draw each either enough even every
fact first follow found given hence here hold idea just known large least less light line make maybe mean might more
most much near next often only order other over part place point quite rather reason right same seem shape short show
since small some step still such sure than that then there thing think this though thus time
"""
WORDS = VOCABULARY.split()


@dataclasses.dataclass
class Options:
    """What the server does; each is a keyword of `serve` and a flag of the command line."""

    port: int = 0
    models: list[str] | None = dataclasses.field(default_factory=lambda: ["test-model"])
    """Listed on /v1/models, others are 404. Empty or None: no list (404), any model is served."""
    reply_model: str | None = None
    """The model that replies name instead of the one asked for."""
    api_key: str | None = None
    seed: int = 0
    """Of the server: another one gives other texts."""
    words: int = 24
    """Mean length of a reply."""
    token_delay: float = 0.0
    latency: float = 0.0
    """Seconds before a request begins."""
    slots: int = 0
    """Completions generated at once; others wait. 0: no limit."""
    n: str = "ok"
    """ok, unsupported (400), silent (400 that does not say why), equal (all choices alike), fewer (one), more, capped
    (400 above 8)."""
    refuses: list[str] = dataclasses.field(default_factory=list)
    """Parameters that get a 400."""
    faults: list[str] = dataclasses.field(default_factory=list)
    """For the first requests of every prompt, see above."""
    reasoning: str | None = None
    """The field that carries reasoning: reasoning_content, reasoning, thinking."""
    llamacpp: bool = False
    """Looks like llama.cpp's server: only streams stop when the client leaves; usage counts choice 0 only."""
    context: int = 0
    """Prompts of more words are refused. 0: no limit."""
    keepalive: float = 75.0


def label(messages: list[dict[str, Any]]) -> str:
    """The name of a prompt in `deliveries`."""
    return hashlib.blake2b(json.dumps(messages, sort_keys=True).encode(), digest_size=8).hexdigest()


def text_of(messages: list[dict[str, Any]]) -> str:
    """All text of a conversation."""
    parts: list[str] = []
    for message in messages:
        content = message.get("content") or ""
        parts += [content] if isinstance(content, str) else [str(part.get("text", "")) for part in content]
    return "\n".join(parts)


def tag(text: str, name: str) -> str | None:
    """The value of the last `[name=value]`; "" for `[name]`."""
    found = re.findall(rf"\[{name}(?:=([^\]]*))?\]", text)
    return found[-1] if found else None


def reply_text(messages: list[dict[str, Any]], seed: int, words: int = 24, server_seed: int = 0) -> str:
    """The text that (messages, seed) gets."""
    prompt = text_of(messages)
    fixed = tag(prompt, "text")
    if fixed is not None:
        return fixed
    name = label(messages)
    rng = random.Random(f"{server_seed}/{name}/{seed}")
    rate = tag(prompt, "p")
    p = float(rate) if rate else 0.05 + 0.9 * random.Random(f"{server_seed}/{name}").random()
    answer = tag(prompt, "answer") or "B"
    if rng.random() >= p:
        if answer.lstrip("-").isdigit():
            answer = str(int(answer) + rng.choice([-3, -2, -1, 1, 2, 3]))
        else:
            answer = rng.choice([letter for letter in "ABCD" if letter != answer])
    mean = int(tag(prompt, "words") or words)
    count = max(1, int(mean * rng.lognormvariate(-0.125, 0.5)))
    return f"Draft {seed}: {' '.join(rng.choices(WORDS, k=count))}. The answer is {answer}."


CHANGES = ("", "null", "nullstop", "plain", "nousage", "filtered", "cut", "noend")
"""Faults that need a good reply to begin with."""


def change(choice: dict[str, Any], fault: str) -> None:
    """A good choice, with what the fault makes of it."""
    if fault in ("null", "nullstop"):
        choice["message"]["content"] = None
        choice["finish_reason"] = "length" if fault == "null" else "stop"
    if fault == "filtered":
        choice["finish_reason"] = "content_filter"


async def spoil(request: web.Request, fault: str) -> web.StreamResponse | None:
    """What is answered instead of a completion; None for a fault that changes a good one."""
    kind, _, detail = fault.partition(":")
    if kind.isdigit():
        when = detail
        if detail.startswith("date+"):
            when = email.utils.formatdate(time.time() + float(detail.removeprefix("date+")), usegmt=True)
        return error(int(kind), f"scripted {kind}", headers={"Retry-After": when} if when else None)
    if kind == "hang":
        await asyncio.sleep(3600)
    if kind == "reset":
        abort(request)
        return web.Response(status=500)
    answers = {
        "malformed": lambda: web.Response(text='{"choices": [{"index": 0, "mess', content_type="application/json"),
        "html": lambda: web.Response(text="<html><body>Bad gateway</body></html>", content_type="text/html"),
        "error200": lambda: web.json_response({"error": {"message": "internal trouble", "type": "server_error"}}),
        "nochoices": lambda: web.json_response({"id": "x", "choices": []}),
        "context": lambda: context_error(5000, 2048),
        "policy": lambda: error(400, "Your request was rejected by our content policy.", code="content_policy"),
        "param": lambda: error(400, f"Unrecognized request argument supplied: {detail}"),
        "nomodel": lambda: unknown_model("it"),
    }
    return answers[kind]()


def deltas(message: dict[str, Any], words: int) -> Iterator[dict[str, str]]:
    """A message in pieces of so many words, reasoning first."""
    yield {"role": "assistant", "content": ""}
    for field in ("reasoning_content", "reasoning", "thinking", "content"):
        listed = (message.get(field) or "").split(" ") if message.get(field) else []
        for at in range(0, len(listed), words):
            yield {field: (" " if at else "") + " ".join(listed[at : at + words])}


def refusal(options: Options, payload: dict[str, Any]) -> web.Response | None:
    """The 4xx that a request gets, if any."""
    n = payload.get("n") or 1
    if options.models and payload.get("model") not in options.models:
        return unknown_model(payload.get("model"))
    for name in options.refuses:
        if name in payload:
            return error(400, f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
    if n > 1 and options.n == "unsupported":
        return error(400, "Only n = 1 is supported", param="n")
    if n > 1 and options.n == "silent":
        return error(400, "invalid request")
    if n > 8 and options.n == "capped":
        return error(400, "Field 'n': Value must be between 1 <= value <= 8")
    words = len(text_of(payload["messages"]).split())
    if options.context and words > options.context:
        return context_error(words, options.context)
    return None


def error(status: int, message: str, *, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    body = {"error": {"message": message, "type": "error", "param": None, "code": status} | more}
    return web.json_response(body, status=status, headers=headers)


def unknown_model(model: Any) -> web.Response:
    return error(404, f"The model `{model}` does not exist.", param="model", code="model_not_found")


def context_error(words: int, limit: int) -> web.Response:
    text = f"This model's maximum context length is {limit} tokens. However, your request has {words} input tokens."
    return error(400, text, param="input_tokens")


def abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def wrong_key() -> web.Response:
    return error(401, "Incorrect API key provided", code="invalid_api_key")
