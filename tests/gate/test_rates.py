"""Requests and tokens per minute, in virtual time: never exceeded, and no time wasted."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from world import ENDED, World, gate_of, tickets

from rsr.gate import Sign, Ticket
from rsr.gate.rates import Window


@settings(max_examples=60, deadline=None)
@given(
    per_minute=st.integers(1, 60),
    count=st.integers(1, 150),
    takes=st.floats(0.01, 100.0),
    share=st.sampled_from([0.0, 0.0, 0.2]),
)
def test_requests_per_minute_are_never_exceeded(per_minute, count, takes, share):
    rng = random.Random(count)
    gate = gate_of(64, requests_per_minute=per_minute)

    def answer(time, ticket):
        return (takes, Sign.BUSY, None) if rng.random() < share else (takes, *ENDED)

    world = World(gate, answer, slots=64, retries=1000).run(tickets(count))
    times = [time for time, _ in world.sent]
    for earlier, later in zip(times, times[per_minute:], strict=False):
        assert later - earlier > 60.0
    if share == 0.0 and takes < 1.0:  # and no time is wasted
        assert world.now <= (count // per_minute) * 61.0 + count * takes + 0.01


@settings(max_examples=60, deadline=None)
@given(per_minute=st.integers(100, 20_000), count=st.integers(1, 100), weight=st.integers(1, 8))
def test_tokens_per_minute_are_never_exceeded(per_minute, count, weight):
    gate = gate_of(64, tokens_per_minute=per_minute)
    used = []

    def answer(time, ticket):
        used.append((time, ticket.booked[1]))
        window = [tokens for when, tokens in used if when > time - 60.0]
        assert sum(window) <= per_minute or len(window) == 1
        return (1.0, *ENDED)

    world = World(gate, answer, slots=64).run(tickets(count, weight, prompt_tokens=50, max_tokens=100))
    assert len(world.delivered) == count


def test_tokens_are_estimated_by_what_replies_have_used():
    gate = gate_of(64, tokens_per_minute=1000)
    first, second = Ticket(weight=2, prompt_tokens=100, max_tokens=400), Ticket(weight=2, prompt_tokens=100)
    assert gate.enter(first, 0.0) and first.booked[1] == 900
    assert not gate.enter(second, 0.0)
    first.used = 140  # 20 each
    gate.succeeded(first, 1.0)
    assert gate.ready(1.0) == [second] and second.booked[1] == 140
    assert gate._rates.tokens.booked(1.0) == 280


def test_what_a_reply_used_beyond_the_estimate_counts_from_then_on():
    window = Window(100)
    entry = window.book(0.0, 60)
    window.correct(entry, 30.0, 90)
    assert window.booked(30.0) == 90 and window.free_at(30.0, 20) == 61.0 and window.free_at(30.0, 80) == 91.0
    assert window.booked(62.0) == 30
    late = window.book(62.0, 10)
    assert window.booked(200.0) == 0
    window.correct(late, 200.0, 5)
    assert window.booked(200.0) == 0
