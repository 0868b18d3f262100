"""An endpoint that is out of order, in virtual time: when it is known for one, how it is probed, what that costs."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import ENDED, World, gate_of, tickets

from rsr.gate import Sign, Ticket
from rsr.gate.breaker import in_a_row


def test_nothing_there_opens_at_once_and_burns_nothing():
    gate = gate_of()
    ticket = Ticket()
    gate.enter(ticket, 0.0)
    gate.failed(ticket, 0.1, Sign.GONE)
    assert gate.open_since == 0.1 and ticket.burnt == 0
    assert not gate.enter(ticket, 0.1)
    assert gate.ready(0.2) == [] and 0.9 <= gate.wake(0.2) <= 1.1


@pytest.mark.parametrize(("sign", "burnt"), [(Sign.BUSY, (0, 0, 0)), (Sign.ILL, (7, 7, 1))])
def test_three_prompts_in_a_row_open_it_and_fewer_do_not(sign, burnt):
    # What may be the prompts' own fault costs them a try: one that always fails must not be tried for ever.
    gate = gate_of(max_outage=1e9)
    one, two, three = tickets(3)
    for ticket in [one] * 7 + [two] * 7:
        assert gate.enter(ticket, 0.0)
        gate.failed(ticket, 0.0, sign)
    assert gate.open_since is None and (one.burnt, two.burnt) == (7, 7)
    gate.enter(three, 0.0)
    gate.failed(three, 0.0, sign)
    assert gate.open_since == 0.0
    assert (one.burnt, two.burnt, three.burnt) == burnt


def test_prompts_that_an_endpoint_can_not_do_make_room_for_those_that_it_can():
    bad, fresh = tickets(4), Ticket()
    gate = gate_of(4, max_outage=1e9)
    for ticket in bad:
        assert gate.enter(ticket, 0.0)
    for ticket in bad:
        gate.failed(ticket, 0.0, Sign.ILL)
    now, spent = 0.0, []
    for ticket in bad:
        gate.enter(ticket, now)
    while not spent and now < 100:
        now = max(now + 0.1, gate.wake(now))
        for prober in gate.ready(now):
            gate.failed(prober, now, Sign.ILL)
            spent = gate.spent(now)
            if prober not in spent:
                gate.enter(prober, now)
    assert 40 < now < 60 and spent
    assert not gate.enter(fresh, now)
    assert gate.ready(gate.wake(now)) == [fresh]


def test_where_failures_are_common_it_takes_more_of_them():
    assert [in_a_row(share) for share in (0.0, 0.01, 0.05, 0.2, 0.5, 0.9, 1.0)] == [3, 3, 4, 6, 12, 12, 12]
    rng = random.Random(1)

    def answer(time, ticket):
        return (0.05, Sign.ILL, None) if rng.random() < 0.2 else (rng.uniform(2, 20), *ENDED)

    world = World(gate_of(64), answer).run(tickets(3000))
    assert not world.parked and world.now < 1.5 * 3000 * 11 / 64


def test_a_success_between_keeps_it_closed():
    gate = gate_of()
    for ticket in tickets(20):
        gate.enter(ticket, 0.0)
        (gate.succeeded if ticket.key % 3 == 2 else lambda *args: gate.failed(*args, Sign.ILL))(ticket, 0.0)
    assert gate.open_since is None


def test_one_prompt_that_always_fails_does_not_stop_the_others():
    def answer(time, ticket):
        return (1.0, Sign.ILL, None) if ticket.key == 3 else (1.0, *ENDED)

    world = World(gate_of(1), answer, slots=1).run(tickets(10))
    assert [ticket.key for ticket in world.parked] == [3] and len(world.delivered) == 9


def test_prompts_that_always_fail_are_parked_although_nothing_else_is_left():
    world = World(gate_of(8), lambda time, ticket: (1.0, Sign.ILL, None), slots=8, retries=3).run(tickets(8))
    assert len(world.parked) == 8 and world.now < 8 * 4 * 6


def test_probes_are_shared_among_the_waiting():
    world = World(gate_of(16), lambda time, ticket: (0.1, Sign.BUSY, None), slots=16)
    world.gate.max_outage = 100.0
    world.run(tickets(16))
    probes = [ticket.probes for ticket in world.given_up]
    assert len(probes) == 16 and max(probes) - min(probes) <= 1
    assert not world.parked and all(ticket.burnt == 0 for ticket in world.given_up)
    times = [time for time, _ in world.sent[16:]]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(gap <= 5.11 for gap in gaps) and all(gap >= 3.9 for gap in gaps[4:])


def test_a_silent_probe_does_not_keep_another_from_trying():
    gate = gate_of(8)
    gone, silent, other = Ticket("a"), Ticket("b"), Ticket("c")
    gate.enter(gone, 0.0)
    gate.failed(gone, 0.0, Sign.GONE)
    for ticket in (silent, other):
        gate.enter(ticket, 0.0)
    assert gate.ready(1.0) == [silent]
    assert gate.ready(3.0) == []
    assert gate.ready(6.0) == [other]
    gate.succeeded(other, 6.5)
    assert gate.open_since is None


@pytest.mark.parametrize("sign", [Sign.BUSY, Sign.GONE, Sign.ILL])
def test_what_was_sent_before_the_outage_does_not_end_it_and_costs_nothing(sign):
    gate = gate_of(8)
    flying = tickets(6)
    for ticket in flying:
        gate.enter(ticket, 0.0)
    for ticket in flying[:3]:
        gate.failed(ticket, 1.0, Sign.GONE if sign is Sign.GONE else sign)
    assert gate.open_since == 1.0
    gate.succeeded(flying[3], 1.1)
    gate.failed(flying[4], 1.2, sign)
    gate.answered(flying[5], 1.3)
    assert gate.open_since == 1.0 and flying[4].burnt == 0


def test_a_storm_waits_for_the_largest_retry_after():
    gate = gate_of(8)
    for ticket, seconds in zip(tickets(3), (2.0, 90.0, None), strict=True):
        gate.enter(ticket, 0.0)
        gate.failed(ticket, 1.0, Sign.BUSY, seconds)
    other = Ticket("other")
    gate.enter(other, 2.0)
    assert gate.ready(90.9) == [] and gate.wake(2.0) == 91.0
    assert gate.ready(91.0) == [other]


def test_after_an_outage_the_limit_doubles_up_to_half_of_what_it_was():
    gate = gate_of(64)
    for ticket in tickets(3):
        gate.enter(ticket, 0.0)
        gate.failed(ticket, 0.0, Sign.BUSY)
    limits = []
    now = 1.0
    for _ in range(9):
        flying = tickets(64)
        going = [ticket for ticket in flying if gate.enter(ticket, now)]
        going += gate.ready(now + 1)
        limits.append(gate.limit)
        now += 2
        for ticket in going:
            gate.succeeded(ticket, now)
        for ticket in set(flying) - set(going):
            gate.left(ticket)
    assert limits[:6] == [1, 2, 4, 8, 16, 32]
    assert 33 <= limits[6] <= 34 and limits[8] <= 38


def test_nothing_waits_longer_than_the_longest_outage():
    world = World(gate_of(8, max_outage=60.0), lambda time, ticket: (0.01, Sign.GONE, None), slots=8)
    world.run(tickets(8))
    assert len(world.given_up) == 8 and 60 <= world.now < 61 and not world.parked


@settings(max_examples=60, deadline=None)
@given(
    slots=st.integers(8, 128),
    begins=st.floats(0.0, 20.0),
    length=st.floats(20.0, 60.0),
    retry_after=st.sampled_from([None, None, 0.5, 3.0, 20.0]),
    sign=st.sampled_from([Sign.BUSY, Sign.GONE, Sign.ILL]),
    seed=st.integers(0, 1000),
)
def test_a_storm_loses_nothing_and_is_not_fed(slots, begins, length, retry_after, sign, seed):
    rng = random.Random(seed)
    ends = begins + length

    def answer(time, ticket):
        if begins <= time < ends:
            return (rng.uniform(0.001, 0.2), sign, retry_after)
        return (rng.uniform(0.5, 4.0), *ENDED)

    world = World(gate_of(slots, seed), answer, slots=slots, seed=seed).run(tickets(slots * 12))
    assert len(world.delivered) == slots * 12 and not world.parked
    in_storm = len(world.between(begins, ends))
    # Those that met it, some of them again before it was known for one; then probes.
    assert in_storm <= 2 * slots + length / 4 + 12
    assert in_storm <= 1.5 * (length / 5) * slots
    after = [time for time, _ in world.sent if time >= ends]
    assert not after or after[0] <= ends + 5.2 + (retry_after or 0)
