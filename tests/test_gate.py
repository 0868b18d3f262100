"""The gate before an endpoint, in virtual time: what goes when, whatever the endpoint does."""

import ast
import heapq
import itertools
import random
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rsr.gate
from rsr.gate import Gate, Sign, Ticket
from rsr.gate.breaker import in_a_row
from rsr.gate.rates import Window

ENDED = (None, None)
"""What `World.answer` gives for a good reply: no sign, no Retry-After."""


class World:
    """Requests, a gate and an endpoint, in virtual time.

    `answer(time, ticket)` is (seconds that it takes, sign, Retry-After). What the wire does between tries is done here:
    backoff, and an end after `retries` failed tries that count.
    """

    def __init__(self, gate, answer, slots=64, retries=6, seed=0):
        self.gate, self.answer, self.slots, self.retries = gate, answer, slots, retries
        self.rng = random.Random(seed)
        self.now = 0.0
        self.events = []
        self.order = itertools.count()
        self.sent = []  # (time, ticket)
        self.delivered, self.parked, self.given_up = [], [], []
        self.not_before = defaultdict(float)  # key -> when its Retry-After has passed
        self.using = 0

    def run(self, tickets, until=1e7):
        """Put them in, so many at a time, and go on until nothing is left; time runs on to the next event."""
        self.coming = iter(tickets)
        self.fill()
        while True:
            wake = self.gate.wake(self.now)
            reply = self.events[0][0] if self.events else None
            times = [time for time in (wake, reply) if time is not None]
            if not times:
                break
            step = min(times)
            assert step < until, f"{step}: stands still: {self.gate.waiting} wait, {self.gate.in_flight} in flight"
            self.now = max(self.now, step)
            while self.events and self.events[0][0] <= self.now:
                self.land(*heapq.heappop(self.events)[2:])
            self.pump()
            self.fill()
        assert not self.gate.waiting and not self.gate.in_flight
        return self

    def fill(self):
        while self.using < self.slots and (ticket := next(self.coming, None)) is not None:
            self.using += 1
            self.enter(ticket)

    def enter(self, ticket):
        if self.gate.enter(ticket, self.now):
            self.go(ticket)
        else:
            self.pump()

    def pump(self):
        for ticket in self.gate.ready(self.now):
            self.go(ticket)
        for ticket in self.gate.down(self.now):
            self.given_up.append(ticket)
            self.using -= 1

    def go(self, ticket):
        gate = self.gate
        assert self.now >= self.not_before[ticket.key], "Retry-After was not obeyed"
        assert gate.in_flight <= max(gate._limit.ceiling, ticket.weight)
        self.sent.append((self.now, ticket))
        takes, sign, retry_after = self.answer(self.now, ticket)
        heapq.heappush(self.events, (self.now + takes, next(self.order), ticket, sign, retry_after))

    def land(self, ticket, sign, retry_after):
        gate = self.gate
        if sign is None:
            ticket.used = ticket.prompt_tokens + 100 * ticket.weight
            gate.succeeded(ticket, self.now)
            self.delivered.append(ticket)
            self.using -= 1
        else:
            if retry_after is not None:
                self.not_before[ticket.key] = max(self.not_before[ticket.key], self.now + retry_after)
            gate.failed(ticket, self.now, sign, retry_after)
            if ticket.burnt > self.retries:
                self.parked.append(ticket)
                self.using -= 1
            else:
                if gate.open_since is None:
                    ticket.rest_until = self.now + self.rng.uniform(0, min(60, 0.5 * 2**ticket.burnt))
                self.enter(ticket)
        self.pump()

    def between(self, start, end):
        return [ticket for time, ticket in self.sent if start <= time < end]


def tickets(count, weight=1, **more):
    return [Ticket(key=number, weight=weight, **more) for number in range(count)]


def gate_of(ceiling=64, seed=0, **more):
    return Gate(ceiling, rng=random.Random(seed), **more)


def fine(takes=1.0):
    return lambda time, ticket: (takes, *ENDED)


def test_what_decides_knows_no_clock_and_no_loop():
    folder = Path(rsr.gate.__file__).parent
    for path in folder.glob("*.py"):
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


def test_requests_that_hang_do_not_keep_the_others_from_going():
    def answer(time, ticket):
        if ticket.key % 50 == 7:
            return (7200.0, Sign.SLOW, None)
        return (1.0, Sign.BUSY, None) if random.Random(f"{ticket.key}/{ticket.tries}").random() < 0.3 else (1.0, *ENDED)

    world = World(gate_of(32), answer, slots=32, retries=50)
    world.run(tickets(200))
    at = sorted(time for time, ticket in world.sent if ticket.key % 50 != 7)
    assert at[-1] < 1500 and len(world.delivered) == 196 and len(world.parked) == 4


def test_nothing_waits_longer_than_the_longest_outage():
    world = World(gate_of(8, max_outage=60.0), lambda time, ticket: (0.01, Sign.GONE, None), slots=8)
    world.run(tickets(8))
    assert len(world.given_up) == 8 and 60 <= world.now < 61 and not world.parked


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


# Storms and outages


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


# Requests and tokens per minute


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
