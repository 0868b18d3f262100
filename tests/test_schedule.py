"""The schedule against a naive model: the same decisions for any order of arrival, nothing drawn that isn't wanted."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsr.formatters.dpo import DPO
from rsr.formatters.multi_sft import MultiSFT
from rsr.formatters.sft import SFT
from rsr.schedule import Draw, Needs, Rules, Schedule, Stop, Stream, combined_needs
from rsr.types import Outcome, Reason, Rollout, Verdict

FORMATTERS: dict[str, list[Any]] = {
    "sft": [SFT()],
    "best_of": [SFT(best_of=3)],
    "dpo": [DPO()],
    "multi": [MultiSFT(num_responses=3)],
    "all": [SFT(), DPO(), MultiSFT(num_responses=2)],
}

outcomes = st.sampled_from([Outcome.OK] * 6 + [Outcome.TRUNCATED, Outcome.EMPTY, Outcome.FILTERED])
scores = st.sampled_from([0.0, 0.0, 1.0, 0.5, None])
samples = st.lists(st.tuples(outcomes, scores, st.integers(0, 3)), min_size=24, max_size=24)
rules_of = st.builds(
    Rules,
    max_rollouts=st.integers(1, 8),
    step_size=st.integers(1, 4),
    max_steps=st.integers(1, 6),
    early_stop=st.sampled_from([True, True, True, False]),
    policy=st.sampled_from(["continuous", "steps"]),
    speculate=st.sampled_from([0.0, 0.3, 1.0]),
)


def rollout_at(stream: Sequence[Any], index: int) -> Rollout:
    outcome, score, answer = stream[index]
    verdict = None
    if outcome is Outcome.OK:
        verdict = Verdict(score=score, reason=None if score is not None else Reason.NO_ANSWER)
    return Rollout(index=index, outcome=outcome, verdict=verdict, answer_key=answer)


def naive(stream: Sequence[Any], rules: Rules, needs: Needs) -> tuple[int, Stop]:
    """DESIGN.md, section 5, word by word: look at every k (or step), stop at the first that has a reason to."""
    k, steps = 0, 0
    while True:
        prefix = [rollout_at(stream, index) for index in range(k)]
        valid = [rollout for rollout in prefix if rollout.outcome is Outcome.OK]
        if rules.early_stop and needs(valid) == 0:
            return k, Stop.SATISFIED
        if len(valid) >= rules.max_rollouts:
            return k, Stop.FULL
        if k >= rules.attempts or (rules.policy == "steps" and steps == rules.max_steps):
            return k, Stop.EXHAUSTED
        if rules.policy == "steps":
            k += min(rules.step_size, rules.attempts - k, rules.max_rollouts - len(valid))
            steps += 1
        else:
            k += 1


class World:
    """Plays sampler and verifier: everything arrives in an order drawn at random, in pieces."""

    def __init__(self, streams: list[Any], rules: Rules, needs: Needs, slots: int, chance: random.Random) -> None:
        self.streams, self.rules, self.needs, self.slots, self.chance = streams, rules, needs, slots, chance
        self.schedule = Schedule(rules, needs, max_open=max(2, slots))
        self.flying: list[Draw] = []
        self.unjudged: list[tuple[int, int]] = []
        self.drawn: dict[int, set[int]] = {order: set() for order in range(len(streams))}
        self.cancelled: list[Draw] = []
        self.done: dict[int, Stream] = {}
        self.left = list(range(len(streams)))

    def run(self) -> dict[int, Stream]:
        while self.fill() or self.flying or self.unjudged:
            event = self.chance.randrange(len(self.flying) + len(self.unjudged))
            if event < len(self.flying):
                self.arrive(self.flying.pop(event))
            else:
                self.judge(*self.unjudged.pop(event - len(self.flying)))
        assert not self.schedule.open_streams
        return self.done

    def in_flight(self) -> int:
        return sum(draw.n for draw in self.flying)

    def fill(self) -> bool:
        while self.in_flight() < self.slots:
            draw = self.schedule.next(self.slots - self.in_flight(), self.chance.choice([None, 1, 2]))
            if draw is not None:
                self.check_draw(draw)
                self.flying.append(draw)
            elif self.schedule.has_room and self.left:
                order = self.left.pop(0)
                stream = self.schedule.open(order)
                if stream.stop is not None:
                    self.done[order] = stream
                assert len(self.schedule.open_streams) <= max(2, self.slots), "open prompts are bounded"
            elif self.schedule.has_room:
                self.schedule.input_ended = True
            else:
                return False
        return False

    def check_draw(self, draw: Draw) -> None:
        stream = self.schedule.open_streams[draw.order]
        for index in draw.indices:
            assert index not in self.drawn[draw.order], "an index is drawn once"
            assert index < self.rules.attempts, "never more than A attempts"
            self.drawn[draw.order].add(index)
        if not draw.speculative:
            k, _ = naive(self.streams[draw.order], self.rules, self.needs)
            assert max(draw.indices) < k, "what is not speculation is certainly wanted"
        else:
            assert self.rules.speculate > 0
            assert not self.left, "speculation waits until no prompt is left to start"
            assert stream.stop is None

    def arrive(self, draw: Draw) -> None:
        known = [rollout_at(self.streams[draw.order], index) for index in draw.indices]
        some = known[: self.chance.randint(1, len(known))]
        for rollout in known[len(some) :]:
            self.drawn[draw.order].discard(rollout.index)
        for rollout in some:
            if rollout.outcome is Outcome.OK and self.chance.random() < 0.5:
                rollout.verdict = None
                self.unjudged.append((draw.order, rollout.index))
        stream = self.schedule.open_streams.get(draw.order)
        self.apply(stream, self.schedule.drawn(draw, some))

    def judge(self, order: int, index: int) -> None:
        stream = self.schedule.open_streams.get(order)
        verdict = rollout_at(self.streams[order], index).verdict
        assert verdict is not None
        self.apply(stream, self.schedule.judged(order, index, verdict))

    def apply(self, stream: Stream | None, update: Any) -> None:
        for draw in update.cancel:
            k, _ = naive(self.streams[draw.order], self.rules, self.needs)
            assert draw.start >= k, "only what is beyond the stop is cancelled"
            self.flying.remove(draw)
            self.cancelled.append(draw)
        if update.closed:
            assert stream is not None
            self.done[stream.order] = stream


@settings(max_examples=200, deadline=None)
@given(
    streams=st.lists(samples, min_size=1, max_size=4),
    rules=rules_of,
    name=st.sampled_from(sorted(FORMATTERS)),
    slots=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
def test_any_order_of_arrival_gives_the_naive_models_stop(
    streams: Any, rules: Rules, name: str, slots: int, seed: int
) -> None:
    needs = combined_needs(FORMATTERS[name])
    world = World(streams, rules, needs, slots, random.Random(seed))
    done = world.run()
    for order, stream in enumerate(streams):
        k, stop = naive(stream, rules, needs)
        assert (done[order].prefix, done[order].stop) == (k, stop)
        used = [rollout.index for rollout in done[order].valid]
        assert used == [index for index in range(k) if stream[index][0] is Outcome.OK], "never a rollout beyond k used"
        if not rules.speculate or rules.policy == "steps":
            assert world.drawn[order] == set(range(k)), "without speculation exactly the used ones are drawn"


@settings(max_examples=200, deadline=None)
@given(stream=samples, rules=rules_of, name=st.sampled_from(sorted(FORMATTERS)), known=st.sets(st.integers(0, 23)))
def test_replay_of_anything_stored_stops_where_it_should_and_never_crosses_an_open_index(
    stream: Any, rules: Rules, name: str, known: set[int]
) -> None:
    needs = combined_needs(FORMATTERS[name])
    stored = [rollout_at(stream, index) for index in sorted(known)]
    replayed = Stream(0, rules, needs, stored)
    k, stop = naive(stream, rules, needs)
    first_open = next(index for index in range(25) if index not in known)
    if first_open >= k:
        assert (replayed.prefix, replayed.stop) == (k, stop)
    else:
        assert replayed.stop is None
        assert replayed.prefix == first_open
        assert replayed.low <= k, "everything below is certainly wanted"
        if rules.policy == "continuous":
            assert k <= replayed.high, "nothing from there on is"


@settings(max_examples=150, deadline=None)
@given(stream=samples, name=st.sampled_from(sorted(FORMATTERS)), rules=rules_of, seed=st.integers(0, 999))
def test_both_policies_and_any_speculation_write_the_same_rows_where_they_stop_at_the_same_k(
    stream: Any, name: str, rules: Rules, seed: int
) -> None:
    from rsr.types import Prompt

    prompt = Prompt(order=0, key=b"", id="p", messages=[{"role": "user", "content": "?"}])
    by_k: dict[int, Any] = {}
    for policy in ("continuous", "steps"):
        for speculate in (0.0, 0.5, 1.0):
            asked = rules._replace(policy=policy, speculate=speculate)  # type: ignore[arg-type]
            world = World([stream], asked, combined_needs(FORMATTERS[name]), 5, random.Random(seed))
            done = world.run()[0]
            for rollout in done.valid:
                rollout.response = f"answer {rollout.answer_key}"
            rows = [list(formatter.rows(prompt, done.valid)) for formatter in FORMATTERS[name]]
            assert by_k.setdefault(done.prefix, rows) == rows


@pytest.mark.parametrize("verdict_first", [True, False])
def test_the_prefix_waits_at_a_failed_request_and_at_a_verifier_error(verdict_first: bool) -> None:
    rules = Rules(max_rollouts=8, step_size=4, max_steps=4)
    schedule = Schedule(rules, MultiSFT(num_responses=3).needs, max_open=2)
    schedule.open(0)
    draw = schedule.next(8, max_choices=1)
    second = schedule.next(8, max_choices=2)
    assert draw == Draw(0, 0, 1)
    assert second == Draw(0, 1, 2)
    passing = [
        Rollout(index=index, outcome=Outcome.OK, verdict=Verdict(score=1.0), answer_key=index) for index in (1, 2)
    ]
    if verdict_first:
        schedule.drawn(draw, [Rollout(index=0, outcome=Outcome.OK)])
        schedule.judged(0, 0, Verdict(reason=Reason.VERIFIER_ERROR))
    else:
        schedule.failed(draw)
    stream = schedule.open_streams[0]
    update = schedule.drawn(second, passing)
    assert stream.prefix == 0
    assert stream.stop is None
    assert update.closed, "nothing more can be done for it now"
    assert 0 not in schedule.open_streams


def test_dpo_keeps_as_many_in_flight_as_sides_are_missing() -> None:
    schedule = Schedule(Rules(max_rollouts=8, step_size=2, max_steps=4), DPO().needs, max_open=4)
    schedule.open(0)
    assert schedule.next(16) == Draw(0, 0, 2)
    assert schedule.next(16) is None, "two may be enough"


def test_a_free_slot_goes_to_started_prompts_first() -> None:
    schedule = Schedule(Rules(), SFT().needs, max_open=4)
    schedule.open(0)
    schedule.open(1)
    first, second = schedule.next(1), schedule.next(1)
    assert first is not None and second is not None
    schedule.open(2)
    schedule.drawn(first, [Rollout(index=0, outcome=Outcome.OK, verdict=Verdict(score=0.0))])
    assert schedule.next(1) == Draw(0, 1, 1)


def test_an_index_known_to_satisfy_cancels_what_is_beyond_it() -> None:
    schedule = Schedule(Rules(speculate=1.0), SFT().needs, max_open=4)
    schedule.open(0)
    schedule.input_ended = True
    draws = [schedule.next(4, max_choices=1) for _ in range(4)]
    assert [draw.start for draw in draws if draw] == [0, 1, 2, 3]
    assert draws[1] is not None
    passing = Rollout(index=1, outcome=Outcome.OK, verdict=Verdict(score=1.0))
    update = schedule.drawn(draws[1], [passing])
    assert [draw.start for draw in update.cancel] == [2, 3]
    assert not update.closed, "index 0 may pass too"
    assert draws[0] is not None
    update = schedule.drawn(draws[0], [Rollout(index=0, outcome=Outcome.OK, verdict=Verdict(score=0.0))])
    assert update.closed


def test_a_refusal_closes_the_prompt_without_an_attempt() -> None:
    schedule = Schedule(Rules(), SFT().needs, max_open=4)
    stream = schedule.open(0)
    draw = schedule.next(4)
    assert draw is not None
    update = schedule.drawn(draw, [Rollout(index=0, outcome=Outcome.REFUSED)])
    assert update.closed
    assert stream.stop is Stop.REFUSED


def test_speculation_prefers_the_index_that_is_likeliest_to_be_needed() -> None:
    schedule = Schedule(Rules(max_rollouts=16, speculate=1.0), SFT().needs, max_open=4)
    hard = schedule.open(0, [Rollout(index=i, outcome=Outcome.OK, verdict=Verdict(score=0.0)) for i in range(6)])
    schedule.open(1)
    schedule.input_ended = True
    assert {schedule.next(1), schedule.next(1)} == {Draw(0, 6, 1), Draw(1, 0, 1)}
    assert schedule.next(1) == Draw(0, 7, 1, speculative=True), "six fails: it will hardly pass at the seventh"
    assert hard.stop is None
