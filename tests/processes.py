"""Real processes: the simulated server, `rsr run` against it, kills, and what they leave in their run directories."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from commands import read_rows, write_rows

RSR = (sys.executable, "-m", "rsr")
PATIENCE = 100.0
"""Seconds after which a process that does not come to its end has failed a test."""

ALL_THREE = (
    "formatter=[{type: sft, pass_threshold: 1.0}, {type: dpo, pass_threshold: 1.0, fail_threshold: 0.0}, "
    "{type: multi_sft, num_responses: 16, pass_threshold: 1.0}]"
)


def write_questions(path: Path, count: int, tags: Callable[[int], str] = lambda number: "") -> Path:
    """Multiple choice; `tags` gives what is put into the text of a question for the simulated model."""
    rows = []
    for number in range(count):
        text = f"Question {number}: which is correct? {tags(number)}\n\nA: one\nB: two\nC: three\nD: four"
        answer = "ABCD"[number * 7 % 4]
        rows.append(
            {"id": f"q{number}", "messages": [{"role": "user", "content": text}], "metadata": {"answer": answer}}
        )
    return write_rows(path, rows)


class Server(NamedTuple):
    """A simulated server that is up."""

    base_url: str
    process: subprocess.Popen[str]

    def stats(self, deliveries: bool = False) -> dict[str, Any]:
        """What it counted."""
        url = self.base_url.removesuffix("/v1") + "/stats" + ("?deliveries=1" if deliveries else "")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as reply:
            found: dict[str, Any] = json.load(reply)
            return found


@contextlib.contextmanager
def simulated(answers: Path, *flags: str, **options: object) -> Iterator[Server]:
    """`rsr simulate serve`, which knows the answers of these prompts; its replies take no time unless told.

    Args:
        answers: the input of the runs.
        flags: as on the command line.
        options: others, `median_tokens=40`.
    """
    given = {"slots": 0, "tokens_per_second": 0, "median_tokens": 40, **options}
    named = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    command = [*RSR, "simulate", "serve", f"--answers={answers}", *named, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening "), line
            yield Server(line.split()[1], process)
        finally:
            process.terminate()
            process.wait(PATIENCE)


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of what it printed."""
        return self.out.splitlines()[-1] if self.out else ""

    def ends_with(self, code: int, traceback: bool = False) -> Ended:
        """Itself, where it ended with this code; a traceback is shown only where one was asked for."""
        assert self.code == code, f"exit code {self.code}\n{self.out}\n{self.err[-4000:]}"
        assert traceback or "Traceback" not in self.err, self.err
        return self


class Process:
    """`rsr ...` as a process that goes on.

    Args:
        folder: where its output goes, and where it is started.
        arguments: of the command.
        environment: beside that of the tests, which has no key.
    """

    def __init__(self, folder: Path, arguments: Sequence[object], **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
        self._out, self._err = folder / f"{time.monotonic_ns()}.out", folder / f"{time.monotonic_ns()}.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.popen = subprocess.Popen(
                [*RSR, *map(str, arguments)], cwd=folder, stdout=out, stderr=err, env={**clean, **environment}
            )

    @property
    def over(self) -> bool:
        """Whether it has ended by itself."""
        return self.popen.poll() is not None

    def said(self) -> str:
        """What it has printed on stderr up to now."""
        return self._err.read_text()

    def send(self, number: int) -> Ended:
        """How it ends after a signal."""
        self.popen.send_signal(number)
        return self.end()

    def kill(self) -> None:
        """`kill -9`."""
        self.popen.kill()
        self.popen.wait(PATIENCE)

    def end(self) -> Ended:
        """Waits for it."""
        try:
            code = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.send_signal(signal.SIGKILL)
            raise
        return Ended(code, self._out.read_text(), self._err.read_text())


class Bench(NamedTuple):
    """A server, prompts, and a folder for run directories."""

    server: Server
    prompts: Path
    folder: Path

    def arguments(self, name: str, *more: str, recipe: str = "sft") -> list[str]:
        """Of `rsr run` in the directory of that name."""
        where = [f"data.input_path={self.prompts}", f"work_dir={self.folder / name}"]
        return ["run", recipe, *where, f"sampler.base_url={self.server.base_url}", "sampler.model=any", *more]

    def start(self, name: str, *more: str, recipe: str = "sft", **environment: str) -> Process:
        """A run that goes on."""
        return Process(self.folder, self.arguments(name, *more, recipe=recipe), **environment)

    def run(self, name: str, *more: str, recipe: str = "sft", code: int = 0) -> Ended:
        """A run to its end."""
        return self.start(name, *more, recipe=recipe).end().ends_with(code)


def data(work: Path) -> dict[str, bytes]:
    """The files that have to be the same: training data, and where each line is from."""
    files = sorted([*(work / "train").iterdir(), *(work / "provenance").iterdir()])
    return {f"{file.parent.name}/{file.name}": file.read_bytes() for file in files}


def assert_same(work: Path, reference: dict[str, bytes]) -> None:
    """The same files, byte by byte; says where the first difference is."""
    found = data(work)
    assert found.keys() == reference.keys()
    for name, content in reference.items():
        if found[name] != content:
            ours, theirs = found[name].splitlines(), content.splitlines()
            at = next((at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
            where = f"line {at}: {ours[at]!r}, not {theirs[at]!r}" if at is not None else "one goes on"
            raise AssertionError(f"{name}: {len(ours)} lines, not {len(theirs)}; {where}"[:2000])


def exported(bench: Bench, name: str) -> list[dict[str, Any]]:
    """All rollouts that a run directory holds, by `rsr export`."""
    path = bench.folder / f"{name}.export.jsonl"
    Process(bench.folder, ["export", bench.folder / name, "-o", path]).end().ends_with(0)
    return read_rows(path)


def until(condition: Callable[[], bool], process: Process) -> bool:
    """Waits for something, while the process goes on; False: it has ended first."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process.over:
            return False
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)
    return True
