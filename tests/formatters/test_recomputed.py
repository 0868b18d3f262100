"""Every formatter, strategy and layout, against `tests/recompute.py`, which shares no code with the package."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from commands import read_rows, write_rows
from recompute import recompute

MODEL = '''
"""Replies that repeat each other, with and without reasoning, and a verifier whose scores lie between 0 and 1."""
import random

ANSWERS = ["Ten", "ten.", "It is ten", "It is ten, I would say, after some thought about it", "Eleven", "Twelve", "12"]


def reply(request, choice):
    chance = random.Random(f"{request.tag}/{request.index + choice}")
    text = chance.choice(ANSWERS) + chance.choice(["", "", "!", " (sure)"])
    if chance.random() < 0.15:
        return {"text": text, "finish_reason": "length"}
    score = chance.choice(["", "0", "0", "0.25", "0.5", "0.75", "1", "1", "1"])
    text = f"{text} [{score}]" if score else text
    return {"text": text, "reasoning": chance.choice([None, None, "So.", "Let me think about it. Yes."])}


def judge(response, answer):
    """The number in brackets."""
    from rsr import Verdict
    head, _, score = response.rstrip("]").partition("[")
    return Verdict(score=float(score), extracted=head.strip().rstrip(".!").lower()) if score else None
'''

THOUGHTS = ("reasoning_content", "thinking")
SOFT = {"pass_threshold": 0.75, "fail_threshold": 0.25}

SETS: dict[str, list[dict[str, Any]]] = {
    "sft": [
        {"type": "sft", "name": "plain"},
        {"type": "sft", "name": "best", "best_of": 5, "pass_threshold": 0.5},
        *(
            {"type": "sft", "name": select, "select": select, "per_prompt": 2, "pass_threshold": 0.5}
            for select in ("first", "shortest", "longest", "random")
        ),
        {"type": "sft", "name": "another_seed", "select": "random", "seed": 5},
    ],
    "layouts of responses": [
        {"type": "sft", "name": f"{layout}_{reasoning}", "layout": layout, "reasoning": reasoning}
        for layout in ("llamafactory", "trl", "openrlhf", "verl", "axolotl", "openai")
        for reasoning in ("keep", "drop", "inline", *(["field"] if layout != "openai" else []))
    ],
    "parquet": [
        {"type": "sft", "layout": "trl", "reasoning_field": "thinking", "file_format": "parquet"},
        {"type": "dpo", "file_format": "parquet"},
        {"type": "dpo", "name": "openai", "layout": "openai", "file_format": "parquet"},
        {"type": "kto", "layout": "trl", "file_format": "parquet"},
        {"type": "multi_sft", "num_responses": 3, "layout": "verl", "explode": True},
    ],
    "dpo": [
        {"type": "dpo", "name": strategy, "strategy": strategy, **SOFT}
        for strategy in (
            "best_worst", "random", "nearest_length", "hard_negative", "margin", "shortest_vs_longest_correct"
        )
    ],
    "several pairs": [
        {"type": "dpo", "name": f"{strategy}_{reuse}", "strategy": strategy, "reuse": reuse, "pairs_per_prompt": 2,
         "reasoning": "drop", **SOFT}
        for strategy in ("best_worst", "random", "hard_negative", "shortest_vs_longest_correct")
        for reuse in (False, True)
    ],
    "pairs that are passed over": [
        {"type": "dpo", "name": "unlike", "max_similarity": 0.5, **SOFT},
        {"type": "dpo", "name": "apart", "min_margin": 0.6, "strategy": "margin", **SOFT},
        {"type": "reward_pairs", "margin_column": True, "layout": "trl", "pairs_per_prompt": 2, **SOFT},
    ],
    "layouts of pairs": [
        *({"type": "dpo", "name": f"dpo_{it}", "layout": it} for it in ("trl", "openrlhf", "axolotl", "openai")),
        *({"type": "reward_pairs", "name": f"rm_{it}", "layout": it} for it in ("llamafactory", "trl", "openrlhf")),
    ],
    "multi_sft": [
        {"type": "multi_sft", "name": by, "unique_by": by, "num_responses": 3, "pass_threshold": 0.5}
        for by in ("text", "normalized", "answer")
    ],
    "near": [
        {"type": "multi_sft", "unique_by": "near", "max_similarity": 0.5, "num_responses": 3, "pass_threshold": 0.5}
    ],
    "exploded": [
        {"type": "multi_sft", "name": layout, "layout": layout, "explode": True, "num_responses": 2, "min_responses": 2}
        for layout in ("llamafactory", "trl", "openrlhf", "axolotl", "openai")
    ],
    "kto": [
        {"type": "kto", **SOFT},
        {"type": "kto", "name": "balanced", "balance": True, "layout": "trl", **SOFT},
        {"type": "kto", "name": "unique", "unique": True, "min_passes": 2, "min_fails": 0, **SOFT},
    ],
    "rl_prompts": [
        {"type": "rl_prompts", "n": 4},
        *({"type": "rl_prompts", "name": it, "layout": it, "n": 6} for it in ("trl", "openrlhf")),
        {"type": "rl_prompts", "name": "band", "n": 5, "min_pass_rate": 0.3, "max_pass_rate": 0.6, "layout": "trl",
         "pass_threshold": 0.5},
    ],
    "all together": [
        {"type": "sft", "layout": "trl"},
        {"type": "dpo", "strategy": "hard_negative"},
        {"type": "multi_sft", "num_responses": 2, "unique_by": "normalized", "explode": True},
        {"type": "kto", "balance": True},
        {"type": "reward_pairs", "layout": "openrlhf"},
        {"type": "rl_prompts", "n": 3, "layout": "openrlhf"},
    ],
}  # fmt: skip


def prompts(count: int) -> Iterator[dict[str, Any]]:
    system = {"role": "system", "content": 'Sei kurz. 简短 \\frac{1}{2} {"a"}'}
    for number in range(count):
        messages = [{"role": "user", "content": f"What is {number} and what comes after it?"}]
        if number % 3 == 0:
            messages.insert(0, system)
        if number % 4 == 0:
            messages[-1:-1] = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
        yield {"id": f"p{number}", "messages": messages, "metadata": {"answer": "ten"}}


def without_empty(value: Any) -> Any:
    """A value without what makes types stable: fields that a row does not have, and empty reasoning."""
    if isinstance(value, dict):
        empty = {key for key in value if value[key] is None or (value[key] == "" and key in THOUGHTS)}
        return {key: without_empty(inner) for key, inner in value.items() if key not in empty}
    return [without_empty(inner) for inner in value] if isinstance(value, list) else value


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.parquet"
    rows = pq.read_table(path).to_pylist() if path.exists() else read_rows(folder / f"{name}.jsonl")
    return [without_empty(row) for row in rows]


def compare(folder: Path, formatters: list[dict[str, Any]], max_rollouts: int, seed: int) -> None:
    expected = recompute(
        read_rows(folder / "in.jsonl"), read_rows(folder / "export.jsonl"), formatters, max_rollouts, 16, seed
    )
    files = {path.stem for path in (folder / "run/train").iterdir()} - {"dataset_info"}
    exploded = {f"{entry.get('name', entry['type'])}_exploded" for entry in formatters if entry.get("explode")}
    assert files == {entry.get("name", entry["type"]) for entry in formatters} | exploded
    for name in files:
        assert read(folder / "run/train", name) == expected[name], name
        assert expected[name], name


@pytest.mark.parametrize("name", SETS)
def test_the_rows_follow_from_the_export(folder: Path, command: Any, name: str) -> None:
    if name == "near":
        pytest.importorskip("rensa")
    (folder / "model.py").write_text(MODEL)
    write_rows(folder / "in.jsonl", prompts(40))
    formatters = json.dumps(SETS[name])
    ended = command(
        "run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted", "seed=3", "guards=null",
        "sampler.replies=./model.py:reply", "verifier.type=./model.py:judge", "sampling.max_rollouts=12",
        f"formatter={formatters}",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert command("export", "run", "-o", "export.jsonl").code == 0
    compare(folder, SETS[name], max_rollouts=12, seed=3)


def test_the_rows_of_a_simulated_run_follow_from_the_export(folder: Path, command: Any) -> None:
    write_rows(
        folder / "in.jsonl",
        [
            {
                "id": f"q{at}",
                "messages": [{"role": "user", "content": f"Question {at}?\n\nA: X\nB: Y\nC: Z"}],
                "metadata": {"answer": "B"},
            }
            for at in range(150)
        ],
    )
    formatters = SETS["all together"]
    ended = command(
        "run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=simulated", "guards=null",
        "sampler.median_tokens=30", "sampler.fail=0.1", f"formatter={json.dumps(formatters)}",
    )  # fmt: skip
    assert ended.code == 3, ended.err  # some requests fail: their prompts are incomplete and have no row
    assert command("export", "run", "-o", "export.jsonl").code == 0
    compare(folder, formatters, max_rollouts=16, seed=0)
