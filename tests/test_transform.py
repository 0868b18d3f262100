"""`data.preprocess.transform`: a function makes rows of rows; one that raises stops the run, whatever is skipped."""

from pathlib import Path
from typing import Any

import pytest

from commands import question, write_rows
from prompt_index import indexed
from rsr.errors import ConfigError, InputError, PluginError

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
