"""The store: rollouts written a second, and what a resumed run waits for.

    python bench/store.py write  [--rollouts 20000]
    python bench/store.py resume [--rollouts 1000000 ...] [--recipes sft multi_sft] [--folder DIR] [--keep]
    python bench/store.py        both, at 1,000,000 rollouts; --large for 10,000,000 too

write: 2 KB texts, in batches of 1, 10 and 100, against a loop that puts rows of the same bytes into one SQLite table.
resume: a run directory with so many rollouts (sft: 1 to 4 of a prompt, multi_sft: 16) in which one prompt is owed;
`rsr run RUN` in a process of its own. Printed are the seconds until the sampler is asked (everything stored has been
replayed), the seconds until the end (files written), the same for a second run in which nothing is owed, the CPU
seconds of that, and the peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rsr.completions import to_rollout
from rsr.loading import load_config
from rsr.prompts import Prompts
from rsr.sections import StoreConfig
from rsr.session import Session
from rsr.store.rollouts import NewRollout, RolloutStore, Said
from rsr.types import Completion, Prompt, Verdict

SCRIPT = '''
import time
from pathlib import Path


def reply(request, choice):
    """The time of the first request is what a resumed run waits for."""
    asked = Path(__file__).with_name("asked")
    if not asked.exists():
        asked.write_text(repr(time.time()))
    return f"Thought number {request.index + choice} says so. The answer is B."
'''
_PER_PROMPT = {"sft": (1, 2, 3, 4), "multi_sft": (16,)}


def texts(count: int = 400, size: int = 2000) -> list[str]:
    """Texts that compress about as well as what models say."""
    chance = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(chance.choices(letters, range(26, 0, -1), k=chance.randint(2, 9))) for _ in range(3000)]
    weights = [1 / (rank + 2) for rank in range(len(words))]
    made = []
    for _ in range(count):
        text = ""
        while len(text) < size:
            text += " ".join(chance.choices(words, weights, k=12)) + ". "
        made.append(text)
    return made


def rollouts(prompt: Prompt, count: int, said: list[str], verdict_key: int, verifier: int) -> Iterator[NewRollout]:
    """`count` responses of which the last passes, or, of 16, all."""
    for index in range(count):
        passes = count == 16 or index == count - 1
        body = said[(prompt.order * 7 + index) % len(said)]
        text = f"Case {prompt.order}, try {index}. {body}The answer is {'B' if passes else 'C'}."
        completion = Completion(text=text, prompt_tokens=80, completion_tokens=450)
        verdict = Verdict(score=float(passes), extracted="B" if passes else "C")
        yield NewRollout(prompt, to_rollout(completion, index), completion, Said(verdict, verdict_key, verifier))


# --- write


def measure_writing(count: int) -> None:
    said = texts()
    prompts = [Prompt(order=order, key=order.to_bytes(16), id=f"q{order}", messages=[]) for order in range(count)]
    rows = [next(rollouts(prompt, 1, said, 1, 1)) for prompt in prompts]
    print(f"{'batch':>6} {'rollouts/s':>11} {'raw sqlite':>11} {'of it':>6}")
    for batch in (1, 10, 100):
        some = rows[: count if batch > 1 else count // 4]
        ours, raw = _write(some, batch), _write_raw(some, batch)
        print(f"{batch:>6} {ours:>11,.0f} {raw:>11,.0f} {ours / raw:>6.2f}")


def _write(rows: list[NewRollout], batch: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        store = RolloutStore(Path(folder), b"sampling-key-000", settings=StoreConfig())
        began = time.perf_counter()
        for start in range(0, len(rows), batch):
            store.add(rows[start : start + batch])
        seconds = time.perf_counter() - began
        store.close()
    return len(rows) / seconds


def _write_raw(rows: list[NewRollout], batch: int) -> float:
    """The bound: the same text and some figures in one row of one table, uncompressed."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "raw.sqlite", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("CREATE TABLE t (k BLOB, i INTEGER, seed INTEGER, tokens INTEGER, score REAL, text TEXT)")
        began = time.perf_counter()
        for start in range(0, len(rows), batch):
            db.execute("BEGIN")
            db.executemany(
                "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (new.prompt.key, new.rollout.index, 0, 450, 1.0, new.completion.text)
                    for new in rows[start : start + batch]
                ],
            )
            db.execute("COMMIT")
        seconds = time.perf_counter() - began
        db.close()
    return len(rows) / seconds


# --- resume


def build(folder: Path, recipe: str, count: int) -> list[str]:
    """A run directory with `count` rollouts and one prompt owed; the command that made it."""
    per_prompt = _PER_PROMPT[recipe]
    prompts = round(count / (sum(per_prompt) / len(per_prompt)))
    folder.mkdir(parents=True)
    (folder / "script.py").write_text(SCRIPT)
    with (folder / "prompts.jsonl").open("w") as file:
        for number in range(prompts + 1):
            text = f"Which is correct in case {number}?\n\nA: the first\nB: the second\nC: the third"
            row = {"id": f"q{number}", "messages": [{"role": "user", "content": text}], "metadata": {"answer": "B"}}
            file.write(json.dumps(row) + "\n")
    overrides = [f"data.input_path={folder / 'prompts.jsonl'}", f"work_dir={folder / 'run'}", "sampler.type=scripted"]
    overrides.append(f"sampler.replies={folder / 'script.py'}:reply")
    if recipe == "multi_sft":
        overrides += ["formatter=[{type: multi_sft, num_responses: 16}]"]
    said = texts()
    with Session(load_config(recipe, overrides), "bench") as session:
        session.index()
        store = session.store()
        verification = session.parts.verification
        check = verification.default
        verifier = store.verifier_id(check.name, check.params, check.version)
        index = Prompts(session.run_dir.prompts)
        for page in index.pages():
            batch: list[NewRollout] = []
            for prompt in page:
                if prompt.order < prompts:
                    some = per_prompt[prompt.order % len(per_prompt)]
                    batch += rollouts(prompt, some, said, verification.verdict_key(prompt), verifier)
            store.add(batch)
        index.close()
        store.close()
    return overrides


def resume(folder: Path) -> tuple[float, float, float, float]:
    """Seconds until the sampler is asked and until the end, CPU seconds, peak MB."""
    asked = folder / "asked"
    asked.unlink(missing_ok=True)
    began = time.time()
    command = [sys.executable, "-m", "rsr", "run", str(folder / "run")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    ended = time.time()
    assert os.waitstatus_to_exitcode(status) == 0, said
    until = float(asked.read_text()) - began if asked.exists() else float("nan")
    return until, ended - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure_resuming(recipes: list[str], counts: list[int], folder: Path | None, keep: bool) -> None:
    heads = f"{'s until asked':>14} {'s in all':>9} {'s again':>8} {'CPU s':>6} {'peak MB':>8} {'GB':>6}"
    print(f"{'':>10} {'rollouts':>11} {heads}")
    for count in counts:
        for recipe in recipes:
            place = Path(tempfile.mkdtemp(dir=folder)) / f"{recipe}-{count}"
            try:
                build(place, recipe, count)
                size = sum(file.stat().st_size for file in (place / "run" / "rollouts").iterdir()) / 1e9
                until, whole, _, peak = resume(place)
                _, again, cpu, peak_again = resume(place)
                peak = max(peak, peak_again)
                line = f"{until:>14.1f} {whole:>9.1f} {again:>8.1f} {cpu:>6.1f} {peak:>8.0f} {size:>6.2f}"
                print(f"{recipe:>10} {count:>11,} {line}", flush=True)
            finally:
                if not keep:
                    shutil.rmtree(place.parent)
                else:
                    print(f"kept: {place}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["write", "resume"])
    parser.add_argument("--rollouts", type=int, nargs="+")
    parser.add_argument("--recipes", nargs="+", default=["sft", "multi_sft"], choices=list(_PER_PROMPT))
    parser.add_argument("--large", action="store_true", help="10,000,000 rollouts too")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args()
    if given.what != "resume":
        measure_writing(given.rollouts[0] if given.rollouts else 20_000)
    if given.what != "write":
        counts = given.rollouts or [1_000_000]
        measure_resuming(given.recipes, [*counts, *([10_000_000] if given.large else [])], given.folder, given.keep)


if __name__ == "__main__":
    main()
