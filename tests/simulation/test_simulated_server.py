"""The simulated server: whole and streamed replies hold the same, and every completion is generated or aborted."""

import asyncio
import json
import time

import aiohttp
import pytest

from chat_client import ask, choices_in, talk
from chat_server import serve


@pytest.mark.parametrize("pace", [{}, {"token_delay": 0.0005, "slots": 3}])
def test_whole_and_streamed_replies_hold_the_same(pace):
    with serve(words=40, **pace) as server:
        sent = {"messages": ask("What? [p=0.5]"), "seed": 5, "n": 4}
        stream = {"stream": True, "stream_options": {"include_usage": True}}
        whole, streamed = talk(server, sent, {**sent, **stream}, at_once=False)
        stats = server.settled()
    assert choices_in(whole.body) == choices_in(streamed[2], True)
    usage = json.loads(whole[2])["usage"]
    assert json.dumps(usage, separators=(",", ":")) in streamed[2].decode() and streamed[2].endswith(
        b"data: [DONE]\n\n"
    )
    assert (stats["delivered"], stats["paid_twice"], stats["generated_tokens"]) == (
        8,
        4,
        2 * usage["completion_tokens"],
    )
    assert not pace or stats["max_in_flight"] == 3


def test_a_replys_pace_is_the_engines():
    with serve(token_delay=0.01, slots=2) as server:
        began = time.monotonic()
        talk(server, *({"messages": ask("[words=20]"), "seed": seed} for seed in range(6)))
        passed = time.monotonic() - began
        stats = server.stats()
    assert passed >= 3 * 20 * 0.01 and stats["max_in_flight"] == 2
    assert 3 * 20 * 0.01 - 0.001 <= stats["makespan"] <= passed


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves(keeps, stream):
    with serve(token_delay=0.04, slots=2, keeps_generating=keeps) as server:
        sent = {"messages": ask("[words=20]"), "seed": 1, "n": 3, "stream": stream}
        assert talk(server, sent, timeout=0.2)[0][0] != 200
        stats = server.settled()
    if keeps:
        assert (stats["generated"], stats["aborted"], stats["generated_tokens"]) == (3, 0, 60)
    else:
        assert (stats["generated"], stats["aborted"]) == (0, 3) and 2 <= stats["aborted_tokens"] <= 38
    assert stats["delivered"] == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("token_delay", [0.0, 0.0001])
def test_every_completion_is_generated_or_aborted_whenever_clients_leave(caplog, stream, token_delay):
    with serve(token_delay=token_delay) as server:
        sent = json.dumps({"model": "test-model", "messages": ask(), "seed": 1, "n": 2, "stream": stream}).encode()
        host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")

        async def main():
            for number in range(60):
                _, writer = await asyncio.open_connection(host, int(port))
                head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(sent)}\r\n\r\n"
                writer.write(head.encode() + sent)
                await asyncio.sleep(0.0002 * (number % 6))
                writer.transport.abort()

        asyncio.run(main())
        stats = server.settled()
    assert stats["generated"] + stats["aborted"] == 2 * stats["requests"] > 0
    assert stats["delivered"] <= stats["generated"]
    assert caplog.records == [], "nothing is wrong with the server"


def test_it_refuses_what_is_no_chat_request():
    with serve() as server:

        async def main():
            async with aiohttp.ClientSession() as session:
                for data in (b"no json", b"[]", b'{"messages": 3}', b"{}", b'{"messages": [], "n": -1}'):
                    async with session.post(f"{server.base_url}/chat/completions", data=data) as reply:
                        assert reply.status == 400, data
                wrong = {"model": "test-model", "messages": ask("[faults=nothing]")}
                async with session.post(f"{server.base_url}/chat/completions", json=wrong) as reply:
                    assert reply.status == 400 and "there is no 'nothing'" in await reply.text()
                async with session.get(f"{server.base_url}/nowhere") as reply:
                    assert reply.status == 404

        asyncio.run(main())
