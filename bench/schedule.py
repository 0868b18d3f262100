"""Tokens and makespan of the schedule against their bounds, in virtual time: no network, no clock.

    python bench/schedule.py [--seeds 5] [--recipes sft dpo multi_sft] [--sizes 1000x64 300x64 64x64 40x128]
                             [--real 300x64] [--tokens-per-second 200] [--json FILE]

Recipes are the shipped configs as they are; lengths are lognormal (sigma 1, median 148) cut at 4,000 tokens, pass rates
0.05 to 0.95, and as many completions in flight as the engine has slots. Figures are the median of the seeds:

    completion tokens    all that were generated, of cancelled requests too, over the floor: the tokens of the samples
                         that the continuous schedule without speculation decides on
    prompt tokens        one for each request, over one for each prompt
    makespan             over its bound: the larger of floor / slots and the longest sample that is decided on

`barrier` is how the reference implementation samples: all prompts of the file advance step by step, the requests of a
step wait in the engine's queue, and it ends when the last of them has come. `--real` runs the command itself against
`rsr simulate serve`, as a check of the virtual figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from rsr.loading import load_config
from rsr.parts import build
from rsr.redaction import Redactor
from rsr.schedule import Draw, Needs, Rules, Schedule
from rsr.simulation.clock import VirtualClock
from rsr.simulation.model import Lengths, Model, PassRates
from rsr.simulation.slots import Batch, Slots, Speed
from rsr.types import Outcome, Rollout, Verdict

MEDIAN, SIGMA, CUT = 148.0, 1.0, 4000
LOW, HIGH = 0.05, 0.95


class Result(NamedTuple):
    """What a run took, over what it needs."""

    completion_tokens: float
    prompt_tokens: float
    makespan: float
    utilization: float


class Floor(NamedTuple):
    """What a run needs."""

    tokens: int
    longest: int

    def makespan(self, slots: int) -> float:
        return max(self.tokens / slots, self.longest)


class World:
    """Prompts whose samples are known beforehand."""

    def __init__(self, prompts: int, seed: int) -> None:
        self.prompts = prompts
        self._model = Model(seed, PassRates(LOW, HIGH), Lengths(MEDIAN, SIGMA, CUT))
        self._subjects = [self._model.subject(messages(order)) for order in range(prompts)]

    def sample(self, order: int, index: int) -> Rollout:
        reply = self._model.reply(self._subjects[order], index)
        verdict = Verdict(score=float(reply.passes))
        made = {"completion_tokens": reply.tokens, "answer_key": index}
        return Rollout(index=index, outcome=Outcome.OK, verdict=verdict, **made)

    def samples(self, draw: Draw) -> list[Rollout]:
        return [self.sample(draw.order, index) for index in draw.indices]


def messages(order: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"Question {order}: which?\n\nA: one\nB: two\nC: three\nD: four"}]


def floor(world: World, rules: Rules, needs: Needs) -> Floor:
    """What the continuous schedule decides on when it runs ahead of nothing."""
    tokens = longest = 0
    plain = rules._replace(policy="continuous", speculate=0.0)
    for order in range(world.prompts):
        schedule = Schedule(plain, needs, max_open=1)
        stream = schedule.open(order)
        while stream.stop is None:
            draw = schedule.next(1, 1)
            assert draw is not None
            schedule.drawn(draw, world.samples(draw))
        lengths = [world.sample(order, index).completion_tokens or 0 for index in range(stream.prefix)]
        tokens += sum(lengths)
        longest = max(longest, *lengths)
    return Floor(tokens, longest)


class Run:
    """One run in virtual time: an engine of slots, requests that come and go."""

    def __init__(self, world: World, slots: int) -> None:
        self.clock = VirtualClock()
        self.engine = Slots(Speed(slots, tokens_per_second=1.0), self.clock)
        self.world = world
        self.slots = slots
        self.requests = 0

    def send(self, draw: Draw, done: Callable[[Draw, list[Rollout]], None]) -> Batch:
        """Ask for a draw; `done` hears of it when its last choice has come."""
        self.requests += 1
        samples = self.world.samples(draw)
        lengths = [rollout.completion_tokens or 0 for rollout in samples]
        return self.engine.submit(lengths, 1, lambda batch: done(draw, samples))

    def result(self, needed: Floor) -> Result:
        self.clock.run()
        spent = self.engine.generated_tokens + self.engine.aborted_tokens
        makespan = self.engine.makespan
        return Result(
            spent / needed.tokens,
            self.requests / self.world.prompts,
            makespan / needed.makespan(self.slots),
            spent / (self.slots * makespan),
        )


def scheduled(world: World, slots: int, rules: Rules, needs: Needs, needed: Floor) -> Result:
    """The schedule of RSR."""
    run = Run(world, slots)
    schedule = Schedule(rules, needs, max_open=4 * slots)
    flying: dict[Draw, Batch] = {}
    waiting = iter(range(world.prompts))

    def fill() -> None:
        while (free := slots - sum(draw.n for draw in flying)) > 0:
            draw = schedule.next(free)
            if draw is not None:
                flying[draw] = run.send(draw, landed)
            elif not schedule.has_room:
                return
            elif (order := next(waiting, None)) is None:
                schedule.input_ended = True
            else:
                schedule.open(order)

    def landed(draw: Draw, rollouts: list[Rollout]) -> None:
        del flying[draw]
        for lost in schedule.drawn(draw, rollouts).cancel:
            run.engine.abort(flying.pop(lost))
        fill()

    fill()
    return run.result(needed)


def barrier(world: World, slots: int, rules: Rules, needs: Needs, needed: Floor) -> Result:
    """All prompts step by step, each step waiting for its last request."""
    run = Run(world, slots)
    held: list[list[Rollout]] = [[] for _ in range(world.prompts)]
    left = 0

    def step(number: int) -> None:
        nonlocal left
        wanting = [order for order in range(world.prompts) if not held[order] or needs(held[order])]
        draws = []
        for order in wanting:
            n = min(rules.step_size, rules.max_rollouts - len(held[order]))
            if n > 0:
                draws.append(Draw(order, len(held[order]), n))
        if number == rules.max_steps or not draws:
            return
        left = len(draws)

        def landed(draw: Draw, rollouts: list[Rollout]) -> None:
            nonlocal left
            held[draw.order] += rollouts
            left -= 1
            if not left:
                step(number + 1)

        for draw in draws:
            run.send(draw, landed)

    step(0)
    return run.result(needed)


def recipe(name: str) -> tuple[Rules, Needs]:
    """What a shipped config asks for."""
    parts = build(load_config(name, ["sampler.type=simulated"]), Redactor())
    try:
        return parts.rules, parts.needs
    finally:
        parts.close()


def median(results: Iterable[Result]) -> Result:
    return Result(*(statistics.median(values) for values in zip(*results, strict=True)))


def virtual(name: str, prompts: int, slots: int, seeds: int) -> dict[str, Result]:
    """Every schedule on the same samples."""
    rules, needs = recipe(name)
    found: dict[str, list[Result]] = {"continuous": [], "steps": [], "barrier": []}
    for seed in range(seeds):
        world = World(prompts, seed)
        needed = floor(world, rules, needs)
        steps = rules._replace(policy="steps", speculate=0.0)
        found["continuous"].append(scheduled(world, slots, rules, needs, needed))
        found["steps"].append(scheduled(world, slots, steps, needs, needed))
        found["barrier"].append(barrier(world, slots, rules, needs, needed))
    return {policy: median(results) for policy, results in found.items()}


def real(name: str, prompts: int, slots: int, rate: float, policy: str) -> Result:
    """The command itself against a server of that many slots, in real time.

    Its floor is what the run itself decided on: for `continuous` that is the floor of the virtual runs.
    """
    serve = [sys.executable, "-m", "rsr", "simulate", "serve", f"--slots={slots}", f"--tokens-per-second={rate}"]
    serve += [f"--median-tokens={MEDIAN}", f"--sigma={SIGMA}", f"--max-tokens-cap={CUT}", f"--pass-rate={LOW}:{HIGH}"]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().split()[-1]
            rows = Path(folder) / "prompts.jsonl"
            with rows.open("w") as file:
                for order in range(prompts):
                    row = {"id": f"q{order}", "messages": messages(order), "metadata": {"answer": "B"}}
                    file.write(json.dumps(row) + "\n")
            command = [sys.executable, "-m", "rsr", "run", name, f"data.input_path={rows}", "--quiet"]
            command += [f"sampler.base_url={url}", "sampler.model=m", f"sampler.concurrent_requests={slots}"]
            command += [f"work_dir={folder}/run", f"sampling.schedule={policy}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as reply:
                stats = json.load(reply)
            export = [sys.executable, "-m", "rsr", "export", f"{folder}/run", "-o", f"{folder}/rollouts.jsonl"]
            subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
            lines = (Path(folder) / "rollouts.jsonl").read_text().splitlines()
        finally:
            server.terminate()
    used = [rollout["completion_tokens"] for rollout in map(json.loads, lines) if rollout["used"]]
    needed = Floor(sum(used), max(used))
    spent = stats["generated_tokens"] + stats["aborted_tokens"]
    makespan = rate * stats["makespan"]
    return Result(
        spent / needed.tokens,
        stats["requests"] / prompts,
        makespan / needed.makespan(slots),
        spent / (slots * makespan),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["1000x64", "300x64", "64x64", "40x128"])
    parser.add_argument("--recipes", nargs="*", default=["sft", "dpo", "multi_sft"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--real", nargs="*", default=["1000x64"])
    parser.add_argument("--tokens-per-second", type=float, default=200.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| recipe | prompts | slots | schedule | completion tokens | prompt tokens | makespan | slots in use |")
    print("|---|---|---|---|---|---|---|---|")

    def show(name: str, size: str, schedule: str, result: Result) -> None:
        prompts, slots = map(int, size.split("x"))
        rows.append(
            {"recipe": name, "prompts": prompts, "slots": slots, "schedule": schedule, **result._asdict()},
        )
        values = f"{result.completion_tokens:.3f} | {result.prompt_tokens:.2f} | {result.makespan:.2f}"
        print(f"| {name} | {prompts:,} | {slots} | {schedule} | {values} | {result.utilization:.0%} |", flush=True)

    for name in given.recipes:
        for size in given.sizes:
            for policy, result in virtual(name, *map(int, size.split("x")), given.seeds).items():
                show(name, size, policy, result)
    for size in given.real:
        show(
            "sft",
            size,
            "continuous, the command",
            real("sft", *map(int, size.split("x")), given.tokens_per_second, "continuous"),
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
