"""The bytes of a reply: how many there may be, the events of a stream, and when a reply stands still.

A body is bounded while it is read, in its decompressed size: by what the request allows to be generated, so that a good
one always fits, and a server gone wild costs no memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from rsr.failures import Failed, Failure

if TYPE_CHECKING:
    import aiohttp

_MB = 1 << 20
MOST = 64 * _MB
"""No reply may be larger than this."""
MOST_OF_AN_ERROR = _MB
"""Bytes of an error that are read; what it says comes first."""
MOST_OF_AN_EVENT = 8 * _MB
_PER_TOKEN = 64
_UNLIMITED = 16 * _MB  # for each choice, where no `max_tokens` is sent
# Each of these makes a reply larger than its text, by no known factor.
_ENLARGING = ("logprobs", "top_logprobs", "prompt_logprobs", "return_token_ids", "return_tokens_as_token_ids", "echo")


def most_bytes(payload: Mapping[str, Any]) -> int:
    """How large the reply to a chat request may be."""
    n, longest = payload.get("n"), max_tokens(payload)
    if any(payload.get(name) for name in _ENLARGING):
        return MOST
    choices = n if isinstance(n, int) and n > 0 else 1
    return min(MOST, _MB + choices * (longest * _PER_TOKEN if longest else _UNLIMITED))


def max_tokens(payload: Mapping[str, Any]) -> int | None:
    """The longest completion that a request allows; None: no limit is sent."""
    limit, newer = payload.get("max_tokens"), payload.get("max_completion_tokens")
    if newer is None:
        return limit if isinstance(limit, int) and limit > 0 else None
    return max((each for each in (limit, newer) if isinstance(each, int) and each > 0), default=None)


def too_large(most: int) -> Failed:
    """The failure that a reply beyond its bound is."""
    return Failed(Failure.BODY, f"the reply is larger than {most / _MB:.3g} MB")


async def read_whole(response: aiohttp.ClientResponse, payload: Mapping[str, Any]) -> bytes:
    """The body of the reply to a request; of an error no more than `MOST_OF_AN_ERROR` bytes.

    Raises:
        Failed: it is larger than it may be. The connection is closed.
    """
    length = response.headers.get("Content-Length", "")
    known = len(length) < 10 and length.isdecimal() and "Content-Encoding" not in response.headers
    if known and int(length) <= _MB:  # that much is always allowed
        return await response.read()
    cut = response.status >= 300
    most = MOST_OF_AN_ERROR if cut else most_bytes(payload)
    if known and int(length) <= most:
        return await response.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            response.close()
            if cut:
                return b"".join(chunks)[:most]
            raise too_large(most)
    return b"".join(chunks)


async def events(content: aiohttp.StreamReader, most: int, watch: Watch) -> AsyncIterator[list[bytes]]:
    """The data of server-sent events, as many at a time as arrive; a reply that is no stream as one event."""
    rest = b""
    streamed = False
    async for chunk in content.iter_any():
        watch.alive()
        rest += chunk
        if not streamed:
            # data, event, a comment, id, retry
            if rest.lstrip()[:1] not in (b"d", b"e", b":", b"i", b"r"):
                if len(rest) > most:
                    raise too_large(most)
                continue
            streamed = True
        *lines, rest = rest.split(b"\n")
        if len(rest) > MOST_OF_AN_EVENT:
            raise too_large(MOST_OF_AN_EVENT)
        found = [data for line in lines if (data := event(line))]
        if found:
            yield found
    last = event(rest) if streamed else rest.strip()
    if last:
        yield [last]


def event(line: bytes) -> bytes | None:
    """The data of one line of a stream; None where it has none."""
    field, _, data = line.partition(b":")
    if field == b"data":
        return data.strip()
    if field == b"error":  # as older llama.cpp servers send it
        return b'{"error":' + (data.strip() or b"true") + b"}"
    return None


async def read_to_end(response: aiohttp.ClientResponse) -> None:
    """After [DONE] only the end of the body is to come; a connection that was read to it can be used again."""
    import aiohttp

    if not response.content.at_eof():
        with suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(1.0):
                async for chunk in response.content.iter_any():
                    if len(chunk) > _MB:
                        break


def decoded(data: bytes) -> Any:
    """Parsed JSON, None where it is none; the content type is not asked."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        pass
    try:  # it takes the NaN and the lone surrogates that Python's servers write
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


class TimeLimit:
    """`asyncio.timeout` at a third of its cost, which is felt at thousands of requests a second."""

    __slots__ = ("_cancelling", "_expired", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        self._timer.cancel()
        # Somebody else's wish to cancel goes before ours.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


class Watch:
    """Closes a reply whose time is up, or that stands still; `why` says which.

    Args:
        response: its reader gets an error of aiohttp's when it is closed.
        ends_at: by the loop's clock.
        stall: seconds without a byte.
    """

    def __init__(self, response: aiohttp.ClientResponse, ends_at: float, stall: float) -> None:
        self.why: Failure | None = None
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._ends_at = ends_at
        self._stall = stall
        self._last = self._loop.time()
        self._timer = self._loop.call_later(min(ends_at - self._last, stall), self._look)

    def alive(self) -> None:
        """Bytes came."""
        self._last = self._loop.time()

    def stop(self) -> None:
        """The reply has ended."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now >= self._ends_at:
            self.why = Failure.TIMEOUT
        elif now >= self._last + self._stall:
            self.why = Failure.STALLED
        else:
            left = min(self._ends_at, self._last + self._stall) - now
            self._timer = self._loop.call_later(max(left, 0.001), self._look)
            return
        self._response.close()
