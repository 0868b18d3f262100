import asyncio
import json

import msgspec
import pytest

from raw_server import http, raw_server, read_request
from rsr.completions import split_completion
from rsr.errors import ConfigError
from rsr.failures import TABLE, Failed, Fate
from rsr.replies import read_choices
from rsr.samplers.openai_compatible import OpenAICompatible
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
    assert TABLE[caught.value.failure].fate is Fate.RETRY_NOW


def posted(body, **headers):
    """What an unstreamed request brings."""

    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(http(body, **headers))

    async def main():
        async with raw_server(handle) as url:
            wire = Wire(url)
            try:
                return await wire.post_once(CHAT, {"model": "m"})
            finally:
                await wire.close()

    return asyncio.run(main())


def event(choice, **more):
    return b"data: " + json.dumps({"choices": [choice], "model": "m", **more}).encode() + b"\n\n"


def test_a_stream_that_was_not_asked_for_is_put_together():
    start = event({"index": 0, "delta": {"role": "assistant", "content": "Hel"}})
    end = event({"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}, usage={"completion_tokens": 2})
    streamed = {"Content-Type": "text/event-stream; charset=utf-8"}
    [found] = read_choices(posted(b": hi\n\n" + start + end + b"data: [DONE]\n\n", **streamed), False)
    assert (found.text, found.finish_reason, found.completion_tokens, found.model) == ("Hello", "stop", 2, "m")
    assert posted(GOOD, **streamed) == msgspec.json.decode(GOOD)
    with pytest.raises(Failed, match="the stream has no end"):
        posted(start, **streamed)
    with pytest.raises(Failed, match="out of memory"):
        posted(start + b'data: {"error": {"message": "out of memory"}}\n\n', **streamed)


ODD = {"index": 0, "finish_reason": "stop", "logprobs": float("nan")}


def test_lone_surrogates_and_nan_are_data():
    reply = json.dumps({"choices": [ODD | {"message": {"content": "a\ud800b"}}], "usage": {"x": float("inf")}})
    [found] = read_choices(posted(reply.encode()), False)
    assert found.text == "a\ud800b"
    assert split_completion(found).response == "a?b"

    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(http(event(ODD | {"delta": {"content": "a\ud800b"}}) + b"data: [DONE]\n\n"))

    [[streamed]] = stream_from(handle)
    assert streamed["choices"][0]["delta"]["content"] == "a\ud800b"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a": ' * 100_000, b'{"a": "\xff"}', b"9" * 5000])
def test_what_no_parser_takes_is_of_no_use(body):
    with pytest.raises(Failed) as caught:
        posted(body)
    assert TABLE[caught.value.failure].fate is Fate.RETRY_NOW


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"api_key": "sk-1\nsecret"}, "sampler.api_key: "),
        ({"api_key": "secret\x00"}, "sampler.api_key: "),
        ({"api_key": "secret\udcff"}, "sampler.api_key: "),
        ({"headers": {"X-A": "secret\r\nX-B: 1"}}, "sampler.headers.X-A: "),
        ({"headers": {"X-A: secret\n": "1"}}, "sampler.headers: "),
    ],
)
def test_what_no_header_can_hold_is_refused_without_being_shown(options, where):
    with pytest.raises(ConfigError) as caught:
        OpenAICompatible(model="m", **options)
    text = str(caught.value)
    assert text.startswith(where) and "secret" not in text and "\n" not in text
