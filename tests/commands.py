"""The command line for tests: how a command ended, prompts to run it on, and the command in a process of its own."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on stderr that are no warnings."""
        return [line for line in self.err.splitlines() if not line.startswith("warning: ")]

    def refused(self) -> str:
        """The one line with which it was refused, with exit code 2 and no traceback."""
        assert self.code == 2, (self.code, self.err)
        assert len(self.errors) == 1, self.err
        assert self.errors[0].startswith("rsr: "), self.err
        return self.errors[0].removeprefix("rsr: ")


def process(*arguments: object, cwd: Path | None = None, **environment: str) -> Ended:
    """`rsr ...` in a process of its own, with no key in the environment unless given."""
    clean = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    ended = subprocess.run(
        [sys.executable, "-m", "rsr", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**clean, **environment},
        timeout=100,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def question(id: str, answer: str | None = "B", **more: Any) -> dict[str, Any]:
    """A prompt's row: multiple choice."""
    text = f"Question {id}: which is correct?\n\nA: X\nB: Y"
    metadata = {} if answer is None else {"metadata": {"answer": answer}}
    return {"id": id, "messages": [{"role": "user", "content": text}], **metadata, **more}


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def free_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
