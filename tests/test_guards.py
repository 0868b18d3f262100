"""When a guard trips: exactly at its share of a full window, in any order of arrival, and not by chance."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_events import (
    ERROR,
    SENDS,
    SHARES,
    answered,
    drawn,
    judge,
    judged,
    only,
    passes,
    repeated,
    requested,
    response,
)
from rsr.guards import Guards, Limits
from rsr.sections import GuardsConfig
from rsr.types import Reason, Verdict

# Shares


events = st.lists(st.booleans(), max_size=120)


@pytest.mark.parametrize("guard", SHARES)
@given(events=events, window=st.integers(1, 30), share=st.floats(0.01, 1.0))
def test_a_share_trips_exactly_when_that_of_a_full_window_reaches_it(
    guard: str, events: list[bool], window: int, share: float
) -> None:
    guards = only(guard, share, window)
    for number, bad in enumerate(events):
        SENDS[guard](guards, number, bad)
        latest = events[max(0, number + 1 - window) : number + 1]
        trips = len(latest) == window and sum(latest) / window >= share
        assert (guards.tripped is not None) == trips
        if guards.tripped is not None:
            assert guards.tripped.guard == f"guards.{guard}"
            assert guards.tripped.share == sum(latest) / window
            return


@pytest.mark.parametrize("window", [10, 30, 70, 200, 1_000])
def test_no_share_is_rounded_past_its_limit(window: int) -> None:
    for least in range(1, window + 1):
        guards = only("failed_requests", least / window, window)
        for number in range(window):
            requested(guards, number, bad=number < least - 1)
        assert guards.tripped is None
        requested(guards, window, bad=True)  # the first, a bad one where there was one, leaves the window
        assert (guards.tripped is not None) == (least == 1)
        if least > 1:
            requested(guards, window + 1, bad=True)
        assert (guards.tripped is None) == (least > 2)


@pytest.mark.parametrize("guard", SHARES)
def test_what_has_left_the_window_counts_no_more(guard: str) -> None:
    guards = only(guard, 0.5, window=10)
    for number in range(200):
        SENDS[guard](guards, number, bad=number % 10 < 4)
    assert guards.tripped is None
    SENDS[guard](guards, 200, bad=True)  # takes the place of a bad one
    for number in range(201, 204):
        SENDS[guard](guards, number, bad=True)
    assert guards.tripped is None
    SENDS[guard](guards, 204, bad=True)
    assert guards.tripped is not None


@pytest.mark.parametrize("guard", SHARES)
def test_no_alarm_before_the_window_is_full(guard: str) -> None:
    guards = only(guard, 0.01, window=40)
    for number in range(39):
        SENDS[guard](guards, number, bad=True)
    assert guards.tripped is None
    SENDS[guard](guards, 39, bad=False)
    assert guards.tripped is not None
    assert guards.tripped.share == 39 / 40


@pytest.mark.parametrize("guard", SHARES)
@given(events=st.lists(st.booleans(), min_size=1, max_size=60), share=st.floats(0.01, 1.0), seed=st.integers())
def test_the_order_of_arrival_within_a_window_does_not_matter(
    guard: str, events: list[bool], share: float, seed: int
) -> None:
    numbered = list(enumerate(events))
    alarms = []
    for order in (numbered, random.Random(seed).sample(numbered, len(numbered))):
        guards = only(guard, share, window=len(events))
        for number, bad in order:
            SENDS[guard](guards, number, bad)
        alarms.append(guards.tripped and (guards.tripped.share, guards.tripped.words))
    assert alarms[0] == alarms[1]


ON = Limits(10, 0.5, 0.5, 0.5, 0.5, 0.5, 10)


def all_wrong(guards: Guards, guard: str) -> Guards:
    for number in range(100):
        if guard == "pass_rate":
            judge(guards, f"p{number}", 0, Verdict(score=0.0))
        else:
            SENDS[guard](guards, number, True)
    return guards


@pytest.mark.parametrize("guard", [*SHARES, "pass_rate"])
def test_each_guard_can_be_off_and_all_can(guard: str) -> None:
    assert all_wrong(Guards(ON, passes), guard).tripped is not None
    other = all_wrong(Guards(ON._replace(**{guard: None}), passes), guard).tripped
    assert other is None or other.guard != f"guards.{guard}"
    assert all_wrong(Guards(None, passes), guard).tripped is None


def test_the_first_alarm_stands() -> None:
    guards = Guards(Limits(window=10, truncated=0.5, failed_requests=0.5), passes)
    for number in range(10):
        drawn(guards, number, bad=True)
    first = guards.tripped
    for number in range(30):
        requested(guards, number, bad=True)
    assert first is not None
    assert guards.tripped is first


def test_the_names_and_the_window_are_those_of_the_config() -> None:
    assert set(Limits._fields) == set(GuardsConfig.model_fields)
    assert Limits().window == GuardsConfig().window


# The pass rate


def feed(guards: Guards, words: Sequence[bool]) -> int | None:
    """How many verdicts came until the alarm."""
    verdicts = {True: Verdict(score=1.0), False: Verdict(score=0.0)}
    rollout = response("It is B.")
    for number, word in enumerate(words, start=1):
        rollout.verdict = verdicts[word]
        guards.judged("p", rollout, verdicts[word])
        if guards.tripped is not None:
            return number
    return None


@pytest.mark.parametrize("word", [True, False])
def test_a_pass_rate_that_is_stuck_from_the_start(word: bool) -> None:
    assert feed(only("pass_rate", 50, window=10), [word] * 49) is None
    assert feed(only("pass_rate", 50, window=10), [word] * 99) == 50
    assert feed(only("pass_rate", 50, window=80), [word] * 99) == 80  # not before the window is full


def test_a_verifier_that_breaks_on_the_way() -> None:
    words = [True, False] * 500
    assert feed(only("pass_rate", 100, window=10), [*words, *[False] * 1_000]) == 1_000 + 99  # the last word was False


def test_a_rare_word_makes_the_row_longer() -> None:
    words = [number % 100 == 0 for number in range(10_000)]
    tripped = feed(only("pass_rate", 100, window=10), [*words, *[False] * 10_000])
    # The least k with 99 + k verdicts in a row >= 20 / (100 / (10,000 + k)).
    assert tripped == 10_000 + 2_377


@given(words=st.lists(st.booleans(), max_size=150), limit=st.integers(1, 20), window=st.integers(1, 30))
def test_the_row_against_a_naive_count(words: list[bool], limit: int, window: int) -> None:
    # Long rows, so that it does trip: every word five times.
    words = [word for word in words for _ in range(5)]
    expected = None
    for came in range(1, len(words) + 1):
        word = words[came - 1]
        row = next((n for n in range(came) if words[came - 1 - n] is not word), came)
        others = sum(other is not word for other in words[:came])
        enough = max(limit, 20 / (others / came)) if others else limit
        if came >= window and row >= enough - 1e-9:
            expected = came
            break
    assert feed(only("pass_rate", limit, window), words) == expected


def test_no_score_is_no_word() -> None:
    guards = only("pass_rate", 10, window=10)
    for number in range(100):
        judge(guards, f"p{number}", 0, Verdict(reason=Reason.NO_ANSWER))
        judge(guards, f"p{number}", 1, ERROR)
    assert guards.tripped is None


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.995, 0.01, 0.5])
def test_no_false_alarm_in_a_million_rollouts(rate: float) -> None:
    draw = random.Random(1)
    guards = Guards(Limits(*GuardsConfig().model_dump().values()), passes)
    assert feed(guards, [True, False]) is None
    assert feed(guards, [draw.random() < rate for _ in range(1_000_000)]) is None


@pytest.mark.slow
def test_no_false_alarm_of_any_guard_at_half_its_share() -> None:
    draw = random.Random(1)
    guards = Guards(Limits(*GuardsConfig().model_dump().values()), passes)
    for number in range(200_000):
        drawn(guards, number, bad=draw.random() < 0.25)
        requested(guards, number, bad=draw.random() < 0.25)
        judged(guards, number, bad=draw.random() < 0.08)
        answered(guards, number, bad=draw.random() < 0.5)
        repeated(guards, number, bad=draw.random() < 0.25)
    assert guards.tripped is None
