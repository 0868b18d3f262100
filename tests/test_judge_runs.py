"""Whole runs whose judge fails, is slow, is gone or refuses: nothing is invented, nothing is bought for it, nothing is
lost, and the next run verifies just what is missing."""

import json
import re
import threading
import time
import zlib
from collections import Counter
from pathlib import Path

import pytest

from commands import process, read_rows, write_rows
from judge_server import Reply, by_letter, fields, judge_server
from processes import Process, simulated, until, write_questions

pytestmark = pytest.mark.slow  # real processes

DPO = "formatter=[{type: dpo, pass_threshold: 1.0, fail_threshold: 0.0}]"


def arguments(folder, prompts, sampler, judge, *more):
    where = [f"data.input_path={prompts}", f"work_dir={folder / 'run'}", f"sampler.base_url={sampler.base_url}"]
    model = ["sampler.model=any", "verifier.type=llm-as-judge", "verifier.template=mcq", "verifier.model=judge"]
    return ["run", "sft", *where, *model, f"verifier.base_url={judge.base_url}", *more]


def faulty(share):
    """An honest judge that fails on a share of the responses, in one way or another, until it is mended."""
    count = Counter()

    def answer(path, payload):
        wrong = fields(payload["messages"][0]["content"])["RESPONSE"]
        drawn = zlib.crc32(wrong.encode())
        if count["mended"] or drawn % 1000 >= share * 1000:
            return by_letter(path, payload)
        return [
            Reply("", status=500),
            Reply("I'd say it is correct."),
            Reply('{"verdict": "correct"}', finish="length"),
            Reply(""),
            Reply(f'{{"verdict": "correct", "verdict": "incorrect"}} {wrong}'),
            Reply({"error": {"message": "no"}}, status=400),
            Reply("<html>busy</html>", status=503),
        ][drawn // 1000 % 7]

    return answer, count


def letter(text):
    return re.findall(r"answer is ([A-Z])", text)[-1]


def test_a_judge_with_errors_invents_nothing_and_the_rest_is_verified_by_the_next_run(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 60)
    gold = {row["messages"][0]["content"]: row["metadata"]["answer"] for row in read_rows(prompts)}
    answer, count = faulty(0.3)
    fixed = ["sampling.step_size=4", "sampling.max_steps=1", "sampling.early_stop=false", DPO]
    with simulated(prompts) as sampler, judge_server(answer) as judge:
        given = arguments(tmp_path, prompts, sampler, judge, *fixed, "guards=null", "verifier.max_retries=0")
        first = process(*given)
        assert first.code == 3, first.err
        stats = json.loads((tmp_path / "run/summary/stats.json").read_text())
        assert stats["incomplete_reasons"]["verifier_error"] > 0
        assert stats["rollouts"]["unscored"]["verifier_error"] > 0
        asked = sampler.stats()["requests"]
        # What one is sent again for does not count: a probe of a judge that seems to be out of order.
        assert 240 <= stats["verifier"]["requests"] <= len(judge.requests)

        def sound():
            for row in read_rows(tmp_path / "run/train/dpo.jsonl"):
                right = gold[row["conversations"][0]["value"]]
                assert letter(row["chosen"]["value"]) == right != letter(row["rejected"]["value"])

        sound()
        before = len(judge.requests)
        count["mended"] = 1
        second = process("run", tmp_path / "run")
        assert second.code == 0, second.err
        assert sampler.stats()["requests"] == asked
        assert len(judge.requests) - before == stats["rollouts"]["unscored"]["verifier_error"]
        sound()
        after = json.loads((tmp_path / "run/summary/stats.json").read_text())
    assert after["rollouts"]["scored"] == after["rollouts"]["outcomes"]["ok"]
    exported = process("export", tmp_path / "run", "-o", tmp_path / "all.jsonl")
    assert exported.code == 0, exported.err


def test_errors_of_the_way_there_are_gone_after_the_wires_own_tries(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 40)
    count = Counter()

    def answer(path, payload):
        count["all"] += 1
        return Reply("", status=500) if count["all"] % 10 in (3, 6, 9) else by_letter(path, payload)

    with simulated(prompts) as sampler, judge_server(answer) as judge:
        ended = process(*arguments(tmp_path, prompts, sampler, judge))
    assert ended.code == 0, ended.err


def test_a_slow_judge_holds_sampling_back(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 400)
    slots, behind = 8, []

    def answer(path, payload):
        if len(judge.requests) % 10 == 0:
            behind.append(sampler.stats()["generated"] - (len(judge.requests) - judge.in_flight))
        return Reply(by_letter(path, payload), wait=0.1)

    with simulated(prompts, tokens_per_second=4000) as sampler, judge_server(answer) as judge:
        more = [f"sampler.concurrent_requests={slots}", "verifier.concurrent_requests=16"]
        ended = process(*arguments(tmp_path, prompts, sampler, judge, *more))
    assert ended.code == 0, ended.err
    assert 16 < max(behind) <= 64 + 2 * slots


def outage(tmp_path, sampler, prompts, judge, *more):
    return Process(tmp_path, arguments(tmp_path, prompts, sampler, judge, "sampler.concurrent_requests=8", *more))


def test_a_judge_that_is_gone_pauses_sampling_until_it_is_back(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 300)

    def answer(path, payload):
        return Reply(by_letter(path, payload), wait=0.02)

    with simulated(prompts) as sampler:
        with judge_server(answer) as judge:
            port = int(judge.base_url.split(":")[2].removesuffix("/v1"))
            run = outage(tmp_path, sampler, prompts, judge)
            assert until(lambda: len(judge.requests) >= 50, run)
        time.sleep(1.5)  # what was in flight arrives, and the breaker opens
        during = sampler.stats()["requests"]
        time.sleep(3)
        assert sampler.stats()["requests"] == during, "nothing is bought for a judge that is gone"
        assert not run.over
        assert "the verifier waits: nothing usable comes from the server" in run.said()
        with judge_server(answer, port=port):
            run.end().ends_with(0)
        assert sampler.stats()["requests"] > during


def test_a_judge_that_only_fails_pauses_sampling_too(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 300)
    ill, bought = threading.Event(), []

    def answer(path, payload):
        if len(judge.requests) == 60:
            ill.set()
        return Reply("", status=500) if ill.is_set() else Reply(by_letter(path, payload), wait=0.02)

    with simulated(prompts) as sampler, judge_server(answer) as judge:
        run = outage(tmp_path, sampler, prompts, judge)
        assert until(ill.is_set, run)
        time.sleep(2)
        for _ in range(3):
            bought.append(sampler.stats()["requests"])
            time.sleep(1)
        judge.answer = by_letter
        run.end().ends_with(0)
        assert bought[0] == bought[-1] < sampler.stats()["requests"]


def test_a_judge_that_stays_away_ends_the_run_and_the_next_one_goes_on(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 100)
    fixed = ["sampling.step_size=2", "sampling.max_steps=1", "sampling.early_stop=false", "verifier.max_outage=2"]
    with simulated(prompts) as sampler:
        with judge_server(lambda path, payload: Reply(by_letter(path, payload), wait=0.02)) as judge:
            run = outage(tmp_path, sampler, prompts, judge, *fixed)
            assert until(lambda: len(judge.requests) >= 60, run)
        ended = run.end().ends_with(3)
        assert "verifier: nothing usable has come from http://127.0.0.1" in ended.err
        stats = json.loads((tmp_path / "run/summary/stats.json").read_text())
        bought, scored = stats["rollouts"]["stored"], stats["rollouts"]["scored"]
        assert 0 < scored < bought
        with judge_server(by_letter) as judge:
            process("run", tmp_path / "run", f"verifier.base_url={judge.base_url}")
            stats = json.loads((tmp_path / "run/summary/stats.json").read_text())
            assert len(judge.requests) == stats["rollouts"]["scored"] - scored
        assert stats["prompts"]["incomplete"] == 0
        assert stats["rollouts"]["stored"] == 200 == sampler.stats()["generated"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("verifier.api_key=sk-wrong-one", "verifier.api_key: the server refuses it (401: Incorrect API key provided)"),
        ("verifier.model=other", "verifier.model: the server does not have 'other'; it lists: judge"),
        ("verifier.base_url=http://127.0.0.1:9/v1", "verifier.base_url: nothing answers at http://127.0.0.1:9/v1"),
    ],
)
def test_a_judge_that_refuses_stops_the_run_before_anything_is_sampled(tmp_path, setting, said):
    prompts = write_questions(tmp_path / "prompts.jsonl", 5)
    with simulated(prompts) as sampler, judge_server(by_letter) as judge:
        judge.key = "sk-right-one"
        began = time.monotonic()
        right = [] if "api_key" in setting else ["verifier.api_key=sk-right-one"]
        ended = process(*arguments(tmp_path, prompts, sampler, judge, *right, setting))
        assert said in ended.refused()
        assert "sk-wrong-one" not in ended.err + "".join(
            path.read_text(errors="replace") for path in (tmp_path / "run").rglob("*") if path.is_file()
        )
        assert time.monotonic() - began < 20
        assert sampler.stats()["requests"] == 0


def test_a_judge_that_refuses_in_the_middle_stops_the_run_and_keeps_everything(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 200)
    with simulated(prompts) as sampler, judge_server(by_letter) as judge:

        def answer(path, payload):
            refused = Reply({"error": {"message": "Incorrect API key provided"}}, status=401)
            return refused if len(judge.requests) > 40 else by_letter(path, payload)

        judge.answer = answer
        ended = process(*arguments(tmp_path, prompts, sampler, judge, "sampler.concurrent_requests=4"))
        assert ended.code == 2, ended.err
        assert "verifier.api_key: the server refuses it" in ended.err
        stats = json.loads((tmp_path / "run/summary/stats.json").read_text())
        assert stats["rollouts"]["scored"] == 40
        assert stats["rollouts"]["stored"] == sampler.stats()["generated"]


def test_the_budget_of_the_judge_ends_a_run_and_a_larger_one_goes_on(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 30)
    with simulated(prompts) as sampler, judge_server(by_letter) as judge:
        ended = process(*arguments(tmp_path, prompts, sampler, judge, "verifier.budget={requests: 20}"))
        assert ended.code == 3, ended.err
        assert "verifier.budget.requests: 20 of 20 are spent; raise it and rsr run" in ended.err
        assert len(judge.requests) == 20
        ended = process("run", tmp_path / "run", "verifier.budget={requests: 2000}")
        assert ended.code == 0, ended.err
        assert f"verifier   {len(judge.requests):,} requests" in ended.out


def test_verify_and_score_ask_the_judge_too(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 20)
    with simulated(prompts) as sampler, judge_server(by_letter) as judge:
        given = arguments(tmp_path, prompts, sampler, judge)
        first = process(*[one for one in given if not one.startswith("verifier.")])
        assert first.code == 0, first.err
        asked = sampler.stats()["requests"]
        settings = [one for one in given if one.startswith("verifier.")]
        config = (tmp_path / "run/config.yaml").read_text()
        refused = process("verify", tmp_path / "run", *settings)
        assert refused.code == 2
        assert "verdicts are missing, each of which may cost requests" in refused.errors[-1]
        assert (tmp_path / "run/config.yaml").read_text() == config
        onward = process("run", tmp_path / "run")
        assert onward.code == 0, onward.err
        assert not judge.requests, "what was refused is not what the next run does"
        verified = process("verify", tmp_path / "run", *settings, "--yes")
        assert verified.code == 0, verified.err
        stored = json.loads((tmp_path / "run/summary/stats.json").read_text())["rollouts"]["stored"]
        assert len(judge.requests) == stored
        again = process("verify", tmp_path / "run", "verifier.timeout=99", "--yes")
        assert again.code == 0, again.err
        assert len(judge.requests) == stored, "how the judge is reached is no part of a verdict"
        assert sampler.stats()["requests"] == asked

        rows = [{"response": "The answer is B.", "answer": "B", "question": "Which?"}, {"response": "?", "answer": "B"}]
        source = write_rows(tmp_path / "responses.jsonl", rows)
        scored = process("score", source, *settings, "-o", tmp_path / "scored.jsonl")
        assert scored.code == 0, scored.err
        assert [row["score"] for row in read_rows(tmp_path / "scored.jsonl")] == [1.0, None]
        assert fields(judge.prompts[-1] if "Which?" in judge.prompts[-1] else judge.prompts[-2])["QUESTION"] == "Which?"
        judge.key = "sk-another"
        refused = process("score", source, *settings, "-o", tmp_path / "none.jsonl")
        assert "verifier.api_key" in refused.refused()
        assert not Path(tmp_path / "none.jsonl").exists()


def test_the_same_data_whatever_the_judges_order(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 40)
    written = []
    for number, wait in enumerate((0.0, 0.05)):
        count = Counter()

        def answer(path, payload, wait=wait, count=count):
            count["all"] += 1
            return Reply(by_letter(path, payload), wait=wait * (count["all"] % 3))

        folder = tmp_path / str(number)
        folder.mkdir()
        with simulated(prompts) as sampler, judge_server(answer) as judge:
            ended = process(
                *arguments(folder, prompts, sampler, judge, f"sampler.concurrent_requests={4 + 60 * number}")
            )
        assert ended.code == 0, ended.err
        written.append((folder / "run/train/sft.jsonl").read_bytes())
    assert written[0] == written[1]
