"""The input: which rows are taken, which are refused and how, in which order they come, and when the pass is made."""

import datetime
import gzip
import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import question, write_rows
from rsr.errors import ConfigError, InputError, PluginError, RunDirError
from rsr.prompts import Change, Prompts, index
from rsr.sections import DataConfig
from rsr.types import Prompt
from rsr.verifiers import get
from rsr.verifiers.check import Check
from rsr.verifiers.pool import Pool, shared_pool
from rsr.verifiers.verification import Verification


def accepts_all(prompt: Prompt) -> str | None:
    return None


def indexed(path: Path, *, seed: int = 0, rows: Any = None, **data: Any) -> list[Prompt]:
    """The prompts of `data`, through a new index at `path`/prompts.sqlite."""
    index(DataConfig.model_validate(data), seed, path / "prompts.sqlite", accepts_all, rows=rows)
    return stored(path)


def stored(path: Path) -> list[Prompt]:
    prompts = Prompts(path / "prompts.sqlite")
    try:
        found = [prompt for page in prompts.pages(3) for prompt in page]
        assert len(found) == len(prompts)
        return found
    finally:
        prompts.close()


def skipped(path: Path) -> list[tuple[int, str]]:
    prompts = Prompts(path / "prompts.sqlite")
    try:
        return list(prompts.skipped())
    finally:
        prompts.close()


def refusal(path: Path, **data: Any) -> str:
    with pytest.raises(InputError) as refused:
        indexed(path, **data)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# Formats


def test_jsonl_rows_come_in_order_with_ids_messages_and_metadata(tmp_path: Path) -> None:
    rows = [question(f"q{number}", answer="A", tools=[{"name": "t"}], images=["i.png"]) for number in range(7)]
    prompts = indexed(tmp_path, input_path=str(write_rows(tmp_path / "in.jsonl", rows)))
    assert [prompt.order for prompt in prompts] == list(range(7))
    assert [prompt.id for prompt in prompts] == [row["id"] for row in rows]
    assert [prompt.messages for prompt in prompts] == [row["messages"] for row in rows]
    assert prompts[0].metadata == {"answer": "A"}
    assert (prompts[0].tools, prompts[0].images) == ([{"name": "t"}], ["i.png"])
    assert len({prompt.key for prompt in prompts}) == 7


def test_a_gzipped_file_gives_the_same_prompts(tmp_path: Path) -> None:
    plain = write_rows(tmp_path / "in.jsonl", [question("a"), question("b")])
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert indexed(tmp_path, input_path=str(packed)) == indexed(tmp_path, input_path=str(plain))


def test_a_parquet_file_gives_the_same_prompts(tmp_path: Path) -> None:
    rows = [question("a"), question("b", answer="A")]
    plain, table = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "in.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    assert indexed(tmp_path, input_path=str(table)) == indexed(tmp_path, input_path=str(plain))


def test_a_byte_order_mark_blank_lines_and_a_missing_last_newline_are_no_matter(tmp_path: Path) -> None:
    lines = [json.dumps(question("a")), "", "   ", json.dumps(question("ä", answer="B"), ensure_ascii=False)]
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert [prompt.id for prompt in indexed(tmp_path, input_path=str(path))] == ["a", "ä"]


def test_a_byte_order_mark_alone_on_the_first_line_is_a_blank_line(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\n" + json.dumps(question("a")).encode())
    assert [prompt.id for prompt in indexed(tmp_path, input_path=str(path))] == ["a"]


def test_several_files_follow_each_other(tmp_path: Path) -> None:
    first = write_rows(tmp_path / "1.jsonl", [question("b"), question("a")])
    second = tmp_path / "2.parquet"
    pq.write_table(pa.Table.from_pylist([question("d"), question("c")]), second)
    assert [prompt.id for prompt in indexed(tmp_path, input_path=[str(first), str(second)])] == ["b", "a", "d", "c"]


def test_rows_in_memory_are_taken_as_they_are(tmp_path: Path) -> None:
    prompts = indexed(tmp_path, rows=[question("a"), {"question": "1 + 1?", "answer": 2}])
    assert [prompt.metadata["answer"] for prompt in prompts] == ["B", 2]


# Columns


@pytest.mark.parametrize("column", ["prompt", "question"])
def test_a_plain_question_with_an_answer_needs_no_mapping(column: str, tmp_path: Path) -> None:
    row = {"id": "a", column: "1 + 1?", "answer": "2", "level": 3}
    (prompt,) = indexed(tmp_path, input_path=str(write_rows(tmp_path / "in.jsonl", [row])))
    assert prompt.messages == [{"role": "user", "content": "1 + 1?"}]
    assert prompt.metadata == {"answer": "2", "level": 3}


def test_data_fields_says_which_column_holds_what(tmp_path: Path) -> None:
    row = {"uid": 7, "problem": "Which?", "solution": "B", "options": ["X", "Y"], "source": "exam"}
    fields = {"id": "uid", "prompt": "problem", "answer": "solution", "choices": "options"}
    (prompt,) = indexed(tmp_path, rows=[row], fields=fields)
    assert (prompt.id, prompt.messages) == ("7", [{"role": "user", "content": "Which?"}])
    assert prompt.metadata == {"answer": "B", "choices": ["X", "Y"], "source": "exam"}


def test_columns_of_messages_and_metadata_may_have_other_names(tmp_path: Path) -> None:
    row = {"chat": [{"role": "user", "content": "Which?"}], "meta": {"answer": "B"}, "messages": "not these"}
    (prompt,) = indexed(tmp_path, rows=[row], fields={"messages": "chat", "metadata": "meta"})
    assert (prompt.messages, prompt.metadata) == ([{"role": "user", "content": "Which?"}], {"answer": "B"})


def test_a_prompt_column_may_hold_messages(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Which?"}]
    (prompt,) = indexed(tmp_path, rows=[{"prompt": messages, "answer": "B"}])
    assert (prompt.messages, prompt.metadata) == (messages, {"answer": "B"})


def test_an_answer_beside_the_messages_counts_where_metadata_has_none(tmp_path: Path) -> None:
    beside = question("a", answer=None) | {"answer": "A", "choices": ["X"]}
    both = question("b", answer="B") | {"answer": "A"}
    first, second = indexed(tmp_path, rows=[beside, both])
    assert first.metadata == {"answer": "A", "choices": ["X"]}
    assert second.metadata == {"answer": "B"}


def test_metadata_is_optional(tmp_path: Path) -> None:
    (prompt,) = indexed(tmp_path, rows=[{"messages": [{"role": "user", "content": "Which?"}], "metadata": None}])
    assert prompt.metadata == {}


def test_parquet_values_that_json_has_not_are_kept_as_text(tmp_path: Path) -> None:
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    table = pa.table({"question": ["1?"], "answer": ["1"], "when": [moment], "none": [None]})
    pq.write_table(table, tmp_path / "in.parquet")
    (prompt,) = indexed(tmp_path, input_path=str(tmp_path / "in.parquet"))
    assert prompt.metadata == {"answer": "1", "when": "2026-01-02T00:00:00Z", "none": None}
    (other,) = indexed(tmp_path, rows=[{"question": "1?", "answer": "1", "odd": 1 + 2j}])
    assert other.metadata == {"answer": "1", "odd": "(1+2j)"}


def test_text_parts_and_tool_turns_are_messages_too(tmp_path: Path) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "What is on it?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "look"}}]},
        {"role": "tool", "content": "a cat", "tool_call_id": "1"},
    ]
    (prompt,) = indexed(tmp_path, rows=[{"messages": messages}])
    assert prompt.messages == messages


# Ids and keys


def test_whole_numbers_are_ids(tmp_path: Path) -> None:
    rows = [question("x") | {"id": number} for number in (7, 0)]
    assert [prompt.id for prompt in indexed(tmp_path, rows=rows)] == ["7", "0"]


@pytest.mark.parametrize("id", [1.5, True, ["a"], {}])
def test_other_ids_are_refused(id: Any, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [question("x") | {"id": id}])
    assert "id: must be a string or a whole number" in refusal(tmp_path, input_path=str(path))


def test_equal_rows_without_ids_are_told_apart_by_their_number(tmp_path: Path) -> None:
    same, other = {"question": "Same?"}, {"question": "Other?"}
    prompts = indexed(tmp_path, rows=[same, other, same, same])
    ids = [prompt.id for prompt in prompts]
    assert ids[2:] == [f"{ids[0]}-1", f"{ids[0]}-2"]
    assert len({prompt.key for prompt in prompts}) == 4
    again = indexed(tmp_path, rows=[other, same, same])
    assert [prompt.key for prompt in again] == [prompts[1].key, prompts[0].key, prompts[2].key]


def test_the_key_follows_id_and_messages_but_not_the_answer(tmp_path: Path) -> None:
    (key,) = (prompt.key for prompt in indexed(tmp_path, rows=[question("a", answer="A")]))
    assert indexed(tmp_path, rows=[question("a", answer="B")])[0].key == key
    assert indexed(tmp_path, rows=[question("a") | {"id": "b"}])[0].key != key
    asked = [{"role": "user", "content": "Else?"}]
    assert indexed(tmp_path, rows=[question("a") | {"messages": asked}])[0].key != key


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


# Rows that can't be used


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


# Files that can't be read


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
    assert problem.startswith(f"{tmp_path / 'in.jsonl.gz'}, ")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_text("no parquet")
    assert "not a readable Parquet file" in refusal(tmp_path, input_path=str(tmp_path / "in.parquet"))


# Transform


TRANSFORM = """
def same(row):
    return row

def from_columns(row):
    return {"id": row["n"], "prompt": f"What is {row['a']} + {row['b']}?", "answer": row["a"] + row["b"]}

def even_only(row):
    return row if int(row["id"]) % 2 == 0 else None

def twice(row):
    return [dict(row, id=f"{row['id']}-{part}") for part in "xy"]

def nothing(row):
    return []

def a_number(row):
    return 5

def raising(row):
    if row["id"] == "2":
        raise KeyError("solution")
    return row
"""


@pytest.fixture
def transform(folder: Path) -> Path:
    (folder / "transform.py").write_text(TRANSFORM)
    write_rows(folder / "in.jsonl", [question(str(number)) for number in range(4)])
    return folder


def ids(folder: Path, function: str, **data: Any) -> list[str]:
    asked = {"preprocess": {"transform": f"./transform.py:{function}"}, "input_path": "in.jsonl"}
    return [prompt.id for prompt in indexed(folder, **asked, **data)]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("same", ["0", "1", "2", "3"]),
        ("even_only", ["0", "2"]),
        ("twice", ["0-x", "0-y", "1-x", "1-y", "2-x", "2-y", "3-x", "3-y"]),
    ],
)
def test_a_transform_gives_a_row_none_or_a_list(function: str, expected: list[str], transform: Path) -> None:
    assert ids(transform, function) == expected


def test_a_transform_may_make_rows_of_other_columns(transform: Path) -> None:
    write_rows(transform / "in.jsonl", [{"n": 1, "a": 2, "b": 3}])
    asked = {"preprocess": {"transform": "./transform.py:from_columns"}, "input_path": "in.jsonl"}
    (prompt,) = indexed(transform, **asked)
    assert prompt.messages == [{"role": "user", "content": "What is 2 + 3?"}]
    assert prompt.metadata == {"answer": 5}


def test_the_limit_counts_what_the_transform_gives(transform: Path) -> None:
    assert ids(transform, "twice", limit=3) == ["0-x", "0-y", "1-x"]


def test_a_transform_that_drops_everything_leaves_no_prompt(transform: Path) -> None:
    with pytest.raises(InputError, match="there is no prompt in it"):
        ids(transform, "nothing")


def test_a_transform_that_gives_no_row_is_refused_like_a_bad_row(transform: Path) -> None:
    with pytest.raises(InputError, match=r"in\.jsonl, line 1: a row is a JSON object, this is a int"):
        ids(transform, "a_number")


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_transform_that_raises_stops_with_file_line_and_name(on_error: str, transform: Path) -> None:
    with pytest.raises(PluginError, match=r"in\.jsonl, line 3: ./transform\.py:raising raised KeyError: 'solution'"):
        ids(transform, "raising", on_error=on_error)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("./transform.py:sme", "did you mean 'same'"),
        ("./nowhere.py:same", "there is no file ./nowhere.py"),
        ("transform", "written ./file.py:function"),
    ],
)
def test_a_transform_that_is_not_there_is_refused(reference: str, says: str, transform: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        indexed(transform, input_path="in.jsonl", preprocess={"transform": reference})


# Limit and shuffle


def test_the_limit_takes_the_first(tmp_path: Path) -> None:
    rows = [question(str(number)) for number in range(9)]
    assert [prompt.id for prompt in indexed(tmp_path, rows=rows, limit=3)] == ["0", "1", "2"]


def test_rows_beyond_the_limit_are_not_even_looked_at(tmp_path: Path) -> None:
    rows: list[Any] = [question("a"), question("b"), {"broken": 1}]
    assert len(indexed(tmp_path, rows=rows, limit=2)) == 2


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(12)), st.integers(0, 5))
def test_the_shuffled_order_depends_on_the_seed_only_and_not_on_the_file(
    tmp_path_factory: pytest.TempPathFactory, order: Sequence[int], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("shuffle")
    rows = [question(str(number)) for number in range(12)]
    expected = [prompt.id for prompt in indexed(folder, rows=rows, shuffle=True, seed=seed)]
    mixed = [prompt.id for prompt in indexed(folder, rows=[rows[at] for at in order], shuffle=True, seed=seed)]
    assert mixed == expected
    limited = indexed(folder, rows=[rows[at] for at in order], shuffle=True, seed=seed, limit=5)
    assert [prompt.id for prompt in limited] == expected[:5]
    assert [prompt.order for prompt in limited] == list(range(5))


def test_another_seed_gives_another_order(tmp_path: Path) -> None:
    rows = [question(str(number)) for number in range(40)]
    orders = {tuple(prompt.id for prompt in indexed(tmp_path, rows=rows, shuffle=True, seed=seed)) for seed in range(3)}
    assert len(orders) == 3
    assert tuple(map(str, range(40))) not in orders


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
def test_the_pass_is_made_again_when_anything_that_it_depends_on_changed(what: str, transform: Path) -> None:
    target, calls = transform / "prompts.sqlite", list[str]()
    path = transform / "in.jsonl"
    data: dict[str, Any] = {"input_path": str(path), "preprocess": {"transform": "./transform.py:same"}}
    index(DataConfig.model_validate(data), 0, target, counted(calls), "key")
    calls.clear()
    if what == "size":
        with path.open("a") as file:
            file.write("\n")
    if what == "time":
        os.utime(path, ns=(1, 1))
    if what == "transform":
        with (transform / "transform.py").open("a") as file:
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
    from rsr.rows import normalised
    from rsr.sections import FieldsConfig

    row = {"messages": [{"role": "user", "content": "?"}], column: value}
    with pytest.raises(ValueError, match=problem):
        normalised(row, FieldsConfig())


def test_tools_may_be_written_as_json() -> None:
    from rsr.rows import normalised
    from rsr.sections import FieldsConfig

    row = {"messages": [{"role": "user", "content": "?"}], "tools": '[{"type": "function"}]'}
    assert normalised(row, FieldsConfig())[1].tools == [{"type": "function"}]


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


@pytest.mark.parametrize("content", [b"", b"garbage", b"SQLite format 3\0" + bytes(4000)])
def test_an_index_that_can_not_be_opened_is_made_again(tmp_path: Path, content: bytes) -> None:
    path = write_rows(tmp_path / "prompts.jsonl", [question("a"), question("b")])
    before = indexed(tmp_path, input_path=str(path))
    (tmp_path / "prompts.sqlite").write_bytes(content)
    assert indexed(tmp_path, input_path=str(path)) == before
