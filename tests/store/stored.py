"""Rollouts for tests of the store: made from two numbers, so that what comes back can be compared."""

import functools
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from rsr.completions import to_rollout
from rsr.sections import StoreConfig
from rsr.store.rollouts import NewRollout, RolloutStore, Said
from rsr.types import NO_LIMIT, Completion, Prompt, Rollout, Verdict

KEY = b"sampling-key-000"
CHECK = 7
OF_A_PROMPT = 4
PLAIN = StoreConfig(reserve_bytes=0, sync=None)
TINY = StoreConfig(reserve_bytes=0, sync=None, segment_bytes=1 << 16)


def prompt(number: int) -> Prompt:
    return Prompt(order=number, key=str(number).encode().ljust(16, b"."), id=str(number), messages=[])


@functools.cache
def rows(number: int) -> list[NewRollout]:
    """The rollouts of a prompt: texts of 20 bytes to 12 KB."""
    made = []
    for index in range(OF_A_PROMPT):
        chance = random.Random(f"{number}-{index}")
        letters = "".join(chance.choices("abcdefgh ijk", k=chance.choice([20, 20, 300, 3000, 12000])))
        completion = Completion(text=f"{number}/{index} {letters}", prompt_tokens=number, completion_tokens=index)
        verdict = Verdict(score=float((number + index) % 2), extracted=str(number * 10 + index))
        rollout = to_rollout(completion, index, seed=1000 + index)
        made.append(NewRollout(prompt(number), rollout, completion, Said(verdict, CHECK, 1)))
    return made


def fill(folder: Path, numbers: Iterable[int], settings: StoreConfig = PLAIN) -> None:
    """Store the rollouts of these prompts."""
    store = RolloutStore(folder, KEY, settings=settings)
    store.verifier_id("exact", {}, "1")
    for number in numbers:
        store.add(rows(number))
    store.close()


def loaded(store: RolloutStore, count: int) -> list[list[Rollout]]:
    """What is stored of the first `count` prompts."""
    return store.load([prompt(number) for number in range(count)], [CHECK] * count, NO_LIMIT)


def found(folder: Path, count: int, settings: StoreConfig = PLAIN, **options: Any) -> tuple[int, list[str]]:
    """How many rollouts there are, every one of them as it was stored, and the problems that were seen."""
    store = RolloutStore(folder, KEY, settings=settings, **options)
    try:
        there = 0
        for number, rollouts in enumerate(loaded(store, count)):
            said = store.completions(prompt(number), rollouts)
            for rollout, completion in zip(rollouts, said, strict=True):
                new = rows(number)[rollout.index]
                assert new.said is not None
                assert rollout.verdict in (None, new.said.verdict)
                expected = msgspec.structs.replace(new.rollout, response="", reasoning="", verdict=rollout.verdict)
                assert (rollout, completion) == (expected, new.completion)
                there += 1
        return there, store.problems
    finally:
        store.close()


def manifest(folder: Path) -> list[dict[str, Any]]:
    """What the manifest of a store says of its files."""
    segments: list[dict[str, Any]] = json.loads((folder / "manifest.json").read_text())["segments"]
    return segments
