"""The real dataset classes of verl on the files of a run: rows kept, labels against texts; no step.

Run by its own Python: python in_verl.py TRAIN_FOLDER MODEL SCRATCH. One JSON line for each check.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from labels import END, OPEN, Outcome, chatml, compared, emit, read, shown_ids


def check_sft(path: Path, model: Path, scratch: Path) -> Outcome:
    """Every turn of the assistant is trained on."""
    from omegaconf import OmegaConf
    from transformers import AutoTokenizer
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    rows = read(path)
    tokenizer = AutoTokenizer.from_pretrained(model)
    config = OmegaConf.create({"max_length": 4096, "pad_mode": "no_padding"})
    dataset = MultiTurnSFTDataset(parquet_files=str(path), tokenizer=tokenizer, config=config)
    wanted, there = [], []
    for row, item in zip(rows, dataset, strict=False):
        wanted.append("".join(it["content"] + END for it in row["messages"] if it["role"] == "assistant"))
        there.append(shown_ids(item["input_ids"][item["loss_mask"].bool()].tolist(), tokenizer))
    return compared("verl", path.name, rows, len(dataset), wanted, there)


def check_rl(path: Path, model: Path, scratch: Path) -> Outcome:
    """Prompts as they are rendered, with the answers where reward functions look for them."""
    from omegaconf import OmegaConf
    from transformers import AutoTokenizer
    from verl.utils.dataset.rl_dataset import RLHFDataset

    rows = read(path)
    tokenizer = AutoTokenizer.from_pretrained(model)
    config = OmegaConf.create(
        {"max_prompt_length": 4096, "cache_dir": str(scratch / "verl"), "filter_overlong_prompts_workers": 1}
    )
    dataset = RLHFDataset(data_files=str(path), tokenizer=tokenizer, config=config)
    wanted, there = [], []
    for row, item in zip(rows, dataset, strict=False):
        wanted.append(chatml(row["prompt"]) + OPEN + row["reward_model"]["ground_truth"] + row["data_source"])
        raw = tokenizer.apply_chat_template(list(item["raw_prompt"]), tokenize=False, add_generation_prompt=True)
        there.append(raw + item["reward_model"]["ground_truth"] + item["data_source"])
    return compared("verl", path.name, rows, len(dataset), wanted, there)


def main(folder: Path, model: Path, scratch: Path) -> None:
    for file, check in (("verl_sft.parquet", check_sft), ("verl_rl_prompts.parquet", check_rl)):
        with contextlib.redirect_stdout(sys.stderr):
            outcome = check(folder / file, model, scratch)
        emit(outcome)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
