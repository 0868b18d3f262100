"""Runs all benchmarks, one after the other, and writes bench/results.md: the source of the figures in the README.

    python bench/all.py [--only schedule wire ...] [--quick]

Half an hour on a quiet machine with two cores; --only runs some, and the page has only these; --quick (smaller sizes, a
few minutes) only shows that they work, and writes nothing. Ratios hold anywhere; seconds and milliseconds are this
machine's.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

FULL: dict[str, list[str]] = {
    "schedule": [],
    "wire": [],
    "store": [],
    "memory": [],
    "format": [],
}
QUICK = {
    "schedule": ["--sizes", "100x16", "--seeds", "1", "--real"],
    "wire": ["--rollouts", "2000", "--repeats", "1"],
    "store": ["--rollouts", "20000"],
    "memory": ["--small", "1000", "--large", "20000"],
    "format": ["--sizes", "20000"],
}


def run(name: str, options: list[str]) -> str:
    """What a benchmark prints; shown while it does."""
    command = [sys.executable, str(HERE / f"{name}.py"), *options]
    print(f"== {' '.join(['bench/' + name + '.py', *options])}", flush=True)
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(f"bench/{name}.py failed")
    return "".join(lines).strip()


def section(name: str, printed: str) -> str:
    """A benchmark's part of the page: its own description, and what it printed."""
    described = (HERE / f"{name}.py").read_text(encoding="utf-8").split('"""')[1].strip()
    shown = printed if printed.startswith("|") else f"```\n{printed}\n```"
    return f"## {name}\n\n```text\n{described}\n```\n\n{shown}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(FULL), default=list(FULL))
    given = parser.parse_args()
    chosen = QUICK if given.quick else FULL
    parts = [section(name, run(name, chosen[name])) for name in given.only]
    if given.quick:
        return
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    head = f"# Benchmarks\n\nWritten by `python bench/all.py` on {datetime.date.today()}: {machine}.\n"
    (HERE / "results.md").write_text("\n".join([head, *parts]), encoding="utf-8")


if __name__ == "__main__":
    main()
