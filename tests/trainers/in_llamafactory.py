"""The real LLaMA-Factory on the files of a run: rows kept, labels against texts, one optimizer step.

Run by its own Python: python in_llamafactory.py TRAIN_FOLDER MODEL SCRATCH. One JSON line for each check.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from labels import END, Outcome, compared, emit, read, shown_ids

TEMPLATE = "smollm"  # ends each answer with <|im_end|> and a line break, adds no system prompt


def arguments(folder: Path, model: Path, scratch: Path, stage: str, name: str) -> dict[str, Any]:
    return {
        "model_name_or_path": str(model),
        "template": TEMPLATE,
        "stage": stage,
        "do_train": True,
        "finetuning_type": "lora",
        "dataset": f"rsr_{name}",
        "dataset_dir": str(folder),
        "cutoff_len": 4096,
        "output_dir": str(scratch / name),
        "overwrite_output_dir": True,
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "overwrite_cache": True,
    }


def loaded(values: dict[str, Any]) -> tuple[Any, Any]:
    """The tokenized dataset, by LLaMA-Factory's own loader."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    model_args, data_args, training_args, _, _ = get_train_args(values)
    made = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(made["tokenizer"], data_args)
    kind = values["stage"]  # DPO and the reward model share the data path that LLaMA-Factory calls rm
    dataset = get_dataset(template, model_args, data_args, training_args, stage=kind, **made)["train_dataset"]
    return dataset, made["tokenizer"]


def trained(labels: list[int], tokenizer: Any) -> str:
    return shown_ids([label for label in labels if label >= 0], tokenizer)


def answers(row: dict[str, Any]) -> list[str]:
    """The texts that LLaMA-Factory trains on in an SFT row, but for tool calls, which it renders."""
    return [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]


def check_sft(folder: Path, model: Path, scratch: Path, name: str) -> Outcome:
    rows = read(folder / f"{name}.jsonl")
    dataset, tokenizer = loaded(arguments(folder, model, scratch, "sft", name))
    wanted, there = [], []
    for row, encoded in zip(rows, dataset, strict=False):
        text = trained(encoded["labels"], tokenizer)
        pieces = [answer + END for answer in answers(row)]
        if any(turn["role"] == "function_call" for turn in row["messages"]):
            text = "".join(piece for piece in pieces if piece in text)
        wanted.append("".join(pieces))
        there.append(text)
    return compared("llamafactory", name, rows, len(dataset), wanted, there)


def check_dpo(folder: Path, model: Path, scratch: Path, name: str) -> Outcome:
    rows = read(folder / f"{name}.jsonl")
    dataset, tokenizer = loaded(arguments(folder, model, scratch, "rm", name))
    wanted = [row[side]["value"] + END for row in rows for side in ("chosen", "rejected")]
    there = [trained(encoded[f"{side}_labels"], tokenizer) for encoded in dataset for side in ("chosen", "rejected")]
    return compared("llamafactory", name, rows, len(dataset), wanted, there)


def check_kto(folder: Path, model: Path, scratch: Path, name: str) -> Outcome:
    rows = read(folder / f"{name}.jsonl")
    dataset, tokenizer = loaded(arguments(folder, model, scratch, "kto", name))
    wanted = [f"{row['label']} {row['messages'][-1]['content']}{END}" for row in rows]
    there = [f"{encoded['kto_tags']} {trained(encoded['labels'], tokenizer)}" for encoded in dataset]
    return compared("llamafactory", name, rows, len(dataset), wanted, there)


def step(values: dict[str, Any]) -> float:
    """One optimizer step by LLaMA-Factory's own command; the loss."""
    import json

    from llamafactory.train.tuner import run_exp

    run_exp(values)
    lines = (Path(values["output_dir"]) / "trainer_log.jsonl").read_text().splitlines()
    return float(next(json.loads(line)["loss"] for line in lines if "loss" in json.loads(line)))


CHECKS = (
    ("sft", "llamafactory_sft", check_sft),
    ("sft", "multi_exploded", check_sft),
    ("dpo", "llamafactory_dpo", check_dpo),
    ("kto", "llamafactory_kto", check_kto),
    ("rm", "llamafactory_reward_pairs", check_dpo),
)


def main(folder: Path, model: Path, scratch: Path) -> None:
    for stage, name, check in CHECKS:
        with contextlib.redirect_stdout(sys.stderr):
            outcome = check(folder, model, scratch, name)
            loss = step(arguments(folder, model, scratch, stage, name))
        emit(outcome._replace(step=f"{stage} loss {loss:.4f}"))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
