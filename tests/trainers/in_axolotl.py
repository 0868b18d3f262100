"""The real data path of Axolotl on the files of a run: rows kept, labels against texts; no step.

Run by its own Python: python in_axolotl.py TRAIN_FOLDER MODEL SCRATCH. One JSON line for each check.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from labels import END, OPEN, Outcome, chatml, compared, emit, read, shown_ids

EOT = END.rstrip("\n")


def loaded(path: Path, model: Path) -> tuple[list[dict[str, Any]], Any, Any]:
    from datasets import load_dataset
    from transformers import AutoTokenizer

    dataset = load_dataset("json", data_files=str(path), split="train")
    return read(path), dataset, AutoTokenizer.from_pretrained(model)


def check_sft(path: Path, model: Path) -> Outcome:
    from axolotl.prompt_strategies.chat_template import load
    from axolotl.utils.dict import DictDefault

    rows, dataset, tokenizer = loaded(path, model)
    entry = DictDefault({"path": str(path), "type": "chat_template", "field_messages": "messages"})
    config = DictDefault({"datasets": [entry], "sequence_len": 4096, "train_on_inputs": False})
    strategy = load(tokenizer, config, entry)
    made = [strategy.tokenize_prompt(row) for row in dataset]
    wanted = [
        "".join(it["content"] + EOT for it in row["messages"] if it["role"] == "assistant" and it["content"])
        for row in rows
    ]
    there = [shown_ids([label for label in item["labels"] if label >= 0], tokenizer) for item in made]
    return compared("axolotl", path.name, rows, len(made), wanted, there)


def check_dpo(path: Path, model: Path) -> Outcome:
    from axolotl.prompt_strategies.dpo import load
    from axolotl.utils.dict import DictDefault

    rows, dataset, tokenizer = loaded(path, model)
    entry = {"path": str(path), "split": "train", "type": "chat_template.default", "field_messages": "messages"}
    transform, _ = load("chat_template.default", DictDefault({"rl": "dpo", "datasets": [entry]}), dataset_idx=0)
    made = [transform(row, tokenizer=tokenizer) for row in dataset]
    wanted, there = [], []
    for row, item in zip(rows, made, strict=True):
        wanted += [chatml(row["messages"]) + OPEN, *(row[side]["content"] + EOT for side in ("chosen", "rejected"))]
        there += [item["prompt"], item["chosen"], item["rejected"]]
    return compared("axolotl", path.name, rows, len(made), wanted, there)


def main(folder: Path, model: Path, scratch: Path) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        outcomes = [
            check_sft(folder / "axolotl_sft.jsonl", model),
            check_dpo(folder / "axolotl_dpo.jsonl", model),
        ]
    for outcome in outcomes:
        emit(outcome)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
