"""`exact`: the table."""

import json
from pathlib import Path

import pytest

from rsr.errors import ConfigError
from rsr.types import Reason
from rsr.verifiers import get

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases/exact.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['source']}: {case['response'][:20]}")
def test_table(case):
    verdict = get("exact", **case.get("params", {}))(case["response"], case["answer"])
    assert verdict.score == case["score"]
    assert (verdict.reason is Reason.NO_ANSWER) == (case["score"] is None)


def test_what_was_read_keeps_its_case():
    assert get("exact")(" **Paris**. ", "paris").extracted == "Paris"


def test_a_missing_reference_is_an_error_and_no_score():
    assert get("exact")("Paris", None).reason is Reason.VERIFIER_ERROR
    assert get("exact")("Paris", "").reason is Reason.VERIFIER_ERROR


def test_unknown_values_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"verifier\.match"):
        get("exact", match="some")
