"""`rsr lint` finds every wrong file that was measured on the real trainers, with its lines and reason, and no more."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsr.errors import ConfigError, InputError
from rsr.lint import Options, Reason, Trainer, lint
from rsr.lint import duplicates as duplicates_module
from rsr.lint.shapes import SHAPES

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases" / "lint.jsonl").read_text(encoding="utf-8").splitlines()
]


def write(path: Path, rows: list[Any]) -> Path:
    """A row that is a text is written as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def row(number: int = 0, answer: str = "Paris.") -> dict[str, Any]:
    return {"messages": [message("user", f"Question {number}?"), message("assistant", answer)]}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_file_is_told_apart(case: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", case["rows"])
    if "dataset_info" in case:
        (tmp_path / "dataset_info.json").write_text(json.dumps(case["dataset_info"]))
    trainer = Trainer(case["trainer"]) if case["trainer"] else None
    report = lint(path, Options(trainer, cutoff=case.get("cutoff")))
    found = {reason.value: sorted({example.line for example in report.examples[reason]}) for reason in report.counts}
    assert found == case["found"]
    assert report.rows == len(case["rows"])
    assert all(report.counts[Reason(reason)] >= len(lines) for reason, lines in case["found"].items())


def test_a_reason_counts_rows_and_shows_the_first_three(tmp_path: Path) -> None:
    rows = [row(number, "" if number % 2 else "Yes.") for number in range(20)]
    report = lint(write(tmp_path / "rows.jsonl", rows))
    assert report.counts == {Reason.EMPTY_ANSWER: 10}
    assert [example.line for example in report.examples[Reason.EMPTY_ANSWER]] == [2, 4, 6]
    assert report.figures()["found"]["empty_answer"] == {"rows": 10, "lines": [2, 4, 6], "first": "messages[1]: ''"}
    text = "\n".join(report.text())
    assert "20 rows, messages for llamafactory" in text
    assert "line 2: messages[1]: ''" in text


def test_parquet_is_read_by_rows(tmp_path: Path) -> None:
    path = tmp_path / "sft.parquet"
    pq.write_table(pa.Table.from_pylist([row(0), row(1, " "), row(2)]), path)
    report = lint(path)
    assert (report.trainer, report.rows) == (Trainer.VERL, 3)
    assert [example.line for example in report.examples[Reason.EMPTY_ANSWER]] == [2]


def test_what_is_no_training_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        lint(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"reads \.jsonl"):
        lint(write(tmp_path / "rows.json", []))
    (tmp_path / "bad.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        lint(tmp_path / "bad.parquet")
    with pytest.raises(ConfigError, match="--cutoff-len"):
        lint(write(tmp_path / "rows.jsonl", [row()]), Options(cutoff=0))
    with pytest.raises(ConfigError, match=r"no tokenizer\.json"):
        lint(tmp_path / "rows.jsonl", Options(tokenizer=tmp_path))


def test_duplicates_are_found_when_they_no_longer_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates_module, "_HELD", 50)
    rows = [row(number % 400) for number in range(1000)]
    report = lint(write(tmp_path / "rows.jsonl", rows))
    assert report.counts == {Reason.DUPLICATE: 600}
    assert report.examples[Reason.DUPLICATE][0] == (401, "as line 1")


def test_the_command_exits_with_1_where_something_is_found(folder: Path, command: Any) -> None:
    good, bad = write(folder / "good.jsonl", [row()]), write(folder / "bad.jsonl", [row(), row()])
    assert command("lint", good).code == 0
    assert "nothing found" in command("lint", good).out
    ended = command("lint", good, bad, "--trainer", "trl")
    assert ended.code == 1
    assert "line 2: as line 1" in ended.out
    assert command("lint", good, "--trainer", "nobody").code == 2
    assert "there is no such file" in command("lint", "none.jsonl").refused()


def test_a_run_tells_what_lint_finds_in_its_files(folder: Path, command: Any) -> None:
    asked = [{"id": str(at), **row(at), "metadata": {"answer": "A"}} for at in range(3)]
    for prompt in asked:
        prompt["messages"].pop()
    write(folder / "prompts.jsonl", asked)
    replies = {"0": ["The answer is A."], "1": ["```\nThe answer is A."], "2": ["```\nsum\n```\nThe answer is A."]}
    config = {
        "data": {"input_path": "prompts.jsonl"},
        "work_dir": "run",
        "sampler": {"type": "scripted", "replies": replies},
        "formatter": [{"type": "sft"}, {"type": "multi_sft", "num_responses": 1}],
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    ended = command("run", "config.yaml", "--quiet")
    assert ended.code == 0
    assert ended.out.count("missing_end 1; rsr lint run/train/") == 2
    found = json.loads((folder / "run" / "summary" / "stats.json").read_text())["lint"]
    assert found["sft.jsonl"]["found"]["missing_end"]["lines"] == [2]
    assert found["multi_sft.jsonl"]["found"].keys() == {"missing_end"}
    assert command("format", "run", "formatter=[{type: sft, layout: openai}]", "--quiet").code == 0
    assert (
        json.loads((folder / "run" / "summary" / "stats.json").read_text())["lint"]["sft.jsonl"]["trainer"] == "openai"
    )


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["user", "assistant", "<think>"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "text", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = sorted({key for shape in SHAPES for key in shape.keys} | {"tools", "images"})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), JSON_VALUES), max_size=4), st.sampled_from([None, *Trainer]))
def test_no_row_is_too_strange_to_be_linted(rows: list[dict[str, Any]], trainer: Trainer | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = lint(write(Path(folder) / "rows.jsonl", rows), Options(trainer, cutoff=10))
    assert report.rows == len(rows)
    assert list(report.text())


def test_what_a_file_says_can_not_drive_the_terminal(tmp_path: Path) -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = {"k": [deep]}
    report = lint(write(tmp_path / "rows.jsonl", [{"\x1b[31mred": 1, "deep": deep}, {**row(), "deep": deep}, row(1)]))
    assert report.counts == {Reason.WRONG_KEYS: 1}
    assert "\x1b" not in "".join(report.text())


# With a tokenizer

THINKS = """{%- for m in messages -%}
{%- set text = m.content if loop.last else m.content.split("</think>")[-1] -%}
<|{{ m.role }}|>{{ text }}<|end|>
{%- endfor -%}{% if add_generation_prompt %}<|assistant|>{% endif %}"""
PLAIN = """{%- for m in messages -%}
{%- if m.role == "system" -%}{{ raise_exception("no system prompts here") }}{%- endif -%}
<|{{ m.role }}|>{%- generation -%}{{ m.content }}{%- endgeneration -%}<|end|>
{%- endfor -%}{% if add_generation_prompt %}<|assistant|>{% endif %}"""


def tokenizer(folder: Path, template: str) -> Path:
    """A tokenizer of words, as save_pretrained writes one."""
    library = pytest.importorskip("tokenizers")
    pytest.importorskip("jinja2")
    made = library.Tokenizer(library.models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(template)
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|end|>"}}))
    return folder


def found_with(path: Path, options: Options) -> dict[str, list[tuple[int, str]]]:
    report = lint(path, options)
    return {reason.value: [tuple(example) for example in examples] for reason, examples in report.examples.items()}


def test_lengths_are_counted_by_the_tokenizer(tmp_path: Path) -> None:
    rows = [row(0, "one two three"), row(1, " ".join(["word"] * 50))]
    options = Options(Trainer.TRL, tokenizer(tmp_path / "model", PLAIN), 50)
    found = found_with(write(tmp_path / "rows.jsonl", rows), options)
    assert found == {"cut_off": [(2, "51 tokens, the cutoff is 50")]}


def test_what_a_template_refuses_or_leaves_out_is_told(tmp_path: Path) -> None:
    prompt = [message("user", "Question?")]
    rows = [
        {"prompt": [message("system", "Be brief."), *prompt], "completion": [message("assistant", "Yes.")]},
        {"prompt": prompt, "completion": [{**message("assistant", "Yes."), "reasoning_content": "Hm, well."}]},
        {"prompt": prompt, "completion": [message("assistant", "No.")]},
    ]
    options = Options(Trainer.TRL, tokenizer(tmp_path / "model", PLAIN))
    found = found_with(write(tmp_path / "rows.jsonl", rows), options)
    raises = "the template raises: 'no system prompts here'"
    assert found == {"template": [(1, raises), (2, "the template leaves out reasoning_content")]}


def test_a_prompt_that_is_rendered_in_another_way_before_its_answer_is_told(tmp_path: Path) -> None:
    thought = message("assistant", "<think>\nhm\n</think>\n\nYes.")
    asked = [message("user", "Question?"), thought]  # its thinking is rendered only while it is the last message
    pairs = [
        {"input": prompt, "chosen": [message("assistant", "a b")], "rejected": [message("assistant", "c")]}
        for prompt in (asked[:1], asked)
    ]
    path = write(tmp_path / "rows.jsonl", pairs)
    found = found_with(path, Options(Trainer.OPENRLHF, tokenizer(tmp_path / "model", THINKS)))
    assert found["template"] == [(2, "the template renders the prompt in another way when the answer follows it")]
