"""Faults of the simulated server: how they are written, who meets one, and that each is what it says."""

import asyncio
import json
import time
from collections import Counter

import aiohttp
import pytest

from chat_client import ask, choices_in, talk
from chat_server import serve
from rsr.errors import ConfigError
from rsr.simulation.faults import KINDS, Chances, Fault, Script, parse_fault, parse_window

# How they are written, and who meets one


def test_chances_are_what_they_say_and_the_same_again():
    chances = Chances("429:2=0.05,reset=0.1,hang*=0.2", seed=3)
    drawn = [
        chances.of(f"{number}", seed, attempt) for number in range(200) for seed in range(10) for attempt in (0, 1)
    ]
    again = Chances("429:2=0.05,reset=0.1,hang*=0.2", seed=3)
    assert drawn == [
        again.of(f"{number}", seed, attempt) for number in range(200) for seed in range(10) for attempt in (0, 1)
    ]
    shares = Counter(fault and fault.kind for fault in drawn)
    assert abs(shares["hang"] / 4000 - 0.2) < 0.08
    assert abs(shares["429"] / 4000 - 0.8 * 0.05) < 0.02 and abs(shares["reset"] / 4000 - 0.8 * 0.1) < 0.02
    for number in range(200):
        of_prompt = {chances.of(f"{number}", seed, 0) for seed in range(10)}
        assert Fault("hang") not in of_prompt or of_prompt == {Fault("hang")}, "always, or never"


def test_a_script_is_for_the_first_requests():
    assert [Script(["429:2", "", "reset"]).at(number) for number in range(4)] == [
        Fault("429", "2"), None, Fault("reset"), None
    ]  # fmt: skip
    assert [Script(["cut", "html*"]).at(number) for number in (0, 1, 99)] == [Fault("cut"), *[Fault("html")] * 2]
    assert Script([]).at(0) is None


@pytest.mark.parametrize("written", ["nothing", "200", "700", "429:soon", "huge:x"])
def test_an_unknown_fault_is_refused(written):
    with pytest.raises(ConfigError, match="faults: "):
        parse_fault(written)


@pytest.mark.parametrize("written", ["429", "429=2", "429=x", "429=0.6,500=0.6"])
def test_chances_that_can_not_be_are_refused(written):
    with pytest.raises(ConfigError, match="faults: "):
        Chances(written)


@pytest.mark.parametrize("written", ["10", "10:x", "10:20:30:40", "-1:3"])
def test_a_window_that_can_not_be_is_refused(written):
    assert parse_window("10:20:3", "storm", retry_after=True) == (10, 20, 3)
    with pytest.raises(ConfigError, match="storm: "):
        parse_window(written, "storm", retry_after=True)
    with pytest.raises(ConfigError):
        parse_window("10:20:3", "outage")


# What they do


BODIES = {
    "malformed": lambda status, kind, body: (status, kind) == (200, "application/json") and not is_json(body),
    "truncated": lambda status, kind, body: status == 200 and not is_json(body),
    "html": lambda status, kind, body: (status, kind) == (200, "text/html"),
    "error200": lambda status, kind, body: status == 200 and "message" in json.loads(body)["error"],
    "nochoices": lambda status, kind, body: status == 200 and json.loads(body)["choices"] == [],
    "context": lambda status, kind, body: status == 400 and b"maximum context length" in body,
    "policy": lambda status, kind, body: status == 400 and b"policy" in body,
    "param:top_k": lambda status, kind, body: status == 400 and b"top_k" in body,
    "nomodel": lambda status, kind, body: status == 404 and b"model" in body,
    "401": lambda status, kind, body: status == 401,
    "502": lambda status, kind, body: status == 502,
    "reset": lambda status, kind, body: status == "ServerDisconnectedError",
    "cut": lambda status, kind, body: status == "ClientPayloadError",
    "hang": lambda status, kind, body: status in ("TimeoutError", "SocketTimeoutError", "ServerTimeoutError"),
    "stall": lambda status, kind, body: status in ("TimeoutError", "SocketTimeoutError", "ServerTimeoutError"),
    "plain": lambda status, kind, body: (status, kind) == (200, "text/plain") and is_good(body),
    "nousage": lambda status, kind, body: is_good(body) and "usage" not in json.loads(body),
    "fewer": lambda status, kind, body: len(json.loads(body)["choices"]) == 1,
    "null": lambda status, kind, body: choices_in(body)[0] == (None, "length"),
    "nullstop": lambda status, kind, body: choices_in(body)[0] == (None, "stop"),
    "filtered": lambda status, kind, body: choices_in(body)[0][1] == "content_filter",
    "finish:odd": lambda status, kind, body: choices_in(body)[0][1] == "odd",
    "drip:0.2": lambda status, kind, body: is_good(body),
    "noend": lambda status, kind, body: is_good(body),
    "huge:3": lambda status, kind, body: status == 200 and len(body) > 3 << 20 and json.loads(body)["choices"],
}


def is_json(body):
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def is_good(body):
    return "The answer is" in choices_in(body)[0][0]


@pytest.mark.parametrize("fault", BODIES)
def test_every_kind_of_fault_is_what_it_says(fault):
    with serve(faults=[fault]) as server:
        sent = {"messages": ask(), "seed": 1, "n": 2}
        [bad] = talk(server, sent, timeout=0.5 if fault in ("hang", "stall") else 60.0)
        [good] = talk(server, sent)
        stats = server.stats()
    assert BODIES[fault](*bad[:3]), bad[:3]
    assert is_good(good[2]) and stats["faults"] == {fault.partition(":")[0]: 1}


def test_every_kind_of_fault_is_tried():
    assert {fault.partition(":")[0] for fault in BODIES} >= set(KINDS) - {"429"}


@pytest.mark.parametrize(
    "fault", ["cut", "noend", "truncated", "null", "nullstop", "filtered", "finish:odd", "drip:0.1"]
)
@pytest.mark.parametrize("token_delay", [0.0, 0.001])
def test_faults_of_streams(fault, token_delay):
    with serve(faults=[fault], token_delay=token_delay) as server:
        sent = {"messages": ask("[words=12]"), "seed": 1, "stream": True}
        bad, good = talk(server, sent, sent, at_once=False)
        stats = server.stats()
    [(text, end)] = choices_in(good[2], True).values()
    assert "The answer is" in text and end == "stop"
    if fault == "cut":
        assert bad[0] == "ClientPayloadError"
    elif fault in ("noend", "truncated"):
        assert b'finish_reason":"' not in bad[2] and (b"[DONE]" in bad[2]) == (fault == "noend")
    else:
        ends = {"null": "length", "nullstop": "stop", "filtered": "content_filter", "finish:odd": "odd"}
        assert [end for _, end in choices_in(bad[2], True).values()] == [ends.get(fault, "stop")]
    assert stats["delivered"] == (1 if fault in ("cut", "noend", "truncated") else 2)


def test_a_stream_that_stalls_has_begun():
    with serve(faults=["stall"]) as server:

        async def main():
            async with (
                aiohttp.ClientSession() as session,
                session.post(
                    f"{server.base_url}/chat/completions",
                    json={"model": "test-model", "messages": ask("[words=90]"), "stream": True},
                ) as reply,
            ):
                assert await reply.content.readany()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await reply.content.readany()

        asyncio.run(main())


def test_a_rerun_meets_the_same_faults():
    def statuses():
        with serve(chances="500=0.3,429=0.2", seed=4) as server:
            sent = [{"messages": ask(f"{number}"), "seed": seed} for number in range(30) for seed in range(3)]
            return [reply[0] for reply in talk(server, *sent)], server.stats()["faults"]

    first = statuses()
    assert first == statuses()
    assert set(first[0]) == {200, 429, 500} and sum(first[1].values()) == sum(status != 200 for status in first[0])


@pytest.mark.slow
@pytest.mark.parametrize("wait", ["3", "date+4"])
def test_retry_after_and_its_violations(wait):
    with serve(faults=[f"429:{wait}"]) as server:
        sent = {"messages": ask(), "seed": 1}
        began = time.monotonic()
        refused, _, _ = talk(server, sent, sent, {"messages": ask("another"), "seed": 1}, at_once=False)
        assert refused[0] == 429 and refused[3]["Retry-After"].endswith("GMT") == wait.startswith("date")
        assert server.stats()["retry_after_violations"] == 1
        time.sleep(max(0.0, began + 4.1 - time.monotonic()))
        talk(server, sent)
        assert server.stats()["retry_after_violations"] == 1


@pytest.mark.slow
def test_a_storm():
    with serve(storm="0.5:3:7", token_delay=0.1, slots=2) as server:
        statuses = []

        async def main():
            async with aiohttp.ClientSession() as session:

                async def post(text, seed):
                    sent = {"model": "test-model", "messages": ask(text), "seed": seed}
                    async with session.post(f"{server.base_url}/chat/completions", json=sent) as reply:
                        await reply.read()
                        return reply.status, reply.headers.get("Retry-After")

                in_flight = asyncio.create_task(post("[words=10]", 1))
                while server.stats()["storm"] is None:
                    await asyncio.sleep(0.05)
                statuses.append(await post("[words=7]", 2))
                statuses.append(await in_flight)
                while (await post("[words=7]", 3))[0] == 429:
                    await asyncio.sleep(0.5)

        asyncio.run(main())
        stats = server.stats()
    assert statuses == [(429, "7"), (200, None)]
    storm = stats["storm"]
    assert (storm["delivered"], storm["in_flight"]) == (1, 1) and storm["requests"] == stats["faults"]["429"]


@pytest.mark.slow
def test_an_outage_cuts_connections_and_ends():
    with serve(outage="0.2:2", token_delay=0.1) as server:
        began = time.monotonic()
        [broken] = talk(server, {"messages": ask("[words=200]"), "seed": 1})
        [refused] = talk(server, {"messages": ask(), "seed": 1})
        assert broken[0] == "ServerDisconnectedError" and refused[0] == "ClientConnectorError"
        while talk(server, {"messages": ask("[words=7]"), "seed": 1})[0][0] != 200:
            assert time.monotonic() - began < 60
            time.sleep(0.05)
        assert time.monotonic() - began >= 2.2 and server.settled()["aborted"] == 1
