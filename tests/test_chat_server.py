import asyncio
import time

import aiohttp
import pytest

from chat_server import label, reply_text, serve

MESSAGES = [{"role": "user", "content": "Which? [p=0.5][answer=C]"}]


def call(server, *payloads, path="chat/completions"):
    """The (status, body) of requests that are sent at the same time."""

    async def one(session, payload):
        async with session.post(f"{server.base_url}/{path}", json={"model": "test-model", **payload}) as reply:
            return reply.status, await reply.json()

    async def main():
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(one(session, payload) for payload in payloads))

    return asyncio.run(main())


def contents(reply):
    return [choice["message"]["content"] for choice in reply[1]["choices"]]


def test_choice_j_is_the_answer_to_seed_plus_j():
    with serve() as server:
        four, *single = call(
            server,
            {"messages": MESSAGES, "seed": 7, "n": 4},
            *({"messages": MESSAGES, "seed": 7 + j} for j in range(4)),
        )
        stats = server.stats(deliveries=True)
    assert contents(four) == [contents(reply)[0] for reply in single]
    assert contents(four) == [reply_text(MESSAGES, 7 + j) for j in range(4)]
    assert (stats["requests"], stats["generated"], stats["delivered"], stats["paid_twice"]) == (5, 8, 8, 4)
    assert stats["deliveries"] == {label(MESSAGES): {str(7 + j): 2 for j in range(4)}}


def test_tags_fix_pass_rate_answer_and_text():
    made = [reply_text(MESSAGES, seed) for seed in range(1000)]
    assert len(set(made)) == 1000
    assert 430 < sum(text.endswith("The answer is C.") for text in made) < 570
    assert {text[-2] for text in made} == set("ABCD")
    assert reply_text([{"role": "user", "content": "[p=1][answer=42]"}], 1).endswith("is 42.")
    assert not reply_text([{"role": "user", "content": "[p=0][answer=42]"}], 1).endswith("is 42.")
    assert reply_text([{"role": "user", "content": "[text=Just this]"}], 1) == "Just this"
    assert reply_text(MESSAGES, 1, server_seed=1) != reply_text(MESSAGES, 1)


def test_max_tokens_truncates():
    with serve() as server:
        [(_, reply)] = call(server, {"messages": MESSAGES, "seed": 1, "max_tokens": 3})
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["choices"][0]["message"]["content"] == " ".join(reply_text(MESSAGES, 1).split()[:3])
    assert reply["usage"]["completion_tokens"] == 3


def test_slots_limit_what_runs_at_once():
    with serve(slots=4, latency=0.02) as server:
        call(server, *({"messages": MESSAGES, "seed": seed, "n": 1 + seed % 3} for seed in range(12)))
        stats = server.stats()
    assert stats["max_in_flight"] <= 4 and stats["delivered"] == 24 and stats["in_flight"] == 0


@pytest.mark.parametrize("llamacpp", [False, True])
def test_a_client_that_leaves(llamacpp):
    with serve(llamacpp=llamacpp, token_delay=0.02) as server:

        async def main():
            timeout = aiohttp.ClientTimeout(total=0.1)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                payload = {"model": "test-model", "messages": MESSAGES, "seed": 1, "n": 2}
                with pytest.raises(asyncio.TimeoutError):
                    async with session.post(f"{server.base_url}/chat/completions", json=payload) as reply:
                        await reply.read()

        asyncio.run(main())
        for _ in range(200):
            if server.stats()["in_flight"] == 0:
                break
            time.sleep(0.02)
        stats = server.stats()
    assert (stats["aborted"], stats["generated"], stats["delivered"]) == ((0, 2, 0) if llamacpp else (2, 0, 0))


def test_the_server_in_a_process():
    with serve(process=True, models=["a", "b"], api_key="k", token_delay=0.0, llamacpp=True) as server:
        status, _ = call(server, {"messages": MESSAGES})[0]
        assert status == 401
        assert server.stats()["refused"] == 1
