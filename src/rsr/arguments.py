"""Arguments that several commands take, and the run that one of them names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsr.ending import redact

if TYPE_CHECKING:
    from rsr.config import Loaded

Config = Annotated[str, typer.Argument(metavar="CONFIG|RUN", help="A recipe's name, a YAML file, or a run directory.")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Config keys, dotted; values as YAML."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Go on although more than 1 % of the input changed.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings and the summary only.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where an error comes from.")]


def loaded_run(run: Path, overrides: list[str] | None = None) -> Loaded:
    """The config of a run directory, under overrides."""
    from rsr.loading import load_config
    from rsr.store.rundir import RunDir

    RunDir(run.expanduser()).stored()
    loaded = load_config(str(run), overrides or [])
    redact.learn(loaded.config.model_dump())
    return loaded
