"""`rsr export`: every stored rollout as a row, in both formats. `rsr score`: verdicts for any file of responses."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import question, read_rows, write_rows
from rsr.export import COLUMNS

COLUMNS_OF_THE_ISSUE = [
    *("prompt_id", "index", "seed", "outcome", "finish_reason", "text", "reasoning", "prompt_tokens"),
    *("completion_tokens", "score", "extracted", "reason", "verifier", "used"),
]
REPLIES = {
    "a": ["I do not know.", "<think>A? No.</think> The answer is B.\n", "The answer is A."],
    "b": [
        {"text": "The answer is A and so", "finish_reason": "length", "completion_tokens": 9},
        {"text": "  "},
        {"text": "The answer is B.", "reasoning": " So. "},
        "The answer is A.",
    ],
}


@pytest.fixture
def run(folder: Path, command: Any) -> Path:
    """Two prompts with answer B: `a` is satisfied at index 1, `b` at index 2; `steps` draws four of each."""
    write_rows(folder / "in.jsonl", [question("a"), question("b"), question("c")])
    replies = {**REPLIES, "c": {"error": "refused"}}
    (folder / "recipe.yaml").write_text(
        json.dumps({"sampler": {"type": "scripted", "replies": replies}, "sampling": {"schedule": "steps"}})
    )
    ended = command("run", "recipe.yaml", "data.input_path=in.jsonl", "work_dir=run")
    assert ended.code in (0, 3), ended.err
    return folder / "run"


def exported(run: Path, command: Any, format: str = "jsonl") -> list[dict[str, Any]]:
    out = run.parent / f"rollouts.{format}"
    ended = command("export", run, "--what", "rollouts", "--format", format, "-o", out)
    assert ended.code == 0, ended.err
    rows = read_rows(out) if format == "jsonl" else pq.read_table(out).to_pylist()
    assert ended.out == f"{out}: {len(rows)} rollouts\n"
    return rows


def test_the_columns_are_these_in_this_order(run: Path, command: Any) -> None:
    assert list(COLUMNS) == COLUMNS_OF_THE_ISSUE
    for row in exported(run, command):
        assert list(row) == COLUMNS_OF_THE_ISSUE


def test_every_rollout_is_a_row_in_input_and_index_order(run: Path, command: Any) -> None:
    rows = exported(run, command)
    mine = [(row["prompt_id"], row["index"]) for row in rows if row["prompt_id"] != "c"]
    assert mine == [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 0), ("b", 1), ("b", 2), ("b", 3)]
    for row in rows:
        first = next(other for other in rows if other["prompt_id"] == row["prompt_id"])
        assert row["seed"] == first["seed"] + row["index"]


def test_a_row_says_what_was_answered_and_what_was_thought_of_it(run: Path, command: Any) -> None:
    rows = {(row["prompt_id"], row["index"]): row for row in exported(run, command)}
    shown = ("outcome", "finish_reason", "text", "reasoning", "score", "extracted", "reason", "verifier")

    def of(id: str, index: int) -> list[Any]:
        return [rows[id, index][name] for name in shown]

    assert of("a", 0) == ["ok", "stop", "I do not know.", "", None, None, "no_answer", "mcq-rlvr"]
    assert of("a", 1) == ["ok", "stop", "The answer is B.", "A? No.", 1.0, "B", None, "mcq-rlvr"]
    assert of("a", 2) == ["ok", "stop", "The answer is A.", "", 0.0, "A", None, "mcq-rlvr"]
    assert of("b", 0) == ["truncated", "length", "The answer is A and so", "", None, None, None, None]
    assert of("b", 1) == ["empty", "stop", "", "", None, None, None, None]
    assert of("b", 2) == ["ok", "stop", "The answer is B.", "So.", 1.0, "B", None, "mcq-rlvr"]
    assert (rows["b", 0]["completion_tokens"], rows["b", 0]["prompt_tokens"]) == (9, None)


def test_used_marks_the_decided_prefix(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a"), question("b")])
    (folder / "recipe.yaml").write_text(json.dumps({"sampler": {"type": "scripted", "replies": REPLIES}}))
    steps = ["data.input_path=in.jsonl", "work_dir=run", "sampling.schedule=steps"]
    assert command("run", "recipe.yaml", *steps).code == 0
    assert command("format", "run", "sampling.schedule=continuous").code == 0
    rows = exported(folder / "run", command)
    used = {id: [row["used"] for row in rows if row["prompt_id"] == id] for id in "ab"}
    assert used == {"a": [True, True, False, False], "b": [True, True, True, False]}


def test_both_formats_hold_the_same(run: Path, command: Any) -> None:
    assert exported(run, command, "parquet") == exported(run, command, "jsonl")


def test_parquet_columns_have_the_types_that_they_should(run: Path, command: Any) -> None:
    exported(run, command, "parquet")
    schema = pq.read_schema(run.parent / "rollouts.parquet")
    assert schema.names == COLUMNS_OF_THE_ISSUE
    whole = dict.fromkeys(("index", "seed", "prompt_tokens", "completion_tokens"), pa.int64())
    kinds = {**whole, "score": pa.float64(), "used": pa.bool_()}
    assert {name: schema.field(name).type for name in schema.names} == {
        name: kinds.get(name, pa.string()) for name in COLUMNS_OF_THE_ISSUE
    }


def test_a_run_without_any_rollout_gives_an_empty_file_with_columns(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    given = ["data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted"]
    assert command("run", "sft", *given, "sampler.replies={'*': {error: failed}}", "sampler.max_retries=0").code == 3
    assert exported(folder / "run", command, "jsonl") == []
    assert exported(folder / "run", command, "parquet") == []
    assert pq.read_schema(folder / "rollouts.parquet").names == COLUMNS_OF_THE_ISSUE


def test_an_index_that_was_cut_and_drawn_again_is_one_row(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    given = ["sampler.type=scripted", "sampler.replies=[The answer is B.]", "sampling.step_size=1"]
    common = ["data.input_path=in.jsonl", "work_dir=run", *given, "sampling.max_steps=2"]
    assert command("run", "sft", *common, "sampler.max_tokens=2").code == 1
    rows = exported(folder / "run", command)
    assert [(row["index"], row["outcome"], row["text"]) for row in rows] == [
        (0, "truncated", "The answer"),
        (1, "truncated", "The answer"),
    ]
    assert command("run", "sft", *common, "sampler.max_tokens=10").code == 0
    rows = exported(folder / "run", command)
    assert (rows[0]["index"], rows[0]["outcome"], rows[0]["used"]) == (0, "ok", True)
    assert len(rows) == len({row["index"] for row in rows})


@pytest.mark.parametrize("out", ["in.jsonl/out.jsonl", "folder"])
def test_an_export_that_can_not_be_written_is_one_line_and_leaves_nothing(out: str, run: Path, command: Any) -> None:
    (run.parent / "folder").mkdir()
    ended = command("export", run, "-o", out)
    assert ended.code == 1
    assert ended.err.startswith(f"rsr: {out}: can't be written: ")
    assert not list(run.parent.glob("*.new"))


def test_an_export_does_not_hold_the_run(run: Path, command: Any) -> None:
    from rsr.store.rundir import Lease, RunDir

    with Lease(RunDir(run)):
        assert exported(run, command)


# rsr score


def score(command: Any, folder: Path, rows: Sequence[Mapping[str, Any]], *more: str) -> list[dict[str, Any]]:
    source = write_rows(folder / "responses.jsonl", rows)
    ended = command("score", source, *more, "-o", folder / "scored.jsonl")
    assert ended.code == 0, ended.err
    return read_rows(folder / "scored.jsonl")


def test_each_row_comes_back_with_its_verdict_and_everything_that_it_had(folder: Path, command: Any) -> None:
    rows = [
        {"id": 1, "response": "The answer is B.", "answer": "B", "more": {"a": [1]}},
        {"id": 2, "response": "The answer is A.", "answer": "B"},
        {"id": 3, "response": "I do not know.", "answer": "B"},
    ]
    assert score(command, folder, rows) == [
        {**rows[0], "score": 1.0, "extracted": "B", "reason": None},
        {**rows[1], "score": 0.0, "extracted": "A", "reason": None},
        {**rows[2], "score": None, "extracted": None, "reason": "no_answer"},
    ]


def test_the_summary_counts_passes_fails_and_reasons(folder: Path, command: Any) -> None:
    rows = [{"response": f"The answer is {letter}.", "answer": "B"} for letter in "BBA"]
    write_rows(folder / "in.jsonl", [*rows, {"response": "Hm.", "answer": "B"}])
    ended = command("score", "in.jsonl", "-o", "out.jsonl")
    assert (ended.code, ended.out) == (0, "out.jsonl: 4 rows, 2 pass, 1 fail, no_answer 1\n")


def test_choices_and_metadata_are_used(folder: Path, command: Any) -> None:
    (folder / "mine.py").write_text(
        "def check(response, answer, choices=None, metadata=None):\n"
        "    return [answer, choices, metadata.get('level')] == ['B', ['X', 'Y'], 3]\n"
    )
    beside = {"response": "r", "answer": "B", "choices": ["X", "Y"], "metadata": {"level": 3}}
    inside = {"response": "r", "metadata": {"answer": "B", "choices": ["X", "Y"], "level": 3}}
    null = {"response": "r", "answer": None, "metadata": {"answer": "B", "choices": ["X", "Y"], "level": 3}}
    without = {"response": "r", "answer": "B"}
    rows = score(command, folder, [beside, inside, null, without], "verifier.type=./mine.py:check")
    assert [row["score"] for row in rows] == [1.0, 1.0, 1.0, 0.0]


def test_reasoning_is_split_off_and_a_response_may_be_a_message(folder: Path, command: Any) -> None:
    rows: list[dict[str, Any]] = [
        {"response": "<think>B? No.</think>The answer is A.", "answer": "A"},
        {"response": {"content": "The answer is A.", "reasoning_content": "The answer is B."}, "answer": "A"},
    ]
    assert [row["score"] for row in score(command, folder, rows)] == [1.0, 1.0]


def test_the_verifiers_parameters_are_given_as_overrides(folder: Path, command: Any) -> None:
    rows = [{"response": "It is PARIS", "answer": "Paris"}]
    exact = ("verifier.type=exact", "verifier.match=word")
    assert score(command, folder, rows, *exact)[0]["score"] == 1.0
    assert score(command, folder, rows, *exact, "verifier.case_sensitive=true")[0]["score"] == 0.0


def test_rows_come_back_in_order_also_from_a_verifier_in_processes(folder: Path, command: Any) -> None:
    rows = [{"response": f"\\boxed{{{number}}}", "answer": str(number % 7)} for number in range(30)]
    scored = score(command, folder, rows, "verifier.type=math-rlvr")
    assert [row["response"] for row in scored] == [row["response"] for row in rows]
    assert [row["score"] for row in scored] == [1.0] * 7 + [0.0] * 23


def test_gzip_a_byte_order_mark_and_blank_lines_are_read(folder: Path, command: Any) -> None:
    text = '\ufeff{"response": "The answer is B.", "answer": "B"}\n\n{"response": "The answer is A.", "answer": "B"}\n'
    (folder / "in.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    assert command("score", "in.jsonl.gz", "-o", "out.jsonl").code == 0
    assert [row["score"] for row in read_rows(folder / "out.jsonl")] == [1.0, 0.0]


GOOD = json.dumps({"response": "The answer is B.", "answer": "B"})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{broken", "in.jsonl, line 2: not JSON ("),
        ("[1]", "in.jsonl, line 2: there is no response in it"),
        ('{"answer": "B"}', "in.jsonl, line 2: there is no response in it"),
        ('{"response": 5, "answer": "B"}', "in.jsonl, line 2: there is no response in it"),
        ('{"response": "B"}', "in.jsonl, line 2: there is no answer in it; the verifier mcq-rlvr needs one"),
        ('{"response": "B", "metadata": "x"}', "in.jsonl, line 2: metadata must be an object, is a str"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_an_old_result_stays(
    line: str, says: str, folder: Path, command: Any
) -> None:
    (folder / "in.jsonl").write_text(f"{GOOD}\n{line}\n")
    (folder / "out.jsonl").write_text("old")
    assert says in command("score", "in.jsonl", "-o", "out.jsonl").refused()
    assert (folder / "out.jsonl").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize("content", [b"plain", gzip.compress(GOOD.encode() * 9)[:-9]], ids=["plain", "cut"])
def test_a_damaged_gzip_file_is_the_inputs_fault(content: bytes, folder: Path, command: Any) -> None:
    (folder / "in.jsonl.gz").write_bytes(content)
    assert "in.jsonl.gz, after line 0: can't be read: " in command("score", "in.jsonl.gz", "-o", "out.jsonl").refused()


def test_a_result_that_can_not_be_written_is_one_line(folder: Path, command: Any) -> None:
    (folder / "in.jsonl").write_text(GOOD)
    ended = command("score", "in.jsonl", "-o", "in.jsonl/out.jsonl")
    assert ended.code == 1
    assert ended.err.startswith("rsr: in.jsonl/out.jsonl: can't be written: ")


def test_a_verifier_that_raises_gives_no_score_and_exit_code_3(folder: Path, command: Any) -> None:
    (folder / "mine.py").write_text("def check(response, answer):\n    return 1 / int(answer)\n")
    write_rows(folder / "in.jsonl", [{"response": "r", "answer": "1"}, {"response": "r", "answer": "0"}])
    ended = command("score", "in.jsonl", "verifier.type=./mine.py:check", "-o", "out.jsonl")
    assert (ended.code, ended.out) == (3, "out.jsonl: 2 rows, 1 pass, 0 fail, verifier_error 1\n")
    assert [(row["score"], row["reason"]) for row in read_rows(folder / "out.jsonl")] == [
        (1.0, None),
        (None, "verifier_error"),
    ]
