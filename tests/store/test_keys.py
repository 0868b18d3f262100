"""Keys of answers: computed once, kept, and made again where they are lost."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from commands import read_rows, write_rows
from rsr import alike
from rsr.store.keys import NAME, Keys
from rsr.types import Outcome, Rollout

REPLIES = ["The answer is B.", "the answer is **b**!", "It is B: the answer is B.", "I say C."]


def rollout(text: str, outcome: Outcome = Outcome.OK) -> Rollout:
    return Rollout(index=0, outcome=outcome, answer_key=alike.answer_key(text), response=text)


class Texts:
    """Gives texts back, and counts how often it was asked."""

    def __init__(self, texts: dict[int, str]) -> None:
        self.texts, self.asked = texts, 0

    def __call__(self, rollouts: list[Rollout]) -> None:
        self.asked += len(rollouts)
        for one in rollouts:
            one.response = self.texts[one.answer_key]


def stored(texts: list[str]) -> tuple[list[Rollout], Texts]:
    rollouts = [rollout(text) for text in texts]
    known = Texts({one.answer_key: one.response for one in rollouts})
    for one in rollouts:
        one.forget_text()
    return rollouts, known


def test_a_key_is_computed_once_and_texts_are_let_go_of(tmp_path: Path) -> None:
    keys = Keys(tmp_path, ["normalized"])
    for asked in (3, 0):
        rollouts, texts = stored(["a", "B.", "b"])
        keys.fill(rollouts, texts)
        assert texts.asked == asked
        found = [one.keys["normalized"] for one in rollouts if one.keys]
        assert found == [alike.normalized_key(text) for text in ("a", "b", "b")]
        assert all(one.response == "" for one in rollouts)
    keys.close()


def test_what_is_not_valid_has_none(tmp_path: Path) -> None:
    keys = Keys(tmp_path, ["normalized"])
    cut = rollout("x", Outcome.TRUNCATED)
    keys.attach([cut])
    keys.fill([cut], Texts({}))
    assert cut.keys is None
    keys.close()


def test_another_version_is_computed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(tmp_path, ["normalized"])
    keys.fill(*stored(["a"]))
    keys.close()
    monkeypatch.setitem(alike.KEY_FUNCTIONS, "normalized", alike.KeyFunction("normalized/2", len))  # type: ignore[arg-type]
    keys = Keys(tmp_path, ["normalized"])
    rollouts, texts = stored(["a"])
    keys.fill(rollouts, texts)
    assert (texts.asked, rollouts[0].keys) == (1, {"normalized": 1})
    keys.close()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_damaged_file_costs_only_time(tmp_path: Path, readonly: bool) -> None:
    (tmp_path / NAME).write_bytes(b"not a database, but long enough to look like one" * 100)
    keys = Keys(tmp_path, ["normalized"], readonly)
    rollouts, texts = stored(["a"])
    keys.fill(rollouts, texts)
    assert (texts.asked, rollouts[0].keys) == (1, {"normalized": alike.normalized_key("a")})
    keys.close()


def test_a_reader_writes_nothing(tmp_path: Path) -> None:
    keys = Keys(tmp_path, ["normalized"], readonly=True)
    rollouts, texts = stored(["a"])
    keys.fill(rollouts, texts)
    keys.close()
    assert rollouts[0].keys is not None
    assert list(tmp_path.iterdir()) == []


def test_a_signature_tells_how_much_two_texts_share() -> None:
    pytest.importorskip("rensa")
    one = " ".join(f"In step {n} we look at number {n * 37 % 101} and at its square." for n in range(12))
    other = one.replace("number", "figure")
    assert alike.signature(one) == alike.signature(one.upper())
    assert abs(alike.estimate(alike.signature(one), alike.signature(other)) - alike.similarity(one, other)) < 0.12
    assert alike.estimate(alike.signature(one), alike.signature("Something else altogether, short.")) < 0.2


def test_similarity_is_the_share_of_pieces_in_common() -> None:
    assert alike.similarity("The answer is B.", "the ANSWER is: b") == 1
    assert alike.similarity("abcdef", "uvwxyz") == 0
    assert alike.similarity("abcdef", "abcdeg") == pytest.approx(1 / 3)
    assert alike.similarity("", "x") == 0
    assert alike.normalized("-5 − **2**\n= x_1") == "-5 − 2 = x1"


def test_a_run_goes_on_with_keys_that_are_lost(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [{"id": "q", "prompt": "Which?\n\nA: X\nB: Y", "answer": "B"}])
    ended = command(
        "run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted", f"sampler.replies={REPLIES}",
        "formatter=[{type: multi_sft, num_responses: 2, unique_by: normalized}]",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert read_rows(folder / "run/train/multi_sft.jsonl")[0]["responses"] == [REPLIES[0], REPLIES[2]]
    before = (folder / "run/train/multi_sft.jsonl").read_bytes()
    kept = sqlite3.connect(folder / "run/rollouts" / NAME)
    assert kept.execute("SELECT count(*), min(function) FROM keys").fetchone() == (3, "normalized/1")
    kept.close()
    (folder / "run/rollouts" / NAME).unlink()
    assert command("status", "run").code == 0
    assert command("format", "run").code == 0
    assert (folder / "run/train/multi_sft.jsonl").read_bytes() == before
