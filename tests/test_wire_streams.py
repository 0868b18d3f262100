import asyncio

import msgspec
import pytest

from raw_server import http, raw_server, read_request
from rsr.failures import FATE, Failed, Fate
from rsr.wire import Wire

CHAT = "chat/completions"
GOOD = msgspec.json.encode({"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]})


def stream_from(handle, times=1):
    """The events of so many requests to a raw server."""

    async def main():
        async with raw_server(handle) as url:
            wire = Wire(url)
            try:
                return [[event async for event in wire.stream(CHAT, {"model": "m"})] for _ in range(times)]
            finally:
                await wire.close()

    return asyncio.run(main())


def test_a_stream_gives_its_events_and_its_connection_back():
    connections = set()

    async def handle(reader, writer, number):
        while True:
            await read_request(reader)
            connections.add(number)
            lines = b': hi\n\nevent: x\ndata: {"choices": [1]}\r\n\r\ndata:{"choices": [2]}\n\ndata: [DONE]\n\n'
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n")
            for at in range(0, len(lines), 7):  # the pieces end anywhere
                part = lines[at : at + 7]
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(b"0\r\n\r\n")

    read = stream_from(handle, 3)
    assert [[event["choices"] for event in each] for each in read] == [[[1], [2]]] * 3
    assert connections == {1}


@pytest.mark.parametrize("body", [GOOD, msgspec.json.format(GOOD, indent=2), b"\n" + GOOD + b"\n"])
def test_a_server_that_does_not_stream_gives_one_event(body):
    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(http(body))

    assert stream_from(handle) == [[msgspec.json.decode(GOOD)]]


@pytest.mark.parametrize(
    "sent",
    [
        b'data: {"error": {"message": "out of memory"}}\n\n',
        b'error: {"code": 400}\n\n',
        b"<html>no</html>",
        b"data: {\n",
    ],
)
def test_an_error_in_a_stream_is_a_failure(sent):
    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(http(sent))

    with pytest.raises(Failed) as caught:
        stream_from(handle)
    assert FATE[caught.value.failure] is Fate.RETRY_NOW
