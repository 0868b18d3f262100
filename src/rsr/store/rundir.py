"""A run directory: what lies where, which config it runs under, and who is at work in it.

    work_dir/
        config.yaml           the resolved config without secrets, the sampling identity, and every revision
        prompts.sqlite        the indexed input
        rollouts/             what was sampled
        train/                sft.jsonl, dpo.jsonl, ..., or .parquet, dataset_info.json; replaced as a whole
        provenance/           for each training file, line by line, which rollouts a row is made of
        summary/              stats.json, dropped.jsonl
        log/events.jsonl      what happened when
        lease.json            who is at work here: host, pid, heartbeat

State is not saved here: it is the replay of what is stored under the config of now.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rsr.errors import RunDirError, StoreError

SCHEMA_VERSION = 1
_ROOM = 1 << 20  # bytes that must be free to begin
_HEARTBEAT = 10.0  # seconds
_EXPIRES = 60.0  # seconds without a heartbeat after which another host's lease is void


class StoredConfig(NamedTuple):
    """What a run directory says of its config."""

    source: dict[str, Any]
    """The config as given, secrets redacted, interpolations kept."""
    values: dict[str, Any]
    """Every key, resolved, secrets redacted: what a new config is compared with."""
    identity: dict[str, Any]
    revisions: list[dict[str, Any]]
    recipe: str


class RunDir:
    """Paths in a run directory, and its config."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.prompts = path / "prompts.sqlite"
        self.rollouts = path / "rollouts"
        self.train = path / "train"
        self.provenance = path / "provenance"
        self.summary = path / "summary"
        self.log = path / "log"

    @property
    def exists(self) -> bool:
        """Whether a run has begun here."""
        return self.config.exists()

    def rows(self, names: Iterable[str]) -> dict[str, int]:
        """How many rows each training file has now; 0 where there is none."""
        counts = {}
        for name in names:
            path = self.provenance / f"{name}.jsonl"  # it has a line for each row
            with path.open("rb") if path.exists() else nullcontext(()) as file:
                counts[name] = sum(1 for _ in file)
        return counts

    def create(self) -> None:
        """Make the folders.

        Raises:
            RunDirError: the place can't be used; says why.
        """
        try:
            for folder in (self.path, self.rollouts, self.train, self.provenance, self.summary, self.log):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise RunDirError(f"work_dir: {self.path} can't be used: {cause.strerror}") from cause
        if not os.access(self.path, os.W_OK):
            raise RunDirError(f"work_dir: {self.path} can't be written to")
        self._check_room()

    def _check_room(self) -> None:
        """Find out that the disk is full before anything is paid for."""
        probe = self.path / ".room"
        try:
            try:
                with probe.open("wb") as file:
                    file.write(bytes(_ROOM))
            finally:
                probe.unlink(missing_ok=True)
        except OSError as cause:
            room = f"{_ROOM >> 20} MB"
            raise StoreError(f"work_dir: {self.path} has not the {room} to begin: {cause.strerror}") from cause

    def stored(self) -> StoredConfig:
        """The config that the run directory holds.

        Raises:
            RunDirError: there is none, or it is from a newer version.
        """
        try:
            content = yaml.safe_load(self.config.read_text(encoding="utf-8"))
            if isinstance(content, dict) and "schema_version" not in content:
                raise RunDirError(f"{self.path} is not a run directory: its config.yaml was not written by a run")
            version = content["schema_version"]
            if version > SCHEMA_VERSION:
                raise RunDirError(f"{self.config}: was written by a newer version of rsr; upgrade rsr")
            return StoredConfig(
                content["source"], content["config"], content["identity"], content["revisions"], content["recipe"]
            )
        except OSError:
            raise RunDirError(f"{self.path} is not a run directory: there is no config.yaml in it") from None
        except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as cause:
            fix = "remove it and give the command that began the run: what was sampled is kept"
            raise RunDirError(f"{self.config}: is damaged; {fix}") from cause

    def store_config(self, stored: StoredConfig, rsr_version: str) -> None:
        """Write the config; secrets must have been redacted."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "rsr_version": rsr_version,
            "recipe": stored.recipe,
            "identity": stored.identity,
            "config": stored.values,
            "source": stored.source,
            "revisions": stored.revisions,
        }
        write_atomically(self.config, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


class Lease:
    """Holds a run directory for one process: a lock that dies with the process, and a heartbeat for other hosts.

    Raises:
        RunDirError: another process is at work there.
    """

    def __init__(self, run_dir: RunDir) -> None:
        self._path = run_dir.path / "lease.json"
        self._beaten = 0.0
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as cause:
            raise RunDirError(f"work_dir: {self._path} can't be written: {cause.strerror}") from cause
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = self._holder()
            os.close(self._file)
            raise _in_use(run_dir, holder) from None
        holder = self._holder()
        elsewhere = holder.get("host") not in (None, socket.gethostname())
        if elsewhere and time.time() - float(holder.get("heartbeat", 0)) < _EXPIRES:
            os.close(self._file)
            raise _in_use(run_dir, holder)
        self.beat()

    def beat(self) -> None:
        """Say that this process is alive, at most every ten seconds."""
        now = time.time()
        if now - self._beaten >= _HEARTBEAT:
            self._beaten = now
            self._write({"host": socket.gethostname(), "pid": os.getpid(), "heartbeat": now})

    def release(self) -> None:
        """Let the next one in."""
        self._write({})
        os.close(self._file)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _holder(self) -> dict[str, Any]:
        try:
            holder = json.loads(os.pread(self._file, 4096, 0) or b"{}")
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    def _write(self, holder: Mapping[str, Any]) -> None:
        data = json.dumps(holder).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, data, 0)


def _in_use(run_dir: RunDir, holder: Mapping[str, Any]) -> RunDirError:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return RunDirError(f"work_dir: {run_dir.path} is in use by {who}; wait for it, stop it, or choose another work_dir")


class EventLog:
    """`log/events.jsonl`: one JSON object a line, secrets filtered."""

    def __init__(self, run_dir: RunDir, redact: Callable[[str], str]) -> None:
        self._redact = redact
        try:
            self._file = (run_dir.log / "events.jsonl").open("a", encoding="utf-8")
        except OSError as cause:
            raise StoreError(f"{run_dir.log}: can't be written: {cause.strerror}") from cause

    def write(self, event: str, **fields: Any) -> None:
        """Append one event with the time. On a full disk it is left out: it was shown, and the run is worth more."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **fields}
        with suppress(OSError):
            self._file.write(self._redact(json.dumps(line, ensure_ascii=False, default=str)) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # said already, when it was written
            self._file.close()


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader sees the old one or the new one."""
    staged = path.with_name(path.name + ".new")
    try:
        with staged.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except OSError as cause:
        raise StoreError(f"{path}: can't be written: {cause.strerror}") from cause
