"""`rsr export --trainer` writes an example for each file in the trainer's layout; tests/trainers trains with them."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import write_rows

KINDS = {
    "llamafactory": ["sft", "dpo", "kto", "reward_pairs"],
    "trl": ["sft", "dpo", "kto", "reward_pairs", "rl_prompts"],
    "verl": ["sft", "rl_prompts"],
    "openrlhf": ["sft", "dpo", "reward_pairs", "rl_prompts"],
    "axolotl": ["sft", "dpo"],
}


def config(folder: Path) -> Path:
    formatters = [
        {"type": kind, "layout": layout, "name": f"{layout}_{kind}", **({"n": 2} if kind == "rl_prompts" else {})}
        for layout, kinds in KINDS.items()
        for kind in kinds
    ]
    formatters.append({"type": "multi_sft", "explode": True, "num_responses": 2, "min_responses": 1})
    rows = [{"id": "a", "messages": [{"role": "user", "content": "A or B?"}], "metadata": {"answer": "A"}}]
    write_rows(folder / "prompts.jsonl", rows)
    values = {
        "data": {"input_path": "prompts.jsonl"},
        "work_dir": "it's a run",
        "sampling": {"max_rollouts": 4, "step_size": 2, "max_steps": 2},
        "sampler": {"type": "scripted", "replies": ["The answer is A.", "The answer is B."]},
        "verifier": {"type": "mcq-rlvr"},
        "formatter": formatters,
    }
    (folder / "config.yaml").write_text(json.dumps(values))
    return folder / "config.yaml"


@pytest.fixture
def run(folder: Path, command: Any) -> Path:
    assert command("run", config(folder), "--quiet").code == 0
    return folder / "it's a run"


@pytest.mark.parametrize("trainer", KINDS)
def test_an_example_for_each_file_names_files_that_are_there(trainer: str, run: Path, command: Any) -> None:
    ended = command("export", run, "--trainer", trainer, "--model", 'my "model"', "--cutoff-len", 1234)
    assert ended.code == 0
    written = [Path(line.removeprefix("wrote ")) for line in ended.out.splitlines()]
    wanted = {f"{trainer}_{kind}" for kind in KINDS[trainer]} | (
        {"multi_sft_exploded"} if trainer == "llamafactory" else set()
    )
    assert {path.stem for path in written} - {"reward"} == wanted
    for path in written:
        text = path.read_text()
        assert path.parent == run.resolve() / "examples" / trainer
        assert "@" not in text
        if path.stem != "reward":
            assert "model" in text
            assert "1234" in text or path.stem.endswith("rl_prompts")
        if path.suffix == ".yaml":
            values = yaml.safe_load(text)
            assert 'my "model"' in (values.get("model_name_or_path"), values.get("base_model"))
            assert 1234 in (values.get("cutoff_len"), values.get("sequence_len"))
            for entry in values.get("datasets", []):
                assert Path(entry["path"]).is_file()
            if "dataset_dir" in values:
                register = json.loads((Path(values["dataset_dir"]) / "dataset_info.json").read_text())
                assert (Path(values["dataset_dir"]) / register[values["dataset"]]["file_name"]).is_file()
        elif path.suffix == ".py":
            texts = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
            files = [text for text in texts if isinstance(text, str) and text.endswith((".jsonl", ".parquet"))]
            assert all(Path(file).is_file() for file in files)
            assert files or path.stem == "reward"
        else:
            assert subprocess.run(["bash", "-n", path], check=False).returncode == 0


def test_a_reward_function_that_was_edited_stays(run: Path, command: Any) -> None:
    reward = run / "examples" / "verl" / "reward.py"
    assert command("export", run, "--trainer", "verl").code == 0
    reward.write_text("mine")
    assert command("export", run, "--trainer", "verl").code == 0
    assert reward.read_text() == "mine"


def test_what_has_no_example_is_refused(run: Path, folder: Path, command: Any) -> None:
    assert "-o: missing" in command("export", run).refused()
    assert command("export", run, "--trainer", "nobody").code == 2
    assert command("run", config(folder), "formatter=[{type: sft}]", "work_dir=other", "--quiet").code == 0
    line = command("export", "other", "--trainer", "trl").refused()
    assert "no training file of this run is in that layout" in line
    assert "formatter.0.layout=trl" in line
    assert command("export", "other", "--trainer", "llamafactory", "-o", "mine").code == 0
    assert (folder / "mine" / "sft.yaml").is_file()
