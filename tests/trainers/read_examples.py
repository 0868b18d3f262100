"""Reads the examples of trainers that need a GPU by the trainers' own code, as far as that goes without one.

Run by the loaders' Python: python read_examples.py EXAMPLES TRAINER. Axolotl's config model takes its YAML, verl's
configs compose with the options of its scripts, and OpenRLHF's scripts have only options that its parsers declare.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import shlex
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

VERL_CONFIGS = {"verl.trainer.sft_trainer": "sft_trainer_engine", "verl.trainer.main_ppo": "ppo_trainer"}


def words(script: Path) -> list[str]:
    """The command of a script."""
    lines = [line for line in script.read_text().splitlines() if not line.startswith(("#", "set "))]
    return shlex.split("\n".join(lines).replace("\\\n", " "))


def axolotl(example: Path) -> None:
    from axolotl.utils.schemas.config import AxolotlInputConfig

    values = yaml.safe_load(example.read_text())
    taken = AxolotlInputConfig(**values)
    assert {str(entry.path) for entry in taken.datasets} == {entry["path"] for entry in values["datasets"]}


def verl(example: Path) -> None:
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    command = words(example)
    module = next(word for word in command if word in VERL_CONFIGS)
    options = command[command.index(module) + 1 :]
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose(VERL_CONFIGS[module], overrides=options)
    assert OmegaConf.select(config, "data.train_files").endswith(".parquet")
    reward = OmegaConf.select(config, "reward.custom_reward_function.path")
    if module.endswith("main_ppo"):
        score = function(Path(reward), "compute_score")
        assert (score("rsr", "So \\boxed{42}", "42"), score("rsr", "\\boxed{42}, no, \\boxed{7}", "42")) == (1.0, 0.0)


def openrlhf(example: Path) -> None:
    command = words(example)
    module = next(word for word in command if word.startswith("openrlhf.cli."))
    source = Path(importlib.util.find_spec("openrlhf").submodule_search_locations[0]).parent
    taken = parser_of(source / f"{module.replace('.', '/')}.py").parse_args(command[command.index(module) + 1 :])
    values: dict[str, Any] = vars(taken)
    assert values["data.apply_chat_template"] is True
    if remote := values.get("reward.remote_url"):
        score = function(Path(remote), "reward_func")
        made = score(["6*7? So \\boxed{42}", "6*7? \\boxed{7}"], ["6*7?", "6*7?"], ["42", "42"])
        assert made["rewards"].tolist() == [1.0, 0.0]


def parser_of(module: Path) -> argparse.ArgumentParser:
    """The parser that a module makes when it is run: importing it needs a GPU's libraries."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            made = ast.Expression(ast.Call(ast.Name("add", ast.Load()), node.args, node.keywords))
            with suppress(NameError):  # options of a name that is put together, which the examples don't use
                eval(
                    compile(ast.fix_missing_locations(made), str(module), "eval"),
                    {"add": parser.add_argument, "datetime": datetime},
                )
    return parser


def function(file: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


READERS = {"axolotl": axolotl, "verl": verl, "openrlhf": openrlhf}


def main(folder: Path, name: str) -> None:
    for example in sorted((folder / name).iterdir()):
        if example.name != "reward.py":
            READERS[name](example)
            print(f"{name}/{example.name}", file=sys.__stdout__)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
