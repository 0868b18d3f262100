"""A small deterministic OpenAI-compatible server for tests.

Choice j of a request with seed s is choice 0 of seed s + j: text is a function of (messages, seed) and nothing else,
and no two seeds give the same text. Words are tokens. What a prompt's text says in tags is obeyed:

    [p=0.3]           its pass rate (default: by hash of the messages, between 0.05 and 0.95)
    [answer=B]        a passing reply ends in "The answer is B."; a failing one names another of A-D (default: B;
                      a number works too, failing replies are off by 1 to 3)
    [words=200]       the length of every reply, about
    [text=Hello you]  every reply is exactly this
    [reasoning]       replies carry `reasoning_content`
    [faults=429:2,reset,html]   what becomes of its first requests; with a last `*`, the last one goes on for ever

Faults: a status (`429`, `503:2` with Retry-After, `429:date+2` as an HTTP date), `reset` (before any byte), `cut` (in
the middle of the body), `noend` (a stream without finish_reason), `hang`, `malformed`, `html`, `error200`,
`nochoices`, `context` and `policy` (400s about the prompt), `param:NAME` (400 about a parameter), `nomodel` (404), and
those that change a good reply: `null` (content null, `length`), `nullstop`, `plain` (text/plain), `nousage`,
`filtered`.

    with serve(token_delay=0.01, models=["m"]) as server:      # in a thread; process=True: in a process of its own
        server.base_url, server.stats()

    python tests/chat_server.py --port 0 --token-delay 0.01    # first line: listening http://127.0.0.1:PORT/v1

GET /stats (beside /v1): `requests`, `generated`, `delivered` (completions written wholly while the client was there),
`aborted`, `paid_twice` (deliveries of a (prompt, seed) beyond its first), `refused`, `in_flight`, `max_in_flight`
(completions), `max_requests_in_flight`, `tokens`, `last` (parameters, headers, messages); with ?deliveries=1 also
`deliveries`: {prompt label: {seed: times}}, where `label(messages)` names a prompt.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import random
import subprocess
import sys
import threading
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from chat_replies import (
    CHANGES,
    Options,
    abort,
    change,
    deltas,
    error,
    label,
    refusal,
    reply_text,
    spoil,
    tag,
    text_of,
    wrong_key,
)


@dataclasses.dataclass
class Counts:
    """What GET /stats tells."""

    requests: int = 0
    generated: int = 0
    delivered: int = 0
    aborted: int = 0
    refused: int = 0
    tokens: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    requests_in_flight: int = 0
    max_requests_in_flight: int = 0
    last: dict[str, Any] = dataclasses.field(default_factory=dict)


class ChatServer:
    """The application; one instance has one set of counts."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.counts = Counts()
        self.deliveries: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.seen: Counter[str] = Counter()
        self._free = asyncio.Semaphore(options.slots or 1)
        self._turn = asyncio.Lock()
        self.app = web.Application(client_max_size=64 << 20)
        self.app.router.add_get("/stats", self.get_stats)
        self.app.router.add_get("/v1/models", self.get_models)
        self.app.router.add_post("/v1/chat/completions", self.post_chat)

    async def get_stats(self, request: web.Request) -> web.Response:
        stats = dataclasses.asdict(self.counts)
        stats["paid_twice"] = sum(times - 1 for seeds in self.deliveries.values() for times in seeds.values())
        if request.query.get("deliveries"):
            stats["deliveries"] = {name: dict(seeds) for name, seeds in self.deliveries.items()}
        return web.json_response(stats)

    async def get_models(self, request: web.Request) -> web.Response:
        if not self._allowed(request):
            return wrong_key()
        if not self.options.models:
            return error(404, "Not Found")
        owner = "llamacpp" if self.options.llamacpp else "test"
        listed = [{"id": name, "object": "model", "owned_by": owner} for name in self.options.models]
        headers = {"Server": "llama.cpp"} if self.options.llamacpp else {}
        return web.json_response({"object": "list", "data": listed}, headers=headers)

    async def post_chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.counts.requests += 1
        self.counts.requests_in_flight += 1
        self.counts.max_requests_in_flight = max(self.counts.max_requests_in_flight, self.counts.requests_in_flight)
        try:
            return await self._answer(request, body)
        finally:
            self.counts.requests_in_flight -= 1

    async def _answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        payload: dict[str, Any] = json.loads(body)
        messages = payload["messages"]
        parameters = {key: value for key, value in payload.items() if key != "messages"}
        self.counts.last = {"parameters": parameters, "headers": dict(request.headers), "messages": messages}
        refused = refusal(self.options, payload) if self._allowed(request) else wrong_key()
        if refused is not None:
            self.counts.refused += 1
            return refused
        fault = self._next_fault(messages)
        if fault not in CHANGES:
            spoilt = await spoil(request, fault)
            if spoilt is not None:
                return spoilt
        n = payload.get("n") or 1
        name = label(messages)
        first_seed = payload.get("seed")
        first_seed = random.getrandbits(31) if first_seed is None else first_seed
        n = {"fewer": 1, "more": n + 1}.get(self.options.n, n) if n > 1 else n
        choices = [self._choice(payload, first_seed + (0 if self.options.n == "equal" else j), j) for j in range(n)]
        for choice in choices:
            change(choice, fault)
        usage = None if fault == "nousage" else self._usage(messages, choices)
        envelope = {
            "id": f"chatcmpl-{name}-{first_seed}",
            "object": "chat.completion",
            "created": 0,
            "model": self.options.reply_model or payload.get("model"),
        }
        streamed = bool(payload.get("stream"))
        sending = (self._stream if streamed else self._whole)(request, payload, envelope, choices, usage, fault)
        goes_on = self.options.llamacpp and not streamed
        response, complete = await self._generate(sending, len(choices), goes_on)
        if complete and request.transport is not None and not request.transport.is_closing():
            self.counts.delivered += len(choices)
            self.counts.tokens += sum(choice["tokens"] for choice in choices)
            for choice in choices:
                self.deliveries[name][choice["seed"]] += 1
        return response

    async def _generate(self, sending: Any, n: int, goes_on: bool) -> tuple[web.StreamResponse, bool]:
        """Runs it in `n` slots and counts: generated when it ends, aborted when that is because the client left."""
        slots = min(n, self.options.slots)
        held = 0
        began = False
        try:
            async with self._turn if slots else contextlib.nullcontext():
                for _ in range(slots):
                    await self._free.acquire()
                    held += 1
            began = True
            self.counts.in_flight += n
            self.counts.max_in_flight = max(self.counts.max_in_flight, self.counts.in_flight)
            result: tuple[web.StreamResponse, bool] = await sending
            self.counts.generated += n
            return result
        except (asyncio.CancelledError, ConnectionError):
            if began and goes_on:
                self.counts.generated += n
            else:
                self.counts.aborted += n
            raise
        finally:
            sending.close()
            if began:
                self.counts.in_flight -= n
            for _ in range(held):
                self._free.release()

    async def _whole(
        self, request: web.Request, payload: Any, envelope: Any, choices: Any, usage: Any, fault: str
    ) -> tuple[web.StreamResponse, bool]:
        pause = asyncio.sleep(self.options.latency + self.options.token_delay * max(c["tokens"] for c in choices))
        # llama.cpp generates an unstreamed reply to its end, whether anybody is there to read it or not.
        await (finished(pause) if self.options.llamacpp else pause)
        listed = [
            {"index": c["index"], "message": c["message"], "finish_reason": c["finish_reason"], "logprobs": None}
            for c in choices
        ]
        body = json.dumps({**envelope, "choices": listed} | ({"usage": usage} if usage else {})).encode()
        kind = "text/plain" if fault == "plain" else "application/json"
        if fault == "cut":
            partly = web.StreamResponse(headers={"Content-Type": kind, "Content-Length": str(len(body))})
            await partly.prepare(request)
            await partly.write(body[: len(body) // 2])
            abort(request)
            return partly, False
        response = web.Response(body=body, content_type=kind)
        await response.prepare(request)
        await response.write_eof()
        return response, True

    async def _stream(
        self, request: web.Request, payload: Any, envelope: Any, choices: Any, usage: Any, fault: str
    ) -> tuple[web.StreamResponse, bool]:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        envelope = {**envelope, "object": "chat.completion.chunk"}

        async def send(listed: list[Any], **more: Any) -> None:
            await response.write(b"data: " + json.dumps({**envelope, "choices": listed, **more}).encode() + b"\n\n")

        await asyncio.sleep(self.options.latency)
        pieces = [list(deltas(choice["message"], 1 if self.options.token_delay else 16)) for choice in choices]
        for at in range(max(len(listed) for listed in pieces)):
            for choice, listed in zip(choices, pieces, strict=True):
                if at < len(listed):
                    await send([{"index": choice["index"], "delta": listed[at], "finish_reason": None}])
                if at == len(listed) - 1 and fault not in ("noend", "cut"):
                    await send([{"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}])
                    if self.options.llamacpp and usage:
                        await send([], usage=self._usage(payload["messages"], [choice]))
            if self.options.token_delay:
                await asyncio.sleep(self.options.token_delay)
        if fault == "cut":
            abort(request)
            return response, False
        if usage and not self.options.llamacpp and (payload.get("stream_options") or {}).get("include_usage"):
            await send([], usage=usage)
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response, fault != "noend"

    def _choice(self, payload: dict[str, Any], seed: int, index: int) -> dict[str, Any]:
        messages = payload["messages"]
        words = reply_text(messages, seed, self.options.words, self.options.seed).split(" ")
        limit = payload.get("max_tokens") or payload.get("max_completion_tokens") or len(words)
        message: dict[str, Any] = {"role": "assistant", "content": " ".join(words[:limit])}
        tokens = min(limit, len(words))
        field = self.options.reasoning or ("reasoning_content" if tag(text_of(messages), "reasoning") == "" else None)
        if field:
            message[field] = f"Thinking about draft {seed}."
            tokens += 4
        finish = "length" if limit < len(words) else "stop"
        return {"index": index, "seed": seed, "message": message, "finish_reason": finish, "tokens": tokens}

    def _usage(self, messages: Any, choices: list[dict[str, Any]]) -> dict[str, int]:
        asked = len(text_of(messages).split())
        counted = choices[:1] if self.options.llamacpp else choices
        made = sum(choice["tokens"] for choice in counted)
        return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}

    def _allowed(self, request: web.Request) -> bool:
        key = self.options.api_key
        return key is None or request.headers.get("Authorization") == f"Bearer {key}"

    def _next_fault(self, messages: list[dict[str, Any]]) -> str:
        tagged = tag(text_of(messages), "faults")
        script = tagged.split(",") if tagged else self.options.faults
        name = label(messages)
        number = self.seen[name]
        self.seen[name] += 1
        if script and script[-1].endswith("*"):
            number = min(number, len(script) - 1)
        return script[number].removesuffix("*") if number < len(script) else ""


async def finished(work: Any) -> None:
    """Waits for it even when cancelled, and is cancelled then."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class Running:
    """A server that is up."""

    def __init__(self, base_url: str, options: Options | None = None, process: subprocess.Popen[str] | None = None):
        self.base_url = base_url
        self.options = options
        """May be changed while it runs (not with process=True)."""
        self.process = process

    def stats(self, deliveries: bool = False) -> dict[str, Any]:
        url = self.base_url.removesuffix("/v1") + "/stats" + ("?deliveries=1" if deliveries else "")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as reply:
            found: dict[str, Any] = json.load(reply)
            return found


@contextlib.contextmanager
def serve(process: bool = False, **options: Any) -> Iterator[Running]:
    """A running server with these options (see `Options`)."""
    if process:
        yield from _serve_in_process(options)
        return
    chosen = Options(**options)
    ready: list[Any] = []
    up = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        try:
            runner, url = await start(chosen)
        except BaseException as cause:
            ready.append(cause)
            up.set()
            return
        ready.extend([url, asyncio.get_running_loop(), stop])
        up.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    up.wait()
    if isinstance(ready[0], BaseException):
        raise ready[0]
    url, loop, stop = ready
    try:
        yield Running(url, chosen)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _serve_in_process(options: dict[str, Any]) -> Iterator[Running]:
    command = [sys.executable, __file__]
    for name, value in options.items():
        shown = ",".join(value) if isinstance(value, list) else "" if value is None else str(value)
        command.append(f"--{name.replace('_', '-')}={shown}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield Running(running.stdout.readline().split()[-1], process=running)
        finally:
            running.terminate()
            running.wait()


async def start(options: Options) -> tuple[web.AppRunner, str]:
    """Listens; returns what is to be cleaned up, and the base URL."""
    server = ChatServer(options)
    runner = web.AppRunner(
        server.app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=0.1,
        keepalive_timeout=options.keepalive,
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port, backlog=2048)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"


def options_from(arguments: list[str] | None = None) -> Options:
    """The command line's options; lists are separated by commas."""
    parser = argparse.ArgumentParser(description="A deterministic OpenAI-compatible server for tests.")
    for field in dataclasses.fields(Options):
        kind = str(field.type)
        convert: Any = {"int": int, "float": float, "bool": lambda text: text.lower() in ("1", "true")}.get(kind, str)
        if kind.startswith("list"):
            convert = lambda text: [part for part in text.split(",") if part]  # noqa: E731 (one of a chain)
        parser.add_argument(f"--{field.name.replace('_', '-')}", dest=field.name, type=convert)
    given = {key: value for key, value in vars(parser.parse_args(arguments)).items() if value is not None}
    return Options(**given)


async def _main() -> None:
    runner, url = await start(options_from())
    sys.stdout.write(f"listening {url}\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
