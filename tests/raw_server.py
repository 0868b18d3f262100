"""A server that answers with whatever bytes a test wants."""

from __future__ import annotations

import asyncio
import contextlib


@contextlib.asynccontextmanager
async def raw_server(handle):
    """A TCP server that calls `handle(reader, writer, number of the connection)`."""
    number = 0
    tasks = set()

    async def connected(reader, writer):
        nonlocal number
        number += 1
        tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await handle(reader, writer, number)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next((line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")), "0")
    await reader.readexactly(int(length))
    return head


def http(body, status="200 OK", **headers):
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"Content-Length": len(body), **headers}.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body
