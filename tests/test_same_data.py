"""The same data whatever happens: `train/*` and `provenance/*` of the real command, byte by byte.

Every run here is compared with a clean one of the same recipe and schedule, on a server without faults: the engine
repeats itself for the same seed, so that what is written is a function of input, config, seed and model alone.
"""

import itertools
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from commands import read_rows
from processes import ALL_THREE, Bench, assert_same, data, exported, simulated, until, write_questions

pytestmark = pytest.mark.slow  # real processes

RECIPES = {
    "sft": ("sft", ["data.limit=120"]),
    "dpo": ("dpo", ["data.limit=80"]),
    "multi_sft": ("multi_sft", ["data.limit=25"]),
    "all": ("multi_sft", [ALL_THREE, "data.limit=25"]),
}
"""The recipes as shipped, and all of them in one run; those that draw more on fewer of the prompts."""

Reference = Callable[[str, str], dict[str, bytes]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A server without faults."""
    folder = tmp_path_factory.mktemp("same")
    prompts = write_questions(folder / "prompts.jsonl", 120)
    with simulated(prompts) as server:
        yield Bench(server, prompts, folder)


@pytest.fixture(scope="module")
def disordered(bench: Bench) -> Iterator[Bench]:
    """The same model; its replies come out of order."""
    with simulated(bench.prompts, tokens_per_second=40_000) as server:
        yield bench._replace(server=server)


@pytest.fixture(scope="module")
def reference(bench: Bench) -> Reference:
    """What a clean run of a recipe with a schedule writes."""
    made: dict[tuple[str, str], dict[str, bytes]] = {}

    def of(recipe: str, schedule: str) -> dict[str, bytes]:
        if (recipe, schedule) not in made:
            name = f"clean-{recipe}-{schedule}"
            arguments = settings(recipe, schedule)
            bench.run(
                name, *arguments, "sampling.speculate=0", "sampler.concurrent_requests=32", recipe=shipped(recipe)
            )
            found = data(bench.folder / name)
            files = {"sft", "dpo", "multi_sft"} if recipe == "all" else {recipe}
            assert all(found[f"train/{file}.jsonl"].count(b"\n") >= 20 for file in files)
            made[recipe, schedule] = found
        return made[recipe, schedule]

    return of


def shipped(recipe: str) -> str:
    return RECIPES[recipe][0]


def settings(recipe: str, schedule: str) -> list[str]:
    return [*RECIPES[recipe][1], f"sampling.schedule={schedule}"]


# Settings

COMBINATIONS = [
    ("all", "continuous", 256, False, "0"),
    ("all", "steps", 1, True, "auto"),
    ("all", "steps", 7, False, "1"),
    ("dpo", "continuous", 1, False, "0"),
    ("dpo", "continuous", 7, True, "auto"),
    ("dpo", "steps", 256, True, "1"),
    ("multi_sft", "continuous", 1, False, "1"),
    ("multi_sft", "continuous", 256, True, "auto"),
    ("multi_sft", "steps", 7, True, "0"),
    ("sft", "continuous", 256, True, "1"),
    ("sft", "continuous", 7, False, "auto"),
    ("sft", "steps", 1, True, "0"),
]
"""Recipe, schedule, concurrency, streamed, speculate: every value of each with every value of each other."""


def test_the_combinations_hold_every_pair() -> None:
    columns = [sorted(set(column), key=str) for column in zip(*COMBINATIONS, strict=True)]
    assert columns == [
        ["all", "dpo", "multi_sft", "sft"], ["continuous", "steps"], [1, 256, 7], [False, True], ["0", "1", "auto"]
    ]  # fmt: skip
    for one, other in itertools.combinations(range(len(columns)), 2):
        there = {(row[one], row[other]) for row in COMBINATIONS}
        assert there == set(itertools.product(columns[one], columns[other])), (one, other)


@pytest.mark.parametrize(("recipe", "schedule", "concurrency", "stream", "speculate"), COMBINATIONS)
def test_how_it_is_fetched_does_not_matter(
    bench: Bench,
    disordered: Bench,
    reference: Reference,
    recipe: str,
    schedule: str,
    concurrency: int,
    stream: bool,
    speculate: str,
) -> None:
    clean = reference(recipe, schedule)
    if concurrency > 1:
        bench = disordered
    name = f"{recipe}-{schedule}-{concurrency}"
    how = [f"sampler.concurrent_requests={concurrency}", f"sampler.stream={stream}", f"sampling.speculate={speculate}"]
    bench.run(name, *settings(recipe, schedule), *how, recipe=shipped(recipe))
    assert_same(bench.folder / name, clean)


# Kills


@pytest.fixture(scope="module")
def slow_bench(bench: Bench) -> Iterator[Bench]:
    """The same model, slow enough to be killed in the middle."""
    with simulated(bench.prompts, tokens_per_second=800) as server:
        yield bench._replace(server=server)


@pytest.mark.parametrize(("recipe", "schedule"), [("sft", "steps"), ("all", "continuous")])
def test_ten_kills(slow_bench: Bench, reference: Reference, recipe: str, schedule: str) -> None:
    """At random moments: while it starts, while it samples, while it writes."""
    bench, clean = slow_bench, reference(recipe, schedule)
    whole = len(exported(bench, f"clean-{recipe}-{schedule}"))
    chance = random.Random(f"{recipe}/{schedule}")
    name = f"killed-{recipe}-{schedule}"
    arguments = [*settings(recipe, schedule), "sampler.concurrent_requests=64"]
    for kill in range(10):
        process = bench.start(name, *arguments, recipe=shipped(recipe))
        if kill in (0, 4):
            time.sleep(chance.uniform(0, 0.8))
        elif kill == 9:
            until(lambda process=process: "writing the training files" in process.said(), process)
            time.sleep(chance.uniform(0, 0.03))
        else:
            goal = bench.server.stats()["delivered"] + chance.randrange(1, whole // 8)
            assert until(lambda goal=goal: bench.server.stats()["delivered"] >= goal, process)
            time.sleep(chance.uniform(0, 0.02))
        process.kill()
    ended = bench.run(name, *arguments, recipe=shipped(recipe))
    assert "warning" not in ended.err
    assert_same(bench.folder / name, clean)
    again = bench.server.stats()["requests"]
    bench.run(name, *arguments, recipe=shipped(recipe))
    assert bench.server.stats()["requests"] == again
    assert_same(bench.folder / name, clean)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(bench: Bench, reference: Reference, number: signal.Signals, code: int) -> None:
    """What is written when a run is interrupted is part of what is written in the end; nothing is bought twice."""
    clean = reference("dpo", "continuous")
    rows = set(clean["train/dpo.jsonl"].splitlines())
    arguments = [*settings("dpo", "continuous"), "sampler.concurrent_requests=64", "sampling.speculate=0"]
    name, owed = f"signal-{code}", []
    with simulated(bench.prompts, tokens_per_second=800) as server:
        slow = bench._replace(server=server)
        for _ in range(2):
            process = slow.start(name, *arguments, recipe="dpo")
            goal = server.stats()["delivered"] + 80
            assert until(lambda goal=goal: server.stats()["delivered"] >= goal, process)
            ended = process.send(number).ends_with(code)
            assert ended.last.startswith("incomplete: ")
            owed.append(int(ended.last.split()[1]))
            assert 0 < len(read_rows(slow.folder / name / "train" / "dpo.jsonl")) < len(rows)
            assert set((slow.folder / name / "train" / "dpo.jsonl").read_bytes().splitlines()) < rows
        assert owed[0] > owed[1]
        slow.run(name, *arguments, recipe="dpo")
        stats = server.stats()
    assert_same(bench.folder / name, clean)
    assert stats["paid_twice"] == 0
    assert stats["delivered"] == len(exported(bench, name))


# Faults of the way there

MIX = (
    "429=0.01,429:1=0.005,429:date+2=0.005,408=0.01,500=0.01,502=0.01,503=0.01,504=0.01,529=0.01,reset=0.02,cut=0.02,"
    "malformed=0.02,truncated=0.02,html=0.02,error200=0.02,nochoices=0.02,noend=0.02,fewer=0.03,plain=0.03,"
    "nousage=0.03,huge:40=0.004,hang=0.004,stall=0.004,drip:1=0.004"
)
LIMITS = ["sampler.timeout=1.5", "sampler.stall_timeout=0.5"]


def test_all_faults_together(bench: Bench, reference: Reference) -> None:
    clean = reference("dpo", "steps")
    with simulated(bench.prompts, faults=MIX) as server:
        faulty = bench._replace(server=server)
        faulty.run("mixed", *settings("dpo", "steps"), *LIMITS, "sampler.stream=true", recipe="dpo")
        stats = server.stats()
    assert_same(bench.folder / "mixed", clean)
    assert len(stats["faults"]) >= 15
    assert stats["retry_after_violations"] == 0


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        ("429=0.1", False),
        ("429:1=0.05", False),
        ("429:date+2=0.05", True),
        ("503:1=0.05", True),
        ("500=0.1", True),
        ("reset=0.15", False),
        ("cut=0.15", True),
        ("malformed=0.15", False),
        ("truncated=0.15", True),
        ("html=0.15", False),
        ("error200=0.15", True),
        ("nochoices=0.15", False),
        ("noend=0.15", True),
        ("fewer=0.2", False),
        ("plain=0.3", False),
        ("plain=0.3", True),
        ("nousage=0.3", False),
        ("huge:100=0.03", False),
        ("huge:100=0.03", True),
        ("hang=0.03", False),
        ("stall=0.04", True),
        ("drip:1=0.06", True),
    ],
)
def test_each_fault(bench: Bench, reference: Reference, fault: str, stream: bool) -> None:
    """On few prompts, which are a part of the others' and so get a part of their rows."""
    recipe, schedule = ("multi_sft", "steps") if fault.startswith("fewer") else ("dpo", "continuous")
    clean = reference(recipe, schedule)
    with simulated(bench.prompts, faults=fault) as server:
        faulty = bench._replace(server=server)
        limits = [f"data.limit={FEW}", "sampler.timeout=1"]
        if fault.startswith(("drip", "stall")):
            limits = [f"data.limit={FEW}", "sampler.stall_timeout=0.5"]
        name = f"fault-{fault}-{stream}".replace(":", "-")
        faulty.run(name, f"sampling.schedule={schedule}", *limits, f"sampler.stream={stream}", recipe=recipe)
        stats = server.stats()
    assert stats["faults"].get(fault.partition(":")[0].partition("=")[0], 0) > 0
    assert stats["retry_after_violations"] == 0
    assert stats["paid_twice"] == 0
    last = f'"id":"q{FEW}"'.encode()
    kept = next(at for at, line in enumerate(clean[f"provenance/{recipe}.jsonl"].splitlines()) if last in line)
    for file in ("train", "provenance"):
        rows = clean[f"{file}/{recipe}.jsonl"].splitlines()[:kept]
        assert data(bench.folder / name)[f"{file}/{recipe}.jsonl"].splitlines() == rows


FEW = 16


# Faults that are outcomes

OUTCOMES = {"nullstop": "empty", "filtered": "filtered", "null": "truncated", "finish:eos_limit": "filtered"}


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_an_outcome_stays_with_its_prompt(bench: Bench, reference: Reference, stream: bool) -> None:
    clean = reference("dpo", "continuous")
    name = f"outcomes-{stream}"
    with simulated(bench.prompts, faults=",".join(f"{kind}=0.02" for kind in OUTCOMES)) as server:
        faulty = bench._replace(server=server)
        faulty.run(name, *settings("dpo", "continuous"), f"sampler.stream={stream}", recipe="dpo")
        met = server.stats()["faults"]
    stored = exported(bench, name)
    odd = [row for row in stored if row["outcome"] != "ok"]
    assert {row["outcome"] for row in odd} == set(OUTCOMES.values())
    assert {kind.partition(":")[0] for kind in OUTCOMES} == met.keys()
    assert all(row["score"] is None for row in odd)
    touched = {row["prompt_id"] for row in odd}
    found = by_prompt(data(bench.folder / name))
    expected = by_prompt(clean)
    assert 20 < len(expected.keys() - touched) < len(expected)
    for prompt in expected.keys() - touched:
        assert found[prompt] == expected[prompt]
    assert {row["prompt_id"] for row in stored} == {f"q{number}" for number in range(80)}


def by_prompt(files: dict[str, bytes]) -> dict[str, bytes]:
    """The rows of dpo.jsonl by prompt."""
    rows = files["train/dpo.jsonl"].splitlines()
    origins = files["provenance/dpo.jsonl"].splitlines()
    return {origin.split(b'"id":"')[1].split(b'"')[0].decode(): row for origin, row in zip(origins, rows, strict=True)}


def test_every_file_that_is_compared_is_there(bench: Bench, reference: Reference) -> None:
    files = [f"{folder}/{name}.jsonl" for folder in ("provenance", "train") for name in ("dpo", "multi_sft", "sft")]
    assert sorted(reference("all", "continuous")) == sorted([*files, "train/dataset_info.json"])
