"""The probes of `rsr check`: what is made of a reference, right and wrong, and that verifiers tell them apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from commands import read_rows
from rsr.hashing import prompt_key
from rsr.probes import altered, ambiguous, chance, probes
from rsr.types import Prompt
from rsr.verifiers import get


def prompt() -> Prompt:
    messages = [{"role": "user", "content": "?"}]
    return Prompt(order=0, key=prompt_key(None, messages), id="a", messages=messages)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("144", "145"),
        ("9", "0"),
        ("3.14159", "3.14150"),
        ("\\frac{1}{2}", "\\frac{2}{2}"),
        ("5\\text{ cm}^3", "6\\text{ cm}^3"),
        ("Paris", "Parit"),
        ("x+z", "x+a"),
        ("\\pi", None),
        ("东京", "东亮"),
        ("", None),
    ],
)
def test_one_digit_or_letter_is_changed(text: str, after: str | None) -> None:
    assert altered(text) == after


def test_what_happens_to_be_the_reference_is_no_nonsense() -> None:
    def wrong(verifier: str, answer: str) -> set[str]:
        return {probe.response for probe in probes(verifier, prompt(), answer, None) if not probe.right}

    assert "Solution" in wrong("exact", "Paris")
    assert "Solution" not in wrong("exact", "solution")
    assert "The answer is correct. Score: 1" in wrong("math-rlvr", "2")
    assert "The answer is correct. Score: 1" not in wrong("math-rlvr", "1.0")


def test_options_that_are_all_right_are_no_shotgun() -> None:
    options = {"A": "one", "B": "two"}
    names = [probe.name for probe in probes("mcq-rlvr", prompt(), "AB", options)]
    assert "all options" not in names
    names = [probe.name for probe in probes("mcq-rlvr", prompt(), "A", options)]
    assert names.count("all options") == 3


def test_an_option_that_speaks_of_others_is_not_given_by_its_text() -> None:
    options = {"A": "one thing", "B": "two things", "C": "all of the above"}
    assert "the text of the right option" not in {p.name for p in probes("mcq-rlvr", prompt(), "C", options)}
    assert "the text of the right option" in {p.name for p in probes("mcq-rlvr", prompt(), "A", options)}


def test_a_wrong_answer_to_another_verifier_is_another_option_where_there_are_some() -> None:
    def wrong(choices: list[str] | None) -> list[str]:
        given = probes("./own.py:check", prompt(), "B", choices)
        return [probe.response for probe in given if probe.name == "a wrong answer"]

    assert (wrong(["x", "y"]), wrong(None)) == (["A"], ["C"])


def test_the_chance_rate() -> None:
    options = dict.fromkeys("ABCD", "")
    assert chance("mcq-rlvr", "B", options) == 0.25
    assert chance("mcq-rlvr", ["A", "B"], options) == pytest.approx(1 / 15)
    assert chance("exact", "B", ["x", "y"]) == 0.5
    assert chance("exact", "B", None) is None


def test_ambiguous_options() -> None:
    assert ambiguous("A", {"A": "The Sun", "B": "sun.", "C": "Moon"}) == "options A and B have the same text"
    assert ambiguous("C", {"A": "The Sun", "B": "sun.", "C": "Moon"}) is None


@pytest.mark.parametrize("cases", ["math", "mcq"])
def test_references_of_the_truth_tables_pass_in_every_form_and_nothing_else_does(cases: str) -> None:
    name = f"{cases}-rlvr"
    verifier = get(name)
    seen: set[str] = set()
    wrong: list[tuple[str, Any, str]] = []
    file = Path(__file__).parent / "verifiers/cases" / f"{cases}.jsonl"
    for case in read_rows(file):
        if "answer" not in case:  # a form, with several references
            continue
        key = json.dumps([case["answer"], case.get("choices")])
        if key in seen or verifier.refuses(case["answer"], case.get("choices"), {}):
            continue
        seen.add(key)
        for probe in probes(name, prompt(), case["answer"], case.get("choices")):
            verdict = verifier(probe.response, case["answer"], case.get("choices"))
            if (verdict.score == 1.0) is not probe.right:
                wrong.append((probe.name, case["answer"], probe.response))
    assert len(seen) > 50
    assert wrong == []
