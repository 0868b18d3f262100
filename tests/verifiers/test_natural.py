"""What a small model really writes, judged by hand: every verdict of the three rules on 159 outputs of SmolLM2-135M."""

import json
from pathlib import Path

import pytest

from rsr.types import Reason
from rsr.verifiers import get

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases/natural_smollm2.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['verifier']}: {case['response'][:40]!r}")
def test_table(case):
    verdict = get(case["verifier"], **case["params"])(case["response"], case["answer"], choices=case["choices"])
    assert verdict.score == case["expected"]
    assert (verdict.reason is Reason.NO_ANSWER) == (case["expected"] is None)


def test_what_label_and_text_contradict_is_no_fail_either():
    """A false fail becomes a DPO `rejected`: whichever option is the reference, there is no score."""
    options = {"A": "Copper", "B": "Iron", "C": "Zinc"}
    for label, text in [("A", "Iron"), ("B", "Zinc"), ("C", "Copper"), ("A", "Gold")]:
        for form in ("{0}: {1}", "The answer is {0}: {1}.", "The correct option is:\n\n{0}: {1}", "**{0}) {1}**"):
            for reference in options:
                verdict = get("mcq-rlvr")(form.format(label, text), reference, choices=options)
                assert verdict.reason is Reason.NO_ANSWER, form.format(label, text)


@pytest.mark.parametrize(("left", "operator", "right"), [(7, "-", 2), (12, "+", 9), (6, "times", 8), (30, "/", 5)])
@pytest.mark.parametrize("link", ["is", "equals", "is equal to", "is also", "=", "makes", ", which is"])
def test_the_result_of_a_sum_counts_and_not_its_parts(left, operator, right, link):
    result = {"-": left - right, "+": left + right, "times": left * right, "/": left // right}[operator]
    for form in ("{}.", "The answer is {}.", "A simple answer: {}, as {} is smaller.", 'The answer is "{}."'):
        response = form.format(f"{left} {operator} {right} {link} {result}", right)
        assert get("math-rlvr")(response, result).score == 1.0, response
        assert get("math-rlvr")(response, left).score == 0.0, response
