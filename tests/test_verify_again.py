"""`rsr verify`: another verifier or a corrected answer; what it changes is said, and a run pays for the rest only."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands import Ended, question, read_rows, write_rows

REPLIES = {
    "a": ["The answer is A.", "The answer is B.", "The answer is C."],
    "b": ["The answer is B.", "The answer is A.", "The answer is C."],
    "c": ["No idea.", "The answer is B.", "The answer is A."],
}
ONLY_A = "def only_a(response, answer):\n    return float('answer is A' in response)\n"


@pytest.fixture
def run(folder: Path, command: Callable[..., Ended]) -> Path:
    """Three prompts with answer B: satisfied at index 1, 0 and 1."""
    write_rows(folder / "in.jsonl", [question(name) for name in REPLIES])
    (folder / "own.py").write_text(ONLY_A)
    config = {
        "sampler": {"type": "scripted", "replies": REPLIES},
        "sampling": {"step_size": 1, "max_steps": 3, "max_rollouts": 3, "speculate": 0},
        "data": {"input_path": "in.jsonl"},
    }
    (folder / "recipe.yaml").write_text(json.dumps(config))
    assert command("run", "recipe.yaml", "work_dir=run").code == 0
    return folder / "run"


def indices(run: Path, command: Callable[..., Ended]) -> set[tuple[str, int]]:
    assert command("export", run, "-o", run.parent / "rollouts.jsonl").code == 0
    return {(row["prompt_id"], row["index"]) for row in read_rows(run.parent / "rollouts.jsonl")}


def test_what_another_verifier_changes_is_said_with_examples(run: Path, command: Callable[..., Ended]) -> None:
    ended = command("verify", run, "verifier.type=own.py:only_a")
    assert ended.code == 3, "c is owed now"
    assert "verdicts   5 made" in ended.out
    assert "flips      pass to fail 3, fail to pass 1, no_answer to fail 1" in ended.out
    assert "fail to pass: a, index 0: 'A' -> nothing, the answer is 'B'" in ended.out
    listed = [(row["was"], row["now"], row["id"], row["index"]) for row in read_rows(run / "summary" / "flips.jsonl")]
    assert sorted(listed) == [
        ("fail", "pass", "a", 0),
        ("no_answer", "fail", "c", 0),
        ("pass", "fail", "a", 1),
        ("pass", "fail", "b", 0),
        ("pass", "fail", "c", 1),
    ]
    assert not list(run.glob("prompts.before*"))


def test_then_a_run_samples_only_where_the_need_changed(run: Path, command: Callable[..., Ended]) -> None:
    before = indices(run, command)
    command("verify", run, "verifier.type=own.py:only_a")
    assert indices(run, command) == before, "verifying samples nothing"
    assert command("run", run).code == 0
    assert indices(run, command) - before == {("b", 1), ("c", 2)}, "a is satisfied by its index 0"
    back = command("verify", run, "verifier.type=mcq-rlvr")
    assert back.code == 0 and "verdicts   2 made" in back.out
    assert "flips      pass to fail 3, fail to pass 3, fail to no_answer 1" in back.out, "those that were there too"
    again = command("verify", run)
    assert "verdicts   0 made" in again.out and "flips" not in again.out


def test_a_corrected_answer_is_judged_again_and_sampled_for_only_where_it_leaves_a_need(
    run: Path, command: Callable[..., Ended]
) -> None:
    before = indices(run, command)
    write_rows(run.parent / "in.jsonl", [question("a", "A"), question("b", "A"), question("c")])
    ended = command("verify", run)
    assert "0 edited, 2 with another answer, which are judged again" in ended.err
    assert "verdicts   3 made" in ended.out
    assert "flips      pass to fail 2, fail to pass 1" in ended.out
    assert command("run", run).code == 0
    assert indices(run, command) - before == {("b", 1)}


def test_a_verify_that_was_cut_short_still_knows_what_was_said_before(
    run: Path, command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any, **__: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("rsr.session.missing_verdicts", cut)
        command("verify", run, "verifier.type=own.py:only_a")
    assert list(run.glob("prompts.before*"))
    ended = command("verify", run)
    assert "flips      pass to fail 3, fail to pass 1, no_answer to fail 1" in ended.out
    assert not list(run.glob("prompts.before*"))
