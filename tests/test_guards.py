"""Guards: each trips exactly at its share of the right things, in any order of arrival, and not by chance."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr.alarms import Example, Repeats, Tripped, one_line
from rsr.guards import Guards, Limits
from rsr.hashing import answer_key
from rsr.sections import GuardsConfig
from rsr.types import Outcome, Reason, Rollout, Verdict

SHARES = ("truncated", "failed_requests", "verifier_errors", "no_answer", "identical")
Send = Callable[[Guards, int, bool], None]


def passes(rollout: Rollout) -> bool:
    return rollout.score is not None and rollout.score >= 1.0


def response(text: str, index: int = 0, outcome: Outcome = Outcome.OK, reasoning: str = "") -> Rollout:
    key = answer_key(text)
    return Rollout(index=index, outcome=outcome, answer_key=key, response=text, reasoning=reasoning)


def judge(guards: Guards, prompt: str, index: int, verdict: Verdict, text: str = "It is B.") -> None:
    rollout = response(text, index)
    rollout.verdict = verdict
    guards.judged(prompt, rollout, verdict)


def drawn(guards: Guards, number: int, bad: bool) -> None:
    outcome = Outcome.TRUNCATED if bad else Outcome.OK
    guards.drawn(f"p{number}", response(f"Response {number} of the model.", outcome=outcome))


def requested(guards: Guards, number: int, bad: bool) -> None:
    guards.request(f"p{number}", "HTTP 500: no more memory" if bad else None)


def judged(guards: Guards, number: int, bad: bool) -> None:
    error = Verdict(reason=Reason.VERIFIER_ERROR, detail="KeyError: 'answer'")
    judge(guards, f"p{number}", 0, error if bad else Verdict(score=1.0))


def answered(guards: Guards, number: int, bad: bool) -> None:
    judge(guards, f"p{number}", 0, Verdict(reason=Reason.NO_ANSWER) if bad else Verdict(score=number % 2))


def repeated(guards: Guards, number: int, bad: bool) -> None:
    first = f"Response {number} of the model."
    guards.drawn(f"p{number}", response(first))
    guards.drawn(f"p{number}", response(first if bad else f"Another one, {number}, of the model.", index=1))
    guards.closed(f"p{number}")


SENDS: dict[str, Send] = dict(zip(SHARES, (drawn, requested, judged, answered, repeated), strict=True))


def only(guard: str, share: float | int, window: int) -> Guards:
    return Guards(Limits(window=window)._replace(**{guard: share}), passes)


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


# What is counted


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


error, right = Verdict(reason=Reason.VERIFIER_ERROR, detail="timeout"), Verdict(score=1.0)


def test_a_case_that_is_tried_again_counts_once_with_its_last_word() -> None:
    guards = only("verifier_errors", 0.5, window=10)
    for _ in range(20):
        for number in range(4):
            judge(guards, f"p{number}", 0, error)
    assert guards.tripped is None
    for number in range(4):
        judge(guards, f"p{number}", 0, right)
    for number in range(4, 10):
        judge(guards, f"p{number}", 0, error if number < 8 else right)
    assert guards.tripped is None  # 4 of 10, although 8 errors came
    judge(guards, "p10", 0, error)  # in the place of p0
    assert guards.tripped is not None


def test_an_error_that_has_left_the_window_counts_anew() -> None:
    guards = only("verifier_errors", 0.2, window=10)
    judge(guards, "p", 0, error)
    for number in range(20):
        judged(guards, number, bad=False)
    judge(guards, "p", 1, error)
    judge(guards, "p", 0, error)
    assert guards.tripped is not None


@given(words=st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=80), share=st.floats(0.1, 1.0))
def test_last_words_against_a_naive_count(words: list[tuple[int, bool]], share: float) -> None:
    window = 6
    guards = only("verifier_errors", share, window)
    latest: list[tuple[int, bool]] = []
    came = 0
    for case, failed in words:
        judge(guards, "p", case, error if failed else right)
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
        judge(guards, f"p{number}", 1, error)
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


# What is said


def alarm(guard: str, share: float | int = 0.5, window: int = 10) -> Tripped:
    guards = only(guard, share, window)
    for number in range(window):
        SENDS[guard](guards, number, bad=number % 3 != 2)
    assert guards.tripped is not None
    return guards.tripped


def test_an_alarm_in_words() -> None:
    tripped = alarm("truncated")
    assert str(tripped) == (
        "guards.truncated: 7 of the last 10 completions (70 %) were cut by max_tokens; raise sampler.max_tokens, and "
        "only the responses that it cut are drawn again; if it is meant to be so: guards.truncated=N with N above 0.7, "
        "or guards.truncated=null"
    )
    assert [str(example) for example in tripped.examples] == [
        "p6, index 0: ending: Response 6 of the model.",
        "p7, index 0: ending: Response 7 of the model.",
        "p9, index 0: ending: Response 9 of the model.",
    ]


@pytest.mark.parametrize(
    ("guard", "example"),
    [
        ("failed_requests", Example("p9", None, "HTTP 500: no more memory")),
        ("verifier_errors", Example("p9", 0, "KeyError: 'answer'")),
        ("no_answer", Example("p9", 0, "It is B.")),
        ("identical", Example("p9", 1, "the same as index 0: Response 9 of the model.")),
    ],
)
def test_examples_of_each_guard(guard: str, example: Example) -> None:
    assert alarm(guard).examples[-1] == example


def test_a_stuck_pass_rate_in_words() -> None:
    guards = only("pass_rate", 20, window=10)
    for number in range(20):
        judge(guards, f"p{number}", 3, Verdict(score=0.0, extracted="B"), f"I think that {number} fits. It is B.")
    assert guards.tripped is not None
    assert guards.tripped.words == "the last 20 scored responses all fail"
    assert "guards.pass_rate=null" in guards.tripped.fix
    assert guards.tripped.examples[-1] == Example("p19", 3, "read B in: I think that 19 fits. It is B.")


def test_examples_are_of_different_prompts() -> None:
    guards = only("truncated", 1.0, window=12)
    for number in range(12):
        guards.drawn(f"p{number // 4}", response(f"Text {number}", number % 4, Outcome.TRUNCATED))
    assert guards.tripped is not None
    assert [(example.prompt_id, example.index) for example in guards.tripped.examples] == [
        ("p0", 3),
        ("p1", 3),
        ("p2", 3),
    ]


def test_the_reasoning_is_shown_where_it_never_came_to_an_answer() -> None:
    guards = only("truncated", 1.0, window=1)
    rollout = response("", outcome=Outcome.TRUNCATED, reasoning="Wait. " * 1_000)
    rollout.completion_tokens = 4_096
    guards.drawn("p", rollout)
    assert guards.tripped is not None
    text = guards.tripped.examples[0].text
    assert text.startswith("4,096 tokens, ending: ...")
    assert text.endswith("Wait. Wait.")
    assert len(text) == 120


def test_errors_are_redacted_before_they_are_cut() -> None:
    secret = "sk-" + "x" * 40
    guards = Guards(
        Limits(window=1, failed_requests=1.0), passes, redact=lambda text: text.replace(secret, "[redacted]")
    )
    guards.request("p", f"{'The server says. ' * 27}no such key: {secret}")
    guards_short = Guards(
        Limits(window=1, verifier_errors=1.0), passes, redact=lambda text: text.replace(secret, "[redacted]")
    )
    judge(guards_short, "p", 0, Verdict(reason=Reason.VERIFIER_ERROR, detail=f"{'x' * 100} key {secret}"))
    for tripped in (guards.tripped, guards_short.tripped):
        assert tripped is not None
        assert "sk-" not in str(tripped.examples)


@given(text=st.text(), most=st.integers(10, 150), from_end=st.booleans())
def test_a_line_is_one_printable_line_of_bounded_length(text: str, most: int, from_end: bool) -> None:
    line = one_line(text, most, from_end)
    assert len(line) <= most
    assert line.isprintable()
    assert len(line.splitlines()) <= 1


@given(text=st.text(min_size=1, max_size=300), prompt=st.text(max_size=200), guard=st.sampled_from(SHARES[:1]))
def test_hostile_texts_are_inert(text: str, prompt: str, guard: str) -> None:
    guards = only(guard, 1.0, window=1)
    rollout = response("", outcome=Outcome.TRUNCATED)
    rollout.response = text
    guards.drawn(prompt, rollout)
    assert guards.tripped is not None
    (example,) = guards.tripped.examples
    assert example.text.isprintable()
    assert len(example.text) <= 120
    assert str(example).isprintable()


def test_terminal_codes_and_turned_text_are_taken_out() -> None:
    assert one_line("\x1b[31mred\x1b[0m \u202egnp.exe\r\nnext", 120) == "?[31mred?[0m ?gnp.exe next"
