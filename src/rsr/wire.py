"""The one HTTP client: connections, retries, and what becomes of each kind of failure.

    post_once, stream    one try: data, or `Failed` with the kind of failure
    persist              tries again, or ends it, as the table in `rsr.failures` says for that kind
    post                 both

Waits between tries grow exponentially, with full jitter, and never end before Retry-After has passed, however long.

It speaks the OpenAI chat protocol as far as telling a usable reply from a useless one; what is in it is the caller's
business. Error texts never hold a key: headers and the credentials in URLs are redacted.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlunsplit

import msgspec

from rsr.errors import ConfigError, PromptRefused, RequestFailed, SamplerError, SamplerStopped
from rsr.failures import (
    FATE,
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
from rsr.redaction import Redactor, split_address, without_credentials
from rsr.replies import Assembly

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

BACKOFF = 0.5
"""Seconds before the first retry at most; doubles with each."""
LONGEST_BACKOFF = 60.0
CONNECT_TIMEOUT = 10.0
# Servers on uvicorn and llama.cpp's close idle connections after 5 s: let go of them a little earlier.
KEEP_ALIVE = 4.0
# aiohttp warns above this size of a body given as bytes (it would hold up the loop), but not of a file.
_LARGE_BODY = 1 << 20
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
        timeout: seconds for one try, connecting and reading included.
        max_retries: further tries of a request that failed.
        connections: open at once at most; 0: no limit.
        section: of the config that errors name, `sampler` or a judge's.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 600,
        max_retries: int = 6,
        connections: int = 0,
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
        self._connections = connections
        self._open_session: aiohttp.ClientSession | None = None
        self._urls: dict[str, Any] = {}

    async def post(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to a chat request, which has at least one choice; tried again as the table of failures says.

        Raises:
            RequestFailed, PromptRefused, SamplerStopped: see `rsr.types.Sampler.sample`.
        """
        return await self.persist(lambda: self.post_once(path, payload))

    async def post_once(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The same in one try; raises `Failed`, for `persist`."""
        response = None
        try:
            response = await self._request("POST", path, payload)
            data = await response.read()
        except _transport_errors() as cause:
            raise self._broken(cause, began=response is not None) from None
        unasked = response.content_type == "text/event-stream" and response.status < 300
        if unasked and data.lstrip()[:1] != b"{":
            return self._assembled(response, data, payload)
        return with_choices(self._body(response, data, payload))

    async def stream(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a streamed reply, in one try; raises `Failed`, for `persist`.

        A server that does not stream gives its whole reply as the only event.
        """
        response = None
        try:
            response = await self._request("POST", path, payload)
            if response.status >= 300:
                self._body(response, await response.read(), payload)
            async for events in _events(response.content):
                for data in events:
                    if data == b"[DONE]":
                        await _read_to_end(response)
                        return
                    yield self._body(response, data, payload)
        except _transport_errors() as cause:
            raise self._broken(cause, began=response is not None) from None
        finally:
            if response is not None:
                response.close()  # nothing happens where the end was read; else the server learns that we left

    async def get(self, path: str, timeout: float = 30.0) -> Reply:
        """What is at a path, in one try.

        Raises:
            SamplerStopped: nothing answers at the address.
            RequestFailed: it took the connection and did not answer.
        """
        import aiohttp

        response = None
        try:
            limit = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
            response = await self._request("GET", path, None, timeout=limit)
            data = await response.read()
        except _transport_errors() as cause:
            failed = self._broken(cause, began=response is not None)
            if response is not None or failed.failure is not Failure.CONNECTION:
                raise RequestFailed(f"{self.address}: {failed}") from None
            why = f"nothing answers at {self.address} ({failed}); start the server or correct the address"
            raise SamplerStopped(f"{self.section}.base_url: {why}") from None
        return Reply(response.status, _decoded(data if response.status < 300 else self._clean(data)), response.headers)

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` returns, after as many tries as `max_retries` and the table of failures allow."""
        tries = 0
        while True:
            try:
                return await attempt()
            except Failed as failed:
                fate = FATE[failed.failure]
                if fate in (Fate.STOP, Fate.REFUSED) or tries >= self.max_retries:
                    raise self._final(failed, tries + 1) from None
                at_once = fate is Fate.RETRY_NOW and tries == 0 and failed.retry_after is None
                wait = 0.0 if at_once else pause(tries, failed.retry_after)
            if wait:
                await asyncio.sleep(wait)
            tries += 1

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
        if self._open_session is not None:
            await self._open_session.close()
            self._open_session = None

    def _final(self, failed: Failed, tries: int) -> SamplerError:
        if failed.parameter is not None:
            return ParameterRefused(str(failed), failed.parameter)
        if FATE[failed.failure] is Fate.STOP:
            return SamplerStopped(str(failed))
        if FATE[failed.failure] is Fate.REFUSED:
            return PromptRefused(str(failed))
        return RequestFailed(f"{failed} ({tries} {'try' if tries == 1 else 'tries'})")

    def _body(self, response: aiohttp.ClientResponse, data: bytes, sent: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object of a good reply; raises what the status or the body says is wrong."""
        body = _decoded(data)
        if 200 <= response.status < 300 and isinstance(body, dict) and not body.get("error"):
            return body
        data = self._clean(data)
        body = _decoded(data)
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
        parts = Assembly()
        for line in data.splitlines():
            event = _event(line)
            if event == b"[DONE]":
                break
            if event:
                parts.add(self._body(response, event, sent))
        return parts.reply()

    def _clean(self, data: bytes) -> bytes:
        """An error's body without our secrets; before it is cut to a line, since half a key is a secret too."""
        return self._redact(data.decode(errors="replace")).encode()

    def _broken(self, cause: BaseException, began: bool) -> Failed:
        """The failure behind an exception of the transport."""
        import aiohttp

        if isinstance(cause, aiohttp.ConnectionTimeoutError):
            return Failed(Failure.CONNECTION, f"no connection within {CONNECT_TIMEOUT:g} s")
        if isinstance(cause, TimeoutError):
            return Failed(Failure.TIMEOUT, f"{Failure.TIMEOUT} ({self.section}.timeout={self._timeout:g})")
        if isinstance(cause, aiohttp.ClientConnectorError):
            return Failed(Failure.CONNECTION, self._redact(why_unconnected(cause)))
        if isinstance(cause, aiohttp.ClientResponseError):  # its repr would show our headers
            return Failed(Failure.BODY, self._redact(f"not HTTP: {said(cause.message)}"))
        if began:
            return Failed(Failure.CONNECTION, "the reply broke off")
        return Failed(Failure.STALE)

    async def _request(self, method: str, path: str, payload: Any, **more: Any) -> aiohttp.ClientResponse:
        data: Any = None
        if payload is not None:
            data = msgspec.json.encode(payload)
            if len(data) >= _LARGE_BODY:
                data = io.BytesIO(data)
        session = self._open_session or self._session()
        # Redirects are not followed: a POST would become a GET, and the key would go to whoever is named.
        return await session.request(method, self._url(path), data=data, allow_redirects=False, **more)

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        self._open_session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self._parts.scheme, self._parts.hostname or ""),
        )
        return self._open_session

    def _url(self, path: str) -> Any:
        if path not in self._urls:
            from yarl import URL

            whole = urlunsplit(self._parts._replace(path=f"{self._parts.path}/{path.lstrip('/')}"))
            self._urls[path] = URL(whole, encoded=True)
        return self._urls[path]


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


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[list[bytes]]:
    """The data of server-sent events, as many at a time as arrive; a reply that is no stream as one event."""
    rest = b""
    streamed = False
    async for chunk in content.iter_any():
        rest += chunk
        if not streamed:
            if rest.lstrip()[:1] not in (b"d", b"e", b":", b"i", b"r"):  # data, event, a comment, id, retry
                continue
            streamed = True
        *lines, rest = rest.split(b"\n")
        events = [event for line in lines if (event := _event(line))]
        if events:
            yield events
    last = _event(rest) if streamed else rest.strip()
    if last:
        yield [last]


def _event(line: bytes) -> bytes | None:
    field, _, data = line.partition(b":")
    if field == b"data":
        return data.strip()
    if field == b"error":  # as older llama.cpp servers send it
        return b'{"error":' + (data.strip() or b"true") + b"}"
    return None


async def _read_to_end(response: aiohttp.ClientResponse) -> None:
    """After [DONE] only the end of the body is to come; a connection that was read to it can be used again."""
    if not response.content.at_eof():
        with suppress(*_transport_errors()):
            async with asyncio.timeout(1.0):
                await response.content.read()


def _decoded(data: bytes) -> Any:
    """Parsed JSON, None where it is none; the content type is not asked."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        pass
    try:  # it takes the NaN and the lone surrogates that Python's servers write
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _transport_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return aiohttp.ClientError, OSError  # TimeoutError is an OSError


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for a host. Read once: aiohttp's `trust_env` does it for every request."""
    if host in ("localhost", "::1") or host.startswith("127."):
        return None
    from urllib.request import getproxies, proxy_bypass

    return None if proxy_bypass(host) else getproxies().get(scheme)
