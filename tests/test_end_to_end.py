"""The real command against a real server on loopback: what it writes, what it asks for, what survives a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chat_server import serve

pytestmark = pytest.mark.slow  # real processes

ALL_THREE = (
    "formatter=[{type: sft, pass_threshold: 1.0}, {type: dpo, pass_threshold: 1.0, fail_threshold: 0.0}, "
    "{type: multi_sft, num_responses: 3, pass_threshold: 1.0}]"
)


@pytest.fixture
def server() -> Iterator[Any]:
    with serve() as running:
        yield running


def write_prompts(path: Path, count: int, tags: str = "") -> Path:
    with path.open("w") as file:
        for number in range(count):
            text = f"Question {number}? {tags}\n\nA: one\nB: two\nC: three\nD: four"
            row = {"id": f"q{number}", "messages": [{"role": "user", "content": text}], "metadata": {"answer": "B"}}
            file.write(json.dumps(row) + "\n")
    return path


def arguments(server: Any, prompts: Path, work: Path, *more: str, recipe: str = "sft") -> list[str]:
    return [
        *(sys.executable, "-m", "rsr", "run", recipe, f"data.input_path={prompts}", f"work_dir={work}"),
        *(f"sampler.base_url={server.base_url}", "sampler.model=test-model", *more),
    ]


def command(arguments: Sequence[str], expect: int | None = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPENAI_API_KEY": "key"}
    ended = subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=100)
    assert expect is None or ended.returncode == expect, ended.stderr + ended.stdout
    return ended


def rsr(*arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
    return command([sys.executable, "-m", "rsr", *arguments], expect)


def rows(work: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (work / "train" / f"{name}.jsonl").read_text().splitlines()]


def train(work: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (work / "train").iterdir()}


def rollouts(work: Path) -> list[dict[str, Any]]:
    out = work / "export.jsonl"
    rsr("export", str(work), "-o", str(out))
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.parametrize(
    ("recipe", "tags", "continuous", "steps"),
    [
        ("sft", "[p=1]", 1, 4),
        ("sft", "[p=0]", 16, 16),
        ("dpo", "[p=1]", 32, 32),
        ("dpo", "[p=0]", 32, 32),
        ("multi_sft", "[p=1]", 16, 16),
        ("multi_sft", "[p=0]", 64, 64),
    ],
)
def test_each_recipe_stops_as_it_says_and_buys_nothing_else(
    server: Any, tmp_path: Path, recipe: str, tags: str, continuous: int, steps: int
) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 3, tags)
    generated = 0
    for schedule, most in (("continuous", continuous), ("steps", steps)):
        work = tmp_path / schedule
        more = ("sampling.speculate=0", f"sampling.schedule={schedule}")
        code = 1 if tags == "[p=0]" or recipe == "dpo" else 0
        command(arguments(server, prompts, work, *more, recipe=recipe), expect=code)
        assert len(rollouts(work)) == 3 * most
        assert server.stats()["generated"] - generated == 3 * most
        generated = server.stats()["generated"]


def test_rows_have_exactly_the_keys_of_the_recipes(server: Any, tmp_path: Path) -> None:
    work = tmp_path / "run"
    command(arguments(server, write_prompts(tmp_path / "p.jsonl", 8, "[p=0.5]"), work, ALL_THREE))
    for row in rows(work, "sft"):
        assert list(row) == ["messages"]
        assert [list(message) for message in row["messages"]] == [["role", "content"]] * 2
        assert "The answer is B." in row["messages"][1]["content"]
    for row in rows(work, "dpo"):
        assert list(row) == ["conversations", "chosen", "rejected"]
        assert row["conversations"][0]["from"] == "human"
        assert row["chosen"]["from"] == row["rejected"]["from"] == "gpt"
        assert "The answer is B." in row["chosen"]["value"]
        assert "The answer is B." not in row["rejected"]["value"]
    for row in rows(work, "multi_sft"):
        assert list(row) == ["messages", "responses"]
        assert len(set(row["responses"])) == len(row["responses"]) <= 3
    assert {len(rows(work, name)) for name in ("sft", "dpo", "multi_sft")} == {8}


def test_sft_and_dpo_together_go_on_until_both_are_satisfied(server: Any, tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 20, "[p=0.5]")
    both = "formatter=[{type: sft}, {type: dpo}]"
    command(arguments(server, prompts, tmp_path / "both", both, "sampling.speculate=0", "sampling.max_steps=16"))
    assert len(rows(tmp_path / "both", "sft")) == len(rows(tmp_path / "both", "dpo")) == 20
    used: dict[str, list[float]] = {}
    for rollout in rollouts(tmp_path / "both"):
        assert rollout["used"]
        used.setdefault(rollout["prompt_id"], []).append(rollout["score"])
    for scores in used.values():
        assert {0.0, 1.0} <= set(scores)
        assert len(set(scores[:-1])) == 1, "the last one was what was missing"


@pytest.mark.parametrize("schedule", ["continuous", "steps"])
def test_the_files_are_the_same_bytes_whatever_the_schedule_and_after_kills(tmp_path: Path, schedule: str) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 60)
    with serve(token_delay=0.001, faults=[]) as server:
        common = (ALL_THREE, f"sampling.schedule={schedule}", "sampling.max_rollouts=12", "sampling.max_steps=4")
        made = {}
        for name, more in {
            "one": ("sampler.concurrent_requests=1", "sampling.speculate=0"),
            "many": ("sampler.concurrent_requests=128", "sampling.speculate=1"),
            "some": ("sampler.concurrent_requests=7", "sampling.speculate=0.5"),
        }.items():
            command(arguments(server, prompts, tmp_path / name, *common, *more))
            made[name] = train(tmp_path / name)
        assert made["one"] == made["many"] == made["some"]

        work, before = tmp_path / "killed", server.stats()["paid_twice"]
        in_flight = 16
        again = arguments(server, prompts, work, *common, f"sampler.concurrent_requests={in_flight}")
        kills = 0
        for pause in (0.9, 1.1, 1.3):
            process = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pause)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait()
        command(again)
        assert kills, "at least one was killed at work"
        assert train(work) == made["one"]
    assert before >= 0


def test_a_kill_costs_at_most_what_was_in_flight(tmp_path: Path) -> None:
    prompts = write_prompts(tmp_path / "p.jsonl", 200, "[p=0.2]")
    with serve(token_delay=0.002, process=True) as server:
        again = arguments(server, prompts, tmp_path / "run", "sampler.concurrent_requests=16", "sampling.speculate=0")
        process = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while server.stats()["delivered"] < 200:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait()
        command(again, expect=None)
        assert server.stats()["paid_twice"] <= 16
        delivered = server.stats()["delivered"]
        assert delivered - len(rollouts(tmp_path / "run")) <= 16


def test_deciding_again_sends_nothing_and_going_on_pays_only_the_difference(server: Any, tmp_path: Path) -> None:
    prompts, work = write_prompts(tmp_path / "p.jsonl", 20, "[p=0.5]"), tmp_path / "run"
    command(arguments(server, prompts, work, "sampling.speculate=0", "sampling.max_steps=16"))
    before = server.stats()["requests"]
    stored = len(rollouts(work))

    ended = rsr("format", str(work), "formatter=[{type: sft}, {type: dpo}]", expect=3)
    assert server.stats()["requests"] == before
    assert "prompts (not sampled" in ended.stdout.splitlines()[-1]
    in_both = {json.loads(line)["id"] for line in (work / "provenance" / "dpo.jsonl").read_text().splitlines()}
    assert 0 < len(in_both) < 20

    rsr("run", str(work), "sampling.speculate=0")
    assert len(rows(work, "dpo")) == len(rows(work, "sft")) == 20
    new = rollouts(work)
    assert server.stats()["paid_twice"] == 0
    assert server.stats()["delivered"] == len(new) > stored
    topped_up = {rollout["prompt_id"] for rollout in new if rollout["index"] >= 1}
    assert topped_up >= {f"q{n}" for n in range(20)} - in_both

    at_rest = server.stats()["requests"]
    rsr("run", str(work))
    assert server.stats()["requests"] == at_rest, "a finished run asks for nothing"

    rsr("format", str(work), "formatter.0.pass_threshold=2.0", "formatter.1.pass_threshold=2.0", expect=3)
    assert rows(work, "sft") == rows(work, "dpo") == []
    assert server.stats()["requests"] == at_rest
    rsr("format", str(work), "formatter.0.pass_threshold=1.0", "formatter.1.pass_threshold=1.0")
    assert len(rows(work, "dpo")) == 20


def test_a_raised_max_tokens_draws_only_what_was_cut(server: Any, tmp_path: Path) -> None:
    prompts, work = write_prompts(tmp_path / "p.jsonl", 10, "[p=0.5]"), tmp_path / "run"
    command(arguments(server, prompts, work, "sampler.max_tokens=20", "sampling.speculate=0", ALL_THREE), expect=None)
    first = {(row["prompt_id"], row["index"]): row for row in rollouts(work)}
    cut = {key for key, row in first.items() if row["outcome"] == "truncated"}
    assert 0 < len(cut) < len(first)
    rsr("run", str(work), "sampler.max_tokens=500", "sampling.speculate=0", expect=None)
    second = {(row["prompt_id"], row["index"]): row for row in rollouts(work)}
    kept = set(first) - cut
    assert {key: second[key]["text"] for key in kept} == {key: first[key]["text"] for key in kept}
    again = {key for key in cut if second[key]["outcome"] == "ok"}
    assert again
    fresh = tmp_path / "fresh"
    command(arguments(server, prompts, fresh, "sampler.max_tokens=500", "sampling.speculate=0", ALL_THREE), expect=None)
    assert train(fresh) == train(work), "the same as if it had been drawn at the higher limit at once"


def test_another_model_is_refused_unless_told(tmp_path: Path) -> None:
    prompts, work = write_prompts(tmp_path / "p.jsonl", 4, "[p=1]"), tmp_path / "run"
    with serve(models=["test-model", "other-model"]) as server:
        command(arguments(server, prompts, work))
        before = train(work)
        requests = server.stats()["requests"]
        refused = rsr("run", str(work), "sampler.model=other-model", expect=2)
        assert "sampler.model ('test-model' -> 'other-model')" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert server.stats()["requests"] == requests
        assert train(work) == before
        rsr("run", str(work), "sampler.model=other-model", "--new-samples")
        assert server.stats()["requests"] > requests
        assert {row["used"] for row in rollouts(work)} == {True}


def test_a_changed_verifier_judges_what_is_stored_and_samples_nothing(server: Any, tmp_path: Path) -> None:
    prompts, work = write_prompts(tmp_path / "p.jsonl", 6, "[p=1]"), tmp_path / "run"
    command(arguments(server, prompts, work, "sampling.speculate=0"))
    requests = server.stats()["requests"]
    verifier = tmp_path / "own.py"
    verifier.write_text("def never(response, answer):\n    return 0.0\n")
    ended = rsr("verify", str(work), f"verifier.type={verifier}:never", expect=3)
    assert "6 made" in ended.stdout
    assert server.stats()["requests"] == requests
    assert rows(work, "sft") == []
    rsr("verify", str(work), "verifier.type=mcq-rlvr")
    assert len(rows(work, "sft")) == 6, "the old verdicts are still there"


def test_an_interrupted_run_keeps_everything_and_goes_on(tmp_path: Path) -> None:
    prompts, work = write_prompts(tmp_path / "p.jsonl", 300, "[p=0.3]"), tmp_path / "run"
    with serve(token_delay=0.002, process=True) as server:
        again = arguments(server, prompts, work, "sampler.concurrent_requests=8", "sampling.speculate=0")
        process = subprocess.Popen(again, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while server.stats()["delivered"] < 30:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "incomplete: " in out.splitlines()[-1]
        stored = len(rollouts(work))
        assert stored == server.stats()["delivered"], "what was in flight was waited for"
        assert rows(work, "sft")
        command(again, expect=None)
        assert server.stats()["paid_twice"] == 0


def test_failed_requests_leave_the_prompt_incomplete_and_the_next_run_takes_up_only_those(tmp_path: Path) -> None:
    path, work = tmp_path / "p.jsonl", tmp_path / "run"
    write_prompts(path, 5, "[p=1]")
    with path.open("a") as file:
        text = "Broken? [p=1] [faults=500*]\n\nA: one\nB: two"
        row = {"id": "broken", "messages": [{"role": "user", "content": text}], "metadata": {"answer": "B"}}
        file.write(json.dumps(row) + "\n")
    with serve() as server:
        ended = command(arguments(server, path, work, "sampler.max_retries=0"), expect=3)
        assert "incomplete: 1 of 6 prompts" in ended.stdout.splitlines()[-1]
        assert len(rows(work, "sft")) == 5
        delivered = server.stats()["delivered"]
        rsr("run", str(work), "sampler.max_retries=0", expect=3)
        assert server.stats()["delivered"] == delivered
        rsr("run", str(work), "sampler.max_retries=0", "--give-up")
        dropped = [json.loads(line) for line in (work / "summary" / "dropped.jsonl").read_text().splitlines()]
        assert dropped == [{"id": "broken", "file": "sft.jsonl", "reason": "failed"}]


def test_a_second_run_on_the_same_directory_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    prompts, work = write_prompts(tmp_path / "p.jsonl", 50, "[p=0]"), tmp_path / "run"
    with serve(token_delay=0.01, process=True) as server:
        again = arguments(server, prompts, work, "sampler.concurrent_requests=4")
        process = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while server.stats()["delivered"] < 4:
            time.sleep(0.02)
        refused = command(again, expect=2)
        assert f"is in use by process {process.pid} on " in refused.stderr
        status = rsr("status", str(work))
        assert f"at work    process {process.pid}" in status.stdout
        process.kill()
        process.wait()
