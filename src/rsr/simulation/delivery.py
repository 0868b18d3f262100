"""Writes one reply to its client: whole or streamed, at the engine's pace, with what a fault does to it."""

from __future__ import annotations

import asyncio
import email.utils
import time
from typing import NamedTuple

from aiohttp import web

from rsr.simulation.behaviour import Behaviour
from rsr.simulation.counts import Counts
from rsr.simulation.faults import Fault
from rsr.simulation.model import Subject
from rsr.simulation.replies import DONE, Choice, Envelope, Events, context_error, error, unknown_model, whole
from rsr.simulation.slots import Batch, Job, Slots

_SHORTEST_NAP = 0.005
_DRIPS = 20
_MEGABYTE = b"lorem ip" * (1 << 17)


class Call(NamedTuple):
    """A request that gets a completion."""

    request: web.BaseRequest
    subject: Subject
    envelope: Envelope
    choices: list[Choice]
    fault: Fault | None
    streamed: bool
    wants_usage: bool

    @property
    def flaw(self) -> str:
        """The kind of its fault; empty: none."""
        return "" if self.fault is None else self.fault.kind


class Delivery:
    """Generates and writes replies.

    Args:
        behaviour: of the server.
        counts: counted up.
        slots: where completions take their time.
    """

    def __init__(self, behaviour: Behaviour, counts: Counts, slots: Slots) -> None:
        self._behaviour = behaviour
        self._counts = counts
        self._slots = slots
        self._loop = asyncio.get_running_loop()

    async def deliver(self, call: Call) -> web.StreamResponse:
        """Generate the completions and write them; counts them as delivered where the client was there to the end."""
        over = self._loop.create_future()
        batch: Batch | None = None
        lengths = [choice.tokens for choice in call.choices]
        if self._slots.instant:
            self._counts.generated += len(lengths)
            self._counts.generated_tokens += sum(lengths)
        else:
            batch = self._slots.submit(lengths, call.subject.prompt_tokens, lambda batch: self._over(batch, over))
        try:
            if call.streamed:
                response, complete = await self._stream(call, batch, over)
            else:
                if batch is not None:
                    await over
                response, complete = await self._whole(call)
        except (asyncio.CancelledError, ConnectionError):
            if batch is not None and batch.left:
                self._left(call, batch)
            raise
        transport = call.request.transport
        if complete and transport is not None and not transport.is_closing():
            seeds = [choice.seed for choice in call.choices]
            self._counts.delivery(call.subject.label, call.subject.prompt_tokens, seeds, sum(lengths))
        return response

    def _over(self, batch: Batch, over: asyncio.Future[None]) -> None:
        self._counts.generated += len(batch.jobs)
        self._counts.generated_tokens += sum(job.tokens for job in batch.jobs)
        if not over.done():
            over.set_result(None)

    def _left(self, call: Call, batch: Batch) -> None:
        """The client left before the end."""
        behaviour = self._behaviour
        if behaviour.keeps_generating or (behaviour.llamacpp and not call.streamed):
            return
        ended = [job for job in batch.jobs if job.ended is not None]
        self._counts.generated += len(ended)
        self._counts.generated_tokens += sum(job.tokens for job in ended)
        self._counts.aborted += len(batch.jobs) - len(ended)
        self._slots.abort(batch)

    async def _whole(self, call: Call) -> tuple[web.StreamResponse, bool]:
        body = whole(call.envelope, call.choices, usage=call.flaw != "nousage")
        kind = "text/plain" if call.flaw == "plain" else "application/json"
        if call.flaw == "truncated":
            body = body[: len(body) // 2]
        if call.flaw not in ("cut", "stall", "drip"):
            response = web.Response(body=body, content_type=kind)
            await response.prepare(call.request)
            await response.write_eof()
            return response, call.flaw != "truncated"
        partly = web.StreamResponse(headers={"Content-Type": kind, "Content-Length": str(len(body))})
        await partly.prepare(call.request)
        if call.flaw == "drip":
            await _drip(partly, body, call.fault)
            await partly.write_eof()
            return partly, True
        await partly.write(body[: len(body) // 2])
        await _broken_off(call)
        return partly, False

    async def _stream(
        self, call: Call, batch: Batch | None, over: asyncio.Future[None]
    ) -> tuple[web.StreamResponse, bool]:
        kind = "text/plain" if call.flaw == "plain" else "text/event-stream"
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(call.request)
        events = Events(call.envelope, self._behaviour.tokens_per_event)
        ends = [self._end(call, events, choice) for choice in call.choices]
        pieces = [events.deltas(choice) for choice in call.choices]
        if call.flaw in ("cut", "stall"):
            pieces = [listed[: len(listed) // 2] for listed in pieces]
        last = self._last(call, events)
        if batch is not None:
            await self._paced(response, batch, pieces, ends)
            if not over.done():
                await over
            body = last
        else:
            body = (
                b"".join(b"".join(part) for at in range(max(map(len, pieces))) for part in _at(pieces, ends, at)) + last
            )
        if call.flaw == "drip":
            await _drip(response, body, call.fault)
        elif body:
            await response.write(body)
        if call.flaw in ("cut", "stall"):
            await _broken_off(call)
            return response, False
        await response.write_eof()
        return response, call.flaw not in ("noend", "truncated")

    def _end(self, call: Call, events: Events, choice: Choice) -> bytes:
        """What follows a choice's last piece."""
        if call.flaw in ("noend", "cut", "stall", "truncated"):
            return b""
        own_usage = self._behaviour.llamacpp and call.flaw != "nousage"
        return events.finish(choice) + (events.usage([choice]) if own_usage else b"")

    def _last(self, call: Call, events: Events) -> bytes:
        """What follows the last choice."""
        if call.flaw in ("cut", "stall"):
            return b""
        if call.flaw == "truncated":
            return b'data: {"id":"' + call.envelope.id.encode() + b'","choices":[{"ind\n\n'
        wanted = call.wants_usage and call.flaw != "nousage" and not self._behaviour.llamacpp
        return (events.usage(call.choices) if wanted else b"") + DONE

    async def _paced(
        self, response: web.StreamResponse, batch: Batch, pieces: list[list[bytes]], ends: list[bytes]
    ) -> None:
        """Write events as their tokens are generated."""
        speed = self._slots.speed
        per_event = self._behaviour.tokens_per_event
        tick = speed.time_scale * per_event / speed.tokens_per_second if speed.tokens_per_second else 1.0
        tick = max(tick, _SHORTEST_NAP)
        written = [0] * len(pieces)
        finished = [False] * len(pieces)
        while True:
            now = self._loop.time()
            ready: list[bytes] = []
            wake = now + tick
            for at, job in enumerate(batch.jobs):
                if finished[at]:
                    continue
                upto, over = _upto(job, now, per_event, len(pieces[at]))
                ready += pieces[at][written[at] : upto]
                written[at] = max(written[at], upto)
                if over:
                    finished[at] = True
                    ready.append(ends[at])
                elif job.began is not None:
                    wake = min(wake, max(job.began + job.takes, now + _SHORTEST_NAP))
            if ready:
                await response.write(b"".join(ready))
            if all(finished):
                return
            await asyncio.sleep(max(0.0, wake - self._loop.time()))


def _upto(job: Job, now: float, per_event: int, events: int) -> tuple[int, bool]:
    """How many of a choice's events are due, and whether it is over."""
    if job.ended is not None:
        return events, True
    if job.began is None:
        return 0, False
    return min(events, 1 + job.produced(now) // per_event), False


def _at(pieces: list[list[bytes]], ends: list[bytes], at: int) -> list[tuple[bytes, bytes]]:
    """The piece of each choice at a place, with the choice's end after its last one."""
    return [
        (listed[at], end if at == len(listed) - 1 else b"")
        for listed, end in zip(pieces, ends, strict=True)
        if at < len(listed)
    ]


async def _drip(response: web.StreamResponse, body: bytes, fault: Fault | None) -> None:
    seconds = float(fault.detail) if fault is not None and fault.detail else 10.0
    size = len(body) // _DRIPS + 1
    for at in range(0, len(body), size):
        await response.write(body[at : at + size])
        await asyncio.sleep(seconds / _DRIPS)


async def _broken_off(call: Call) -> None:
    """Cut the connection, or keep it and never write again."""
    if call.flaw == "stall":
        await asyncio.Event().wait()
    abort(call.request)


async def answer_in_place(
    request: web.BaseRequest, fault: Fault, asked: tuple[str, int], counts: Counts, streamed: bool
) -> web.StreamResponse:
    """What a request gets instead of a completion; `asked` is its prompt and seed."""
    if fault.status:
        return _status(fault, asked, counts)
    if fault.kind == "hang":
        await asyncio.Event().wait()
    if fault.kind == "reset":
        abort(request)
        return web.Response(status=500)
    if fault.kind == "huge":
        return await _huge(request, int(float(fault.detail or 300)), streamed)
    good = {
        "malformed": (b'{"choices": [{"index": 0, "mess', "application/json"),
        "html": (b"<html><body>Bad gateway</body></html>", "text/html"),
        "error200": (error("internal trouble", type="server_error"), "application/json"),
        "nochoices": (b'{"id": "x", "choices": []}', "application/json"),
    }
    if fault.kind in good:
        body, kind = good[fault.kind]
        return web.Response(body=body, content_type=kind)
    refusals = {
        "context": (context_error(5000, 2048), 400),
        "policy": (error("Your request was rejected by our content policy.", code="content_policy"), 400),
        "param": (error(f"Unrecognized request argument supplied: {fault.detail}", code=400), 400),
        "nomodel": (unknown_model("it"), 404),
    }
    return json_response(*refusals[fault.kind])


def _status(fault: Fault, asked: tuple[str, int], counts: Counts) -> web.Response:
    headers = {}
    if fault.detail:
        seconds = float(fault.detail.removeprefix("date+"))
        if fault.detail.startswith("date+"):
            when = float(int(time.time() + seconds))
            headers["Retry-After"] = email.utils.formatdate(when, usegmt=True)
            seconds = when - time.time()
        else:
            headers["Retry-After"] = fault.detail
        now = asyncio.get_running_loop().time()
        counts.told(*asked, now, now + seconds)
    return json_response(error(f"scripted {fault.status}", code=fault.status), fault.status, headers)


async def _huge(request: web.BaseRequest, megabytes: int, streamed: bool) -> web.StreamResponse:
    """A reply with so long a content, never held as a whole."""
    kind = "text/event-stream" if streamed else "application/json"
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    field = b'"delta"' if streamed else b'"message"'
    start = b'{"id":"huge","choices":[{"index":0,' + field + b':{"role":"assistant","content":"'
    await response.write((b"data: " if streamed else b"") + start)
    for _ in range(megabytes):
        await response.write(_MEGABYTE)
    await response.write(b'"},"finish_reason":"stop"}]}' + (b"\n\n" + DONE if streamed else b""))
    await response.write_eof()
    return response


def json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A reply of JSON."""
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def abort(request: web.BaseRequest) -> None:
    """Cut a client's connection."""
    if request.transport is not None:
        request.transport.abort()
