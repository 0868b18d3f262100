"""A pilot: samples a few prompts as a run would, in a folder that is thrown away, and says what all would take."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rsr.errors import RSRError
from rsr.loading import load_config
from rsr.session import FAILED, Options, Session, Watch


class Pilot(NamedTuple):
    """What a pilot took."""

    summary: dict[str, Any]
    seconds: float
    total: int
    """Prompts of the whole input."""
    exit_code: int
    error: RSRError | None


def sample(config: str, overrides: Sequence[str], count: int, total: int, watch: Watch) -> Pilot:
    """Sample some prompts, drawn by the seed, with everything that the config says. This is paid for.

    Args:
        config: a recipe's name, a YAML file or a run directory.
        overrides: of its keys.
        count: how many prompts.
        total: how many there are in all.
        watch: told how it goes.

    Raises:
        RSRError: it could not begin.
    """
    with TemporaryDirectory(prefix="rsr-pilot-") as folder:
        place = [f"work_dir={json.dumps(str(Path(folder) / 'run'))}", "store.local_dir=null"]
        some = [f"data.limit={min(count, total)}", "data.shuffle=true", "data.on_error=skip"]
        loaded = load_config(config, [*overrides, *place, *some])
        with Session(loaded, "check", Options(), watch) as session:
            started = time.monotonic()
            ended = session.sample()
            # So few prompts may well give no row for a file.
            code = 0 if ended.exit_code == FAILED and ended.error is None else ended.exit_code
            return Pilot(ended.summary, time.monotonic() - started, total, code, ended.error)


def lines(pilot: Pilot) -> Iterator[str]:
    """What the pilot gave, and what the whole input would take at the same rate."""
    summary = pilot.summary
    prompts, rollouts, tokens = summary["prompts"], summary["rollouts"], summary["tokens"]
    done = prompts["total"] - prompts["incomplete"]
    files = ", ".join(f"{name} {file['rows']:,} rows" for name, file in summary["files"].items())
    yield (
        f"pilot      {done:,} of {prompts['total']:,} prompts: {rollouts['stored']:,} responses, {files}; "
        f"{_took(pilot.seconds)}; nothing of it is kept"
    )
    if pilot.error is not None:
        yield f"pilot      {pilot.error}"
    if not done:
        yield "estimate   none: no prompt was finished"
        return
    factor = pilot.total / done
    cost = f", {tokens['usd'] * factor:,.2f} USD" if tokens["usd"] is not None else ""
    yield (
        f"estimate   {pilot.total:,} prompts: about {rollouts['stored'] * factor:,.0f} responses, "
        f"{tokens['completion'] * factor:,.0f} completion and {tokens['prompt'] * factor:,.0f} prompt tokens{cost}"
    )
    yield f"           {_took(pilot.seconds * factor)} at the pilot's speed; less where more prompts fill more slots"


def _took(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
