"""What ends a run before its input does: guards, budgets, a full disk; and that nothing which was received is lost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import rsr
from commands import Ended, question, read_rows, write_rows
from rsr.errors import GuardTripped, RequestFailed, SamplerDown, StoreError, StoreFull
from rsr.formatters.sft import SFT
from rsr.store.rollouts import RolloutStore
from rsr.types import Completion, SampleRequest

PROMPTS = [{"id": f"p{n}", "messages": [{"role": "user", "content": f"Question {n}?"}]} for n in range(60)]


class Answers:
    """Replies that are a function of the request."""

    max_in_flight = None

    def __init__(self, reply: Callable[[SampleRequest, int], Completion], choices: int | None = 1) -> None:
        self.reply, self.max_choices = reply, choices
        self.asked: list[tuple[str, int]] = []

    def identity(self) -> dict[str, Any]:
        return {"made_for": "tests"}

    async def start(self) -> None:
        pass

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        self.asked += [(request.tag, request.index + j) for j in range(request.n)]
        return [self.reply(request, request.index + j) for j in range(request.n)]

    async def close(self) -> None:
        pass


def third_is_right(request: SampleRequest, index: int) -> Completion:
    word = "right" if (index + int(request.tag[1:])) % 3 == 2 else "wrong"
    return Completion(text=f"{word} {request.tag} {index}", completion_tokens=10, prompt_tokens=5)


def says_right(response: str) -> float:
    return float("right" in response)


def opened(folder: Path) -> rsr.Run:
    return rsr.open(folder, verifier=says_right, formatter=SFT())


def run(folder: Path, sampler: Any, *overrides: str, prompts: Any = None) -> rsr.Run:
    return rsr.run(
        prompts=prompts or PROMPTS,
        work_dir=folder,
        sampler=sampler,
        verifier=says_right,
        formatter=SFT(),
        overrides=["sampling.speculate=0", *overrides],
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "train").iterdir())}


# Guards


def test_a_guard_ends_the_run_with_examples_and_keeps_everything(tmp_path: Path) -> None:
    def cut(request: SampleRequest, index: int) -> Completion:
        return Completion(text=f"cut {request.tag} {index}", finish_reason="length", completion_tokens=16)

    with pytest.raises(
        GuardTripped, match=r"guards\.truncated: .* were cut by max_tokens; raise sampler\.max_tokens"
    ) as end:
        run(tmp_path, Answers(cut), "guards.window=50", "sampler.concurrent_requests=4")
    assert end.value.exit_code == 4
    assert len(end.value.examples) == 3
    assert all("cut p" in example for example in end.value.examples)
    kept = list(opened(tmp_path).rollouts())
    assert 50 <= len(kept) <= 60
    # A setting that was changed lets it go on from there, here to its end.
    made = run(tmp_path, Answers(third_is_right), "guards.truncated=null", "sampler.max_tokens=100")
    assert made.exit_code == 0


def test_a_guard_that_is_off_ends_nothing(tmp_path: Path) -> None:
    def cut(request: SampleRequest, index: int) -> Completion:
        return Completion(text=f"cut {request.tag} {index}", finish_reason="length")

    assert run(tmp_path, Answers(cut), "guards.window=50", "guards=null").exit_code == 1


def test_failed_requests_end_the_run(tmp_path: Path) -> None:
    def fails(request: SampleRequest, index: int) -> Completion:
        raise RequestFailed("the reply is of no use")

    with pytest.raises(GuardTripped, match=r"guards\.failed_requests: 20 of the last 20 requests"):
        run(tmp_path, Answers(fails), "guards.window=20", "sampler.concurrent_requests=1")


def test_the_command_shows_the_reason_with_examples_and_says_last_what_is_owed(
    command: Callable[..., Ended], folder: Path
) -> None:
    rows = [question(f"q{n}") for n in range(100)]
    write_rows(folder / "prompts.jsonl", rows)
    replies = "sampler.replies=[{text: 'I would rather not say.'}]"
    ended = command(
        "run", "sft", "data.input_path=prompts.jsonl", "sampler.type=scripted", replies, "work_dir=run",
        "guards.window=50", "sampler.concurrent_requests=8",
    )  # fmt: skip
    assert ended.code == 4
    assert [line for line in ended.err.splitlines() if line.startswith("warning: for example q")]
    assert "rsr: guards.no_answer: " in ended.err
    assert ended.out.splitlines()[-1].startswith("incomplete: ")


# Budgets


@pytest.mark.parametrize(
    "budget",
    ["budget.requests=20", "budget.tokens=300", "budget.usd=0.0003"],
)
def test_a_budget_ends_the_run_with_valid_files_and_a_larger_one_goes_on(tmp_path: Path, budget: str) -> None:
    whole = Answers(third_is_right)
    assert run(tmp_path / "whole", whole).exit_code == 0
    prices = "sampler.prices={prompt: 1, completion: 1}"
    first = Answers(third_is_right)
    ended = run(tmp_path / "run", first, budget, prices, "sampler.concurrent_requests=4")
    assert ended.exit_code == 3
    assert 15 <= len(first.asked) <= 20
    some = files(tmp_path / "run")["sft.jsonl"].splitlines()
    everything = files(tmp_path / "whole")["sft.jsonl"].splitlines()
    assert 0 < len(some) < len(everything)
    assert set(some) <= set(everything)
    again = Answers(third_is_right)
    key, _, amount = budget.partition("=")
    assert run(tmp_path / "run", again, f"{key}={float(amount) * 1000:g}", prices).exit_code == 0
    assert files(tmp_path / "run") == files(tmp_path / "whole")
    assert not set(first.asked) & set(again.asked)


def test_a_budget_counts_what_earlier_starts_have_spent(tmp_path: Path) -> None:
    assert run(tmp_path, Answers(third_is_right), "budget.requests=20").exit_code == 3
    again = Answers(third_is_right)
    assert run(tmp_path, again, "budget.requests=20").exit_code == 3
    assert again.asked == []


def test_a_budget_that_is_just_enough_is_no_end(tmp_path: Path) -> None:
    whole = Answers(third_is_right)
    run(tmp_path / "whole", whole)
    assert run(tmp_path / "run", Answers(third_is_right), f"budget.requests={len(whole.asked)}").exit_code == 0


# The server


def test_a_server_that_stays_away_ends_the_run_with_what_is_missing_left_open(tmp_path: Path) -> None:
    def leaves(request: SampleRequest, index: int) -> Completion:
        if int(request.tag[1:]) > 30:
            raise SamplerDown("nothing has answered for 3600 s")
        return third_is_right(request, index)

    with pytest.raises(SamplerDown) as end:
        run(tmp_path, Answers(leaves))
    assert end.value.exit_code == 3
    assert run(tmp_path, Answers(third_is_right)).exit_code == 0


# The disk


class Disk:
    """Full after so many calls of `add`, for so many more of them; where `reserve` is set, they still find room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int, calls: int, reserve: bool = False) -> None:
        self.calls, self.after, self.until, self.reserve = 0, after, after + calls, reserve
        self.full = False
        self.looks = 0
        add = RolloutStore.add

        def limited(store: RolloutStore, rollouts: Any) -> None:
            self.calls += 1
            if self.after <= self.calls < self.until:
                self.full = True
                if not self.reserve:
                    raise StoreFull("rollouts: the disk is full; 64 MB are needed")
            add(store, rollouts)

        monkeypatch.setattr(RolloutStore, "add", limited)
        monkeypatch.setattr(RolloutStore, "short_of_room", property(lambda store: "full; 64 MB" if self.full else None))
        monkeypatch.setattr(RolloutStore, "regain", lambda store: self.regain())
        monkeypatch.setattr("rsr.commits._LOOK", 0.01)

    def regain(self) -> bool:
        self.looks += 1
        if self.calls >= self.until or self.looks > 5:
            self.full = False
        return not self.full


@pytest.mark.parametrize("reserve", [False, True])
def test_a_full_disk_is_waited_for_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserve: bool
) -> None:
    assert run(tmp_path / "whole", Answers(third_is_right)).exit_code == 0
    disk = Disk(monkeypatch, after=3, calls=4, reserve=reserve)
    sampler = Answers(third_is_right)
    assert run(tmp_path / "run", sampler, "sampler.concurrent_requests=7").exit_code == 0
    assert disk.looks > 0
    assert len(sampler.asked) == len(set(sampler.asked))
    assert files(tmp_path / "run") == files(tmp_path / "whole")


def test_a_disk_that_stays_full_ends_the_run_and_what_the_reserve_took_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        disk = Disk(patched, after=3, calls=1, reserve=True)
        disk.looks = -(10**9)
        disk.until = 10**9
        sampler = Answers(third_is_right)
        with pytest.raises(StoreError, match="nothing that was received is lost") as end:
            run(tmp_path, sampler, "sampler.concurrent_requests=7", "store.wait_for_room=0.05")
        assert end.value.exit_code == 1
    stored = {(row["prompt_id"], row["index"]) for row in opened(tmp_path).rollouts()}
    assert stored == set(sampler.asked)


def test_what_can_not_be_stored_to_the_end_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, after=3, calls=10**9)
    disk.looks = -(10**9)
    with pytest.raises(StoreError, match=r"\d+ completions could not be stored"):
        run(tmp_path, Answers(third_is_right), "sampler.concurrent_requests=7", "store.wait_for_room=0.05")


def test_a_full_disk_that_also_keeps_the_files_from_being_written_says_what_is_owed(
    command: Callable[..., Ended], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(folder / "prompts.jsonl", [question(f"q{n}") for n in range(30)])
    arguments = ["run", "sft", "data.input_path=prompts.jsonl", "sampler.type=scripted", "work_dir=run"]
    arguments += ["sampler.replies=['The answer is B.']", "sampler.concurrent_requests=4"]
    with monkeypatch.context() as patched:
        disk = Disk(patched, after=3, calls=10**9)
        disk.looks = -(10**9)

        def full(*_: Any) -> None:
            raise StoreFull("train: can't be written: No space left on device")

        patched.setattr("rsr.session.write_files", full)
        ended = command(*arguments, "store.wait_for_room=0.05")
    assert ended.code == 1
    assert "could not be stored" in ended.err
    assert ended.out.splitlines()[-1].startswith("incomplete: ")
    assert command(*arguments).code == 0
    assert len(read_rows(folder / "run/train/sft.jsonl")) == 30
