"""A simulated OpenAI-compatible server: chat completions, the list of models, and GET /stats.

    POST /v1/chat/completions      n, seed, stop, max_tokens or max_completion_tokens, stream, stream_options
    GET  /v1/models
    GET  /stats                    what it counted (see `rsr.simulation.counts`); ?deliveries=1 lists every delivery

Everything a reply holds is a function of (the server's seed, messages, request seed); requests without a seed get one
by chance. `Server` is the application, `listening` runs it on an address.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from rsr.errors import ConfigError
from rsr.simulation.behaviour import Behaviour
from rsr.simulation.counts import Counts
from rsr.simulation.delivery import Call, Delivery, answer_in_place, json_response
from rsr.simulation.faults import Chances, Fault, Script, parse_fault
from rsr.simulation.model import Subject
from rsr.simulation.replies import Choice, Envelope, context_error, error, unknown_model
from rsr.simulation.slots import Slots

_BACKLOG = 2048
_MOST_CHOICES = 1024
_THINKING_TOKENS = 4


class Server:
    """What answers requests.

    Args:
        behaviour: may be changed while it runs, but for its speed, faults and windows.

    Raises:
        ConfigError: a fault can't be read.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.counts = Counts()
        self._loop = asyncio.get_running_loop()
        self.slots = Slots(behaviour.speed, self._loop)
        self._delivery = Delivery(behaviour, self.counts, self.slots)
        self._chances = Chances(behaviour.faults, behaviour.model.seed)
        self._script = Script(behaviour.script)
        self._asked: Counter[str] = Counter()
        self._tries: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._began: float | None = None
        self.cut_off: Any = None
        """Called with how long the outage lasts when it begins."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.path == "/v1/chat/completions" and request.method == "POST":
            self.counts.arrived()
            try:
                return await self._chat(request)
            except ConnectionError:  # the client has left, and this is never read
                return web.Response(status=499)
            finally:
                self.counts.requests_in_flight -= 1
        if request.path == "/stats" and request.method == "GET":
            seconds = 0.0 if self._began is None else self._loop.time() - self._began
            deliveries = bool(request.query.get("deliveries"))
            return json_response(msgspec.json.encode(self.counts.shown(self.slots, seconds, deliveries)))
        if request.path == "/v1/models" and request.method == "GET":
            return self._models(request)
        return json_response(error("Not Found", code=404), 404)

    def _models(self, request: web.BaseRequest) -> web.Response:
        behaviour = self.behaviour
        if not self._allowed(request):
            return json_response(error("Incorrect API key provided", code="invalid_api_key"), 401)
        if not behaviour.models:
            return json_response(error("Not Found", code=404), 404)
        owner = "llamacpp" if behaviour.llamacpp else "simulated"
        listed = [{"id": name, "object": "model", "owned_by": owner} for name in behaviour.models]
        headers = {"Server": "llama.cpp"} if behaviour.llamacpp else None
        return json_response(msgspec.json.encode({"object": "list", "data": listed}), headers=headers)

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        self._begin()
        try:
            payload = msgspec.json.decode(body)
            messages = payload["messages"]
            subject = self.behaviour.model.subject(messages)
            if not 1 <= (payload.get("n") or 1) <= _MOST_CHOICES:
                raise ValueError(f"n must be from 1 to {_MOST_CHOICES}")
        except (msgspec.DecodeError, TypeError, KeyError, AttributeError, ValueError) as cause:
            return self._refuse(error(f"not a chat request: {type(cause).__name__}: {cause}", code=400), 400)
        if self.behaviour.remembers:
            parameters = {key: value for key, value in payload.items() if key != "messages"}
            self.counts.last = {"parameters": parameters, "headers": dict(request.headers), "messages": messages}
        if not self._allowed(request):
            return self._refuse(error("Incorrect API key provided", code="invalid_api_key"), 401)
        refused = self._refusal(payload, subject)
        if refused is not None:
            return self._refuse(*refused)
        seed = payload.get("seed")
        seed = random.getrandbits(31) if seed is None else int(seed)
        self.counts.asked(subject.label, seed, self._loop.time())
        try:
            fault = self._fault(subject, seed)
        except ConfigError as cause:  # in a prompt's tag
            return self._refuse(error(str(cause), code=400), 400)
        if fault is not None:
            self.counts.faults[fault.kind] += 1
            if fault.in_place:
                return await answer_in_place(
                    request, fault, (subject.label, seed), self.counts, bool(payload.get("stream"))
                )
        return await self._delivery.deliver(self._call(request, payload, subject, seed, fault))

    def _begin(self) -> None:
        """Storms and outages count from the first request."""
        if self._began is not None:
            return
        self._began = self._loop.time()
        storm, outage = self.behaviour.storm, self.behaviour.outage
        if storm is not None:
            self._loop.call_later(storm.start, lambda: self.counts.storm_begins(self.slots.running))
            self._loop.call_later(storm.end, self.counts.storm_ends)
        if outage is not None and self.cut_off is not None:
            self._loop.call_later(outage.start, self.cut_off, outage.length)

    def _refuse(self, body: bytes, status: int) -> web.Response:
        self.counts.refused += 1
        return json_response(body, status)

    def _refusal(self, payload: dict[str, Any], subject: Subject) -> tuple[bytes, int] | None:
        """The 4xx that a request gets, if any."""
        behaviour = self.behaviour
        n = payload.get("n") or 1
        if behaviour.models and payload.get("model") not in behaviour.models:
            return unknown_model(payload.get("model")), 404
        for name in behaviour.refuses:
            if name in payload:
                text = f"Unsupported parameter: '{name}' is not supported with this model."
                return error(text, param=name, code=400), 400
        if n > 1 and behaviour.choices == "unsupported":
            return error("Only n = 1 is supported", param="n", code=400), 400
        if n > 1 and behaviour.choices == "silent":
            return error("invalid request", code=400), 400
        if n > 8 and behaviour.choices == "capped":
            return error("Field 'n': Value must be between 1 <= value <= 8", code=400), 400
        if behaviour.context and subject.prompt_tokens > behaviour.context:
            return context_error(subject.prompt_tokens, behaviour.context), 400
        return None

    def _fault(self, subject: Subject, seed: int) -> Fault | None:
        """What goes wrong with a request; counts it as a try."""
        behaviour = self.behaviour
        if self.counts.storming and behaviour.storm is not None:
            wait = behaviour.storm.retry_after
            return Fault("429", "" if wait is None else f"{wait:g}")
        label = subject.label
        number = self._asked[label]
        self._asked[label] += 1
        script = Script(subject.faults.split(",")) if subject.faults else self._script
        scripted = script.at(number)
        if scripted is not None or not self._chances:
            return scripted
        tries = self._tries[label]
        tries[seed] += 1
        return self._chances.of(label, seed, tries[seed] - 1)

    def _call(
        self, request: web.BaseRequest, payload: dict[str, Any], subject: Subject, seed: int, fault: Fault | None
    ) -> Call:
        behaviour = self.behaviour
        n = payload.get("n") or 1
        if n > 1:
            n = {"fewer": 1, "more": n + 1}.get(behaviour.choices, n)
        if fault is not None and fault.kind == "fewer":
            n = 1
        stop = payload.get("stop") or ()
        stop = (stop,) if isinstance(stop, str) else stop
        limit = payload.get("max_tokens") or payload.get("max_completion_tokens")
        field = behaviour.reasoning or ("reasoning_content" if subject.reasoning else None)
        choices = []
        for index in range(n):
            own = seed + (0 if behaviour.choices == "equal" else index)
            reply = behaviour.model.reply(subject, own, limit, stop)
            choice = Choice(index, own, reply.text, reply.finish_reason, reply.tokens)
            if field is not None:
                choice.reasoning, choice.reasoning_field = f"Thinking about draft {own}.", field
                choice.tokens += _THINKING_TOKENS
            if fault is not None:
                choice.spoil(fault)
            choices.append(choice)
        model = behaviour.reply_model or str(payload.get("model"))
        envelope = Envelope(f"chatcmpl-{subject.label}-{seed}", model, subject.prompt_tokens, behaviour.llamacpp)
        wants_usage = bool((payload.get("stream_options") or {}).get("include_usage"))
        return Call(request, subject, envelope, choices, fault, bool(payload.get("stream")), wants_usage)

    def _allowed(self, request: web.BaseRequest) -> bool:
        key = self.behaviour.api_key
        return key is None or request.headers.get("Authorization") == f"Bearer {key}"


@asynccontextmanager
async def listening(behaviour: Behaviour, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """A running server; gives its base URL. All connections are cut at the end.

    Raises:
        ConfigError: a fault can't be read.
        OSError: the address is taken, or none of this host's.
    """
    for entry in behaviour.script:
        parse_fault(entry.removesuffix("*")) if entry.strip("* ") else None
    loop = asyncio.get_running_loop()
    server = Server(behaviour)
    http = web.Server(server.handle, handler_cancellation=True, access_log=None, keepalive_timeout=behaviour.keepalive)
    sockets = await loop.create_server(http, host, port, backlog=_BACKLOG)
    bound = sockets.sockets[0].getsockname()[1]
    reopening: set[asyncio.Task[None]] = set()

    async def closed(seconds: float) -> None:
        nonlocal sockets
        sockets.close()
        for connection in http.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(seconds)
        sockets = await loop.create_server(http, host, bound, backlog=_BACKLOG, reuse_address=True)

    server.cut_off = lambda seconds: reopening.add(loop.create_task(closed(seconds)))
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{bound}/v1"
    finally:
        for task in reopening:
            task.cancel()
        sockets.close()
        await http.shutdown(0.1)
