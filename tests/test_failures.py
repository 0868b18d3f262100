import email.utils
import json
import time
from pathlib import Path

import pytest

from rsr.failures import TABLE, Failure, Fate, classify, explain, refused_parameter, retry_after, said
from rsr.gate import Sign

SENT = {
    "model": "m-1",
    "messages": [],
    "temperature": 0.7,
    "top_p": 0.9,
    "max_tokens": 100,
    "stop": ["x"],
    "seed": 1,
    "n": 4,
    "stream": True,
    "stream_options": {},
    "min_p": 0.1,
    "tools": [],
}


def error(message, **more):
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None} | more}


# Each line is an error as a server words it, and what it is. `seen` says whose it is.
CASES = [json.loads(line) for line in (Path(__file__).parent / "cases" / "failures.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['status']}-{case['seen']}")
def test_classify(case):
    failure = classify(case["status"], case["body"], SENT)
    assert (failure and failure.name) == case["failure"]
    if failure is Failure.PARAMETER:
        assert refused_parameter(case["body"], SENT) == case["parameter"]


@pytest.mark.parametrize("case", [case for case in CASES if case["failure"]])
def test_explanations_are_one_line_that_names_the_key(case):
    failure = Failure[case["failure"]]
    text = explain(failure, case["status"], case["body"], SENT, section="judge", address="http://h/v1", models=["a"])
    assert "\n" not in text and len(text) < 600
    keys = {Failure.KEY: "judge.api_key", Failure.MODEL: "judge.model", Failure.ADDRESS: "judge.base_url"}
    assert keys.get(failure, "judge." if failure is Failure.PARAMETER else "") in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (error("a\n  b"), "a b"),
        ({"error": "short"}, "short"),
        ({"object": "error", "message": "old"}, "old"),
        ({"detail": "d"}, "d"),
        ([{"error": {"message": "g"}}], "g"),
        (b"<html><style>x</style><h1>Bad  gateway</h1></html>", "Bad gateway"),
        ("", ""),
        ({"weird": 1}, '{"weird":1}'),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)
def test_said(body, message):
    assert said(body) == message


def test_every_failure_has_its_row():
    assert list(TABLE) == list(Failure)


def test_a_row_agrees_with_itself():
    for failure, row in TABLE.items():
        ends = row.fate in (Fate.STOP, Fate.REFUSED)
        assert not (ends and row.redrawn), failure
        assert not (ends and row.sign is not Sign.NONE), failure
        # What was refused at the door was never begun.
        assert not (row.redrawn and row.sign in (Sign.GONE, Sign.BUSY)), failure


def shown_sign(sign):
    return "" if sign is Sign.NONE else sign.value


def test_the_table_in_the_docs_is_the_one_in_the_code():
    page = (Path(__file__).parents[1] / "docs" / "samplers.md").read_text(encoding="utf-8")
    shown = page.partition("| what went wrong |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [
        f"| {failure} | {row.seen} | {row.fate} | {shown_sign(row.sign)} | {'yes' if row.redrawn else ''} |"
        for failure, row in TABLE.items()
    ]
    assert shown == rows


def test_retry_after():
    def date(seconds):
        return email.utils.formatdate(seconds, usegmt=True)

    now = time.time()
    assert retry_after({}) is None
    assert retry_after({"Retry-After": "90"}) == 90
    assert retry_after({"Retry-After": "0.5"}) == 0.5
    assert retry_after({"Retry-After-Ms": "1500", "Retry-After": "9"}) == 1.5
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({"Retry-After": "-3"}) is None
    assert retry_after({"Retry-After": "nan"}) is None
    assert 58 <= retry_after({"Retry-After": date(now + 60)}) <= 60
    assert retry_after({"Retry-After": date(now - 60)}) == 0
    # A server whose clock is an hour slow.
    assert retry_after({"Retry-After": date(now - 3540), "Date": date(now - 3600)}) == pytest.approx(60, abs=1)


def test_a_message_that_could_not_be_written_is_made_so():
    assert said({"error": {"message": "bad \ud800"}}) == "bad ?"
    assert said({"odd": ["\ud800", float("nan")]}) == '{"odd":["?",NaN]}'
