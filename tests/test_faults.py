"""What a run owes its user under faults, kills, storms and outages: nothing lost, nothing bought twice, nothing hidden.

The real command against the simulated server, both as processes; what the server counted is the witness.
"""

import contextlib
import http.server
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import free_port
from processes import Bench, Ended, Process, Server, assert_same, data, exported, simulated, until, write_questions
from rsr.simulation.answers import answers_from
from rsr.simulation.model import Lengths, Model, label_of

pytestmark = pytest.mark.slow  # real processes

OWED = re.compile(
    r"incomplete: ([\d,]+) of ([\d,]+) prompts \((.+?)\): (.+); (?:.+, )?rsr run \S+ (?:takes them up|goes on)"
)
"""The last line of a run that owes something: how many prompts, why, which, and what to do."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A server without faults; 500 prompts and what a clean run makes of them, in `clean`."""
    folder = tmp_path_factory.mktemp("faults")
    prompts = write_questions(folder / "prompts.jsonl", 500)
    with simulated(prompts) as server:
        bench = Bench(server, prompts, folder)
        bench.run("clean", "sampling.speculate=0")
        yield bench


def said_by_the_model(bench: Bench) -> "Said":
    return Said(bench.prompts)


class Said:
    """What the model says to a prompt and a seed, and nothing else."""

    def __init__(self, prompts: Path) -> None:
        self._model = Model(lengths=Lengths(40), answers=answers_from([prompts]))
        rows = map(json.loads, prompts.read_text().splitlines())
        self._messages = {row["id"]: row["messages"] for row in rows}

    def __call__(self, prompt: str, seed: int) -> str:
        return self._model.reply(self._model.subject(self._messages[prompt]), seed).text

    def label(self, prompt: str) -> str:
        """The prompt's name in what the server counts."""
        return label_of(self._messages[prompt])


def named(ended: Ended) -> tuple[int, int, str, list[str]]:
    """How many are owed, of how many, why, and the first of them, by the last line."""
    found = OWED.fullmatch(ended.last)
    assert found, ended.out
    assert ended.code != 0
    first = [name for name in found[4].split(", ") if name != "..."]
    return int(found[1].replace(",", "")), int(found[2].replace(",", "")), found[3], first


def some_of(clean: dict[str, bytes], found: dict[str, bytes], without: set[str]) -> None:
    """The rows are those of the clean run, but for these prompts, which have none."""
    lines = clean["provenance/sft.jsonl"].splitlines()
    kept = [at for at, line in enumerate(lines) if json.loads(line)["id"] not in without]
    rows = clean["train/sft.jsonl"].splitlines()
    assert found["train/sft.jsonl"].splitlines() == [rows[at] for at in kept]


# Bad replies

MIX = (
    "429=0.01,429:1=0.01,429:date+2=0.005,500=0.025,reset=0.01,malformed=0.01,truncated=0.02,html=0.02,error200=0.02,"
    "nochoices=0.02,cut=0.02,fewer=0.02,plain=0.02,nousage=0.02,noend=0.02,huge:40=0.002"
)


def test_bad_replies_cost_no_prompt_its_data_and_nothing_is_bought_twice(bench: Bench) -> None:
    said = said_by_the_model(bench)
    with simulated(bench.prompts, faults=MIX) as server:
        faulty = bench._replace(server=server)
        faulty.run("mixed", "sampling.speculate=0", "sampler.stream=true")
        stats = server.stats()
    assert_same(bench.folder / "mixed", data(bench.folder / "clean"))
    assert len(stats["faults"]) >= 13
    assert sum(stats["faults"].values()) > 300
    stored = exported(bench, "mixed")
    for row in stored:
        assert (row["outcome"], row["text"]) == ("ok", said(row["prompt_id"], row["seed"]))
    assert stats["retry_after_violations"] == 0
    assert stats["paid_twice"] == 0
    assert stats["delivered"] == len(stored)


def test_a_long_retry_after_is_obeyed_and_nobody_else_waits(bench: Bench) -> None:
    """One prompt is told to wait for 90 s; the run is interrupted when all others have come."""
    tags = {7: "[faults=429:90]", 8: "[faults=503:date+90]"}
    prompts = write_questions(bench.folder / "waits.jsonl", 30, lambda number: tags.get(number, "") + "[p=1]")
    with simulated(prompts) as server:
        waits = Bench(server, prompts, bench.folder)
        process = waits.start("waits", "stop_grace=1")
        assert until(lambda: server.stats()["delivered"] == 28, process)
        time.sleep(1.5)  # a client that does not obey has asked again by now
        assert server.stats()["requests"] == 30
        ended = process.send(signal.SIGINT).ends_with(130)
        assert server.stats()["retry_after_violations"] == 0
        assert named(ended) == (2, 30, "not sampled 2, interrupted", ["q7", "q8"])
        waits.run("waits")  # its server has not told this one
    assert len(exported(bench, "waits")) == 30


# Storms and outages


def test_a_storm_of_429_costs_no_sample_and_no_step(bench: Bench) -> None:
    with simulated(bench.prompts, slots=64, tokens_per_second=1000, storm="0.3:6:2") as server:
        stormy = bench._replace(server=server)
        arguments = ["data.limit=80", "sampling.schedule=steps", "sampling.speculate=0"]
        bench.run("calm", *arguments)
        stormy.run("storm", *arguments, "sampler.concurrent_requests=64")
        stats = server.stats()
    assert_same(bench.folder / "storm", data(bench.folder / "calm"))
    storm = stats["storm"]
    assert storm["in_flight"] > 0
    assert stats["faults"]["429"] > 0
    assert storm["requests"] <= storm["delivered"] + 1.5 * 6 / 5 * storm["in_flight"]
    assert stats["retry_after_violations"] == 0
    assert stats["paid_twice"] == 0
    assert stats["delivered"] == len(exported(bench, "storm"))


def test_an_outage_costs_no_sample_and_no_step(bench: Bench) -> None:
    with simulated(bench.prompts, slots=64, tokens_per_second=1000, outage="0.4:5") as server:
        out = bench._replace(server=server)
        process = out.start("outage", "data.limit=80", "sampling.speculate=0", "sampler.concurrent_requests=64")
        ended = process.end().ends_with(0)
        stats = server.stats()
    assert stats["aborted"] > 0, "it came in the middle"
    few = {f"q{number}" for number in range(80, 500)}
    some_of(data(bench.folder / "clean"), data(bench.folder / "outage"), few)
    assert stats["paid_twice"] == 0
    assert stats["delivered"] == len(exported(bench, "outage"))
    assert "incomplete" not in ended.out


# Kills

IN_FLIGHT = 48


def test_a_kill_costs_at_most_what_was_in_flight(bench: Bench) -> None:
    said = said_by_the_model(bench)
    with simulated(bench.prompts, tokens_per_second=300) as server:
        slow = bench._replace(server=server)
        arguments = ["data.limit=300", "sampling.speculate=0", f"sampler.concurrent_requests={IN_FLIGHT}"]
        process = slow.start("killed", *arguments)
        assert until(lambda: server.stats()["delivered"] >= 100, process)
        early, sent = delivered(server), server.stats()["requests"]
        # So many further requests have followed replies that came later: what came by then has been read.
        assert until(lambda: server.stats()["requests"] >= sent + 2 * IN_FLIGHT, process)
        time.sleep(1)
        assert not process.over
        process.kill()
        until_quiet(server)
        late = delivered(server)
        stored = {(said.label(row["prompt_id"]), row["seed"]) for row in exported(bench, "killed")}
        assert len(late) > len(early) >= 100
        assert early <= stored <= late
        assert len(late) - len(stored) <= IN_FLIGHT
        slow.run("killed", *arguments)
        assert server.stats()["paid_twice"] <= len(late) - len(stored)
    some_of(data(bench.folder / "clean"), data(bench.folder / "killed"), {f"q{number}" for number in range(300, 500)})


def delivered(server: Server) -> set[tuple[str, int]]:
    """Prompt and seed of all that the server has delivered."""
    found = server.stats(deliveries=True)["deliveries"]
    return {(label, int(seed)) for label, seeds in found.items() for seed in seeds}


def until_quiet(server: Server) -> None:
    """The server has noticed that its client is gone."""
    while server.stats()["requests_in_flight"]:
        time.sleep(0.02)


# Requests that hang


def test_what_hangs_is_named_and_the_next_run_takes_up_only_that(bench: Bench) -> None:
    said = said_by_the_model(bench)
    with simulated(bench.prompts, faults="hang=0.01,hang*=0.01") as server:
        hangs = bench._replace(server=server)
        process = hangs.start("hangs", "data.limit=300", "sampling.speculate=0", "sampler.timeout=1")
        ended = process.end().ends_with(3)
        assert server.stats()["faults"]["hang"] > 6
    count, total, why, first = named(ended)
    assert (0 < count < 6, total, why) == (True, 300, f"request failed {count}")
    clean, rest = data(bench.folder / "clean"), {f"q{number}" for number in range(300, 500)}
    assert len(first) == count
    some_of(clean, data(bench.folder / "hangs"), rest | set(first))
    with simulated(bench.prompts) as mended:
        bench._replace(server=mended).run("hangs", "data.limit=300", "sampling.speculate=0")
        assert {label for label, _ in delivered(mended)} == {said.label(prompt) for prompt in first}
    some_of(clean, data(bench.folder / "hangs"), rest)


def test_nobody_waits_for_what_hangs(bench: Bench) -> None:
    """No request is given up here; still everything else comes to its end."""
    hanging = {3, 20, 33}
    tags = lambda number: "[p=1]" + "[faults=hang*]" * (number in hanging)  # noqa: E731
    prompts = write_questions(bench.folder / "others.jsonl", 40, tags)
    with simulated(prompts) as server:
        others = Bench(server, prompts, bench.folder)
        arguments = ["stop_grace=0", "sampling.speculate=0", "sampler.concurrent_requests=8"]
        process = others.start("others", *arguments)
        assert until(lambda: server.stats()["delivered"] == 37, process)
        assert until(lambda: len(exported(others, "others")) == 37, process)
        assert server.stats()["requests_in_flight"] == 3
        ended = process.send(signal.SIGTERM).ends_with(143)
    assert named(ended) == (3, 40, "not sampled 3, interrupted", ["q3", "q20", "q33"])


# The end


@pytest.mark.parametrize(
    ("flags", "settings", "code", "why"),
    [
        (["--faults=hang*=0.05"], ["sampler.timeout=0.5"], 3, "request failed"),
        (["--faults=500*=0.05"], ["sampler.max_retries=0"], 3, "request failed"),
        ([], ["budget.requests=50"], 3, "the budget is spent"),
        ([], ["verifier.type=own.py:fails", "guards=null"], 3, "verifier failed"),
        ([], ["verifier.type=own.py:fails", "guards.window=20"], 4, "verifier failed"),
        (["--faults=401=0.05"], [], 2, "not sampled"),
        (["--outage=0.3:60", "--tokens-per-second=300"], ["sampler.max_outage=1"], 3, "not sampled"),
    ],
)
def test_what_is_owed_is_said_last_and_never_ends_with_0(
    bench: Bench, tmp_path: Path, flags: list[str], settings: list[str], code: int, why: str
) -> None:
    (tmp_path / "own.py").write_text("def fails(response):\n    raise ValueError('it could not say')\n")
    with simulated(bench.prompts, *flags) as server:
        here = Bench(server, bench.prompts, tmp_path)
        ended = here.start("run", "data.limit=80", "sampling.speculate=0", *settings).end().ends_with(code)
    count, total, said, first = named(ended)
    assert 0 < count <= 80 == total
    assert why in said
    assert len(first) == count or 5 <= len(first) < count


# Keys

ENVIRONMENT, CONFIG, HEADER = "sk-environment-5f0c9d17", "sk-config-8e41b7a2", "hdr-secret-c3d92f60"


class Quoting(http.server.BaseHTTPRequestHandler):
    """A server that quotes the request's headers in whatever it refuses: once in each way, then always in the last."""

    protocol_version = "HTTP/1.1"
    statuses = (200, 400, 500, 0, 429, 403)
    asked = 0

    def do_GET(self) -> None:
        self._say(200, {"data": []})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        kind = type(self)
        status = kind.statuses[min(kind.asked, len(kind.statuses) - 1)]
        kind.asked += 1
        quoted = f"wrong: {dict(self.headers)} {self.headers['Authorization']}"
        good = {"choices": [{"message": {"content": "The answer is A."}, "finish_reason": "stop"}]}
        self._say(status or 200, good if status == 200 else {"error": {"message": quoted, "code": quoted}})

    def _say(self, status: int, body: dict[str, Any]) -> None:
        written = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def quoting(*statuses: int) -> Iterator[str]:
    """Its address."""
    handler = type("Handler", (Quoting,), {"statuses": statuses})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def test_no_key_is_in_any_file_or_anything_that_is_printed(bench: Bench, tmp_path: Path) -> None:
    """Through a kill, faults, a refused key, a server that quotes it, one that is gone, and a clean end."""
    printed: list[Ended] = []

    def start(url: str, *more: str, key: str | None = None) -> Process:
        """With a key in the environment and a secret header, and with another key in the config where it is given."""
        given = "" if key is None else f"  api_key: {key}\n"
        config = tmp_path / "run.yaml"
        config.write_text(f"sampler:\n  model: any\n  headers:\n    X-Secret: {HEADER}\n{given}")
        where = [f"data.input_path={bench.prompts}", "data.limit=60", "work_dir=run", f"sampler.base_url={url}"]
        return Process(tmp_path, ["run", config, *where, *more], OPENAI_API_KEY=ENVIRONMENT)

    with simulated(bench.prompts, f"--api-key={ENVIRONMENT}", tokens_per_second=200, faults="500=0.05") as server:
        process = start(server.base_url)
        assert until(lambda: server.stats()["delivered"] >= 20, process)
        process.kill()
        printed.append(process.end())
        look(tmp_path, printed)
        printed.append(start(server.base_url, key=CONFIG).end().ends_with(2))
    few = ["sampler.concurrent_requests=1"]
    with quoting(200, 400, 500, 0, 429, 403) as url:
        printed.append(start(url, "--traceback", *few, key=CONFIG).end().ends_with(2, traceback=True))
    with quoting(0) as url:
        printed.append(start(url, "--give-up", "data.limit=15", "--yes", "sampler.max_retries=0", *few).end())
    printed.append(start(f"http://user:{HEADER}@127.0.0.1:{free_port()}/v1", "--yes", key="").end())
    assert printed[-1].code not in (0, -9)
    with simulated(bench.prompts, f"--api-key={CONFIG}") as server:
        printed.append(start(server.base_url, "--yes", key=CONFIG).end().ends_with(0))
    rows = exported(Bench(server, bench.prompts, tmp_path), "run")
    assert {"ok", "refused", "failed"} <= {row["outcome"] for row in rows}
    assert not any(secret in str(rows) for secret in (ENVIRONMENT, CONFIG, HEADER))
    look(tmp_path, printed)


def look(folder: Path, printed: list[Ended]) -> None:
    """No key in what was printed, nor in any byte of any file of the run directory."""
    for secret in (ENVIRONMENT, CONFIG, HEADER):
        for ended in printed:
            assert secret not in ended.out + ended.err
        files = [path for path in (folder / "run").rglob("*") if path.is_file()]
        assert any(path.suffix == ".sqlite" for path in files)
        for path in files:
            assert secret.encode() not in path.read_bytes(), path
