"""Whether the files of a run are what writing them again would give; then that is left out.

Files follow from the stored rollouts, the input and the config. Of these `summary/written.json` keeps a stamp, with
size and time of every file that was written: a run that is only asked whether it is finished answers in the time of a
replay. `rsr format` and `rsr verify` always write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rsr
from rsr.hashing import content_hash
from rsr.parts import Parts
from rsr.prompts import Prompts
from rsr.store.rollouts import RolloutStore
from rsr.store.rundir import RunDir, write_atomically

_TRANSPORT = {"budget", "guards", "store", "work_dir", "stop_grace", "sampler"}


def stamp(run_dir: RunDir, parts: Parts, prompts: Prompts, store: RolloutStore) -> dict[str, Any] | None:
    """What the files follow from, before they are written; None where that can't be told."""
    ours = all(type(formatter).__module__.startswith("rsr.formatters.") for formatter in parts.formatters.values())
    if not ours or store.problems or not prompts.knows(parts.verification):
        return None
    config = parts.config
    sampler = {"max_tokens": config.sampler.max_tokens, "prices": list(parts.prices)}
    decisions = {**config.model_dump(mode="json", exclude=_TRANSPORT), "sampler": {**parts.identity, **sampler}}
    decisions["filtered_by"] = parts.filters.stamp()
    return {
        "version": rsr.__version__,
        "decisions": content_hash(decisions).hex(),
        "prompts": _state(run_dir.prompts),
        "commits": store.counters().get("commits", 0),
    }


def is_fresh(run_dir: RunDir, now: dict[str, Any] | None) -> dict[str, Any] | None:
    """The summary, where the files are those of the stamp of now; else None."""
    try:
        written = json.loads((run_dir.summary / "written.json").read_text(encoding="utf-8"))
        summary: dict[str, Any] = json.loads((run_dir.summary / "stats.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return summary if now is not None and written == {**now, "files": _files(run_dir)} else None


def note(run_dir: RunDir, now: dict[str, Any] | None) -> None:
    """The files have been written."""
    path = run_dir.summary / "written.json"
    if now is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, json.dumps({**now, "files": _files(run_dir)}, indent=2) + "\n")


def _files(run_dir: RunDir) -> dict[str, list[int]]:
    folders = (run_dir.train, run_dir.provenance, run_dir.summary)
    files = (path for folder in folders for path in sorted(folder.iterdir()) if path.name != "written.json")
    return {str(path.relative_to(run_dir.path)): _state(path) for path in files}


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
