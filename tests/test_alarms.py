"""What an alarm says: its share, the fix and examples, each one printable line without secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_events import SENDS, judge, only, passes, response
from rsr.alarms import Example, Tripped, one_line
from rsr.guards import Guards, Limits
from rsr.types import Outcome, Reason, Verdict


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


@given(text=st.text(min_size=1, max_size=300), prompt=st.text(max_size=200))
def test_hostile_texts_are_inert(text: str, prompt: str) -> None:
    guards = only("truncated", 1.0, window=1)
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
