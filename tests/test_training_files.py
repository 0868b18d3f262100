"""The files in train/: how dataset_info.json registers them, as LLaMA-Factory takes it, and which rows are unfit."""

import json
from typing import Any

import pytest

from rsr.formatters.dpo import DPO
from rsr.formatters.multi_sft import MultiSFT
from rsr.formatters.sft import SFT
from rsr.training_files import dataset_info, unusable
from rsr.types import Formatter


def test_dataset_info_registers_sft_and_dpo_with_complete_tags_and_never_as_openai() -> None:
    formatters: dict[str, Formatter] = {"sft": SFT(), "dpo": DPO(), "multi_sft": MultiSFT()}
    assert json.loads(dataset_info(formatters)) == {
        "rsr_sft": {
            "file_name": "sft.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "observation_tag": "tool",
                "function_tag": "function_call",
                "system_tag": "system",
            },
        },
        "rsr_dpo": {
            "file_name": "dpo.jsonl",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
                "observation_tag": "observation",
                "function_tag": "function_call",
                "system_tag": "system",
            },
        },
    }


def test_dataset_info_names_the_file_that_is_written() -> None:
    assert json.loads(dataset_info({"hard": SFT()}))["rsr_hard"]["file_name"] == "hard.jsonl"


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ({"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "B"}]}, None),
        (
            {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": " \n"}]},
            "an answer is empty",
        ),
        ({"messages": [{"role": "user", "content": "?"}], "responses": ["B", ""]}, "an answer is empty"),
        ({"chosen": {"from": "gpt", "value": "B"}, "rejected": {"from": "gpt", "value": "A"}}, None),
        ({"chosen": {"from": "gpt", "value": "B"}, "rejected": {"from": "gpt", "value": " "}}, "an answer is empty"),
        (
            {"chosen": {"from": "gpt", "value": "B"}, "rejected": {"from": "gpt", "value": "B"}},
            "chosen and rejected are equal",
        ),
    ],
)
def test_what_no_trainer_should_be_given_is_found(made: dict[str, Any], problem: str | None) -> None:
    assert unusable(made) == problem
