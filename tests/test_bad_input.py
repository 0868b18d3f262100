"""Bad input: a row or file that can't be used is refused in one line with the fix, or left out and listed."""

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from commands import question, write_rows
from prompt_index import indexed, refusal, skipped
from rsr.errors import InputError
from rsr.prompts import index
from rsr.rows import normalised
from rsr.sections import DataConfig, FieldsConfig
from rsr.verifiers import get
from rsr.verifiers.pool import Pool
from rsr.verifiers.verification import Verification

# Rows


UNUSABLE: list[tuple[Any, str]] = [
    ([1, 2], "a row is a JSON object, this is a list"),
    ("text", "a row is a JSON object, this is a str"),
    ({"id": "a"}, "there are no messages in it"),
    ({"id": "a", "prompt": "  "}, "there are no messages in it"),
    ({"messages": []}, "at least one message"),
    ({"messages": "Which?"}, "at least one message"),
    ({"messages": ["Which?"]}, "messages[0]: must be an object with role and content"),
    ({"messages": [{"role": "human", "content": "Which?"}]}, "messages[0].role: must be one of"),
    ({"messages": [{"content": "Which?"}]}, "messages[0].role: must be one of"),
    ({"messages": [{"role": "user"}]}, "messages[0].content: must be a text"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content: must be a text"),
    ({"messages": [{"role": "user", "content": " "}]}, "the last one is empty"),
    (
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        "the last one must be the user's, is the assistant's",
    ),
    ({"messages": [{"role": "system", "content": "a"}]}, "the last one must be the user's, is the system's"),
    ({"messages": [{"role": "user", "content": "a"}], "metadata": "B"}, "metadata: must be an object, is a str"),
]


@pytest.mark.parametrize(("row", "says"), UNUSABLE)
def test_a_row_that_can_not_be_used_is_refused_with_file_line_and_fix(row: Any, says: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("good"), row])
    problem = refusal(tmp_path, input_path=str(path))
    assert problem.startswith(f"{path}, line 2: ")
    assert says in problem
    assert problem.endswith("correct the row, or set data.on_error=skip to leave such rows out")
    assert not (tmp_path / "prompts.sqlite").exists()


@pytest.mark.parametrize(
    "line", [b'{"id": "a", ', b"{'id': 1}", b'{"a": "\xff\xfe"}', b'{"a": "\\ud800"}', b"[" * 100_000]
)
def test_a_broken_line_is_refused_with_its_number(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(json.dumps(question("a")).encode() + b"\n\n" + line + b"\n")
    assert refusal(tmp_path, input_path=str(path)).startswith(f"{path}, line 3: not JSON (")


def test_skip_lists_what_can_not_be_used_with_line_and_reason(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("a"), {"id": "b"}, question("c")])
    with path.open("a") as file:
        file.write("{broken\n")
    assert [prompt.id for prompt in indexed(tmp_path, input_path=str(path), on_error="skip")] == ["a", "c"]
    (no_messages, broken) = skipped(tmp_path)
    assert (no_messages[0], broken[0]) == (2, 4)
    assert "no messages" in no_messages[1]
    assert "not JSON" in broken[1]


def test_thousands_of_unusable_rows_are_all_listed(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [{"id": number} for number in range(1500)] + [question("a")])
    assert len(indexed(tmp_path, input_path=str(path), on_error="skip")) == 1
    assert [line for line, _ in skipped(tmp_path)] == list(range(1, 1501))


@pytest.mark.parametrize("verifier", ["mcq-rlvr", "math-rlvr", "exact"])
def test_a_missing_answer_is_refused_where_the_verifier_needs_one(verifier: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("a"), question("b", answer=None)])
    data, target = DataConfig(input_path=str(path)), tmp_path / "prompts.sqlite"
    verification = Verification(get(verifier), Pool())
    with pytest.raises(InputError, match=rf"line 2: metadata\.answer: missing; the verifier {verifier} needs one"):
        index(data, 0, target, verification.problem)
    verification.close()


def test_a_row_may_name_its_own_verifier_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    row = question("b", answer="B")
    row["metadata"]["verifier"] = "mcq-rlvvr"
    path = write_rows(tmp_path / "in.jsonl", [row])
    verification = Verification(get("exact"), Pool())
    with pytest.raises(InputError, match=r"line 1: metadata\.verifier.*did you mean 'mcq-rlvr'"):
        index(DataConfig(input_path=str(path)), 0, tmp_path / "prompts.sqlite", verification.problem)
    verification.close()


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("tools", {"name": "f"}, "tools: must be a list, is a dict"),
        ("images", 5, "images: must be a list, is a int"),
        ("messages", [{"role": "user", "content": [1, None]}], "must be a text or a list of parts"),
        ("messages", [{"role": "user", "content": []}], "must be a text or a list of parts"),
    ],
)
def test_columns_of_the_wrong_kind_are_refused(column: str, value: object, problem: str) -> None:
    row = {"messages": [{"role": "user", "content": "?"}], column: value}
    with pytest.raises(ValueError, match=problem):
        normalised(row, FieldsConfig())


# Ids


@pytest.mark.parametrize("id", [1.5, True, ["a"], {}])
def test_other_ids_are_refused(id: Any, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("x") | {"id": id}])
    assert "id: must be a string or a whole number" in refusal(tmp_path, input_path=str(path))


def test_a_duplicate_id_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("a"), question("b"), question("a", answer="A")])
    problem = refusal(tmp_path, input_path=str(path))
    assert problem.startswith(f"{path}, line 3: duplicate id 'a', also on line 1; ")
    assert "data.on_error=skip" in problem


def test_a_number_and_its_text_are_the_same_id(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("1"), question("x") | {"id": 1}])
    assert "duplicate id '1'" in refusal(tmp_path, input_path=str(path))


def test_a_duplicate_id_names_the_file_that_it_stands_in(tmp_path: Path) -> None:
    first = write_rows(tmp_path / "1.jsonl", [question("a"), question("b")])
    second = write_rows(tmp_path / "2.jsonl", [question("c"), question("d"), question("b")])
    problem = refusal(tmp_path, input_path=[str(first), str(second)])
    assert problem.startswith(f"{second}, line 3: duplicate id 'b', also on {first}, line 2; ")


def test_with_skip_the_first_of_equal_ids_is_used_and_the_others_are_listed(tmp_path: Path) -> None:
    first = write_rows(tmp_path / "1.jsonl", [question("a", answer="A"), question("b")])
    second = write_rows(tmp_path / "2.jsonl", [question("c"), question("a"), {"id": "z"}])
    prompts = indexed(tmp_path, input_path=[str(first), str(second)], on_error="skip")
    assert [(prompt.id, prompt.metadata["answer"]) for prompt in prompts] == [("a", "A"), ("b", "B"), ("c", "B")]
    (unusable, duplicate) = skipped(tmp_path)
    assert duplicate == (2, f"{second}: duplicate id 'a', also on {first}, line 1")
    assert unusable[0] == 3
    assert unusable[1].startswith(f"{second}: there are no messages")


# Files


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, input_path="nowhere.jsonl") == "data.input_path: there is no file nowhere.jsonl"


def test_no_file_at_all_says_what_to_give(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith("data.input_path: missing; give the JSONL or Parquet file")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert refusal(tmp_path, input_path=str(tmp_path)).endswith("is a folder; name the files in it")


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_an_empty_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(content)
    assert refusal(tmp_path, input_path=str(tmp_path / "in.jsonl")).endswith("there is no prompt in it")


@pytest.mark.parametrize("damage", ["not gzip", "cut", "flipped"])
def test_a_damaged_gzip_file_is_refused_with_the_line_that_was_reached(damage: str, tmp_path: Path) -> None:
    rows = [question(os.urandom(20).hex()) for _ in range(300)]
    good = gzip.compress(write_rows(tmp_path / "in.jsonl", rows).read_bytes())
    middle = len(good) // 2
    bad = {"not gzip": b"plain", "cut": good[:middle], "flipped": good[:middle] + b"\xff" * 40 + good[middle + 40 :]}
    (tmp_path / "in.jsonl.gz").write_bytes(bad[damage])
    problem = refusal(tmp_path, input_path=str(tmp_path / "in.jsonl.gz"))
    reached = re.match(r"(?:after )?line (\d+): ", problem.removeprefix(f"{tmp_path / 'in.jsonl.gz'}, "))
    assert reached, problem
    assert (int(reached[1]) == 0) is (damage == "not gzip")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_text("no parquet")
    assert "not a readable Parquet file" in refusal(tmp_path, input_path=str(tmp_path / "in.parquet"))
