"""The input: which rows are taken, what becomes of their columns, their ids and keys, and in which order they come."""

import datetime
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import question, write_rows
from prompt_index import indexed
from rsr.rows import normalised
from rsr.sections import FieldsConfig

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


def test_tools_may_be_written_as_json() -> None:
    row = {"messages": [{"role": "user", "content": "?"}], "tools": '[{"type": "function"}]'}
    assert normalised(row, FieldsConfig())[1].tools == [{"type": "function"}]


# Ids and keys


def test_whole_numbers_are_ids(tmp_path: Path) -> None:
    rows = [question("x") | {"id": number} for number in (7, 0)]
    assert [prompt.id for prompt in indexed(tmp_path, rows=rows)] == ["7", "0"]


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
