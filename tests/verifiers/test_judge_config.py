"""A judge in a config: what is refused before anything is spent, and what is written nowhere."""

import json
from pathlib import Path

import pytest

from commands import question, read_rows, write_rows
from judge_server import by_letter, fields, judge_server
from rsr.verifiers import VERIFIERS

SECRET = "sk-Qb7vN3judgesecret"
REPLIES = 'sampler.replies=["The answer is B.", "The answer is A."]'


@pytest.fixture
def prompts(folder):
    return write_rows(folder / "prompts.jsonl", [question(f"q{number}") for number in range(3)])


def written(run_dir: Path) -> bytes:
    return b"".join(path.read_bytes() for path in run_dir.rglob("*") if path.is_file())


def run(command, prompts, *more):
    return command("run", "sft", f"data.input_path={prompts}", "sampler.type=scripted", REPLIES, "work_dir=run", *more)


def judge(server, **more):
    given = {"type": "llm-as-judge", "model": "judge", "base_url": server.base_url, **more}
    return "verifier=" + json.dumps(given)


def test_a_run_with_a_judge(command, prompts):
    with judge_server(by_letter) as server:
        server.key = SECRET
        ended = run(command, prompts, judge(server, api_key=SECRET))
        assert ended.code == 0, ended.err
        assert len(read_rows(Path("run/train/sft.jsonl"))) == 3
        assert fields(server.prompts[0])["QUESTION"].startswith("Question q")
        assert "verifier   3 requests, 15 completion, 300 prompt tokens" in ended.out
    stats = json.loads(Path("run/summary/stats.json").read_text())
    assert stats["verifier"] == {"requests": 3, "prompt_tokens": 300, "completion_tokens": 15}
    assert SECRET.encode() not in written(Path("run"))
    assert SECRET not in ended.out + ended.err


def test_a_judge_within_another_verifier_keeps_its_secrets_too(command, prompts):
    part = {"type": "llm-as-judge", "model": "judge", "api_key": SECRET, "headers": {"X-Own": SECRET + "2"}}
    with judge_server(by_letter) as server:
        server.key = "another"
        given = {"type": "all", "verifiers": ["mcq-rlvr", {**part, "base_url": server.base_url}]}
        ended = run(command, prompts, "verifier=" + json.dumps(given))
        assert "verifier.api_key: the server refuses it" in ended.refused()
        server.key = SECRET
        ended = run(command, prompts, "verifier=" + json.dumps(given))
        assert ended.code == 0, ended.err
    assert SECRET.encode() not in written(Path("run"))
    assert SECRET not in ended.out + ended.err


def test_a_template_beside_the_config_is_found(command, prompts):
    Path("sub").mkdir()
    Path("sub/own.jinja").write_text("Own words: {{ response }} and {{ reference }}")
    verifier = "{type: cascade, verifiers: [{type: llm-as-judge, model: judge, template: ./own.jinja, base_url: '%s'}]}"
    with judge_server(by_letter) as server:
        Path("sub/own.yaml").write_text(f"verifier: {verifier % server.base_url}\n")
        where = [f"data.input_path={prompts}", "sampler.type=scripted", REPLIES, "work_dir=run"]
        ended = command("run", "sub/own.yaml", *where)
        assert ended.code == 0, ended.err
        assert "Own words: " in server.prompts[0]
        assert command("format", "run").code == 0


@pytest.mark.parametrize(
    ("verifier", "formatter", "said"),
    [
        (
            {"type": "llm-as-judge", "model": "m", "template": "rubric", "rubric": "r"},
            "{type: sft, pass_threshold: 7}",
            "formatter.pass_threshold: it is 7, which nothing can reach: verifier llm-as-judge gives scores from 0 to",
        ),
        (
            {"type": "weighted", "verifiers": ["exact", "exact"], "weights": [1.0, 2.0]},
            "[{type: sft}, {type: dpo, pass_threshold: 3, fail_threshold: -0.5}]",
            "formatter.1.fail_threshold: it is -0.5, which nothing can fall to: verifier weighted gives scores from",
        ),
    ],
)
def test_a_threshold_that_no_score_can_meet_is_refused(command, prompts, verifier, formatter, said):
    ended = run(command, prompts, "verifier=" + json.dumps(verifier), f"formatter={formatter}")
    assert said in ended.refused()
    assert not Path("run/rollouts").exists()


def test_a_row_that_the_template_can_not_be_filled_from_is_refused(command, folder):
    rows = [question("a"), question("b")]
    rows[0]["metadata"]["rubric"] = "Be brief."
    prompts = write_rows(folder / "prompts.jsonl", rows)
    with judge_server(by_letter) as server:
        ended = run(command, prompts, judge(server, template="rubric"))
    assert ended.code == 2
    assert "line 2: verifier.template: 'rubric' is undefined" in ended.err
    assert not server.requests


def test_a_row_may_not_name_a_judge(command, folder):
    row = question("a")
    row["metadata"]["verifier"] = {"type": "llm-as-judge", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    prompts = write_rows(folder / "prompts.jsonl", [row])
    ended = run(command, prompts)
    assert ended.code == 2
    assert "'llm-as-judge' can only be set in the config (verifier.type=llm-as-judge)" in ended.err


def test_a_key_in_a_wrong_value_is_not_shown(command, prompts):
    refused = run(command, prompts, "verifier.type=llm-as-judge", "verifier.model=m", f"verifier.api_key=[{SECRET}]")
    assert SECRET not in refused.refused()


def test_they_are_listed():
    listed = {row.name: row for row in VERIFIERS.list()}
    for name in ("llm-as-judge", "mcq-llm-as-judge", "reward-model", "cascade", "all", "any", "weighted"):
        assert listed[name].package == "rsr"
        assert len(listed[name].summary) > 20
