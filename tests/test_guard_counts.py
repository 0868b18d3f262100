"""What a guard counts: completions, answers, errors by their last word, and responses that repeat."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_events import (
    ERROR,
    RIGHT,
    answered,
    drawn,
    judge,
    judged,
    only,
    passes,
    repeated,
    response,
)
from rsr.alarms import Repeats
from rsr.guards import Guards, Limits
from rsr.types import Outcome, Reason, Rollout, Verdict


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
def test_what_is_no_completion_is_in_no_share_of_completions(outcome: Outcome) -> None:
    guards = Guards(Limits(window=10, truncated=0.5, identical=0.5), passes)
    for number in range(100):
        guards.drawn("p", response("The server refuses this prompt.", number, outcome))
    assert guards.tripped is None
    for number in range(10):
        drawn(guards, number, bad=number < 5)
        guards.drawn("p", response("", 100 + number, outcome))
    assert guards.tripped is not None
    assert guards.tripped.share == 0.5


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.FILTERED, Outcome.EMPTY])
def test_every_other_outcome_is_a_completion_that_was_not_cut(outcome: Outcome) -> None:
    guards = only("truncated", 0.5, window=10)
    for number in range(10):
        guards.drawn(f"p{number}", response("B", outcome=Outcome.TRUNCATED if number < 4 else outcome))
    assert guards.tripped is None


def test_verifier_errors_are_in_no_share_of_answers() -> None:
    guards = only("no_answer", 0.5, window=10)
    for number in range(100):
        judged(guards, number, bad=True)
    assert guards.tripped is None
    for number in range(10):
        judged(guards, 100 + number, bad=True)
        answered(guards, 200 + number, bad=number < 5)
    assert guards.tripped is not None


def test_what_cannot_be_verified_is_not_without_an_answer() -> None:
    guards = only("no_answer", 0.1, window=10)
    for number in range(50):
        judge(guards, f"p{number}", 0, Verdict(reason=Reason.UNVERIFIABLE))
    assert guards.tripped is None


def test_a_case_that_is_tried_again_counts_once_with_its_last_word() -> None:
    guards = only("verifier_errors", 0.5, window=10)
    for _ in range(20):
        for number in range(4):
            judge(guards, f"p{number}", 0, ERROR)
    assert guards.tripped is None
    for number in range(4):
        judge(guards, f"p{number}", 0, RIGHT)
    for number in range(4, 10):
        judge(guards, f"p{number}", 0, ERROR if number < 8 else RIGHT)
    assert guards.tripped is None  # 4 of 10, although 8 errors came
    judge(guards, "p10", 0, ERROR)  # in the place of p0
    assert guards.tripped is not None


def test_an_error_that_has_left_the_window_counts_anew() -> None:
    guards = only("verifier_errors", 0.2, window=10)
    judge(guards, "p", 0, ERROR)
    for number in range(20):
        judged(guards, number, bad=False)
    judge(guards, "p", 1, ERROR)
    judge(guards, "p", 0, ERROR)
    assert guards.tripped is not None


@given(words=st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=80), share=st.floats(0.1, 1.0))
def test_last_words_against_a_naive_count(words: list[tuple[int, bool]], share: float) -> None:
    window = 6
    guards = only("verifier_errors", share, window)
    latest: list[tuple[int, bool]] = []
    came = 0
    for case, failed in words:
        judge(guards, "p", case, ERROR if failed else RIGHT)
        erred = [at for at, (other, bad) in enumerate(latest) if other == case and bad]
        if erred:
            latest[erred[0]] = (case, failed)
        else:
            latest, came = [*latest, (case, failed)][-window:], came + 1
        if came >= window and sum(bad for _, bad in latest) / window >= share and not erred:
            assert guards.tripped is not None
            return
        assert guards.tripped is None


texts = st.sampled_from(
    ["The largest planet is Jupiter.", "It is Jupiter, as we all know.", "I would say that B fits."]
)


@given(prompts=st.lists(st.lists(texts, min_size=1, max_size=6), min_size=1, max_size=8), seed=st.integers())
def test_repeats_are_counted_in_any_order_and_interleaved(prompts: list[list[str]], seed: int) -> None:
    arrivals = [(prompt, index) for prompt, texts in enumerate(prompts) for index in range(len(texts))]
    random.Random(seed).shuffle(arrivals)
    further = sum(len(texts) - 1 for texts in prompts)
    repeats = sum(len(texts) - len(set(texts)) for texts in prompts)
    guards = only("identical", 1e-9, window=max(1, further))
    for prompt, index in arrivals:
        guards.drawn(f"p{prompt}", response(prompts[prompt][index], index))
    assert (guards.tripped is not None) == (repeats > 0)
    if guards.tripped is not None:
        assert guards.tripped.share == repeats / further


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (response("The answer is Jupiter."), response("The answer is Jupiter.", 1), True),
        (response("The answer is Jupiter."), response(" The answer is Jupiter.\n", 1), True),
        (response("The answer is Jupiter."), response("The answer is Saturn.", 1), False),
        (response("The answer is Jupiter.", 0), response("The answer is Jupiter.", 0), None),  # drawn again
        (response("12345678901234567890"), response("12345678901234567890", 1), None),  # too short to tell
        (response("B"), response("B", 1), None),
        (
            response("B", reasoning="The largest is Jupiter."),
            response("B", 1, reasoning="That is well known: B."),
            False,
        ),
        (
            response("B", reasoning="The largest is Jupiter."),
            response("B", 1, reasoning="The largest is Jupiter."),
            True,
        ),
        (response("", 0, Outcome.EMPTY), response("", 1, Outcome.EMPTY), None),
    ],
)
def test_what_is_a_repeat(first: Rollout, second: Rollout, same: bool | None) -> None:
    guards = only("identical", 1.0, window=1)
    guards.drawn("p", first)
    guards.drawn("p", second)
    assert (guards.tripped is not None) == (same is True)
    fresh = only("identical", 1e-9, window=2)  # trips at two that count, one of them a repeat
    for rollout in (first, second):
        fresh.drawn("p", rollout)
    repeated(fresh, 1, bad=True)
    assert (fresh.tripped is not None) == (same is not None)


def test_equal_responses_to_different_prompts_are_no_repeats() -> None:
    guards = only("identical", 0.1, window=10)
    for number in range(100):
        guards.drawn(f"p{number}", response("The correct answer is B."))
    assert guards.tripped is None


def test_only_texts_of_open_prompts_are_held() -> None:
    repeats = Repeats()
    for prompt in range(1_000):
        for index in range(4):
            assert repeats.earlier(f"p{prompt}", index, index) == (None if index == 0 else -1)
        repeats.forget(f"p{prompt}")
        assert repeats.held == 0


def test_what_is_held_is_bounded_even_where_no_prompt_closes() -> None:
    repeats = Repeats()
    for prompt in range(50_000):
        repeats.earlier(f"p{prompt}", 1, 0)
        repeats.earlier(f"p{prompt}", 2, 1)
    assert repeats.held <= 1 << 15
    assert repeats.earlier("p49999", 1, 5) == 0
