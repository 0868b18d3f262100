"""The engine with samplers and formatters made for one purpose each: it always ends, and says why."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import rsr
from rsr.errors import PluginError, RequestFailed, RSRError, SamplerStopped
from rsr.formatters.dpo import DPO
from rsr.formatters.sft import SFT
from rsr.types import Completion, SampleRequest

PROMPTS = [{"id": f"p{n}", "messages": [{"role": "user", "content": f"Question {n}?"}]} for n in range(30)]


class Answers:
    """A sampler whose replies, delays and errors are a function of the request."""

    def __init__(self, reply: Callable[[SampleRequest, int], str], delay: float = 0.0, choices: int | None = 1) -> None:
        self.reply, self.delay, self.max_choices = reply, delay, choices
        self.max_in_flight = None
        self.calls: list[tuple[str, int]] = []
        self.now = self.most = self.cancelled = 0

    def identity(self) -> dict[str, Any]:
        return {"made_for": "tests"}

    async def start(self) -> None:
        pass

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        self.calls += [(request.tag, request.index + choice) for choice in range(request.n)]
        self.now += request.n
        self.most = max(self.most, self.now)
        try:
            if self.delay:
                # What is far beyond the stop takes long: it is still on its way when it is no longer wanted.
                await asyncio.sleep(self.delay * (50 if request.index > 6 else 1))
            return [Completion(text=self.reply(request, request.index + j)) for j in range(request.n)]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= request.n

    async def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsr.engine._ROUND_PAUSES", (0.01, 0.02))


def says_right(response: str) -> float:
    return float("right" in response)


def run(tmp_path: Path, sampler: Any, *overrides: str, formatter: Any = None, prompts: Any = None) -> rsr.Run:
    return rsr.run(
        prompts=prompts or PROMPTS,
        work_dir=tmp_path / "run",
        sampler=sampler,
        verifier=says_right,
        formatter=formatter or SFT(),
        overrides=overrides,
    )


def right_at(index: int) -> Callable[[SampleRequest, int], str]:
    return lambda request, at: f"right {request.tag} {at}" if at >= index else f"wrong {request.tag} {at}"


@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_requests_that_are_cancelled_before_they_began_free_their_slots(tmp_path: Path, delay: float) -> None:
    sampler = Answers(right_at(2), delay)
    made = run(tmp_path, sampler, "sampling.speculate=1", "sampler.concurrent_requests=200")
    assert made.exit_code == 0
    assert made.stats()["prompts"]["satisfied"] == len(PROMPTS)
    assert sampler.now == 0
    if delay:
        assert sampler.cancelled > 0


def test_no_more_completions_are_in_flight_than_slots(tmp_path: Path) -> None:
    sampler = Answers(right_at(3), 0.005, choices=None)
    run(tmp_path, sampler, "sampler.concurrent_requests=7", formatter=[SFT(), DPO()])
    assert 5 <= sampler.most <= 7


def test_one_request_asks_for_as_many_choices_as_are_certainly_wanted(tmp_path: Path) -> None:
    sampler = Answers(right_at(0), choices=None)
    run(tmp_path, sampler, "sampling.speculate=0", formatter=SFT(best_of=4), prompts=PROMPTS[:1])
    assert sampler.calls == [("p0", index) for index in range(4)]


def test_a_sampler_that_raises_leaves_prompts_incomplete_and_the_rest_is_written(tmp_path: Path) -> None:
    def reply(request: SampleRequest, index: int) -> str:
        if request.tag == "p3":
            raise KeyError("oops")
        return "right"

    made = run(tmp_path, Answers(reply))
    assert made.exit_code == 3
    assert made.stats()["incomplete_reasons"] == {"request_failed": 1}
    assert len(list(made.rows("sft"))) == len(PROMPTS) - 1


def test_a_request_that_fails_for_a_while_is_taken_up_again_at_the_end(tmp_path: Path) -> None:
    failures = {"p1": 1, "p2": 2}

    def reply(request: SampleRequest, index: int) -> str:
        if failures.get(request.tag, 0) > 0:
            failures[request.tag] -= 1
            raise RequestFailed("not now")
        return "right"

    made = run(tmp_path, Answers(reply))
    assert made.exit_code == 0


def test_a_formatter_that_raises_ends_the_run_and_names_the_error(tmp_path: Path) -> None:
    class Broken(SFT):
        def needs(self, rollouts: Any) -> int:
            return 1 if not rollouts else 1 // 0

    with pytest.raises(RSRError, match="ZeroDivisionError"):
        run(tmp_path, Answers(right_at(0)), formatter=Broken())


def test_a_sampler_that_stops_ends_the_run_and_keeps_what_came(tmp_path: Path) -> None:
    def reply(request: SampleRequest, index: int) -> str:
        if request.tag == "p20":
            raise SamplerStopped("the key was revoked")
        return "right"

    with pytest.raises(SamplerStopped, match="revoked"):
        run(tmp_path, Answers(reply), "sampler.concurrent_requests=1")
    kept = rsr.open(tmp_path / "run")
    assert len(list(kept.rows("sft"))) == 20


def test_verification_overlaps_sampling_and_a_slow_verifier_bounds_what_is_open(tmp_path: Path) -> None:
    release = threading.Event()
    judged: list[str] = []

    def slow(response: str) -> float:
        release.wait(5)
        judged.append(response)
        return 1.0

    prompts = [{"messages": [{"role": "user", "content": f"Question {n}?"}]} for n in range(200)]
    sampler = Answers(lambda request, index: "right")

    def watch() -> None:
        deadline = time.monotonic() + 5
        while len(sampler.calls) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        open_at_most = len(sampler.calls)
        release.set()
        assert open_at_most == 20

    watcher = threading.Thread(target=watch)
    watcher.start()
    made = rsr.run(
        prompts=prompts,
        work_dir=tmp_path / "run",
        sampler=sampler,
        verifier=slow,
        formatter=SFT(),
        overrides=["sampler.concurrent_requests=4"],
    )
    watcher.join()
    assert made.exit_code == 0
    assert len(judged) == 200


def test_a_verifier_that_raises_is_no_wrong_answer(tmp_path: Path) -> None:
    def sometimes(response: str) -> float:
        if "p5 0" in response:
            raise ValueError("can't read this")
        return float("right" in response)

    made = rsr.run(
        prompts=PROMPTS,
        work_dir=tmp_path / "run",
        sampler=Answers(right_at(1)),
        verifier=sometimes,
        formatter=[SFT(), DPO()],
    )
    assert made.exit_code == 3
    assert made.stats()["incomplete_reasons"] == {"verifier_error": 1}
    assert all("p5" not in row["rejected"]["value"] for row in made.rows("dpo"))
    assert len(list(made.rows("dpo"))) == len(PROMPTS) - 1


def test_a_server_that_refuses_the_first_twenty_prompts_is_a_config_error(tmp_path: Path) -> None:
    from rsr.errors import PromptRefused

    def reply(request: SampleRequest, index: int) -> str:
        raise PromptRefused("unknown field")

    with pytest.raises(SamplerStopped, match=r"refused the first 20 prompts, the last with: unknown field"):
        run(tmp_path, Answers(reply), "sampler.concurrent_requests=1")


def test_what_is_no_sampler_is_refused(tmp_path: Path) -> None:
    plugin = tmp_path / "half.py"
    plugin.write_text("class Half:\n    def start(self): ...\n")
    with pytest.raises(PluginError, match="lacks one of"):
        rsr.run(prompts=PROMPTS, work_dir=tmp_path / "run", sampler={"type": f"{plugin}:Half"}, verifier=says_right)


def test_giving_up_makes_a_failure_final_only_after_every_other_try(tmp_path: Path) -> None:
    failures = {"p1": 2, "p2": 10**6}

    def reply(request: SampleRequest, index: int) -> str:
        if request.index == 0 and failures.get(request.tag, 0) > 0:
            failures[request.tag] -= 1
            raise RequestFailed("not now")
        return f"right {index}"

    made = rsr.run(
        prompts=PROMPTS[:4],
        work_dir=tmp_path / "run",
        sampler=Answers(reply),
        verifier=says_right,
        formatter=SFT(),
        options=rsr.Options(give_up=True),
    )
    assert made.exit_code == 0
    outcomes = {(row["prompt_id"], row["index"]): row["outcome"] for row in made.rollouts()}
    assert outcomes[("p1", 0)] == "ok"
    assert outcomes[("p2", 0)] == "failed"
    assert outcomes[("p2", 1)] == "ok"


def test_rows_given_in_memory_get_a_run_directory_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = [
        rsr.run(prompts=rows, sampler=Answers(right_at(0)), verifier=says_right, formatter=SFT())
        for rows in (PROMPTS[:2], PROMPTS[2:5], PROMPTS[:2])
    ]
    assert made[0].path != made[1].path
    assert made[0].path == made[2].path


@pytest.mark.parametrize("slots", [1, 128])
def test_refusals_of_a_server_that_has_answered_nothing_are_not_kept(tmp_path: Path, slots: int) -> None:
    from rsr.errors import PromptRefused

    broken = {"yes": True}

    def reply(request: SampleRequest, index: int) -> str:
        if broken["yes"]:
            raise PromptRefused("context of 0 tokens")
        return "right"

    sampler = Answers(reply)
    with pytest.raises(SamplerStopped):
        run(tmp_path, sampler, f"sampler.concurrent_requests={slots}")
    broken["yes"] = False
    made = run(tmp_path, sampler, f"sampler.concurrent_requests={slots}")
    assert made.exit_code == 0
    assert len(list(made.rows("sft"))) == len(PROMPTS)


def test_a_few_prompts_that_are_all_refused_are_refused(tmp_path: Path) -> None:
    from rsr.errors import PromptRefused

    def reply(request: SampleRequest, index: int) -> str:
        raise PromptRefused("against the policy")

    made = run(tmp_path, Answers(reply), prompts=PROMPTS[:3])
    assert made.exit_code == 1
    assert made.stats()["prompts"]["refused"] == 3


def test_a_run_that_has_failed_does_not_wait_for_ever_for_what_hangs(tmp_path: Path) -> None:
    class Hangs(Answers):
        async def sample(self, request: SampleRequest) -> Sequence[Completion]:
            if request.tag != "p1":
                await asyncio.sleep(3600)
            raise SamplerStopped("the key was revoked")

    began = time.monotonic()
    with pytest.raises(SamplerStopped, match="revoked"):
        run(tmp_path, Hangs(right_at(0)), "stop_grace=0.2")
    assert time.monotonic() - began < 30


def test_a_request_that_waits_for_its_retry_after_leaves_its_slot_to_others(tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(404, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body["messages"][-1]["content"])
            if asked == ["Question 0?"]:
                self.answer(429, {}, {"Retry-After": "2"})
            else:
                message = {"role": "assistant", "content": "right"}
                self.answer(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

        def answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        sampler = {"base_url": url, "model": "m", "concurrent_requests": 1}
        made = run(tmp_path, sampler, "sampling.step_size=1", prompts=PROMPTS[:12])
        server.shutdown()
    assert made.exit_code == 0
    assert asked[0] == asked[-1] == "Question 0?" and len(asked) == 13
