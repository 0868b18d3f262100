"""The parameters of a judge: what is refused, templates of one's own, and what the verdict key holds of them."""

import json
from pathlib import Path

import pytest

from judge_server import QUESTION, always, fields, judge, judge_server
from rsr.errors import ConfigError
from rsr.types import Reason
from rsr.verifiers.check import Check

# What is refused


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, r"verifier\.model: missing; set it"),
        ({"model": "m", "modle": 1}, r"verifier\.modle: unknown key; did you mean 'model'"),
        ({"model": "m", "votes": 0}, r"verifier\.votes: it is 0; set it to 1 or more"),
        ({"model": "m", "votes": 3, "temperature": 0}, r"verifier\.votes: with temperature 0 all votes are the same"),
        ({"model": "m", "agreement": 1.5}, r"verifier\.agreement: it is 1\.5"),
        ({"model": "m", "scale": [1]}, r"verifier\.scale: it is \[1"),
        ({"model": "m", "scale": [5, 1]}, r"verifier\.scale"),
        ({"model": "m", "scale": [float("nan"), 1]}, r"verifier\.scale"),
        ({"model": "m", "template": "mqc"}, r"verifier\.template: there is no 'mqc'; take one of mcq, short_answer"),
        ({"model": "m", "rubric": "r"}, r"verifier\.rubric: the template short_answer doesn't use it"),
        ({"model": "m", "base_url": "nowhere"}, r"verifier\.base_url: 'nowhere' is no address"),
        ({"model": "m", "api_key": "a\nb"}, r"verifier\.api_key: a line break"),
        ({"model": "m", "extra_params": {"n": 2}}, r"verifier\.extra_params\.n: is not for a config to set"),
        ({"model": "m", "budget": {"usd": 1}}, r"verifier\.budget\.usd: unknown key"),
        ({"model": "m", "budget": {"requests": 0}}, r"verifier\.budget\.requests: it is 0"),
    ],
)
def test_a_wrong_config_is_refused(params, said):
    with pytest.raises(ConfigError, match=said):
        Check("llm-as-judge", params)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ response }} {{ answer }}", "there is no variable 'answer'; known: choices, high, low, metadata"),
        ("{{ reference }}", "it doesn't show the response"),
        ("\n{% if %}{{ response }}", "line 2"),
    ],
)
def test_a_template_that_can_not_be_used_is_refused(tmp_path, text, said):
    path = tmp_path / "t.jinja"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"verifier\.template: ") as refused:
        Check("llm-as-judge", {"model": "m", "template": str(path)})
    assert said in str(refused.value)


# Templates


def test_a_template_of_ones_own_is_fenced_too(tmp_path):
    path = tmp_path / "t.jinja"
    path.write_text("Grade {{ metadata.level }}: {{ response }}")
    with judge_server(always('{"verdict": "correct"}')) as server:
        assert judge(server, template=str(path))("one\ntwo", None, metadata={"level": "5"}).score == 1.0
        assert judge(server, template=str(path))("x", None).reason is Reason.VERIFIER_ERROR
    assert len(server.requests) == 1
    assert fields(server.prompts[0]) == {"RESPONSE": "one\ntwo"}
    assert "Grade 5: <<<RESPONSE" in server.prompts[0]


def test_nothing_in_a_template_reaches_python(tmp_path):
    path = tmp_path / "t.jinja"
    path.write_text("{{ response.__class__.__mro__ }}")
    with judge_server(always('{"verdict": "correct"}')) as server:
        verdict = judge(server, template=str(path))("x", "y")
    assert verdict.reason is Reason.VERIFIER_ERROR
    assert not server.requests


def test_the_cases_of_templates_are_all_shipped():
    folder = Path(__file__).parents[2] / "src" / "rsr" / "verifiers" / "templates"
    assert sorted(path.stem for path in folder.glob("*.jinja")) == ["math", "mcq", "rubric", "short_answer"]
    for name in ("math", "mcq", "short_answer"):
        with judge_server(always(json.dumps({"verdict": "correct"}))) as server:
            assert judge(server, template=name)("x", "y", messages=QUESTION).score == 1.0
            assert set(fields(server.prompts[0])) == {"QUESTION", "REFERENCE", "RESPONSE"}


# The verdict key


def key(params, answer="B", messages=QUESTION, metadata=None, choices=None, type="llm-as-judge"):
    return Check(type, {"model": "m", **params}).key(answer, choices, metadata or {}, messages)


def test_the_key_holds_all_that_the_judge_is_shown_and_nothing_of_the_way_there(tmp_path):
    base = key({})
    same = [
        {"base_url": "http://h/v1"},
        {"api_key": "sk-1"},
        {"headers": {"X": "y"}},
        {"concurrent_requests": 3},
        {"timeout": 3},
        {"max_retries": 9},
        {"max_outage": 9},
        {"max_tokens": 900},
        {"budget": {"requests": 5}},
        {"requests_per_minute": 5},
    ]
    assert {key(params) for params in same} == {base}
    assert key({}, metadata={"unused": 1}) == base
    other = [{"model": "n"}, {"temperature": 0.5}, {"votes": 3}, {"template": "math"}, {"extra_params": {"a": 1}}]
    keys = [key(params) for params in other]
    keys += [key({}, answer="A"), key({}, messages=[]), key({}, choices=["X", "Y"]), key({"no_answer": "fail"})]
    assert len({base, *keys}) == len(keys) + 1

    path = tmp_path / "t.jinja"
    path.write_text("{{ response }}")
    before = key({"template": str(path)})
    path.write_text("{{ response }}!")
    assert key({"template": str(path)}) != before
