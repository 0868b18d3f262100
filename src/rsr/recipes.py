"""Finds configs: a file, a run directory, or one of the recipes that come with RSR; and anchors the paths in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from rsr.errors import ConfigError
from rsr.registry import nearest
from rsr.written import Origin, read_yaml

_PATHS = (
    "data.input_path",
    "data.preprocess.transform",
    "verifier.type",
    "sampler.type",
    "sampler.replies",
    "sampler.answers",
    "sampler.model_path",
    "formatter.type",
    "filters.evaluation",
    "filters.tokenizer",
)
_FOLDERS = ("filters.tokenizer",)


class Found(NamedTuple):
    """Where a config was found."""

    origin: Origin
    recipe: str
    folder: Path


def shipped_folder() -> Path:
    """The folder with `configs/` and `data/`: inside the installed package, or the checkout's root."""
    inside = Path(__file__).parent / "recipes_data"
    return inside if inside.is_dir() else Path(__file__).parents[2]


def shipped() -> dict[str, Path]:
    """The recipes that come with RSR, by name."""
    return {file.stem: file for file in sorted((shipped_folder() / "configs").glob("*.yaml"))}


def find(name: str) -> Found:
    """The config that a name means: a YAML file, or a shipped recipe.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return Found(read_yaml(path), path.stem, path.resolve().parent)
    if name in shipped():
        path = shipped()[name]
        return Found(read_yaml(path), name, path.parent)
    raise ConfigError(f"{name}: there is no such config file, run directory or recipe; {nearest(name, shipped())}")


def anchor(content: DictConfig, folder: Path) -> None:
    """Make relative paths in a config absolute, so that it means the same from anywhere.

    A path is looked for from the current folder, then beside the config, then beside the config's folder.
    """
    for key, value in list(_path_values(content)):
        OmegaConf.update(content, key, anchored(value, folder, is_path=key in _FOLDERS))


def anchored(value: Any, folder: Path | None = None, is_path: bool = False) -> Any:
    """A path, `path.py:name`, or list of paths, made absolute where it names something that exists.

    Args:
        value: what stands in the config; a text without a suffix is left alone, as it may be a name.
        folder: of the config.
        is_path: it is a path, with a suffix or without.
    """
    if isinstance(value, list):
        return [anchored(item, folder, is_path) for item in value]
    if not isinstance(value, str) or "${" in value:
        return value
    path, separator, name = value.rpartition(":") if ".py:" in value else (value, "", "")
    if not (separator or is_path or Path(path).suffix):
        return value
    bases = [Path.cwd(), *([folder, folder.parent] if folder else [])]
    for base in bases:
        candidate = base / Path(path).expanduser()
        with suppress(OSError):  # a reply of the script's may be too long for a name
            if candidate.exists():
                return f"{candidate.resolve()}{separator}{name}"
    return value


def copy_to(folder: Path) -> Iterator[Path]:
    """Copy configs and quickstart data into a folder; what is there already stays."""
    for part in ("configs", "data"):
        for file in sorted((shipped_folder() / part).iterdir()):
            target = folder / part / file.name
            if file.is_file() and not file.name.startswith(".") and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
                yield target


def _path_values(content: DictConfig) -> Iterator[tuple[str, Any]]:
    plain = OmegaConf.to_container(content, resolve=False)
    for key in _PATHS:
        value: Any = plain
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            yield key, value
    formatters = content.get("formatter")
    if OmegaConf.is_list(formatters):
        for number, formatter in enumerate(formatters):
            if OmegaConf.is_dict(formatter) and isinstance(formatter.get("type"), str):
                yield f"formatter.{number}.type", formatter.type
