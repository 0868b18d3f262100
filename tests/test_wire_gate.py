"""What goes through the gate, with real requests: outages, storms, limits, and who shares them."""

import asyncio
import gc
import time

import msgspec
import pytest

import rsr.endpoint
import rsr.gate.breaker
import rsr.wire
from chat_server import serve
from raw_server import http, raw_server, read_request
from rsr.endpoint import Limits
from rsr.errors import RequestFailed, SamplerDown
from rsr.failures import Failed, Failure
from rsr.gate import Ticket
from rsr.samplers.openai_compatible import OpenAICompatible
from rsr.types import SampleRequest
from rsr.wire import Wire

CHAT = "chat/completions"
GOOD = msgspec.json.encode({"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]})


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    monkeypatch.setattr(rsr.wire, "BACKOFF", 0.01)
    monkeypatch.setattr(rsr.gate.breaker, "PROBE_FIRST", 0.05)
    monkeypatch.setattr(rsr.gate.breaker, "PROBE_LONGEST", 0.2)


async def answered(reader, writer):
    """A good reply."""
    await read_request(reader)
    writer.write(http(GOOD, Connection="close"))
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("retries", [0, 6])
def test_an_outage_costs_nobody_anything(retries):
    async def main():
        server = await asyncio.start_server(answered, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        wire = Wire(f"http://127.0.0.1:{port}/v1", max_retries=retries, limits=Limits(16))
        asking = [asyncio.create_task(wire.post(CHAT, {"model": "m"})) for _ in range(40)]
        await asyncio.sleep(0.5)
        sent, waiting = wire.endpoint.sent, wire.endpoint.waiting
        server = await asyncio.start_server(answered, "127.0.0.1", port)
        try:
            assert all(await asyncio.gather(*asking))
            assert wire.endpoint.state == ""
        finally:
            await wire.close()
            server.close()
        return sent, waiting

    sent, waiting = asyncio.run(main())
    assert waiting >= 39 - 16 and sent <= 16 + 8


def test_a_storm_is_waited_out():
    until = time.monotonic() + 0.6
    seen = []

    async def handle(reader, writer, number):
        while True:
            await read_request(reader)
            seen.append(time.monotonic())
            busy = seen[-1] < until
            writer.write(http(b"{}", "429 Too Many", Retry_After="0.3") if busy else http(GOOD))

    async def main():
        async with raw_server(handle) as url:
            wire = Wire(url, max_retries=3, limits=Limits(8))
            try:
                tickets = [Ticket(key) for key in range(30)]
                replies = [wire.post(CHAT, {"model": "m"}, ticket) for ticket in tickets]
                assert all(await asyncio.gather(*replies))
            finally:
                await wire.close()
        return tickets

    tickets = asyncio.run(main())
    assert sum(at < until for at in seen) <= 8 + 4
    assert not any(ticket.redrawn for ticket in tickets)


def test_nobody_of_a_prompt_goes_before_its_retry_after():
    seen = {}

    async def handle(reader, writer, number):
        while True:
            path = (await read_request(reader)).split()[1]
            seen.setdefault(path, []).append(time.monotonic())
            first = path.endswith("a") and len(seen[path]) == 1
            writer.write(http(b"{}", "429 Too Many", Retry_After="0.4") if first else http(GOOD))

    async def main():
        async with raw_server(handle) as url:
            wire = Wire(url)
            try:
                first = asyncio.create_task(wire.post("a", {}, Ticket("p")))
                while not wire.endpoint or not wire.endpoint.waiting:
                    await asyncio.sleep(0.005)
                await asyncio.gather(first, wire.post("b", {}, Ticket("p")), wire.post("c", {}, Ticket("q")))
            finally:
                await wire.close()

    asyncio.run(main())
    again = seen["/v1/a"][0] + 0.4
    assert seen["/v1/a"][1] >= again and seen["/v1/b"][0] >= again > seen["/v1/c"][0]


def test_two_wires_to_one_endpoint_share_its_gate():
    async def main():
        async with raw_server(lambda *_: asyncio.sleep(9)) as url, raw_server(lambda *_: asyncio.sleep(9)) as other:
            wires = [
                Wire(url, limits=Limits(4)),
                Wire(url.replace("/v1", "/judge/v1"), limits=Limits(2)),
                Wire(other, limits=Limits(4)),
            ]
            asking = [asyncio.create_task(wire.post(CHAT, {})) for wire in wires for _ in range(3)]
            await asyncio.sleep(0.05)
            sampling, judging, apart = (wire.endpoint for wire in wires)
            assert sampling is judging is not apart
            assert (sampling.gate.in_flight, sampling.waiting, sampling.limit) == (4, 2, 4)
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            assert (sampling.gate.in_flight, sampling.waiting, apart.gate.in_flight) == (0, 0, 0)
            for wire in wires:
                await wire.close()

    asyncio.run(main())
    gc.collect()
    assert not rsr.endpoint._ENDPOINTS


def test_time_at_the_gate_does_not_count():
    with serve(latency=0.3) as server:

        async def main():
            wire = Wire(server.base_url, timeout=0.5, max_retries=0, limits=Limits(1))
            asking = [{"model": "test-model", "messages": [{"role": "user", "content": str(j)}]} for j in range(4)]
            try:
                return await asyncio.gather(*(wire.post(CHAT, payload) for payload in asking))
            finally:
                await wire.close()

        assert len(asyncio.run(main())) == 4
        assert server.stats()["max_in_flight"] == 1


def test_the_rates_of_a_provider_are_kept():
    with serve() as server:

        async def main():
            sampler = OpenAICompatible(
                model="test-model", base_url=server.base_url, requests_per_minute=3, tokens_per_minute=100_000
            )
            asking = [
                asyncio.create_task(sampler.sample(SampleRequest(messages=[{"role": "user", "content": "x"}], seed=j)))
                for j in range(5)
            ]
            await asyncio.wait(asking[:3])
            endpoint = sampler.endpoint
            wakes = endpoint.gate.wake(time.monotonic()) - time.monotonic()
            state = endpoint.sent, endpoint.waiting
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            await sampler.close()
            return wakes, state

        wakes, state = asyncio.run(main())
        assert 50 < wakes < 62 and state == (3, 2)


@pytest.mark.parametrize(
    ("failure", "redrawn"),
    [
        (Failure.TIMEOUT, True),
        (Failure.STALLED, True),
        (Failure.BROKEN, True),
        (Failure.STALE, True),
        (Failure.SERVER, True),
        (Failure.BODY, True),
        (Failure.BUSY, False),
        (Failure.CONNECTION, False),
    ],
)
def test_what_may_have_been_generated_before_is_remembered(failure, redrawn):
    tries = []

    async def attempt():
        tries.append(1)
        if len(tries) == 1:
            raise Failed(failure)
        return "reply"

    async def always():
        raise Failed(failure)

    async def main():
        wire = Wire("http://127.0.0.1:1/v1", max_retries=1, limits=Limits(max_outage=0.1))
        ticket = Ticket()
        assert await wire.persist(attempt, ticket) == "reply"
        with pytest.raises((RequestFailed, SamplerDown)) as ended:
            await wire.persist(always, Ticket())
        return ticket.redrawn, getattr(ended.value, "may_have_generated", False)

    assert asyncio.run(main()) == (redrawn, redrawn)


@pytest.mark.parametrize(("fault", "redrawn"), [("500", True), ("html", True), ("429", False), ("503", False)])
def test_completions_say_whether_they_were_drawn_again(fault, redrawn):
    with serve(faults=[fault]) as server:

        async def main():
            sampler = OpenAICompatible(model="test-model", base_url=server.base_url)
            request = SampleRequest(messages=[{"role": "user", "content": "x"}], seed=1, n=2)
            found = [await sampler.sample(request) for _ in range(2)]
            await sampler.close()
            return [[each.redrawn for each in completions] for completions in found]

        assert asyncio.run(main()) == [[redrawn] * 2, [False] * 2]


def test_no_text_of_an_outage_holds_a_key():
    key = "sk-very-secret-1234"

    async def handle(reader, writer, number):
        head = await read_request(reader)
        writer.write(http(msgspec.json.encode({"error": {"message": f"busy: {head}"}}), "503 Busy"))

    async def main():
        async with raw_server(handle) as url:
            url = url.replace("//", "//me:hunter22@")
            wire = Wire(url, headers={"X-Key": key}, limits=Limits(4, max_outage=0.2))
            asking = [asyncio.create_task(wire.post(CHAT, {})) for _ in range(4)]
            await asyncio.sleep(0.1)
            texts = [wire.endpoint.state]
            texts += map(repr, await asyncio.gather(*asking, return_exceptions=True))
            await wire.close()
        return texts

    texts = asyncio.run(main())
    assert "503: busy" in texts[0] and "SamplerDown" in texts[1]
    assert not any(secret in text for secret in (key, "hunter22", "bWU6aHVudGVyMjI") for text in texts)


def test_a_run_that_ends_waits_for_nobody_who_waits_at_the_gate():
    async def main():
        server = await asyncio.start_server(answered, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        wire = Wire(f"http://127.0.0.1:{port}/v1", limits=Limits(16))
        asking = [asyncio.create_task(wire.post(CHAT, {"model": "m"})) for _ in range(40)]
        await asyncio.sleep(0.3)
        assert wire.endpoint.waiting >= 24
        wire.endpoint.drain()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*asking, return_exceptions=True)
        assert wire.endpoint.waiting == 0
        await wire.close()
        return ended

    assert {str(error) for error in asyncio.run(main())} == {"not sent, since the run ends"}
