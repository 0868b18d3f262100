"""The chat server of the tests: its options mean what they say, in a thread and in a process of its own."""

import json

import pytest

from chat_client import Brought, choices_in, talk
from chat_server import label, reply_text, serve

MESSAGES = [{"role": "user", "content": "Which? [p=0.5][answer=C]"}]


def contents(reply: Brought):
    return [text for text, _ in choices_in(reply.body).values()]


def test_choice_j_is_the_answer_to_seed_plus_j():
    with serve() as server:
        four, *single = talk(
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
        [brought] = talk(server, {"messages": MESSAGES, "seed": 1, "max_tokens": 3})
    reply = json.loads(brought.body)
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["choices"][0]["message"]["content"] == " ".join(reply_text(MESSAGES, 1).split()[:3])
    assert reply["usage"]["completion_tokens"] == 3


def test_slots_limit_what_runs_at_once():
    with serve(slots=4, latency=0.02) as server:
        talk(server, *({"messages": MESSAGES, "seed": seed, "n": 1 + seed % 3} for seed in range(12)))
        stats = server.stats()
    assert stats["max_in_flight"] <= 4 and stats["delivered"] == 24 and stats["in_flight"] == 0


@pytest.mark.parametrize("llamacpp", [False, True])
def test_a_client_that_leaves(llamacpp):
    with serve(llamacpp=llamacpp, token_delay=0.02) as server:
        [left] = talk(server, {"messages": MESSAGES, "seed": 1, "n": 2}, timeout=0.1)
        assert left.status in ("TimeoutError", "ServerTimeoutError", "SocketTimeoutError")
        stats = server.settled()
    assert (stats["aborted"], stats["generated"], stats["delivered"]) == ((0, 2, 0) if llamacpp else (2, 0, 0))


def test_the_server_in_a_process():
    with serve(process=True, models=["a", "b"], api_key="k", token_delay=0.0, llamacpp=True) as server:
        [refused] = talk(server, {"messages": MESSAGES})
        assert refused.status == 401
        assert server.stats()["refused"] == 1
