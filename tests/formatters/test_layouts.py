"""Images, tools and reasoning in every layout; files whose columns have one type, whichever rows come first."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from judged import rollout

from commands import read_rows
from rsr.errors import ConfigError
from rsr.formatters import FORMATTERS
from rsr.formatters.sft import SFT
from rsr.row_files import RowFile, RowsDiffer, Shape
from rsr.row_files import read_rows as rows_of
from rsr.types import Formatter, Prompt, Row

URL, PATH = "https://example.org/a.png", "b.png"
CALL = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
TOOLS_TEXT = json.dumps(TOOLS)
ASKED = [{"role": "user", "content": "Which?"}]
CALLED = [
    {"role": "developer", "content": "Be short."},
    {"role": "user", "content": "What is up?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL, CALL]},
    {"role": "tool", "content": "clouds", "tool_call_id": "1"},
    {"role": "tool", "content": "stars", "tool_call_id": "2"},
]
SEEN = [
    {"role": "user", "content": [{"type": "text", "text": "See "}, {"type": "image_url", "image_url": {"url": URL}}]},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "And <image>?"},
]


def prompt(messages: list[dict[str, Any]] = ASKED, **more: Any) -> Prompt:
    metadata = {"answer": "B", **more.pop("metadata", {})}
    return Prompt(order=0, key=b"k" * 16, id="q", messages=messages, metadata=metadata, **more)


PAIR = [rollout(0, 1.0, "B", "So."), rollout(1, 0.0, "A", "Well.")]


def made(type: str, asked: Prompt, **params: Any) -> Row:
    formatter: Formatter = FORMATTERS.build(type, {"n": 2, **params} if type == "rl_prompts" else params)
    (only, *_) = formatter.rows(asked, PAIR)
    return only.row


# Images


def test_llamafactory_has_an_image_mark_for_each_image_in_their_order() -> None:
    row = made("sft", prompt(SEEN, images=[PATH]), reasoning="drop")
    assert [message["content"] for message in row["messages"]] == ["See <image>", "Yes.", "And <image>?", "B"]
    assert row["images"] == [URL, PATH]
    assert made("dpo", prompt(SEEN, images=[PATH]))["conversations"][0] == {"from": "human", "value": "See <image>"}


@pytest.mark.parametrize("layout", ["llamafactory", "openrlhf", "verl"])
def test_images_without_a_mark_stand_before_the_last_user_message_as_they_were_sent(layout: str) -> None:
    row = made("sft", prompt([*SEEN[1:2], *ASKED], images=[URL, PATH]), layout=layout)
    assert [message["content"] for message in row["messages"][:2]] == ["Yes.", "<image><image>Which?"]
    plain = [{"image": URL}, {"image": PATH}] if layout == "verl" else [URL, PATH]
    assert row["images"] == plain


def test_trl_has_empty_blocks_where_the_images_stand() -> None:
    row = made("dpo", prompt(SEEN, images=[PATH]), layout="trl")
    assert row["prompt"] == [
        {"role": "user", "content": [{"type": "text", "text": "See "}, {"type": "image"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "And "}, {"type": "image"}, {"type": "text", "text": "?"}],
        },
    ]
    assert row["images"] == [URL, PATH]


def test_axolotl_and_the_api_have_the_address_in_the_block() -> None:
    axolotl = made("sft", prompt(SEEN, images=[PATH]), layout="axolotl")
    assert axolotl["messages"][0]["content"][1] == {"type": "image", "path": URL}
    assert "images" not in axolotl
    openai = made("sft", prompt(ASKED, images=[URL]), layout="openai")
    part = {"type": "image_url", "image_url": {"url": URL}}
    assert openai["messages"][0]["content"] == [part, {"type": "text", "text": "Which?"}]
    assert made("sft", prompt(SEEN), layout="openai")["messages"][:3] == SEEN


def test_a_mark_without_images_is_a_text() -> None:
    row = made("sft", prompt(SEEN[2:]), layout="trl")
    assert (row["prompt"], "images" in row) == (SEEN[2:], False)


# Tools


def test_llamafactory_has_calls_as_json_and_results_as_one_turn() -> None:
    row = made("sft", prompt(CALLED, tools=TOOLS), reasoning="drop")
    call = {"name": "look", "arguments": {"at": "sky"}}
    assert [message["role"] for message in row["messages"]] == ["system", "user", "function_call", "tool", "assistant"]
    assert json.loads(row["messages"][2]["content"]) == [call, call]
    assert row["messages"][3]["content"] == "clouds\nstars"
    assert row["tools"] == TOOLS_TEXT
    turns = made("dpo", prompt(CALLED, tools=TOOLS))["conversations"]
    assert [turn["from"] for turn in turns] == ["system", "human", "function_call", "observation"]


@pytest.mark.parametrize("layout", ["trl", "openrlhf", "verl", "axolotl", "openai"])
def test_other_layouts_keep_calls_as_they_are(layout: str) -> None:
    row = made("sft", prompt(CALLED, tools=TOOLS), layout=layout)
    asked = row["prompt"] if layout == "trl" else row["messages"][:-1]
    assert [message["role"] for message in asked[1:]] == ["user", "assistant", "tool", "tool"]
    assert asked[0]["role"] == ("developer" if layout == "openai" else "system")
    assert asked[2] == {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}
    assert asked[4] == {"role": "tool", "content": "stars", "tool_call_id": "2"}


def test_tools_are_in_the_form_that_each_trainer_reads() -> None:
    tools = {layout: made("sft", prompt(tools=TOOLS), layout=layout)["tools"] for layout in ("trl", "verl", "openai")}
    assert tools == {"trl": TOOLS_TEXT, "verl": TOOLS, "openai": TOOLS}
    (axolotl,) = made("sft", prompt(tools=TOOLS), layout="axolotl")["tools"]
    assert json.loads(axolotl["function"]["parameters"]) == TOOLS[0]["function"]["parameters"]
    assert made("dpo", prompt(tools=TOOLS), layout="openai")["input"]["tools"] == TOOLS


# Reasoning


@pytest.mark.parametrize(
    ("layout", "reasoning", "message"),
    [
        ("llamafactory", "keep", {"content": "<think>\nSo.\n</think>\n\nB"}),
        ("verl", "keep", {"content": "<think>\nSo.\n</think>\n\nB"}),
        ("trl", "keep", {"content": "B", "reasoning_content": "So."}),
        ("axolotl", "keep", {"content": "B", "reasoning_content": "So."}),
        ("trl", "inline", {"content": "<think>\nSo.\n</think>\n\nB"}),
        ("openrlhf", "field", {"content": "B", "reasoning_content": "So."}),
        ("trl", "drop", {"content": "B"}),
    ],
)
def test_reasoning_stands_where_the_trainer_looks_for_it(layout: str, reasoning: str, message: dict[str, Any]) -> None:
    row = made("sft", prompt(), layout=layout, reasoning=reasoning)
    (answer,) = row.get("completion") or row["messages"][-1:]
    assert answer == {"role": "assistant", **message}


def test_gpt_oss_has_a_field_of_another_name() -> None:
    row = made("dpo", prompt(), layout="trl", reasoning_field="thinking")
    assert row["rejected"] == [{"role": "assistant", "content": "A", "thinking": "Well."}]


# RL prompts


def test_a_reference_is_a_text_and_metadata_name_the_reward() -> None:
    metadata = {"answer": 72, "data_source": "openai/gsm8k", "ability": "math"}
    row = made("rl_prompts", prompt(metadata=metadata))
    assert row["reward_model"] == {"style": "rule", "ground_truth": "72"}
    assert (row["data_source"], row["ability"]) == ("openai/gsm8k", "math")
    assert made("rl_prompts", prompt(metadata={"answer": ["72"]}), layout="trl")["answer"] == "72"
    assert made("rl_prompts", prompt(metadata={"answer": ["7", "8"]}), layout="trl")["answer"] == '["7","8"]'


def test_a_prompt_without_a_reference_is_listed() -> None:
    formatter: Formatter = FORMATTERS.build("rl_prompts", {"n": 2})
    bare = Prompt(order=0, key=b"k" * 16, id="q", messages=ASKED)
    assert (list(formatter.rows(bare, PAIR)), formatter.missing(PAIR)) == ([], "no_reference")


@pytest.mark.parametrize(
    ("params", "values", "reason"),
    [
        ({}, [1.0, 1.0], "too_easy"),
        ({}, [0.0, 0.0], "too_hard"),
        ({"min_pass_rate": 0.6}, [1.0, 0.0], "too_hard"),
        ({"max_pass_rate": 0.4}, [1.0, 0.0], "too_easy"),
        ({"min_pass_rate": 0.5, "max_pass_rate": 0.5}, [1.0, 0.0], None),
        ({"n": 3}, [1.0, 0.0], "too_few"),
        ({}, [1.0, 0.0, 1.0, 1.0], None),
    ],
)
def test_the_band_is_that_of_the_first_n(params: dict[str, Any], values: list[float], reason: str | None) -> None:
    formatter: Formatter = FORMATTERS.build("rl_prompts", {"n": 2, **params})
    rollouts = [rollout(index, value, "x") for index, value in enumerate(values)]
    found = list(formatter.rows(prompt(), rollouts))
    assert (len(found), formatter.missing(rollouts) if not found else None) == (int(reason is None), reason)
    if found:
        assert found[0].row["extra_info"]["pass_rate"] == 0.5


# What is refused


@pytest.mark.parametrize(
    ("type", "params", "says"),
    [
        ("dpo", {"layout": "verl"}, "formatter.layout: verl is no layout of DPO pairs; use one of llamafactory, trl,"),
        ("kto", {"layout": "openrlhf"}, "formatter.layout: openrlhf is no layout of KTO rows; use one of llamafactory"),
        ("rl_prompts", {"layout": "llamafactory"}, "is no layout of RL prompts; use one of verl, trl, openrlhf"),
        ("sft", {"layout": "trll"}, "formatter.layout: should be 'llamafactory', 'trl'"),
        ("sft", {"layout": "verl", "file_format": "jsonl"}, "formatter.file_format: verl reads parquet only"),
        ("sft", {"layout": "openai", "reasoning": "field"}, "formatter.reasoning: field is not read by layout openai"),
        ("multi_sft", {"layout": "trl"}, "formatter.layout: no trainer reads rows of several responses; add explode"),
        ("multi_sft", {"max_similarity": 2}, "formatter.max_similarity: must be between 0 and 1"),
        ("reward_pairs", {"margin_column": True}, "formatter.margin_column: LLaMA-Factory reads none"),
        ("dpo", {"min_margin": -1}, "formatter.min_margin: must be a number of at least 0"),
        ("dpo", {"min_margin": 1, "strategy": "shortest_vs_longest_correct"}, "formatter.min_margin: strategy"),
        ("dpo", {"pairs_per_prompt": 0}, "formatter.pairs_per_prompt: must be at least 1"),
        ("kto", {"min_passes": 0, "min_fails": 0}, "formatter.min_passes: is 0 and min_fails too"),
        ("kto", {"min_fails": 0, "balance": True}, "formatter.balance: needs a pass and a fail"),
        ("rl_prompts", {"min_pass_rate": 0.9, "max_pass_rate": 0.1}, "formatter.min_pass_rate: 0.9 must be at most"),
        ("sft", {"select": "worst"}, "formatter.select: should be 'best', 'first'"),
    ],
)
def test_what_no_trainer_takes_is_refused_by_its_key(type: str, params: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        FORMATTERS.build(type, params)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_more_rollouts_than_a_prompt_can_have_are_refused(folder: Path, command: Any) -> None:
    ended = command("run", "sft", "sampler.type=scripted", "formatter=[{type: rl_prompts, n: 20}]")
    assert "formatter rl_prompts: n 20 is more than the 16 responses of a prompt" in ended.refused()


# Files


def written(tmp_path: Path, shape: Shape, rows: list[Row]) -> Path:
    target = tmp_path / f"made.{shape.file_format}"
    file = RowFile(tmp_path / "staged", shape)
    for row in rows:
        file.add(row)
    file.finish(target)
    return target


def test_a_column_that_one_row_has_is_in_all(tmp_path: Path) -> None:
    formatter = SFT(reasoning="drop")
    asked = [prompt(), prompt(tools=TOOLS), prompt(images=[URL])]
    rows = [next(iter(formatter.rows(one, PAIR))).row for one in asked]
    assert [list(row) for row in read_rows(written(tmp_path, formatter.shape, rows[:1]))] == [["messages"]]
    found = read_rows(written(tmp_path, formatter.shape, rows))
    assert [list(row) for row in found] == [["messages", "images", "tools"]] * 3
    assert [(row["images"], row["tools"]) for row in found] == [([], ""), ([], TOOLS_TEXT), ([URL], "")]


def test_reasoning_is_a_field_of_all_answers_or_of_none(tmp_path: Path) -> None:
    formatter = SFT(layout="trl")
    rows = [next(iter(formatter.rows(prompt(), [one]))).row for one in (rollout(0, 1.0, "B"), PAIR[0])]
    found = read_rows(written(tmp_path, formatter.shape, rows))
    assert [row["completion"][0].get("reasoning_content") for row in found] == ["", "So."]
    assert read_rows(written(tmp_path, formatter.shape, rows[:1])) == rows[:1]


def test_contents_are_blocks_in_all_rows_or_in_none(tmp_path: Path) -> None:
    formatter = SFT(reasoning="drop", layout="trl")
    rows = [next(iter(formatter.rows(one, PAIR))).row for one in (prompt(), prompt(SEEN, images=[PATH]))]
    found = read_rows(written(tmp_path, formatter.shape, rows))
    assert all(isinstance(message["content"], list) for row in found for message in row["prompt"] + row["completion"])


@pytest.mark.parametrize("layout", ["llamafactory", "trl", "openrlhf", "verl", "axolotl", "openai"])
def test_types_of_parquet_do_not_depend_on_which_rows_come_first(tmp_path: Path, layout: str) -> None:
    formatter = SFT(layout=layout, file_format="parquet")  # type: ignore[arg-type]
    asked = [prompt(), prompt(CALLED, tools=TOOLS), prompt(SEEN, images=[PATH])]
    rows = [next(iter(formatter.rows(one, PAIR))).row for one in asked]
    files = [written(tmp_path, formatter.shape, order) for order in (rows, rows[::-1])]
    assert pq.read_schema(files[0]).equals(pq.read_schema(files[1]))
    back = list(rows_of(files[1]))
    calls = [message.get("tool_calls") for row in back for message in row.get("messages") or row["prompt"]]
    if layout == "llamafactory":
        assert back[0]["tools"] == ""
        assert json.loads(back[1]["messages"][2]["content"])[0]["name"] == "look"
    else:
        assert [CALL, CALL] in calls


def test_a_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    schema = pq.read_schema(written(tmp_path, SFT(layout="verl").shape, []))
    assert schema.names == ["messages"]


def test_what_parquet_can_not_hold_is_said_in_one_line(tmp_path: Path) -> None:
    formatter = SFT(layout="verl")
    odd = prompt([{"role": "user", "name": {"first": "A"}, "content": "Which?"}])
    rows = [next(iter(formatter.rows(one, PAIR))).row for one in (prompt(), odd)]
    with pytest.raises(RowsDiffer, match=r"made\.parquet: can't be written: .*; a column has one type in Parquet"):
        written(tmp_path, formatter.shape, rows)


def test_many_rows_are_written_in_groups(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "x" * 20_000}], "label": bool(at % 2)} for at in range(2000)]
    shape = Shape({"messages": "messages", "label": "flag"}, file_format="parquet")
    with pq.ParquetFile(written(tmp_path, shape, rows)) as file:
        assert file.num_row_groups > 1
        assert file.metadata.num_rows == 2000
