import asyncio
import json
import time
from pathlib import Path

import pytest

from commands import question, write_rows
from rsr.errors import ConfigError, RequestFailed
from rsr.samplers import SAMPLERS
from rsr.samplers.simulated import Simulated
from rsr.sections import DataConfig, FieldsConfig
from rsr.types import Sampler, SampleRequest

QUICKSTART = Path(__file__).parents[2] / "data" / "quickstart.jsonl"


def request(text="Which one?", n=1, seed=10):
    return SampleRequest(messages=[{"role": "user", "content": text}], n=n, seed=seed)


def sampled(sampler, *requests):
    async def main():
        await sampler.start()
        return [await sampler.sample(each) for each in requests]

    return asyncio.run(main())


def test_it_is_a_sampler():
    sampler = SAMPLERS.build("simulated", {})
    assert isinstance(sampler, Sampler) and (sampler.max_choices, sampler.max_in_flight) == (None, None)


def test_one_request_brings_the_answers_to_consecutive_seeds():
    four, *single = sampled(Simulated(), request(n=4), *(request(seed=10 + j) for j in range(4)))
    assert [each.text for each in four] == [each.text for [each] in single]
    assert [each.completion_tokens for each in four] == [len(each.text.split()) for each in four]
    assert [each.prompt_tokens for each in four] == [2, 0, 0, 0]
    assert len(sampled(Simulated(max_choices=3), request(n=4))[0]) == 3


def test_what_decides_the_text_is_its_identity():
    same = Simulated(slots=1, time_scale=1.0, fail=0.5, max_choices=2, model="other")
    assert Simulated().identity() == same.identity()
    for other in ({"seed": 1}, {"pass_rate": 0.5}, {"median_tokens": 50}, {"sigma": 0.1}, {"max_tokens_cap": 300}):
        assert Simulated(**other).identity() != same.identity()
    assert Simulated(pass_rate=[0.1, 0.2]).identity() == Simulated(pass_rate="0.1:0.2").identity()


def test_it_knows_the_answers_of_the_input(tmp_path):
    rows = [question("a", "A"), {"ask": "How much?", "gold": 12}]
    path = write_rows(tmp_path / "in.jsonl", rows)
    data = DataConfig(input_path=str(path), fields=FieldsConfig(prompt="ask", answer="gold"))
    [[letter], [number]] = sampled(
        Simulated(data_config=data, pass_rate=1),
        request("Question a: which is correct?\n\nA: X\nB: Y"),
        request("How much?"),
    )
    assert letter.text.endswith("The answer is A.") and number.text.endswith("The answer is \\boxed{12}.")
    [[letter]] = sampled(
        Simulated(answers=str(path), pass_rate=1), request("Question a: which is correct?\n\nA: X\nB: Y")
    )
    assert letter.text.endswith("The answer is A.")
    with pytest.raises(ConfigError, match=r"sampler\.answers: no row"):
        sampled(Simulated(answers=str(write_rows(tmp_path / "none.jsonl", [{"x": 1}]))))


def test_first_requests_that_fail():
    sampler = Simulated(fail=0.5)

    async def main():
        await sampler.start()
        failed = []
        for seed in range(400):
            try:
                await sampler.sample(request(seed=seed))
            except RequestFailed:
                failed.append(seed)
        again = [(await sampler.sample(request(seed=seed)))[0] for seed in failed]
        return failed, again

    failed, again = asyncio.run(main())
    assert 150 < len(failed) < 250 and len(again) == len(failed), "only the first"
    before = next(seed for seed in range(400) if seed not in failed and seed + 1 in failed)
    [some] = sampled(Simulated(fail=0.5), request(n=3, seed=before))
    assert len(some) == 1, "those before the one that fails"


def test_nothing_takes_time_unless_it_is_told_to():
    began = time.monotonic()
    sampled(Simulated(), *(request(seed=seed) for seed in range(100)))
    assert time.monotonic() - began < 60

    async def main():
        sampler = Simulated(slots=2, tokens_per_second=100.0, time_scale=0.5, median_tokens=20, sigma=0)
        await sampler.start()
        began = time.monotonic()
        await asyncio.gather(*(sampler.sample(request(seed=seed)) for seed in range(6)))
        return time.monotonic() - began

    assert asyncio.run(main()) >= 3 * 0.5 * 20 / 100 - 0.01


def test_a_cancelled_request_frees_its_slot():
    async def main():
        sampler = Simulated(slots=1, tokens_per_second=0.001, time_scale=1.0)
        await sampler.start()
        task = asyncio.create_task(sampler.sample(request()))
        await asyncio.sleep(0.01)
        running = sampler.slots.running
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return running, sampler.slots.running, sampler.slots.aborted

    assert asyncio.run(main()) == (1, 0, 1)


@pytest.mark.parametrize("recipe", ["sft", "dpo", "multi_sft"])
def test_a_dry_run_of_each_recipe(command, folder, recipe):
    more = ["guards=null", "sampler.pass_rate=0.9"]
    ended = command("run", recipe, f"data.input_path={QUICKSTART}", "sampler.type=simulated", "work_dir=run", *more)
    assert ended.code == 0, ended.err
    stats = json.loads((folder / "run" / "summary" / "stats.json").read_text())
    assert 0.8 < stats["pass_rate"]["all_rollouts"] < 1.0 and stats["rollouts"]["unscored"] == {}
    other = command("run", "run", "sampler.seed=1")
    assert "another model" in other.refused() or "other settings" in other.refused()
