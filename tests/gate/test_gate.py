"""The gate before an endpoint, in virtual time: how many go at once, who waits, and that nobody waits for ever."""

import ast
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import ENDED, World, fine, gate_of, tickets

import rsr.gate
from rsr.gate import Sign, Ticket


def test_what_decides_knows_no_clock_and_no_loop():
    paths = [*Path(rsr.gate.__file__).parent.glob("*.py")]
    assert len(paths) > 1
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {"time", "asyncio", "datetime", "threading"} & set(names)


def test_as_many_as_the_ceiling_are_in_flight_and_no_more():
    world = World(gate_of(8), fine(), slots=30).run(tickets(80))
    assert len(world.between(0, 0.5)) == 8
    assert world.now == pytest.approx(10.0) and len(world.delivered) == 80


def test_a_request_weighs_its_choices_and_a_large_one_goes_alone():
    gate = gate_of(8)
    first, large, last = Ticket(weight=4), Ticket(weight=12), Ticket(weight=1)
    assert gate.enter(first, 0.0) and not gate.enter(large, 0.0)
    assert not gate.enter(last, 0.0)  # it does not overtake: the large one would never go
    assert gate.ready(0.0) == []
    gate.succeeded(first, 1.0)
    assert gate.ready(1.0) == [large]
    gate.succeeded(large, 2.0)
    assert gate.ready(2.0) == [last]


def busy(gate, count, now, sign=Sign.BUSY):
    """So many failures of requests that were sent together, with one success before each: no storm."""
    flying = tickets(2 * count)
    for ticket in flying:
        assert gate.enter(ticket, now)
    for ticket in flying:
        if ticket.key % 2:
            gate.failed(ticket, now + 1, sign)
        else:
            gate.succeeded(ticket, now + 1)


def test_the_limit_is_halved_once_per_round_trip():
    gate = gate_of(64)
    busy(gate, 32, 0.0)
    assert 32 <= gate.limit <= 60  # and what succeeded since has raised it again
    gate = gate_of(64)
    for now in range(0, 100, 2):
        busy(gate, 1, float(now))
        busy(gate, 1, float(now))
    assert 1 <= gate.limit <= 16


@pytest.mark.parametrize("sign", list(Sign))
def test_what_lowers_the_limit(sign):
    gate = gate_of(64)
    busy(gate, 32, 0.0, sign)
    assert (gate.limit < 64) is (sign in (Sign.BUSY, Sign.SLOW))


def test_a_few_busy_replies_whatever_we_do_cost_no_slots():
    rng = random.Random(1)

    def answer(time, ticket):
        return (0.05, Sign.BUSY, None) if rng.random() < 0.05 else (rng.lognormvariate(0, 1) * 10, *ENDED)

    took = [World(gate_of(64), each).run(tickets(3000)).now for each in (answer, fine(16.5))]
    assert took[0] < 1.3 * took[1]


def test_an_endpoint_that_takes_half_of_the_slots_is_kept_busy_and_not_pestered():
    ends, refused, rng = [], [], random.Random(1)

    def answer(time, ticket):
        ends[:] = [end for end in ends if end > time]
        if len(ends) >= 32:
            refused.append(ticket)
            return (0.05, Sign.BUSY, None)
        ends.append(time + rng.uniform(2, 18))
        return (ends[-1] - time, *ENDED)

    world = World(gate_of(64), answer).run(tickets(3000))
    assert not world.parked and len(refused) < 300
    assert world.now < 1.5 * 3000 * 10 / 32


def test_the_limit_rises_by_a_part_of_the_ceiling_per_window():
    gate = gate_of(64)
    gate._limit.now = 32.0
    for window in range(1, 5):
        flying = tickets(gate.limit)
        for ticket in flying:
            assert gate.enter(ticket, float(window))
        for ticket in flying:
            gate.succeeded(ticket, window + 0.5)
        assert gate.limit == pytest.approx(32 + 2 * window, abs=1)


def test_retry_after_holds_the_request_and_its_prompt_and_nobody_else():
    gate = gate_of()
    first, same, other = Ticket("p"), Ticket("p"), Ticket("q")
    gate.enter(first, 0.0)
    gate.failed(first, 1.0, Sign.BUSY, 7200.0)
    assert not gate.enter(first, 1.0) and not gate.enter(same, 1.0) and gate.enter(other, 2.0) is False
    assert gate.ready(2.0) == [other]
    assert gate.wake(2.0) == pytest.approx(7201.0)
    assert gate.ready(7200.9) == []
    assert gate.ready(7201.0) == [first, same]


def test_requests_that_hang_do_not_keep_the_others_from_going():
    def answer(time, ticket):
        if ticket.key % 50 == 7:
            return (7200.0, Sign.SLOW, None)
        return (1.0, Sign.BUSY, None) if random.Random(f"{ticket.key}/{ticket.tries}").random() < 0.3 else (1.0, *ENDED)

    world = World(gate_of(32), answer, slots=32, retries=50)
    world.run(tickets(200))
    at = sorted(time for time, ticket in world.sent if ticket.key % 50 != 7)
    assert at[-1] < 1500 and len(world.delivered) == 196 and len(world.parked) == 4


def test_whoever_leaves_makes_room():
    gate = gate_of(1)
    first, second, third = tickets(3)
    assert gate.enter(first, 0.0) and not gate.enter(second, 0.0) and not gate.enter(third, 0.0)
    gate.left(second)
    gate.left(first)
    assert gate.ready(0.0) == [third] and (gate.waiting, gate.in_flight) == (0, 1)
    assert not gate.enter(second, 0.0)
    gate.left(third)
    assert gate.ready(0.0) == [second]


def test_two_users_share_the_larger_ceiling_and_the_smaller_rates():
    gate = gate_of(8, requests_per_minute=100)
    gate.widen(16, 50, 1000, 10.0)
    assert gate.limit == 16 and gate.counts_tokens and gate.max_outage == 3600.0
    assert (gate._rates.requests.most, gate._rates.tokens.most) == (50, 1000)


FAULT = st.sampled_from([Sign.NONE, Sign.GONE, Sign.BUSY, Sign.SLOW, Sign.ILL])


@settings(max_examples=80, deadline=None)
@given(
    ceiling=st.integers(1, 40),
    slots=st.integers(1, 60),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=60),
    share=st.floats(0.0, 0.6),
    signs=st.lists(FAULT, min_size=1, max_size=4),
    waits=st.lists(st.sampled_from([None, None, 0.0, 1.0, 90.0]), min_size=1, max_size=4),
    rates=st.sampled_from([(None, None), (30, None), (None, 5000), (30, 5000)]),
    seed=st.integers(0, 10_000),
)
def test_whatever_fails_everything_ends_within_its_limits(ceiling, slots, weights, share, signs, waits, rates, seed):
    rng = random.Random(seed)

    def answer(time, ticket):
        assert gate.open_since is not None or gate._limit._weight <= max(gate._limit.now, ticket.weight)
        if rng.random() < share:
            return (rng.uniform(0.0, 3.0), rng.choice(signs), rng.choice(waits))
        return (rng.uniform(0.01, 10.0), *ENDED)

    gate = gate_of(ceiling, seed, requests_per_minute=rates[0], tokens_per_minute=rates[1], max_outage=1e6)
    all_of_them = [Ticket(number // 2, weight, 50, 400) for number, weight in enumerate(weights)]
    world = World(gate, answer, slots=slots, retries=10**6, seed=seed).run(all_of_them)
    assert len(world.delivered) == len(weights)
