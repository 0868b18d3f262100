"""Filters: what is left out of the files, said with its reason, and sampling that does not notice them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from commands import question, read_rows, write_rows
from rsr.errors import ConfigError, InputError
from rsr.filters import Filters, repetition, words
from rsr.sections import FiltersConfig
from rsr.types import Outcome, Prompt, Rollout, Verdict

TASK = "A farmer has nine hens and each of them lays two eggs on every single day of the week."
LOOP = "and so it goes on and on " * 30


def filters(**config: Any) -> Filters:
    return Filters(FiltersConfig(**config))


def prompt(text: str) -> Prompt:
    return Prompt(order=0, key=b"k" * 16, id="q", messages=[{"role": "user", "content": text}])


def response(text: str, reasoning: str = "") -> Rollout:
    return Rollout(index=0, outcome=Outcome.OK, verdict=Verdict(score=1.0), response=text, reasoning=reasoning)


def reasons(made: Filters, *texts: str) -> list[str | None]:
    return [found and found.reason for found in made.responses([response(text) for text in texts])]


@pytest.fixture(params=["jsonl", "jsonl.gz", "parquet", "txt"])
def evaluation(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"eval.{request.param}"
    rows = [{"id": "x y z a b c d e", "question": "Short?"}, {"question": TASK, "choices": ["a", "b"]}]
    if request.param == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif request.param == "txt":
        path.write_text("Short?\n" + TASK + "\n", encoding="utf-8")
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if request.param.endswith("gz") else text)
    return path


def test_a_prompt_that_shares_an_ngram_with_an_evaluation_file_is_contaminated(evaluation: Path) -> None:
    made = filters(evaluation=str(evaluation))
    found = made.prompt(prompt(f"Please: {TASK.upper().replace(' ', '  ')} How many?"))
    assert found is not None
    assert (found.reason, found.detail) == ("contaminated", f"{evaluation.name}, line 2")
    assert made.prompt(prompt("A farmer has nine hens. How many eggs are there in a week?")) is None
    assert made.prompt(prompt("Short?")) is None  # too short to tell


def test_a_short_task_is_found_as_a_whole_only(tmp_path: Path) -> None:
    task = "What is the capital of France today?"
    made = filters(evaluation=str(write_rows(tmp_path / "e.jsonl", [{"question": task}])))
    assert made.prompt(prompt(task)) is not None
    assert made.prompt(prompt(f"{task} And why is it not Lyon?")) is None


def test_a_response_that_recites_is_contaminated(tmp_path: Path) -> None:
    made = filters(evaluation=str(write_rows(tmp_path / "e.jsonl", [{"messages": [{"content": TASK}]}])))
    assert reasons(made, f"As they say: {TASK}", "Two eggs.") == ["contaminated", None]


def test_words_of_scripts_without_spaces_are_their_characters() -> None:
    assert words("答案是 B, naïve_x2!") == ["答", "案", "是", "b", "naïvex2"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"min_length": 4}, ["too_short", None, None]),
        ({"max_length": 4}, [None, "too_long", "too_long"]),
        ({"min_length": 2, "max_length": 3, "length_unit": "words"}, ["too_short", None, "too_long"]),
    ],
)
def test_lengths_are_in_characters_or_words(config: dict[str, Any], expected: list[str | None]) -> None:
    assert reasons(filters(**config), "abc", "ab cd ef", "ab cd ef gh") == expected


def test_tokens_are_counted_by_the_tokenizer_of_a_model(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    made = filters(max_length=2, length_unit="tokens", tokenizer=str(tmp_path))
    assert reasons(made, "a b", "a b b") == [None, "too_long"]


def test_loops_are_found_in_any_script_and_plain_texts_are_not() -> None:
    plain = " ".join(f"In case {n} we add {n * 7} to {n * n} and get {n * 7 + n * n}." for n in range(20))
    assert repetition(plain) < 0.5 < repetition(LOOP)
    assert repetition("这是一个循环" * 50) > 0.9
    assert repetition("ab" * 50) == 0  # too short to tell
    assert reasons(filters(repetition=0.5), plain, LOOP) == [None, "repetition"]


def test_patterns_are_refused_or_required() -> None:
    made = filters(refuse=["(?i)as an ai", "sorry"], require=["answer"])
    texts = ["As an AI, the answer is B", "I am sorry: the answer is B", "B", "The answer is B"]
    assert reasons(made, *texts) == ["pattern", "pattern", "no_pattern", None]


def test_a_pattern_is_linear_in_a_hostile_text() -> None:
    assert reasons(filters(refuse=["(a+)+$"]), "a" * 200_000 + "!") == [None]


def test_reasoning_is_looked_at_unless_told_otherwise() -> None:
    thought = [response("B", reasoning=LOOP)]
    assert [found is not None for found in filters(repetition=0.5).responses(thought)] == [True]
    assert [found is not None for found in filters(repetition=0.5, reasoning=False).responses(thought)] == [False]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"evaluation": "nowhere.jsonl"}, "filters.evaluation: there is no file nowhere.jsonl"),
        ({"refuse": "(?=a)"}, "filters.refuse: '(?=a)' is no pattern"),
        ({"require": "("}, "filters.require: '(' is no pattern"),
        ({"length_unit": "tokens"}, "filters.tokenizer: tokens are counted by a tokenizer"),
        ({"length_unit": "tokens", "tokenizer": "nowhere"}, "filters.tokenizer: there is no file nowhere"),
    ],
)
def test_what_can_not_work_is_refused_by_its_key(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        filters(**config).check()
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_evaluation_file_without_texts_is_refused(tmp_path: Path) -> None:
    empty = write_rows(tmp_path / "e.jsonl", [{"answer": 3}])
    with pytest.raises(InputError, match=r"no text of at least 6 words in .*e\.jsonl"):
        filters(evaluation=str(empty)).prompt(prompt(TASK))


# In a run

REPLIES = ["The answer is A. " + LOOP, "An AI writes this. The answer is B.", "The answer is B.", "The answer is C."]


@pytest.fixture
def run(folder: Path, command: Any) -> Path:
    texts = {"a": "Which?", "b": TASK}
    options = "\n\nA: X\nB: Y\nC: Z"
    asked = [{**question(id), "messages": [{"role": "user", "content": texts[id] + options}]} for id in texts]
    write_rows(folder / "in.jsonl", asked)
    write_rows(folder / "eval.jsonl", [{"question": TASK}])
    (folder / "model.py").write_text(f"def reply(request, choice):\n    return {REPLIES}[request.index + choice]\n")
    formatters = "formatter=[{type: sft}, {type: dpo}, {type: rl_prompts, n: 4, layout: trl}]"
    ended = command(
        "run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted", "guards=null", formatters,
        "sampling.max_rollouts=4", "sampling.max_steps=1", "sampler.replies=./model.py:reply",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return folder / "run"


def test_what_filters_take_is_as_if_it_had_not_been_drawn(run: Path, command: Any) -> None:
    before = (run / "train/rl_prompts.jsonl").read_bytes()
    assert [row["messages"][-1]["content"] for row in read_rows(run / "train/sft.jsonl")] == [REPLIES[1]] * 2
    ended = command("format", "run", 'filters.refuse=["An AI"]', "filters.repetition=0.5")
    assert ended.code == 0, ended.err
    assert [row["messages"][-1]["content"] for row in read_rows(run / "train/sft.jsonl")] == [REPLIES[2]] * 2
    pairs = read_rows(run / "train/dpo.jsonl")
    assert [(row["chosen"]["value"], row["rejected"]["value"]) for row in pairs] == [(REPLIES[2], REPLIES[3])] * 2
    assert (run / "train/rl_prompts.jsonl").read_bytes() == before  # it writes no responses
    dropped = read_rows(run / "summary/dropped.jsonl")
    assert [(row["id"], row["index"], row["reason"]) for row in dropped] == [
        (id, *found) for id in "ab" for found in ((0, "repetition"), (1, "pattern"))
    ]
    stats = json.loads((run / "summary/stats.json").read_text())
    assert stats["filtered"] == {"prompts": {}, "responses": {"repetition": 2, "pattern": 2}}


def test_a_contaminated_prompt_has_no_row_in_any_file(run: Path, command: Any) -> None:
    assert command("format", "run", "filters.evaluation=eval.jsonl").code == 0
    for name in ("sft", "dpo", "rl_prompts"):
        assert len(read_rows(run / f"train/{name}.jsonl")) == 1
    dropped = read_rows(run / "summary/dropped.jsonl")
    assert dropped[0] == {"id": "b", "reason": "contaminated", "detail": "eval.jsonl, line 1"}
    assert {row["file"] for row in dropped[1:]} == {"sft.jsonl", "dpo.jsonl", "rl_prompts.jsonl"}
    stats = json.loads((run / "summary/stats.json").read_text())
    assert stats["files"]["sft"]["prompts_without_row"] == {"contaminated": 1}


def test_a_prompt_that_loses_its_row_to_a_filter_is_listed_so(run: Path, command: Any) -> None:
    assert command("format", "run", 'filters.refuse=["answer is B"]').code == 1  # no file of responses has a row
    dropped = [row for row in read_rows(run / "summary/dropped.jsonl") if "file" in row]
    assert {(row["file"], row["reason"]) for row in dropped} == {("sft.jsonl", "filtered"), ("dpo.jsonl", "filtered")}


def test_filters_change_nothing_of_what_is_sampled(run: Path, command: Any) -> None:
    stored = command("export", "run", "-o", "before.jsonl").code
    ended = command("run", "run", 'filters.refuse=["answer is B"]', "filters.evaluation=eval.jsonl")
    assert (stored, ended.code) == (0, 1)
    assert command("export", "run", "-o", "after.jsonl").code == 0
    assert Path("before.jsonl").read_bytes() == Path("after.jsonl").read_bytes()


def test_an_evaluation_file_that_changed_makes_the_files_anew(run: Path, command: Any) -> None:
    assert command("format", "run", "filters.evaluation=eval.jsonl").code == 0
    write_rows(Path("eval.jsonl"), [{"question": "Something else entirely that has quite a few more words in it."}])
    assert command("run", "run").code == 0
    assert len(read_rows(run / "train/sft.jsonl")) == 2


def test_files_of_filters_are_found_from_any_folder(run: Path, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("format", "run", "filters.evaluation=[eval.jsonl]").code == 0
    monkeypatch.chdir(run)
    assert command("format", run).code == 0
    assert len(read_rows(run / "train/sft.jsonl")) == 1


def test_a_run_can_be_read_although_an_evaluation_file_is_gone(run: Path, command: Any) -> None:
    assert command("format", "run", "filters.evaluation=eval.jsonl").code == 0
    Path("eval.jsonl").unlink()
    assert command("status", "run").code == 0
    assert "filters.evaluation: there is no file" in command("format", "run").refused()
