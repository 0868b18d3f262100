"""Verifiers against Math-Verify on our own tables: how often each is wrong, and how many verdicts a second it gives.

    python bench/verifiers.py [--repeats 3] [--workers 2]

The mathematics table has every form of a response with references that it gives and references that it only mentions.
Math-Verify runs as its authors show it, the reference in a box, in this process, which it needs for itself since its
limits are signals; ours as a run uses it, with a pool of `--workers` processes. Nothing is remembered from one repeat
to the next. The multiple-choice rates are verdicts per second of one core: of the odd forms of our table, each once,
and of responses that end as they were asked to, each with a reasoning of its own.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import NamedTuple

import rsr
from rsr.types import Verdict
from rsr.verifiers.pool import Pool

CASES = Path(__file__).resolve().parents[1] / "tests" / "verifiers" / "cases"


class Pair(NamedTuple):
    """A response, a reference, and whether the response gives it."""

    response: str
    answer: str
    right: bool


class Result(NamedTuple):
    """What a verifier said to all pairs, and in how many seconds."""

    said: list[bool]
    seconds: float


def rows(name: str) -> list[dict[str, object]]:
    """A table of cases."""
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").splitlines()]


def pairs() -> list[Pair]:
    """All mathematics cases, one reference at a time."""
    found = []
    for row in rows("math_forms.jsonl"):
        for key in ("right", "wrong"):
            found += [Pair(str(row["response"]), str(answer), key == "right") for answer in row[key]]  # type: ignore[attr-defined]
    for row in rows("math.jsonl"):
        if row["score"] is not None and isinstance(row["answer"], str):
            found.append(Pair(str(row["response"]), row["answer"], row["score"] == 1.0))
    return found


def ours(cases: list[Pair], workers: int) -> Result:
    """`math-rlvr` with a pool of its own."""
    check = rsr.verifiers.get("math-rlvr")
    with Pool(workers) as pool:
        warm = [check.submit("\\boxed{x+1}", f"{count}+x", pool=pool) for count in range(2, 2 + workers)]
        for future in warm:
            if not isinstance(future, Verdict):
                future.result()
        started = time.monotonic()
        given = [check.submit(case.response, case.answer, pool=pool) for case in cases]
        verdicts = [one if isinstance(one, Verdict) else one.result() for one in given]
        seconds = time.monotonic() - started
    return Result([verdict.score == 1.0 for verdict in verdicts], seconds)


def math_verify(cases: list[Pair]) -> Result:
    """Math-Verify alone; reasoning is split off first, the reference stands in a box."""
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    from math_verify import parse, verify

    verify(parse("$x+1$"), parse("$1+x$"))
    started = time.monotonic()
    said = []
    for case in cases:
        gold = case.answer if "\\boxed" in case.answer else f"\\boxed{{{case.answer}}}"
        final = rsr.split_reasoning(case.response).response or ""
        said.append(bool(verify(parse(gold), parse(final))))
    return Result(said, time.monotonic() - started)


def rates(cases: list[Pair], said: list[bool]) -> tuple[float, float, float]:
    """Balanced accuracy, false positives among the wrong, false negatives among the right."""
    missed = [not yes for case, yes in zip(cases, said, strict=True) if case.right]
    false = [yes for case, yes in zip(cases, said, strict=True) if not case.right]
    negatives, positives = sum(missed) / len(missed), sum(false) / len(false)
    return 1 - (negatives + positives) / 2, positives, negatives


def _reference(row: dict[str, object]) -> object:
    """A reference of a row: its answer, or the first of those that it gives or mentions."""
    given = row.get("right") or row.get("others")
    return row["answer"] if "answer" in row else given[0] if isinstance(given, list) and given else "A"


def choices() -> float:
    """Verdicts of `mcq-rlvr` per second of CPU time; each once, for a short one that comes again is remembered."""
    check = rsr.verifiers.get("mcq-rlvr")
    table = {str((row["response"], row.get("choices"))): row for row in rows("mcq.jsonl")}
    given = [(row["response"], _reference(row), row.get("choices")) for row in table.values()]
    check("The answer is B.", "B")
    started = time.process_time()
    for response, answer, options in given:
        check(response, answer, choices=options)  # type: ignore[arg-type]
    return len(given) / (time.process_time() - started)


ENDINGS = (
    *(
        "The answer is (C).",
        "Answer: C",
        "\\boxed{C}",
        "$\\boxed{\\text{C}}$",
        "So the correct option is C) Mars.",
        "<answer>C</answer>",
    ),
    *(
        '{"answer": "C"}',
        "### Final answer\nC",
        "Therefore, the answer is **C**.",
        "**Answer:** C. Mars",
        "final answer: **C. Mars**",
    ),
)
"""How responses end that obey an instruction."""


def obedient() -> float:
    """Verdicts of `mcq-rlvr` per second of CPU time for responses of 400 characters that end in so many words."""
    check = rsr.verifiers.get("mcq-rlvr")
    options = ["Mercury", "Venus", "Mars", "Jupiter"]
    why = "The planet is close to the Sun and has two small moons, which Mercury and Venus lack. "
    given = [f"Step {at}. {why * 4}\n\n{ENDINGS[at % len(ENDINGS)]}" for at in range(20_000)]
    started = time.process_time()
    right = sum(check(response, "C", choices=options).score == 1.0 for response in given)
    seconds = time.process_time() - started
    if right < len(given):
        raise SystemExit(f"only {right} of {len(given)} plain answers were read")
    return len(given) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    cases = pairs()
    best: dict[str, Result] = {}
    for _ in range(given.repeats):
        for name, result in (("math-rlvr", ours(cases, given.workers)), ("Math-Verify alone", math_verify(cases))):
            if name not in best or result.seconds < best[name].seconds:
                best[name] = result
    print(f"| {len(cases)} pairs | balanced accuracy | false positives | false negatives | verdicts/s |")
    print("|---|---|---|---|---|")
    for name, result in best.items():
        balanced, positives, negatives = rates(cases, result.said)
        rate = len(cases) / result.seconds
        print(f"| {name} | {balanced:.3f} | {positives:.1%} | {negatives:.1%} | {rate:,.0f} |")
    ratio = best["Math-Verify alone"].seconds / best["math-rlvr"].seconds
    print(f"| math-rlvr / Math-Verify | | | | {ratio:.1f} x |")
    print(f"| mcq-rlvr, a core, odd forms | | | | {choices():,.0f} |")
    print(f"| mcq-rlvr, a core, plain endings | | | | {obedient():,.0f} |")


if __name__ == "__main__":
    main()
