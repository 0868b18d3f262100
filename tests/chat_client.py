"""A client of the simulated server for tests: requests at once or in turn, and what their replies hold."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

from chat_server import Running

Messages = list[dict[str, Any]]


class Brought(NamedTuple):
    """What a request brought; where there was no reply, `status` names the error."""

    status: int | str
    content_type: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = {}


def ask(text: str = "Which one?") -> Messages:
    return [{"role": "user", "content": text}]


def talk(server: Running, *payloads: dict[str, Any], at_once: bool = True, timeout: float = 60.0) -> list[Brought]:
    """What each request brings, in the order of the payloads."""

    async def one(session: aiohttp.ClientSession, sent: dict[str, Any]) -> Brought:
        try:
            async with session.post(
                f"{server.base_url}/chat/completions", json={"model": "test-model", **sent}
            ) as reply:
                return Brought(reply.status, reply.content_type, await reply.read(), reply.headers)
        except (TimeoutError, aiohttp.ClientError) as error:
            return Brought(type(error).__name__)

    async def main() -> list[Brought]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
            if at_once:
                return await asyncio.gather(*(one(session, sent) for sent in payloads))
            return [await one(session, sent) for sent in payloads]

    return asyncio.run(main())


def choices_in(body: bytes, streamed: bool = False) -> dict[int, tuple[str | None, str | None]]:
    """Text and finish_reason of each choice of a whole or streamed body."""
    if not streamed:
        return {
            choice["index"]: (choice["message"]["content"], choice["finish_reason"])
            for choice in json.loads(body)["choices"]
        }
    texts: dict[int, str] = {}
    ends: dict[int, str] = {}
    for line in body.decode().split("\n\n"):
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                texts[choice["index"]] = texts.get(choice["index"], "") + (choice["delta"].get("content") or "")
                if choice["finish_reason"]:
                    ends[choice["index"]] = choice["finish_reason"]
    return {index: (text, ends.get(index)) for index, text in texts.items()}
