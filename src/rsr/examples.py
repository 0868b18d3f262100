"""Example training configs and scripts for the files of a run: templates of `trainer_examples/`, filled with paths."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from rsr.config import Loaded
from rsr.errors import ConfigError, RunDirError
from rsr.loading import work_dir
from rsr.parts import NOTHING, build
from rsr.redaction import Redactor
from rsr.store.rundir import RunDir, write_atomically

MODEL = "Qwen/Qwen3-0.6B"
CUTOFF = 4096

_SUFFIX = {"llamafactory": "yaml", "trl": "py", "verl": "sh", "openrlhf": "sh", "axolotl": "yaml"}
_KIND = {"responses": "sft", "pairs": "dpo", "rewards": "reward", "labelled": "kto", "prompts": "rl"}
_NEEDS_A_REWARD = {"verl_rl", "openrlhf_rl"}


class Asked(NamedTuple):
    """What the examples shall train."""

    trainer: str
    model: str = MODEL
    """A name on the hub, or a folder."""
    cutoff: int = CUTOFF
    """Tokens."""


def write_examples(loaded: Loaded, asked: Asked, folder: Path | None = None) -> list[Path]:
    """Write an example for each training file of a run that is in the trainer's layout.

    Args:
        loaded: the run's config.
        asked: trainer, model, cutoff.
        folder: where to; default: `examples/<trainer>` in the run directory.

    Returns:
        What was written.

    Raises:
        RunDirError: a file is missing.
        ConfigError: no file is in that layout.
    """
    parts = build(loaded, Redactor(), NOTHING)
    try:
        run_dir = RunDir(work_dir(loaded, parts))
        formatters = {
            name: it for name, it in parts.formatters.items() if it.name != "multi_sft"
        }  # no trainer reads it
        styles = {name: getattr(formatter, "style", None) for name, formatter in formatters.items()}
    finally:
        parts.close()
    target = (folder or run_dir.path / "examples" / asked.trainer).expanduser().resolve()
    written = []
    for name, style in styles.items():
        if style is None or style.layout != asked.trainer:
            continue
        template = f"{asked.trainer}_{_KIND[style.kind]}"
        file = (run_dir.train / f"{name}.{style.file_format}").resolve()
        if not file.is_file():
            raise RunDirError(f"{file}: is not there; rsr format {run_dir.path} writes it")
        written += _write(template, file, target, asked)
    if not written:
        fix = f"rsr format {run_dir.path} formatter.0.layout={asked.trainer} writes such files"
        raise ConfigError(f"--trainer {asked.trainer}: no training file of this run is in that layout; {fix}")
    return written


def _write(template: str, file: Path, folder: Path, asked: Asked) -> list[Path]:
    suffix = _SUFFIX[asked.trainer]
    target = folder / f"{file.stem}.{suffix}"
    values = {
        "FILE": str(file),
        "FOLDER": str(file.parent),
        "DATASET": f"rsr_{file.stem}",
        "FORMAT": "parquet" if file.suffix == ".parquet" else "json",
        "PROMPT": "input",
        "MODEL": asked.model,
        "CUTOFF": str(asked.cutoff),
        "OUTPUT": str(folder / f"{file.stem}-trained"),
        "EXAMPLES": str(folder),
        "SELF": str(target),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(target, _filled(f"{template}.{suffix}", values))
    if template not in _NEEDS_A_REWARD:
        return [target]
    reward = folder / "reward.py"
    if not reward.exists():  # it is there to be edited
        write_atomically(reward, _filled(f"{asked.trainer}_reward_function.py", {}))
    return [target, reward]


def _filled(name: str, values: dict[str, str]) -> str:
    source = resources.files("rsr").joinpath("trainer_examples", f"{name}.example").read_text(encoding="utf-8")
    lines = []
    for line in source.split("\n"):
        for key, value in values.items():
            comment = line.startswith(("#", '"""'))
            line = line.replace(f"@{key}@", value if comment else _quoted(value, Path(name).suffix))
        lines.append(line)
    return "\n".join(lines)


def _quoted(value: str, suffix: str) -> str:
    """A value as it stands in a file: whole in YAML, inside double quotes in Python, inside single ones in a shell."""
    if suffix == ".sh":
        return value.replace("'", "'\\''")
    quoted = json.dumps(value, ensure_ascii=False)
    return quoted if suffix == ".yaml" and not value.isdigit() else quoted[1:-1]
