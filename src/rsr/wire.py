"""The one HTTP client: connections, tries, and what becomes of each kind of failure.

    post_once, stream    one try: data, or `Failed` with the kind of failure
    persist              tries again, or ends it, as the table in `rsr.failures` says for that kind
    post                 both

Every try of `persist` passes the endpoint's gate (`rsr.gate`), which all its requests share. Waits between tries grow
exponentially, with full jitter, and never end before Retry-After has passed, however long.

It speaks the OpenAI chat protocol as far as telling a usable reply from a useless one; what is in it is the caller's
business. Error texts never hold a key: headers and the credentials in URLs are redacted.
"""

from __future__ import annotations

import asyncio
import random
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote

from rsr.bodies import TimeLimit, Watch, decoded, event, events, max_tokens, most_bytes, read_to_end, read_whole
from rsr.connections import CONNECT_TIMEOUT, Connections, transport_errors
from rsr.endpoint import Endpoint, Limits, failed_to_the_end
from rsr.errors import ConfigError, PromptRefused, RequestFailed, SamplerError, SamplerStopped
from rsr.failures import (
    TABLE,
    Failed,
    Failure,
    Fate,
    ParameterRefused,
    classify,
    explain,
    moved,
    refused_parameter,
    said,
    why_unconnected,
)
from rsr.failures import retry_after as asked_to_wait
from rsr.gate import Sign, Ticket
from rsr.redaction import Redactor, split_address, without_credentials
from rsr.replies import Assembly

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

BACKOFF = 0.5
"""Seconds before the first retry at most; doubles with each."""
LONGEST_BACKOFF = 60.0
SLOWEST = 5.0
"""Tokens/s of a generation that a time limit nobody set has to leave time for, after `UNHURRIED` seconds."""
UNHURRIED = 60.0
UNKNOWN_LENGTH = 7200.0
"""Seconds for a generation of unknown length."""
NO_LIMITS = Limits()
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


class Reply(NamedTuple):
    """What a GET brought; `body` is None where it is not JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Wire:
    """Requests to one server, over connections that are kept.

    Args:
        base_url: the address that paths are appended to; credentials in it become an Authorization header.
        headers: sent with every request.
        timeout: seconds for one try, connecting and reading included, waiting for its turn not. None: no shorter than
            the generation that the request's `max_tokens` allows.
        stall_timeout: seconds without a byte of a streamed reply that has begun.
        max_retries: further tries of a request that failed.
        limits: for the gate.
        section: of the config that errors name, `sampler` or a judge's.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stall_timeout: float = 300.0,
        max_retries: int = 6,
        limits: Limits = NO_LIMITS,
        section: str = "sampler",
    ) -> None:
        base_url = base_url.strip()
        self.section = section
        self.address = without_credentials(base_url, address=True)
        """Fit to be shown."""
        self.models: list[str] = []
        """What the server is known to serve, for error texts."""
        self.max_retries = max_retries
        try:
            parts = split_address(base_url)
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in ("http", "https") or re.search(r"[\s\x00-\x1f\x7f]", base_url):
            raise ConfigError(f"{section}.base_url: {self.address!r} is no address; it looks like http://host:8000/v1")
        self._parts = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/"))
        given = {name: sendable(value, f"{section}.headers.{name}") for name, value in (headers or {}).items()}
        self._headers = {"Content-Type": "application/json", "User-Agent": "rsr", **given}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        self._redact = Redactor()
        self._redact.learn({**self._headers, "base_url": base_url})
        self._timeout = timeout
        self._stall_timeout = stall_timeout
        self.limits = limits
        self.endpoint: Endpoint | None = None
        """What all requests to the server share; None before the first."""
        self._connections = Connections(self._parts, self._headers)

    async def post(self, path: str, payload: Mapping[str, Any], ticket: Ticket | None = None) -> dict[str, Any]:
        """The reply to a chat request, which has at least one choice; tried again as the table of failures says.

        Raises:
            RequestFailed, PromptRefused, SamplerStopped, SamplerDown: see `rsr.types.Sampler.sample`.
        """
        return await self.persist(lambda: self.post_once(path, payload), ticket)

    async def post_once(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The same in one try; raises `Failed`, for `persist`."""
        response, data = await self._exchange(path, payload)
        unasked = response.status < 300 and response.headers.get("Content-Type", "").startswith("text/event-stream")
        if unasked and data.lstrip()[:1] != b"{":
            return self._assembled(response, data, payload)
        return with_choices(self._body(response, data, payload))

    async def post_any(self, path: str, payload: Mapping[str, Any]) -> Any:
        """The JSON that another request brings in one try, an object or a list; raises `Failed`, for `persist`."""
        response, data = await self._exchange(path, payload)
        if 200 <= response.status < 300 and isinstance(body := decoded(data), list):
            return body
        return self._body(response, data, payload)

    async def _exchange(self, path: str, payload: Mapping[str, Any]) -> tuple[aiohttp.ClientResponse, bytes]:
        response = None
        limit = self.time_limit(payload)
        try:
            with TimeLimit(limit):
                response = await self._connections.request("POST", path, payload)
                return response, await read_whole(response, payload)
        except transport_errors() as cause:
            if response is not None:
                response.close()
            raise self._broken(cause, response is not None, limit) from None

    async def stream(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a streamed reply, in one try; raises `Failed`, for `persist`.

        A server that does not stream gives its whole reply as the only event.
        """
        response = watch = None
        limit = self.time_limit(payload)
        ends_at = asyncio.get_running_loop().time() + limit
        try:
            with TimeLimit(limit):
                response = await self._connections.request("POST", path, payload)
                if response.status >= 300:
                    self._body(response, await read_whole(response, payload), payload)
            watch = Watch(response, ends_at, self._stall_timeout)
            async for found in events(response.content, most_bytes(payload), watch):
                for data in found:
                    if data == b"[DONE]":
                        await read_to_end(response)
                        return
                    yield self._body(response, data, payload)
        except transport_errors() as cause:
            raise self._broken(cause, response is not None, limit, watch) from None
        finally:
            if watch is not None:
                watch.stop()
            if response is not None:
                response.close()  # nothing happens where the end was read; else the server learns that we left

    def time_limit(self, payload: Mapping[str, Any]) -> float:
        """Seconds that one try may take."""
        if self._timeout is not None:
            return self._timeout
        longest = max_tokens(payload)
        return UNKNOWN_LENGTH if longest is None else UNHURRIED + longest / SLOWEST

    async def get(self, path: str, timeout: float = 30.0) -> Reply:
        """What is at a path, in one try.

        Raises:
            SamplerStopped: nothing answers at the address.
            RequestFailed: it took the connection and did not answer.
        """
        response = None
        try:
            with TimeLimit(timeout):
                response = await self._connections.request("GET", path, None)
                data = await read_whole(response, {})
        except Failed as failed:
            raise RequestFailed(f"{self.address}: {failed}") from None
        except transport_errors() as cause:
            if response is not None:
                response.close()
            broken = self._broken(cause, response is not None, timeout)
            if broken.failure is not Failure.CONNECTION:
                raise RequestFailed(f"{self.address}: {broken}") from None
            why = f"nothing answers at {self.address} ({broken}); start the server or correct the address"
            raise SamplerStopped(f"{self.section}.base_url: {why}") from None
        return Reply(response.status, decoded(data if response.status < 300 else self._clean(data)), response.headers)

    async def persist(self, attempt: Callable[[], Awaitable[T]], ticket: Ticket | None = None) -> T:
        """What `attempt` returns, after as many tries as `max_retries`, the table of failures and the gate allow.

        Args:
            attempt: one try; raises `Failed`.
            ticket: what is known of the request; its `redrawn` tells afterwards whether an earlier try may have
                generated something.
        """
        ticket = ticket or Ticket()
        endpoint = self.endpoint or self._share()
        while True:
            await endpoint.turn(ticket)
            try:
                found = await attempt()
            except Failed as failed:
                self._take(failed, ticket, endpoint)
            except BaseException:
                endpoint.left(ticket)
                raise
            else:
                endpoint.succeeded(ticket)
                return found

    def failure(
        self, status: int, body: Any, sent: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Failed | None:
        """The failure that a reply's status is, with its text; None where the status is good."""
        failure = classify(status, body, sent)
        if failure is None:
            return None
        headers = headers or {}
        if status < 400 and headers.get("Location"):
            body = moved(headers["Location"])
        text = explain(failure, status, body, sent, section=self.section, address=self.address, models=self.models)
        parameter = refused_parameter(body, sent) if failure is Failure.PARAMETER else None
        return Failed(failure, self._redact(text), asked_to_wait(headers), parameter)

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()
        self.endpoint = None

    def _share(self) -> Endpoint:
        parts = self._parts
        origin = (parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        self.endpoint = Endpoint.shared(origin, self.address, self.limits)
        return self.endpoint

    def _take(self, failed: Failed, ticket: Ticket, endpoint: Endpoint) -> None:
        """Prepares the next try, after its pause; or raises what a try that failed comes to."""
        row = TABLE[failed.failure]
        ticket.redrawn = ticket.redrawn or row.redrawn
        if row.fate in (Fate.STOP, Fate.REFUSED):
            endpoint.answered(ticket)
            raise self._final(failed, ticket) from None
        at_once = row.fate is Fate.RETRY_NOW and not ticket.burnt and failed.retry_after is None
        endpoint.failed(ticket, Sign.NONE if at_once else row.sign, failed.retry_after, str(failed))
        if ticket.burnt > self.max_retries or (row.fate is Fate.RETRY_ONCE and ticket.late > 1):
            raise self._final(failed, ticket) from None
        if not at_once:
            endpoint.rest(ticket, pause(max(0, ticket.burnt - 1), failed.retry_after))

    def _final(self, failed: Failed, ticket: Ticket) -> SamplerError:
        if failed.parameter is not None:
            return ParameterRefused(str(failed), failed.parameter)
        if TABLE[failed.failure].fate is Fate.STOP:
            return SamplerStopped(str(failed))
        if TABLE[failed.failure].fate is Fate.REFUSED:
            return PromptRefused(str(failed))
        return failed_to_the_end(ticket)

    def _body(self, response: aiohttp.ClientResponse, data: bytes, sent: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object of a good reply; raises what the status or the body says is wrong."""
        body = decoded(data)
        if 200 <= response.status < 300 and isinstance(body, dict) and not body.get("error"):
            return body
        data = self._clean(data)
        body = decoded(data)
        failed = self.failure(response.status, data if body is None else body, sent, response.headers)
        if failed is not None:
            raise failed
        error = body.get("error") if isinstance(body, dict) else None
        if error is None:
            raise Failed(Failure.BODY, f"{Failure.BODY}: {said(data)}")
        code = error.get("code") if isinstance(error, dict) else None
        busy = isinstance(code, int) and classify(code, body) in (Failure.BUSY, Failure.SERVER)
        text = f"an error in a good reply: {said(body)}"
        raise Failed(Failure.BUSY if busy else Failure.BODY, text, asked_to_wait(response.headers))

    def _assembled(self, response: aiohttp.ClientResponse, data: bytes, sent: Mapping[str, Any]) -> dict[str, Any]:
        """The reply of a server that streams although it wasn't asked to."""
        parts = Assembly(most_bytes(sent))
        for line in data.splitlines():
            found = event(line)
            if found == b"[DONE]":
                break
            if found:
                parts.add(self._body(response, found, sent))
        return parts.reply()

    def _clean(self, data: bytes) -> bytes:
        """An error's body without our secrets; before it is cut to a line, since half a key is a secret too."""
        return self._redact(data.decode(errors="replace")).encode()

    def _broken(self, cause: BaseException, began: bool, limit: float, watch: Watch | None = None) -> Failed:
        """The failure behind an exception of the transport."""
        import aiohttp

        if isinstance(cause, aiohttp.ConnectionTimeoutError):
            return Failed(Failure.CONNECTION, f"no connection within {CONNECT_TIMEOUT:g} s")
        if isinstance(cause, TimeoutError) or (watch is not None and watch.why is Failure.TIMEOUT):
            return Failed(Failure.TIMEOUT, f"{Failure.TIMEOUT} ({self.section}.timeout={limit:g})")
        if watch is not None and watch.why is not None:
            return Failed(watch.why, f"{watch.why} ({self.section}.stall_timeout={self._stall_timeout:g})")
        if isinstance(cause, aiohttp.ClientConnectorError):
            return Failed(Failure.CONNECTION, self._redact(why_unconnected(cause)))
        if isinstance(cause, aiohttp.ClientResponseError):  # its repr would show our headers
            return Failed(Failure.BODY, self._redact(f"not HTTP: {said(cause.message)}"))
        return Failed(Failure.BROKEN if began else Failure.STALE)


def sendable(value: str, key: str) -> str:
    """A header's value without white space around it; raises ConfigError, with the config's key but not the value."""
    value = value.strip()
    if _UNSENDABLE.search(key):
        raise ConfigError(f"{key.partition('.')[0]}.headers: a control character in a name can't be sent")
    if _UNSENDABLE.search(value):
        raise ConfigError(f"{key}: a line break or another control character in it can't be sent")
    return value


def pause(tries: int, retry_after: float | None = None) -> float:
    """Seconds before the next try: exponential with full jitter; what the server asked for comes on top."""
    jitter = random.uniform(0.0, min(LONGEST_BACKOFF, BACKOFF * 2.0 ** min(tries, 20)))
    return jitter if retry_after is None else retry_after + min(jitter, BACKOFF)


def with_choices(body: dict[str, Any]) -> dict[str, Any]:
    """The body, which has at least one choice; raises `Failed` else."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise Failed(Failure.BODY, f"{Failure.BODY}: it has no choices")
    return body
