"""What a row shows: the prompt's messages as turns, and the reasoning kept, dropped or in a field of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from judged import prompt, rollout, row, rows, scores, written

from commands import question, read_rows, write_rows
from rsr.errors import ConfigError
from rsr.formatters import FORMATTERS
from rsr.formatters.dpo import DPO
from rsr.formatters.multi_sft import MultiSFT
from rsr.formatters.sft import SFT
from rsr.types import Formatter

# Reasoning


THOUGHT = [rollout(0, 1.0, "B", reasoning="\nA? No.\n"), rollout(1, 0.0, "A", reasoning="Why not.")]
KEPT = "<think>\nA? No.\n</think>\n\nB"


def test_reasoning_is_kept_in_tags_by_default() -> None:
    assert row(SFT(), THOUGHT)["messages"][-1] == {"role": "assistant", "content": KEPT}
    assert row(MultiSFT(), THOUGHT)["responses"] == [KEPT]
    assert row(DPO(), THOUGHT)["chosen"]["value"] == KEPT
    assert row(DPO(), THOUGHT)["rejected"]["value"] == "<think>\nWhy not.\n</think>\n\nA"


def test_reasoning_can_be_dropped() -> None:
    assert row(SFT(reasoning="drop"), THOUGHT)["messages"][-1] == {"role": "assistant", "content": "B"}
    assert row(MultiSFT(reasoning="drop"), THOUGHT)["responses"] == ["B"]
    made = row(DPO(reasoning="drop"), THOUGHT)
    assert (made["chosen"]["value"], made["rejected"]["value"]) == ("B", "A")


def test_reasoning_can_have_a_field_of_its_own() -> None:
    message = row(SFT(reasoning="field"), THOUGHT)["messages"][-1]
    assert message == {"role": "assistant", "content": "B", "reasoning_content": "A? No."}
    plain = row(SFT(reasoning="field"), [rollout(0, 1.0, "B", reasoning=" ")])["messages"][-1]
    assert plain == {"role": "assistant", "content": "B"}


@pytest.mark.parametrize("formatter", ["dpo", "kto", "reward_pairs", "multi_sft"])
def test_shapes_without_messages_have_no_field_for_reasoning(formatter: str) -> None:
    with pytest.raises(ConfigError, match=r"formatter\.reasoning: .*keep.* or .*drop"):
        FORMATTERS.build(formatter, {"reasoning": "field"})


def test_a_pair_has_reasoning_on_both_sides_or_on_none() -> None:
    one_sided = [rollout(0, 1.0, "B", reasoning="Hm."), rollout(1, 0.0, "A")]
    assert rows(DPO(), one_sided) == []
    assert (DPO().needs(one_sided), DPO().missing(one_sided)) == (1, "reasoning_on_one_side")
    made = row(DPO(reasoning="drop"), one_sided)
    assert (made["chosen"]["value"], made["rejected"]["value"]) == ("B", "A")


def test_of_equally_good_pairs_one_with_reasoning_on_both_sides_is_taken() -> None:
    (made,) = rows(
        DPO(), [rollout(0, 1.0, "B", reasoning="Hm."), rollout(1, 0.0, "A"), rollout(2, 0.0, "C", reasoning="So.")]
    )
    assert made.indices == (0, 2)
    assert "<think>" in made.row["chosen"]["value"]
    assert "<think>" in made.row["rejected"]["value"]


def test_equal_answers_with_different_reasoning_are_equal() -> None:
    same = [rollout(0, 1.0, "B", reasoning="one"), rollout(1, 1.0, "B", reasoning="two")]
    assert MultiSFT(num_responses=2).needs(same) == 1
    assert row(MultiSFT(num_responses=2), same)["responses"] == ["<think>\none\n</think>\n\nB"]
    assert rows(DPO(), [same[0], rollout(1, 0.0, "B", reasoning="two")]) == []


# Messages


CHAT = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": [{"type": "text", "text": "Which?"}, {"type": "image_url", "image_url": {"url": "u"}}]},
]


def test_system_prompts_and_several_turns_become_sharegpt_turns() -> None:
    assert row(DPO(), scores(1.0, 0.0), prompt(CHAT))["conversations"] == [
        {"from": "system", "value": "Be short."},
        {"from": "human", "value": "Hello"},
        {"from": "gpt", "value": "Hi"},
        {"from": "human", "value": "Which?<image>"},
    ]


def test_developer_and_tool_turns_have_sharegpt_names_too() -> None:
    chat = [{"role": "developer", "content": "Be short."}, {"role": "tool", "content": "42"}]
    turns = row(DPO(), scores(1.0, 0.0), prompt(chat))["conversations"]
    assert turns == [{"from": "system", "value": "Be short."}, {"from": "observation", "value": "42"}]


@pytest.mark.parametrize("formatter", [SFT(layout="openai"), MultiSFT()])
def test_openai_messages_stay_as_they_are_in_the_order_role_content(formatter: Formatter) -> None:
    shuffled = [{"content": "Hello", "role": "user", "name": "me", "weight": 3, "tool_calls": None}]
    (message, *_) = row(formatter, scores(1.0), prompt(shuffled))["messages"]
    assert written(message) == written({"role": "user", "content": "Hello", "name": "me"})
    assert row(formatter, scores(1.0), prompt(CHAT))["messages"][:4] == CHAT


def test_sampled_messages_are_written_only_when_asked_for(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    extra = ["sampler.type=scripted", "sampler.system_prompt=Be short.", "sampler.prompt_suffix=End with a letter."]
    both = "formatter=[{type: sft}, {type: sft, name: sampled, messages: sampled}]"
    ended = command(
        "run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.replies=[The answer is B.]", both, *extra
    )
    assert ended.code == 0, ended.err
    (original,) = read_rows(folder / "run/train/sft.jsonl")
    (sampled,) = read_rows(folder / "run/train/sampled.jsonl")
    text = question("a")["messages"][0]["content"]
    answer = {"role": "assistant", "content": "The answer is B."}
    assert original["messages"] == [{"role": "user", "content": text}, answer]
    assert sampled["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": f"{text}\n\nEnd with a letter."},
        answer,
    ]


def test_a_tool_call_in_the_prompt_becomes_a_function_call_turn() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    chat = [
        {"role": "user", "content": "What is up?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "clouds", "tool_call_id": "1"},
    ]
    turns = row(DPO(), scores(1.0, 0.0), prompt(chat))["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "function_call", "observation"]
    assert json.loads(turns[1]["value"]) == {"name": "look", "arguments": {"at": "sky"}}
    messages = row(SFT(), scores(1.0), prompt(chat))["messages"]
    assert [message["role"] for message in messages] == ["user", "function_call", "tool", "assistant"]
