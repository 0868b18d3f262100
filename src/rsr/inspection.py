"""Looks into a run directory without holding it: how far it is, and its rollouts as a file."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil

from rsr.config import Loaded, sampling_key
from rsr.errors import RunDirError
from rsr.export import rollout_rows, write_rows
from rsr.loading import work_dir
from rsr.parts import NOTHING, Given, Parts, build
from rsr.prompts import Prompts
from rsr.redaction import Redactor, redacted
from rsr.replay import Stored, replay
from rsr.session import Ended, exit_code
from rsr.store.rollouts import RolloutStore
from rsr.store.rundir import RunDir
from rsr.writing import figures

log = logging.getLogger("rsr")

_FRESH = 60.0  # seconds since the last heartbeat


class Opened:
    """A run directory opened for reading."""

    def __init__(self, loaded: Loaded, given: Given) -> None:
        self.parts: Parts = build(loaded, Redactor(), given)
        self.run_dir = RunDir(work_dir(loaded, self.parts))
        if not self.run_dir.prompts.exists():
            raise RunDirError(f"{self.run_dir.path}: its prompts have not been read yet; rsr run {self.run_dir.path}")
        self.prompts = Prompts(self.run_dir.prompts)
        keys = self.parts.keys
        self.store = RolloutStore(self.run_dir.rollouts, self._sampling_key(), readonly=True, keys=keys)
        for problem in self.store.problems:
            log.warning("%s", problem)

    def _sampling_key(self) -> bytes:
        """Of what was sampled here: the config can't name a sampler that a Python caller handed over."""
        stored = self.run_dir.stored().identity
        same = stored == redacted(self.parts.identity)
        return self.parts.sampling_key if same else sampling_key(stored)

    def replay(self, limit: int) -> Iterator[Stored]:
        """Every prompt with what is stored of it."""
        return replay(self.prompts, self.store, self.parts.verification, limit)

    def close(self) -> None:
        """Close the databases."""
        self.store.close()
        self.prompts.close()
        self.parts.close()


@contextmanager
def opened(loaded: Loaded, given: Given = NOTHING) -> Iterator[Opened]:
    """Open a run directory for reading."""
    run = Opened(loaded, given)
    try:
        yield run
    finally:
        run.close()


def status(loaded: Loaded) -> tuple[Ended, str | None]:
    """The figures of a run as it stands, and who is at work in it."""
    with opened(loaded) as run:
        rows = run.run_dir.rows(run.parts.formatters)
        summary = figures(run.parts, run.prompts, run.store, rows)
        return Ended(run.run_dir, summary, exit_code(summary)), holder(run.run_dir)


def export_rollouts(loaded: Loaded, out: Path, format: Literal["jsonl", "parquet"]) -> int:
    """Write every stored rollout to a file; returns how many."""
    with opened(loaded) as run:
        return write_rows(rollouts(run), out, format)


def rollouts(run: Opened) -> Iterator[dict[str, Any]]:
    """Every stored rollout as a row."""
    parts = run.parts
    return rollout_rows(run.replay(-1), run.store, parts.rules, parts.needs, parts.limit)


def holder(run_dir: RunDir) -> str | None:
    """The process that is at work in a run directory, by its last heartbeat."""
    try:
        lease = json.loads((run_dir.path / "lease.json").read_text(encoding="utf-8") or "{}")
    except (OSError, ValueError):
        return None
    if not isinstance(lease, dict) or not lease or time.time() - lease.get("heartbeat", 0) > _FRESH:
        return None
    pid, host = lease.get("pid"), lease.get("host")
    if host == socket.gethostname() and not psutil.pid_exists(int(pid or 0)):
        return None
    return f"process {pid} on {host}"
