"""Slots in virtual time: never more than there are at once, in order, nothing lost, every second accounted for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsr.simulation.clock import VirtualClock
from rsr.simulation.slots import Slots, Speed

jobs = st.lists(
    st.tuples(st.floats(0, 50), st.lists(st.integers(0, 40), min_size=1, max_size=5), st.none() | st.floats(0, 60)),
    max_size=30,
)


@given(jobs, st.integers(0, 4), st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([0.0, 3.0]))
@settings(max_examples=200)
def test_slots_in_virtual_time(jobs, count, rate, latency):
    """Whatever comes and goes: never more than the slots at once, in order, nothing lost, slot-seconds add up."""
    clock = VirtualClock()
    slots = Slots(Speed(count, rate, latency=latency), clock)
    batches, done, running = [], [], []

    def submit(lengths, after):
        batch = slots.submit(lengths, 0, done.append)
        batches.append(batch)
        running.append(slots.running)
        if after is not None:
            clock.call_at(clock.now + after, slots.abort, batch)

    for at, lengths, after in jobs:
        clock.call_at(at, submit, lengths, after)
    clock.run()
    assert not count or max(slots.most, *running, 0) <= count
    assert slots.running == slots.waiting == 0
    every = [job for batch in batches for job in batch.jobs]
    assert len(done) == sum(not batch.aborted for batch in batches)
    assert slots.generated + slots.aborted == len(every)
    began = [job.began for job in every if job.began is not None]
    assert began == sorted(began), "in order of arrival"
    held = sum(job.ended - job.began for job in every if job.began is not None)
    assert slots.busy_seconds == pytest.approx(held)
    assert slots.generated_tokens + slots.aborted_tokens <= sum(job.tokens for job in every)
    if rate and not any(batch.aborted for batch in batches):
        assert held == pytest.approx(sum(job.tokens / rate + latency for job in every))


def test_a_full_engine_is_wholly_used():
    clock = VirtualClock()
    slots = Slots(Speed(4, 10.0), clock)
    for _ in range(10):
        slots.submit([20] * 4, 0, lambda batch: None)
    clock.run()
    assert clock.now == pytest.approx(20.0) and slots.utilization() == pytest.approx(1.0)
    assert slots.makespan == pytest.approx(20.0)


def test_tokens_come_one_by_one_after_the_prompt_is_read():
    clock = VirtualClock()
    slots = Slots(Speed(1, 10.0, prompt_tokens_per_second=100.0, time_scale=2.0), clock)
    batch = slots.submit([20, 5], 200, lambda batch: None)
    seen = {}
    for at in (1.0, 4.0, 5.0, 6.0, 7.9, 8.0, 8.5, 9.0):
        clock.call_at(at, lambda at=at: seen.update({at: [job.produced(clock.now) for job in batch.jobs]}))
    clock.run()
    assert seen == {1: [0, 0], 4: [0, 0], 5: [5, 0], 6: [10, 0], 7.9: [19, 0], 8: [20, 0], 8.5: [20, 2], 9: [20, 5]}
