"""Where reasoning ends: the table, and what holds for every text."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsr.reasoning import split_reasoning

TABLE = Path(__file__).parent / "verifiers" / "cases" / "reasoning.jsonl"
CASES = [json.loads(line) for line in TABLE.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["source"])
def test_table(case):
    split = split_reasoning(case["response"])
    assert split.response == case["answer"]
    if "reasoning" in case:
        assert split.reasoning == case["reasoning"]
    assert split_reasoning(split.response) == ("", split.response)


PIECES = [
    "<think>", "</think>", "<thinking>", "</reasoning>", "[THINK]", "[/THINK]", "◁think▷",
    "◁/think▷", "`", "```", "~~~", '"', "'", "\n",
    "\n\n", "B", "text", "<|channel|>", "<|message|>", "<|end|>", "<|start|>assistant",
    "analysis", "final", "assistantfinal", "<|im_end|>", "<|im_start|>think", "</s>", "User: ",
    "<response>", "</response>", "<|START_RESPONSE|>",
]  # fmt: skip
JUNK = [
    "<think>", "</think>", "<", "`", "```\n", "``x", "<|channel|>",
    "<|channel|>a ", "analysis", "final", "\nUser:", "<think></think>", "[THINK]", " ",
    "\n", "# ", "<|channel|>final<|message|>", "</s>", "assistant final", "~~~", "<response>",
    "</response> ", "<s>", "< ", "Here is my thought process:", "`x`", "\ud800",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_splitting_again_changes_nothing(text):
    split = split_reasoning(text)
    assert split_reasoning(split.response) == ("", split.response)
    assert split == (split.reasoning.strip(), split.response.strip())


@pytest.mark.parametrize("unit", JUNK)
def test_junk_takes_milliseconds(unit):
    text = unit * (100_000 // len(unit))
    for junk in (text, "analysis" + text, text + "</think>B"):
        started = time.process_time()
        split_reasoning(junk)
        assert time.process_time() - started < 0.5
