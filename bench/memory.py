"""Peak memory of a whole run (index, sample with the scripted sampler, verify, write) at two sizes of input.

    python bench/memory.py [--small 10000] [--large 1000000] [--folder DIR]

Prints seconds of CPU and peak resident memory of the process of each run, and the difference of the peaks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = '''
def reply(request, choice):
    """Passes at index 0 for three prompts of four, at index 1 for the rest."""
    number = int(request.tag[1:])
    index = request.index + choice
    letter = "B" if index or number % 4 else "C"
    thoughts = f"Let me think about prompt {number}, try {index}. " + "It depends on the wording. " * 8
    return f"{thoughts}The answer is {letter}."
'''


def write_prompts(path: Path, count: int) -> None:
    """Prompts in the form of RECIPES.md."""
    with path.open("w") as file:
        for number in range(count):
            text = f"Which is correct in case {number}?\n\nA: the first\nB: the second\nC: the third"
            row = {"id": f"q{number}", "messages": [{"role": "user", "content": text}], "metadata": {"answer": "B"}}
            file.write(json.dumps(row) + "\n")


def measure(folder: Path, count: int) -> tuple[float, float]:
    """Seconds of CPU and peak MB of one run."""
    folder.mkdir()
    write_prompts(folder / "prompts.jsonl", count)
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "rsr", "run", "sft", f"data.input_path={folder / 'prompts.jsonl'}"]
    command += [f"work_dir={folder / 'run'}", "sampler.type=scripted", f"sampler.replies={folder / 'script.py'}:reply"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        peaks = []
        for count in (given.small, given.large):
            seconds, peak = measure(Path(folder) / str(count), count)
            peaks.append(peak)
            each = f"{1e3 * seconds / count:6.3f} ms a prompt"
            print(f"{count:>10,} prompts  {seconds:8.1f} s  {each}  peak {peak:7.1f} MB")
        print(f"difference of the peaks: {peaks[1] - peaks[0]:.1f} MB (to hold: at most 100)")


if __name__ == "__main__":
    main()
