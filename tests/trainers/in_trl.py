"""The real TRL trainers on the files of a run: rows kept, labels against texts, one optimizer step of each.

Run by its own Python: python in_trl.py TRAIN_FOLDER MODEL SCRATCH. One JSON line for each check.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from labels import END, OPEN, Outcome, chatml, compared, emit, read, shown_ids


def common(scratch: Path, name: str) -> dict[str, Any]:
    return {
        "output_dir": str(scratch / name),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
    }


def dataset_of(path: Path) -> Any:
    from datasets import load_dataset

    kind = "parquet" if path.suffix == ".parquet" else "json"
    return load_dataset(kind, data_files=str(path), split="train")


def step(trainer: Any) -> str:
    trainer.train()
    loss = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    return f"loss {loss:.4f}"


def masked(example: dict[str, Any], tokenizer: Any) -> str:
    """What SFT trains on of an example."""
    return shown_ids([label for label in example["labels"] if label >= 0], tokenizer)


def check_sft(path: Path, model: Path, scratch: Path) -> Outcome:
    from trl import SFTConfig, SFTTrainer

    rows = read(path)
    config = SFTConfig(max_length=4096, **common(scratch, path.stem))
    trainer = SFTTrainer(model=str(model), args=config, train_dataset=dataset_of(path))
    wanted = [row["completion"][0]["content"] + END for row in rows]
    there = [masked(example, trainer.processing_class) for example in trainer.train_dataset]
    outcome = compared("trl", path.name, rows, len(trainer.train_dataset), wanted, there)
    return outcome._replace(step=f"SFTTrainer {step(trainer)}")


def check_dpo(path: Path, model: Path, scratch: Path) -> Outcome:
    from trl import DPOConfig, DPOTrainer

    rows = read(path)
    config = DPOConfig(max_length=4096, **common(scratch, path.stem))
    trainer = DPOTrainer(model=str(model), args=config, train_dataset=dataset_of(path))
    wanted, there = [], []
    for row, example in zip(rows, trainer.train_dataset, strict=False):
        wanted += [chatml(row["prompt"]) + OPEN, *(row[side][0]["content"] + END for side in ("chosen", "rejected"))]
        columns = ("prompt_ids", "chosen_ids", "rejected_ids")
        there += [shown_ids(example[column], trainer.processing_class) for column in columns]
    outcome = compared("trl", path.name, rows, len(trainer.train_dataset), wanted, there)
    return outcome._replace(step=f"DPOTrainer {step(trainer)}")


def check_kto(path: Path, model: Path, scratch: Path) -> Outcome:
    from trl import KTOConfig, KTOTrainer

    rows = read(path)
    config = KTOConfig(max_length=4096, **common(scratch, path.stem))
    trainer = KTOTrainer(model=str(model), args=config, train_dataset=dataset_of(path))
    kept = trainer.train_dataset
    wanted = sorted(f"{row['label']} {row['completion'][0]['content']}{END}" for row in rows)
    there = sorted(f"{it['label']} {shown_ids(it['completion_ids'], trainer.processing_class)}" for it in kept)
    return compared("trl", path.name, rows, len(kept), wanted, there)._replace(step=f"KTOTrainer {step(trainer)}")


def check_reward(path: Path, model: Path, scratch: Path) -> Outcome:
    from trl import RewardConfig, RewardTrainer

    rows = read(path)
    config = RewardConfig(max_length=4096, **common(scratch, path.stem))
    trainer = RewardTrainer(model=str(model), args=config, train_dataset=dataset_of(path))
    wanted, there = [], []
    for row, example in zip(rows, trainer.train_dataset, strict=False):
        for side in ("chosen", "rejected"):
            wanted.append(chatml([*row["prompt"], *row[side]]))
            there.append(shown_ids(example[f"{side}_ids"], trainer.processing_class).removesuffix("<|im_end|>"))
    there = [text if text.endswith("\n") else f"{text}\n" for text in there]
    outcome = compared("trl", path.name, rows, len(trainer.train_dataset), wanted, there)
    return outcome._replace(step=f"RewardTrainer {step(trainer)}")


def check_grpo(path: Path, model: Path, scratch: Path) -> Outcome:
    """Every prompt and answer must reach the reward function as the file has it."""
    from trl import GRPOConfig, GRPOTrainer

    rows = read(path)
    seen: dict[str, str] = {}

    def reward(prompts: list[Any], completions: list[Any], answer: list[str], **_: Any) -> list[float]:
        seen.update({chatml(prompt): value for prompt, value in zip(prompts, answer, strict=True)})
        return [float(len(completion[0]["content"]) % 3) for completion in completions]

    values = {**common(scratch, path.stem), "generation_batch_size": 2 * len(rows)}  # all prompts, of which 1 trains
    config = GRPOConfig(num_generations=2, max_completion_length=4, **values)
    trainer = GRPOTrainer(model=str(model), args=config, train_dataset=dataset_of(path), reward_funcs=reward)
    said = step(trainer)
    wanted = [chatml(row["prompt"]) + row["answer"] for row in rows]
    there = [chatml(row["prompt"]) + seen.get(chatml(row["prompt"]), "") for row in rows]
    return compared("trl", path.name, rows, len(seen), wanted, there)._replace(step=f"GRPOTrainer {said}")


CHECKS = (
    ("trl_sft.jsonl", check_sft),
    ("trl_parquet.parquet", check_sft),
    ("trl_dpo.jsonl", check_dpo),
    ("trl_kto.jsonl", check_kto),
    ("trl_reward_pairs.jsonl", check_reward),
    ("trl_rl_prompts.jsonl", check_grpo),
)


def main(folder: Path, model: Path, scratch: Path) -> None:
    for file, check in CHECKS:
        with contextlib.redirect_stdout(sys.stderr):
            outcome = check(folder / file, model, scratch)
        emit(outcome)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
