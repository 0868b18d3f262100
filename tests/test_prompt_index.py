"""The index of the input: when the pass is made, what a failed pass leaves, its memory, the verdict keys in it."""

import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from commands import question, write_rows
from prompt_index import accepts_all, indexed, stored
from rsr.errors import InputError, RunDirError
from rsr.prompts import Change, Prompts, index
from rsr.sections import DataConfig
from rsr.types import Prompt
from rsr.verifiers.check import Check
from rsr.verifiers.pool import shared_pool
from rsr.verifiers.verification import Verification

# When the pass is made


def counted(calls: list[str]) -> Any:
    def check(prompt: Prompt) -> str | None:
        calls.append(prompt.id)
        return None

    return check


def test_unchanged_input_is_not_read_again(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("a"), question("b"), question("b")])
    data, target, calls = DataConfig(input_path=str(path), on_error="skip"), tmp_path / "prompts.sqlite", list[str]()
    first = index(data, 0, target, counted(calls))
    assert first == Change(total=2, skipped=1)
    assert index(data, 0, target, counted(calls)) == first
    assert calls == ["a", "b", "b"]


@pytest.mark.parametrize("what", ["size", "time", "fields", "limit", "check_key", "transform", "shuffle"])
def test_the_pass_is_made_again_when_anything_that_it_depends_on_changed(what: str, folder: Path) -> None:
    target, calls = folder / "prompts.sqlite", list[str]()
    path = write_rows(folder / "in.jsonl", [question(str(number)) for number in range(4)])
    (folder / "transform.py").write_text("def same(row):\n    return row\n")
    data: dict[str, Any] = {"input_path": str(path), "preprocess": {"transform": "./transform.py:same"}}
    index(DataConfig.model_validate(data), 0, target, counted(calls), "key")
    calls.clear()
    if what == "size":
        with path.open("a") as file:
            file.write("\n")
    if what == "time":
        os.utime(path, ns=(1, 1))
    if what == "transform":
        with (folder / "transform.py").open("a") as file:
            file.write("# edited\n")
    data |= {"fields": {"id": "id", "answer": "solution"}} if what == "fields" else {}
    data |= {"limit": 2} if what == "limit" else {}
    data |= {"shuffle": True} if what == "shuffle" else {}
    index(DataConfig.model_validate(data), 0, target, counted(calls), "other" if what == "check_key" else "key")
    assert calls


def test_what_changed_is_counted(tmp_path: Path) -> None:
    target = tmp_path / "prompts.sqlite"
    index(DataConfig(), 0, target, accepts_all, rows=[question(id) for id in "abcd"])
    edited = question("b") | {"messages": [{"role": "user", "content": "Else?"}]}
    rows = [question("a", answer="C"), edited, question("c"), question("e"), question("f")]
    change = index(DataConfig(), 0, target, accepts_all, rows=rows)
    assert change == Change(total=5, added=2, removed=1, edited=1)
    assert change.share == 2 / 5


def test_a_change_that_is_not_accepted_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    def refuse(change: Change) -> None:
        raise RunDirError(f"{change.added} added")

    target = tmp_path / "prompts.sqlite"
    index(DataConfig(), 0, target, accepts_all, rows=[question("a")])
    with pytest.raises(RunDirError, match="1 added"):
        index(DataConfig(), 0, target, accepts_all, rows=[question("a"), question("b")], accept=refuse)
    assert [prompt.id for prompt in stored(tmp_path)] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompts.sqlite"]


def test_a_pass_that_fails_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    index(DataConfig(), 0, tmp_path / "prompts.sqlite", accepts_all, rows=[question("a")])
    with pytest.raises(InputError):
        indexed(tmp_path, rows=[question("b"), {"id": "broken"}])
    assert [prompt.id for prompt in stored(tmp_path)] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompts.sqlite"]


def hanging_rows(count: int, started: Path) -> Iterable[Mapping[str, Any]]:
    for number in range(count):
        yield question(str(number))
    started.touch()
    time.sleep(60)


def killed_pass(target: Path, started: Path) -> None:
    index(DataConfig(), 0, target, accepts_all, rows=hanging_rows(2000, started))


def test_a_pass_that_is_killed_leaves_the_index_as_it_was_and_the_next_one_succeeds(tmp_path: Path) -> None:
    target, started = tmp_path / "prompts.sqlite", tmp_path / "started"
    index(DataConfig(), 0, target, accepts_all, rows=[question("a")])
    child = multiprocessing.get_context("spawn").Process(target=killed_pass, args=(target, started))
    child.start()
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert (tmp_path / "prompts.sqlite.new").exists()
    assert [prompt.id for prompt in stored(tmp_path)] == ["a"]
    assert [prompt.id for prompt in indexed(tmp_path, rows=[question("b")])] == ["b"]
    assert not (tmp_path / "prompts.sqlite.new").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"SQLite format 3\0" + bytes(4000)])
def test_an_index_that_can_not_be_opened_is_made_again(tmp_path: Path, content: bytes) -> None:
    path = write_rows(tmp_path / "prompts.jsonl", [question("a"), question("b")])
    before = indexed(tmp_path, input_path=str(path))
    (tmp_path / "prompts.sqlite").write_bytes(content)
    assert indexed(tmp_path, input_path=str(path)) == before


# Memory


def peak(target: Path, path: Path, result: Path) -> None:
    index(DataConfig(input_path=str(path), shuffle=True), 0, target, accepts_all)
    prompts = Prompts(target)
    assert sum(len(page) for page in prompts.pages()) == len(prompts)
    result.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


@pytest.mark.slow
def test_200_000_rows_take_no_more_memory_than_2_000(tmp_path: Path) -> None:
    megabytes = []
    for count in (2_000, 200_000):
        path, result = tmp_path / f"{count}.jsonl", tmp_path / f"{count}.txt"
        with path.open("w") as file:
            for number in range(count):
                file.write(json.dumps(question(f"a-longer-id-{number}", filler="x" * 200)) + "\n")
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=peak, args=(tmp_path / f"{count}.sqlite", path, result))
        child.start()
        child.join()
        megabytes.append(int(result.read_text()))
    assert megabytes[1] - megabytes[0] < 40, megabytes


# Verdict keys beside the prompts


class Keys:
    """Verdict keys that say how often they were made."""

    def __init__(self, signature: str = "1") -> None:
        self.made: list[str] = []
        self.named: list[bytes] = []
        self._signature = signature

    def verdict_key(self, prompt: Prompt) -> int:
        self.made.append(prompt.id)
        return len(prompt.id)

    def signature(self, named: Iterable[bytes]) -> str:
        return self._signature + b"".join(named).decode()


@pytest.mark.parametrize("shuffle", [False, True])
def test_verdict_keys_are_kept_beside_the_prompts(shuffle: bool, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("a" * number) for number in range(1, 9)])
    data, target, keys = DataConfig(input_path=str(path), shuffle=shuffle), tmp_path / "prompts.sqlite", Keys()
    index(data, 0, target, accepts_all, keys=keys)
    index(data, 0, target, accepts_all, keys=keys)
    assert len(keys.made) == 8
    prompts = Prompts(target)
    assert prompts.knows(keys)
    assert not prompts.knows(Keys("2"))
    page = prompts.page(-1, content=False)
    assert [(entry.order, entry.verdict, entry.row) for entry in page] == [
        (order, len(entry.id), None) for order, entry in enumerate(page)
    ]
    whole = [prompt for some in prompts.pages(3) for prompt in some]
    assert [prompts.prompt(entry) for entry in page] == whole
    assert [prompts.prompt(entry) for entry in prompts.page(-1, content=True)] == whole
    assert [entry.order for entry in prompts.page(5, content=False)] == [6, 7]
    prompts.close()


def test_another_verifier_makes_the_keys_again(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("a")])
    data, target, keys = DataConfig(input_path=str(path)), tmp_path / "prompts.sqlite", Keys("2")
    index(data, 0, target, accepts_all, keys=Keys("1"))
    index(data, 0, target, accepts_all, keys=keys)
    assert keys.made == ["a"]


def test_without_keys_the_index_says_that_it_knows_none(tmp_path: Path) -> None:
    index(DataConfig(), 0, tmp_path / "prompts.sqlite", accepts_all, rows=[question("a")])
    prompts = Prompts(tmp_path / "prompts.sqlite")
    assert not prompts.knows(Keys())
    assert [entry.verdict for entry in prompts.page(-1, content=False)] == [None]
    prompts.close()


def test_a_verifier_that_a_row_names_is_part_of_what_the_keys_depend_on(tmp_path: Path) -> None:
    def verification() -> Verification:
        return Verification(Check("mcq-rlvr"), shared_pool())

    rows = [question("a"), question("b", metadata={"answer": "B", "verifier": {"type": "exact"}})]
    path, target = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "prompts.sqlite"
    data, first = DataConfig(input_path=str(path)), verification()
    index(data, 0, target, first.problem, keys=first)
    prompts, fresh = Prompts(target), verification()
    assert prompts.knows(fresh)
    for prompt, entry in zip(next(prompts.pages()), prompts.page(-1, content=False), strict=True):
        assert entry.verdict == fresh.reference(prompt).key
    other = Verification(Check("mcq-rlvr", {"no_answer": "fail"}), shared_pool())
    assert not prompts.knows(other)
    changed = verification()
    changed.signature(changed.named)
    changed._named[b'{"type":"exact"}'] = Check("exact", {"no_answer": "fail"})
    assert not prompts.knows(changed)
    prompts.close()
