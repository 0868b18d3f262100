"""Formatting: `rsr format` on stored rollouts, how many a second and in how much memory.

    python bench/format.py [--sizes 100000 1000000] [--sets three ...] [--folder DIR]

A run directory with so many rollouts of 2 KB, 8 of a prompt, every second one right; `rsr format RUN` in a process of
its own. Printed are seconds, rollouts per second and CPU second, and the peak of resident memory, which must not grow
with the size. The sets of formatters:

    three     sft, dpo, multi_sft as JSONL
    parquet   the same for verl and TRL as Parquet, which takes a second pass
    texts     formatters that look at every text: shortest, nearest_length, max_similarity
    filtered  three, behind filters of length, repetition and a pattern
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rsr.completions import to_rollout
from rsr.loading import load_config
from rsr.prompts import Prompts
from rsr.session import Session
from rsr.store.rollouts import NewRollout, Said
from rsr.types import Completion, Prompt, Verdict
from store import texts

PER_PROMPT = 8
THREE = "formatter=[{type: sft}, {type: dpo}, {type: multi_sft, num_responses: 4}]"
PARQUET = (
    "formatter=[{type: sft, layout: verl}, {type: dpo, layout: trl, file_format: parquet}, "
    "{type: multi_sft, num_responses: 4, explode: true, layout: verl}]"
)
TEXTS = (
    "formatter=[{type: sft, select: shortest, best_of: 8}, "
    "{type: dpo, strategy: nearest_length, max_similarity: 0.9}, {type: multi_sft, num_responses: 4}]"
)
SETS = {
    "three": [THREE],
    "parquet": [PARQUET],
    "texts": [TEXTS],
    "filtered": [THREE, "filters.max_length=100000", "filters.repetition=0.5", "filters.refuse=[as an AI]"],
}


def rollouts(prompt: Prompt, said: list[str], verdict_key: int, verifier: int) -> Iterator[NewRollout]:
    """Eight responses, of which every second one is right."""
    for index in range(PER_PROMPT):
        right = bool(index % 2)
        body = said[(prompt.order * 7 + index) % len(said)]
        text = f"Case {prompt.order}, try {index}. {body}The answer is {'B' if right else 'C'}."
        completion = Completion(text=text, prompt_tokens=80, completion_tokens=450)
        verdict = Verdict(score=float(right), extracted="B" if right else "C")
        yield NewRollout(prompt, to_rollout(completion, index), completion, Said(verdict, verdict_key, verifier))


def build(folder: Path, count: int) -> Path:
    """A run directory with `count` rollouts."""
    folder.mkdir(parents=True)
    with (folder / "prompts.jsonl").open("w") as file:
        for number in range(count // PER_PROMPT):
            text = f"Which is correct in case {number}?\n\nA: the first\nB: the second\nC: the third"
            row = {"id": f"q{number}", "messages": [{"role": "user", "content": text}], "metadata": {"answer": "B"}}
            file.write(json.dumps(row) + "\n")
    overrides = [f"data.input_path={folder / 'prompts.jsonl'}", f"work_dir={folder / 'run'}", "sampler.type=scripted"]
    said = texts()
    with Session(load_config("sft", [*overrides, THREE]), "bench") as session:
        session.index()
        store, verification = session.store(), session.parts.verification
        check = verification.default
        verifier = store.verifier_id(check.name, check.params, check.version)
        index = Prompts(session.run_dir.prompts)
        for page in index.pages():
            batch = [new for it in page for new in rollouts(it, said, verification.verdict_key(it), verifier)]
            store.add(batch)
        index.close()
        store.close()
    return folder / "run"


def measure(run: Path, options: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of `rsr format`."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "rsr", "format", str(run), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    print(f"{'':>10} {'rollouts':>10} {'seconds':>8} {'per s':>8} {'per CPU s':>10} {'peak MB':>8}")
    for count in given.sizes:
        place = Path(tempfile.mkdtemp(dir=given.folder))
        try:
            run = build(place / "made", count)
            for name in given.sets:
                seconds, cpu, peak = measure(run, SETS[name])
                rates = f"{count / seconds:>8,.0f} {count / cpu:>10,.0f}"
                print(f"{name:>10} {count:>10,} {seconds:>8.1f} {rates} {peak:>8.0f}", flush=True)
        finally:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
