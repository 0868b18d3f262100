"""Loads the config that a name means, a run directory's included, and says where its run lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsr import recipes
from rsr.config import Loaded, load
from rsr.hashing import content_hash
from rsr.parts import Parts
from rsr.redaction import REDACTED
from rsr.store.rundir import RunDir
from rsr.written import from_mapping


def load_config(name: str, overrides: Sequence[str] = ()) -> Loaded:
    """The config that a run directory, a file or a recipe's name means, with overrides.

    Raises:
        ConfigError: no such config, or it is wrong.
        RunDirError: the run directory can't be used.
    """
    run_dir = RunDir(Path(name).expanduser())
    if run_dir.exists:
        stored = run_dir.stored()
        origin = from_mapping(_without_redacted(stored.source), str(run_dir.config))
        origin.content["work_dir"] = str(run_dir.path)
        return load(origin, overrides, stored.recipe, lambda content: recipes.anchor(content, Path.cwd()))
    found = recipes.find(name)
    return load(found.origin, overrides, found.recipe, lambda content: recipes.anchor(content, found.folder))


def work_dir(loaded: Loaded, parts: Parts, rows: Sequence[Mapping[str, Any]] | None = None) -> Path:
    """The run directory: as configured, or the same one for the same input (its path, or the rows) and sampling."""
    if loaded.config.work_dir:
        return Path(loaded.config.work_dir).expanduser()
    source = loaded.config.data.input_path if rows is None else list(rows)
    name = content_hash([source, parts.sampling_key.hex()]).hex()[:8]
    return Path("runs") / f"{loaded.recipe}-{name}"


def _without_redacted(values: Any) -> Any:
    """The config without the secrets that were not written: they come from the environment or the command line."""
    if isinstance(values, dict):
        return {key: _without_redacted(value) for key, value in values.items() if value != REDACTED}
    return [_without_redacted(value) for value in values] if isinstance(values, list) else values
