"""Runs the real trainers on the files of one run, on CPU, and says for each file what was kept and what was learned.

    python tests/trainers/run.py FOLDER [--only llamafactory,trl] [--examples all] [--layers 30]

FOLDER gets a virtual environment for each trainer (made where it is missing, some 2 GB each), a model made from a
PyPI package, the run and its files. Exit code 1 where a row is lost or a label is not the file's text.
--examples also trains with what `rsr export --trainer` writes, as it is: a file of each trainer, or all (ten minutes).

pip must find the CPU build of PyTorch (2.13.0+cpu, not on PyPI): PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL say where.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Trainer(NamedTuple):
    """A trainer: its script and the environment that it runs in."""

    script: str
    environment: str
    command: tuple[str, ...] = ()
    """Trains with an example, where that goes on a CPU."""


TRAINERS = {
    "llamafactory": Trainer("in_llamafactory.py", "llamafactory", ("-m", "llamafactory.cli", "train")),
    "trl": Trainer("in_trl.py", "trl", ("-u",)),
    "verl": Trainer("in_verl.py", "loaders"),
    "openrlhf": Trainer("in_openrlhf.py", "loaders"),
    "axolotl": Trainer("in_axolotl.py", "loaders"),
}


def python_of(folder: Path, environment: str) -> Path:
    return folder / environment / "bin" / "python"


def install(folder: Path, environment: str) -> Path:
    """The environment's Python; installed where it is missing or its requirements changed."""
    home, python = folder / environment, python_of(folder, environment)
    requirements = HERE / "requirements" / f"{environment}.txt"
    stamp, wanted = home / "installed.txt", requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", requirements], check=True)
        for library in home.glob("lib/*/site-packages/torchaudio/lib/*.so"):
            library.unlink()  # built for CUDA; without them torchaudio imports, and no test has sound
        stamp.write_text(wanted)
        say(f"{environment}: installed in {time.monotonic() - started:.0f} s")
    return python


def model_of(folder: Path, environment: str, layers: int) -> Path:
    """A model that the environment's own transformers wrote."""
    model = folder / f"model-{environment}-{layers}"
    if not (model / "tokenizer.json").exists():
        call(folder, environment, HERE / "make_model.py", model, layers)
    return model


def call(folder: Path, environment: str, *command: object) -> str:
    """Run Python in an environment; its standard output. What else it says goes to FOLDER/log."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "TOKENIZERS_PARALLELISM": "false"}
    words = [str(python_of(folder, environment)), *map(str, command)]
    with (folder / "log").open("a") as log:
        variables = {**os.environ, **offline, "CUDA_VISIBLE_DEVICES": "", "WANDB_MODE": "disabled"}
        ended = subprocess.run(words, env=variables, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    if ended.returncode:
        tail = "\n".join((folder / "log").read_text(errors="replace").splitlines()[-15:])
        raise SystemExit(f"{' '.join(words)} failed with {ended.returncode}:\n{tail}")
    return ended.stdout


def check(folder: Path, train: Path, name: str, layers: int) -> list[dict[str, Any]]:
    """The outcomes of one trainer."""
    trainer = TRAINERS[name]
    model = model_of(folder, trainer.environment, layers)
    started = time.monotonic()
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    said = call(folder, trainer.environment, HERE / trainer.script, train, model, scratch)
    outcomes = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    say(f"{name}: {len(outcomes)} files in {time.monotonic() - started:.0f} s")
    return outcomes


def ask_lint(folder: Path, train: Path, name: str, layers: int) -> None:
    """`rsr lint --real` beside the trainer; it ends with an error where it finds too much or too little."""
    trainer = TRAINERS[name]
    said = call(
        folder, trainer.environment, HERE / "lint_real.py", train, model_of(folder, trainer.environment, layers), name
    )
    clean, broken = said.count("nothing found"), said.count(": line 3")
    say(f"{name}: rsr lint --real: {clean} files clean, {broken} broken ones found")


def try_examples(folder: Path, train: Path, name: str, layers: int, every: bool) -> None:
    """Train with the examples that RSR writes, unchanged; those that need a GPU are read by their trainer."""
    trainer = TRAINERS[name]
    model = model_of(folder, trainer.environment, layers)
    command = [sys.executable, "-m", "rsr", "export", train.parent, "--trainer", name, "--model", model]
    written = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    if not trainer.command:
        call(folder, trainer.environment, HERE / "read_examples.py", train.parent / "examples", name)
        say(f"{name}: {len(written)} files of examples read")
        return
    examples = [Path(line.removeprefix("wrote ")) for line in written]
    for example in examples if every else examples[:1]:
        if "rl_prompts" in example.name:
            continue  # half an hour of generating on a CPU
        started = time.monotonic()
        call(folder, trainer.environment, *trainer.command, example)
        say(f"{name}: {example.name} trained in {time.monotonic() - started:.0f} s")


def good(outcome: dict[str, Any]) -> bool:
    return outcome["rows"] == outcome["kept"] > 0 and outcome["equal"] == outcome["texts"] > 0


def table(outcomes: list[dict[str, Any]]) -> str:
    lines = ["| trainer | file | rows | kept | texts equal | step |", "|---|---|---|---|---|---|"]
    for it in outcomes:
        equal = f"{it['equal']} of {it['texts']}"
        lines.append(
            f"| {it['trainer']} | `{it['file']}` | {it['rows']} | {it['kept']} | {equal} | {it['step'] or 'loaded'} |"
        )
    return "\n".join(lines)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default=",".join(TRAINERS), help="trainers, with commas between them")
    parser.add_argument("--examples", choices=("one", "all"), help="train with rsr export's examples too")
    parser.add_argument("--layers", type=int, default=2, help="of the model's 30")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    from run_files import make

    train = make(folder / "files")
    outcomes = []
    for name in asked.only.split(","):
        install(folder, TRAINERS[name].environment)
        outcomes += check(folder, train, name, asked.layers)
        ask_lint(folder, train, name, asked.layers)
        if asked.examples:
            try_examples(folder, train, name, asked.layers, every=asked.examples == "all")
    sys.stdout.write(table(outcomes) + "\n")
    bad = [it for it in outcomes if not good(it)]
    for it in bad:
        say(f"BAD {it['trainer']} {it['file']}: {it['kept']} of {it['rows']} rows, {it['difference']}")
    say(f"{len(outcomes) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
