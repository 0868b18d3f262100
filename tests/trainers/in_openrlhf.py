"""The real dataset classes of OpenRLHF on the files of a run: rows kept, labels against texts; no step.

Run by its own Python: python in_openrlhf.py TRAIN_FOLDER MODEL SCRATCH. One JSON line for each check.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from labels import END, OPEN, Outcome, chatml, compared, emit, read, shown_ids

LENGTH = 4096


def strategy(**keys: Any) -> Any:
    """What the dataset classes ask of OpenRLHF's strategy: the options of the command line, and who prints."""
    data = SimpleNamespace(apply_chat_template=True, **keys)
    return SimpleNamespace(args=SimpleNamespace(data=data, use_ms=False), is_rank_0=lambda: True, print=lambda *_: None)


def opened(path: Path, model: Path, keys: dict[str, Any]) -> tuple[list[dict[str, Any]], Any, Any, Any]:
    from openrlhf.datasets.utils import blending_datasets
    from transformers import AutoTokenizer

    asked = strategy(**keys)
    return read(path), blending_datasets(str(path), None, asked), AutoTokenizer.from_pretrained(model), asked


def check_sft(path: Path, model: Path, multiturn: bool) -> Outcome:
    from openrlhf.datasets import SFTDataset

    rows, loaded, tokenizer, asked = opened(path, model, {"input_key": "messages", "output_key": None})
    dataset = SFTDataset(loaded, tokenizer, LENGTH, asked, num_processors=1, multiturn=multiturn)
    wanted, there = [], []
    for at, row in enumerate(rows[: len(dataset)]):
        turns = [it["content"] for it in row["messages"] if it["role"] == "assistant"]
        last = turns.pop() + END.rstrip("\n")
        wanted.append("".join(turn + END.rstrip("\n") for turn in turns) + last if multiturn else last)
        ids, _, mask = dataset[at]
        labels = ids[0][1:][mask[0][:-1].bool()].tolist()
        there.append(shown_ids(labels, tokenizer).replace(END, END.rstrip("\n")))
    name = f"{path.name} multiturn" if multiturn else path.name
    return compared("openrlhf", name, rows, len(dataset), wanted, there)


def check_pairs(path: Path, model: Path, is_dpo: bool) -> Outcome:
    from openrlhf.datasets import RewardDataset

    keys = {"prompt_key": "input", "chosen_key": "chosen", "rejected_key": "rejected"}
    rows, loaded, tokenizer, asked = opened(path, model, keys)
    dataset = RewardDataset(loaded, tokenizer, LENGTH, asked, is_dpo=is_dpo, num_processors=1)
    wanted, there = [], []
    for at, row in enumerate(rows[: len(dataset)]):
        chosen, _, rejected, _, _ = dataset[at]
        for side, ids in (("chosen", chosen), ("rejected", rejected)):
            wanted.append(chatml([*row["input"], *row[side]]).rstrip("\n"))
            there.append(shown_ids(ids[0].tolist(), tokenizer))
    return compared("openrlhf", path.name, rows, len(dataset), wanted, there)


def check_rl(path: Path, model: Path) -> Outcome:
    from openrlhf.datasets import PromptDataset

    rows, loaded, tokenizer, asked = opened(path, model, {"input_key": "input", "label_key": "label"})
    dataset = PromptDataset(loaded, tokenizer, asked)
    wanted = [chatml(row["input"]) + OPEN + row["label"] + row["datasource"] for row in rows]
    there = [prompt + label + source for source, prompt, label, _ in dataset]
    return compared("openrlhf", path.name, rows, len(dataset), wanted, there)


def main(folder: Path, model: Path, scratch: Path) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        outcomes = [
            check_sft(folder / "openrlhf_sft.jsonl", model, multiturn=False),
            check_sft(folder / "openrlhf_sft.jsonl", model, multiturn=True),
            check_pairs(folder / "openrlhf_dpo.jsonl", model, is_dpo=True),
            check_pairs(folder / "openrlhf_reward_pairs.jsonl", model, is_dpo=False),
            check_rl(folder / "openrlhf_rl_prompts.jsonl", model),
        ]
    for outcome in outcomes:
        emit(outcome)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
