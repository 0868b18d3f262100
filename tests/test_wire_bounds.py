"""How large a reply may be, and how long it may take: what a server gone wild can cost."""

import asyncio
import gzip
import itertools
import resource
import time
import zlib

import msgspec
import pytest

from raw_server import http, raw_server, read_request
from rsr.bodies import MOST, MOST_OF_AN_EVENT, TimeLimit, most_bytes
from rsr.completions import to_rollout
from rsr.errors import PromptRefused, RequestFailed
from rsr.failures import Failed, Failure
from rsr.samplers.openai_compatible import OpenAICompatible
from rsr.types import Outcome, SampleRequest
from rsr.wire import Wire

CHAT = "chat/completions"
MB = 1 << 20
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def good(text):
    return msgspec.json.encode({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]})


def delta(text, finish=None, index=0):
    choice = {"index": index, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + msgspec.json.encode({"choices": [choice]}) + b"\n\n"


def asked(handle, payload, stream=False, **options):
    """One try against a raw server."""

    async def main():
        async with raw_server(handle) as url:
            wire = Wire(url, **options)
            try:
                if stream:
                    return [event async for event in wire.stream(CHAT, payload)]
                return await wire.post_once(CHAT, payload)
            finally:
                await wire.close()

    return asyncio.run(main())


def sampled(handle, n=1, **options):
    """What a sampler makes of a raw server that streams."""

    async def main():
        async with raw_server(handle) as url:
            sampler = OpenAICompatible(model="m", base_url=url, stream=True, **options)
            try:
                return await sampler.sample(SampleRequest(messages=[], seed=1, n=n))
            finally:
                await sampler.close()

    return asyncio.run(main())


async def endless(writer, piece):
    for _ in itertools.count():
        writer.write(piece)
        await writer.drain()


def test_what_is_allowed_follows_from_what_was_asked_for():
    assert most_bytes({"max_tokens": 1000}) == MB + 64_000
    assert most_bytes({"max_tokens": 1000, "n": 4}) == MB + 4 * 64_000
    assert most_bytes({"max_completion_tokens": 10_000_000}) == MOST == 64 * MB
    assert most_bytes({}) == 17 * MB and most_bytes({"n": 8}) == MOST
    assert most_bytes({"max_tokens": 10, "logprobs": True}) == MOST
    assert most_bytes({"max_tokens": "x", "n": "y"}) == 17 * MB


@pytest.mark.parametrize("way", ["length", "chunked", "endless", "gzip"])
def test_a_reply_that_is_far_too_large_is_not_read(way):
    body = good("x" * (3 * MB))

    async def handle(reader, writer, number):
        await read_request(reader)
        if way == "length":
            writer.write(http(body))
        elif way == "gzip":
            packer = zlib.compressobj(1, wbits=31)
            bomb = b"".join(packer.compress(b" " * MB) for _ in range(150)) + packer.flush()
            writer.write(http(bomb, Content_Encoding="gzip"))
        elif way == "chunked":
            writer.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
            )
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await endless(writer, b" " * 65536)
        await reader.read()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Failed, match=r"larger than 1\.06 MB") as caught:
        asked(handle, {"max_tokens": 1000})
    assert caught.value.failure is Failure.BODY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("way", ["length", "chunked", "gzip"])
def test_a_large_reply_that_was_asked_for_is_read(way):
    body = good("x" * (3 * MB))

    async def handle(reader, writer, number):
        await read_request(reader)
        if way == "chunked":
            writer.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
            )
        elif way == "gzip":
            writer.write(http(gzip.compress(body), Content_Encoding="gzip"))
        else:
            writer.write(http(body))
        await reader.read()

    assert asked(handle, {"max_tokens": 60_000}) == msgspec.json.decode(body)


@pytest.mark.parametrize("stream", [False, True])
def test_of_an_error_only_the_beginning_is_read(stream):
    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(b'HTTP/1.1 400 Bad\r\n\r\n{"error": {"message": "too long, and here is why')
        await endless(writer, b" x" * 30_000)

    with pytest.raises(Failed, match="too long, and here is why") as caught:
        asked(handle, {}, stream)
    assert caught.value.failure is Failure.PROMPT


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 65536, b" " * 65536, delta("word " * 9999), delta("", index=1)])
def test_a_stream_without_bounds_is_given_up(piece):
    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(STREAM)
        if b"index" in piece:
            pieces = (piece.replace(b'"index":1', b'"index":%d' % at) for at in itertools.count(1))
        else:
            pieces = itertools.repeat(piece.strip(b"\n") if b"choices" not in piece else piece)
        for each in pieces:
            writer.write(each)
            await writer.drain()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RequestFailed, match="the reply is larger than"):
        sampled(handle, max_retries=0, max_tokens=1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB
    assert MOST_OF_AN_EVENT == 8 * MB


def test_a_stream_that_stands_still_is_tried_once_more():
    connections = []

    async def handle(reader, writer, number):
        connections.append(number)
        await read_request(reader)
        writer.write(STREAM + delta("Hel"))
        await reader.read()

    with pytest.raises(RequestFailed, match=r"stood still \(sampler\.stall_timeout=0\.2\) \(2 tries\)") as caught:
        sampled(handle, stall_timeout=0.2)
    assert connections == [1, 2] and caught.value.may_have_generated


def test_bytes_that_come_slowly_are_no_stall():
    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(STREAM)
        for piece in [b": waiting\n\n"] * 4 + [delta("a"), delta("b"), delta("", "stop"), b"data: [DONE]\n\n"]:
            await asyncio.sleep(0.1)
            writer.write(piece)

    [found] = sampled(handle, stall_timeout=0.25)
    assert (found.text, found.finish_reason, found.redrawn) == ("ab", "stop", False)


def test_a_text_that_time_cuts_is_an_outcome_and_not_asked_for_again():
    connections = []

    async def handle(reader, writer, number):
        connections.append(number)
        await read_request(reader)
        writer.write(STREAM)
        writer.write(delta("done", "stop", 0))
        while True:
            writer.write(delta("on and ", None, 1))
            await writer.drain()
            await asyncio.sleep(0.02)

    first, second = sampled(handle, n=2, timeout=0.3)
    assert (first.text, first.finish_reason) == ("done", "stop")
    assert second.text.startswith("on and on and ") and second.finish_reason == "timeout"
    assert [to_rollout(each, 0).outcome for each in (first, second)] == [Outcome.OK, Outcome.TRUNCATED]
    assert connections == [1]


def test_a_stream_in_which_nothing_was_said_in_time_is_tried_once_more():
    connections = []

    async def handle(reader, writer, number):
        connections.append(number)
        await read_request(reader)
        writer.write(STREAM)
        if number == 2:
            writer.write(delta("late", "stop") + b"data: [DONE]\n\n")
            return
        await endless_pings(writer)

    async def endless_pings(writer):
        while True:
            writer.write(b": ping\n\n" + delta(""))
            await writer.drain()
            await asyncio.sleep(0.02)

    [found] = sampled(handle, timeout=0.2)
    assert (found.text, found.redrawn) == ("late", True) and connections == [1, 2]


@pytest.mark.parametrize("way", ["broken", "stalled", "slow"])
def test_texts_that_are_whole_are_not_bought_twice(way):
    connections = []

    async def handle(reader, writer, number):
        connections.append(number)
        await read_request(reader)
        writer.write(STREAM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        for piece in (delta("one", "stop", 0), delta("two", "length", 1)):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
        if way != "broken":
            await reader.read()

    limits = {"stalled": {"stall_timeout": 0.2}, "slow": {"timeout": 0.2}}.get(way, {})
    found = sampled(handle, n=2, **limits)
    assert [(each.text, each.finish_reason) for each in found] == [("one", "stop"), ("two", "length")]
    assert connections == [1]
    with pytest.raises(RequestFailed):
        sampled(handle, n=3, max_retries=0, **({"stall_timeout": 0.2} if way != "broken" else {}))


def test_a_limit_of_time_leaves_other_cancellations_alone():
    async def slept(seconds, limit):
        with TimeLimit(limit):
            await asyncio.sleep(seconds)
        return "slept"

    async def main():
        assert await slept(0.01, 9) == "slept"
        with pytest.raises(TimeoutError):
            await slept(9, 0.01)
        assert not asyncio.current_task().cancelling()
        with pytest.raises(TimeoutError), TimeLimit(0.01):
            await slept(9, 5)
        both = asyncio.create_task(slept(9, 0.05))
        await asyncio.sleep(0)
        time.sleep(0.06)  # the limit is over, and before it is noticed somebody cancels
        both.cancel()
        await asyncio.wait([both])
        assert both.cancelled()
        with pytest.raises(ValueError), TimeLimit(0.01):
            raise ValueError
        return "done"

    assert asyncio.run(main()) == "done"


def test_a_refusal_that_is_large_closes_its_prompt_all_the_same():
    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(http(b'{"error": {"message": "maximum context length is 5"}}' + b" " * (2 * MB), "400 Bad"))

    with pytest.raises(PromptRefused, match="maximum context length"):
        sampled(handle)
