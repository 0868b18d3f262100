"""`rsr check`: whether verifiers, thresholds, input and endpoint will do, before anything is spent.

    input ──> temporary index ──> probes of each prompt ──> its verifier ──> findings

Prompts are streamed; nothing is sampled, and no verifier that costs requests is asked unless that is wanted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rsr.config import Loaded
from rsr.errors import ConfigError, SamplerError
from rsr.findings import Findings, Judged, Place
from rsr.outfile import replacing
from rsr.parts import Parts, build, refuse_unreachable
from rsr.probes import Probe, ambiguous, chance, probes
from rsr.prompts import Prompts, index, input_files
from rsr.redaction import Redactor
from rsr.types import Prompt, Verdict
from rsr.verifiers.check import Check
from rsr.verifiers.verification import Reference

PAID_ROWS = 100
_AHEAD = 64  # prompts whose verdicts are waited for
_TELL_EVERY = 10.0  # seconds


class Wanted(NamedTuple):
    """How much is to be checked."""

    rows: int | None = None
    """So many prompts, drawn by the seed; None: all, of those that cost requests PAID_ROWS."""
    paid: bool = False
    """Ask verifiers that cost requests too."""
    form: str | None = None
    """How a right response looks, with `{answer}` in it."""


class _Asked(NamedTuple):
    prompt: Prompt
    reference: Reference
    verdicts: list[tuple[Probe, Verdict | Future[Verdict]]]


def check_config(
    loaded: Loaded,
    redactor: Redactor,
    wanted: Wanted,
    out: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Check what a config names: its input, every prompt's verifier, the thresholds, and whether the sampler is there.

    Args:
        loaded: the config.
        redactor: learns its secrets.
        wanted: how much.
        out: a JSONL file for everything that is found.
        tell: hears how far it is.

    Raises:
        ConfigError: the config is wrong, or has a threshold that no score can meet.
        InputError: there is no input, or no row of it can be used.
    """
    if wanted.form is not None and "{answer}" not in wanted.form:
        raise ConfigError(f"--gold: {wanted.form!r} has no {{answer}} in it; put it where the reference goes")
    parts = build(loaded, redactor)
    try:
        findings = _checked(parts, wanted, out, tell)
        tell("asking the sampler")
        try:
            asyncio.run(_endpoint(parts))
        except (ConfigError, SamplerError) as error:
            findings.endpoint = error
        return findings
    finally:
        parts.close()


def _checked(parts: Parts, wanted: Wanted, out: Path | None, tell: Callable[[str], None]) -> Findings:
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="rsr-check-"))
        file = None if out is None else stack.enter_context(stack.enter_context(replacing(out)).open("wb"))
        findings = Findings(_passes(parts), file)
        checking = _Checking(parts, wanted, findings, tell)
        checking.judge(stack.enter_context(closing(checking.read(Path(folder) / "prompts.sqlite"))))
    return findings


async def _endpoint(parts: Parts) -> None:
    """See whether the sampler is there; nothing is generated, but for a token of an embedded model."""
    try:
        await parts.start()
    finally:
        await parts.sampler.close()


class _Draw:
    """Draws so many of a known number, each as likely as any other, one after the other (Knuth's algorithm S)."""

    def __init__(self, total: int, wanted: int | None, seed: int) -> None:
        self._left = total
        self._wanted = total if wanted is None else min(wanted, total)
        self._random = random.Random(seed)

    def takes(self) -> bool:
        """Whether the next one is drawn."""
        taken = self._left * self._random.random() < self._wanted
        self._left -= 1
        self._wanted -= taken
        return taken


class _Checking:
    """One check: reads the input, asks the verifiers, and has the findings counted."""

    def __init__(self, parts: Parts, wanted: Wanted, findings: Findings, tell: Callable[[str], None]) -> None:
        self._parts = parts
        self._wanted = wanted
        self._findings = findings
        self._tell = tell
        self._checks: dict[int, Check] = {}
        self._counts = {False: 0, True: 0}  # prompts whose verifier is free, and costs requests
        self._files = [_shown(file) for file in input_files(parts.config.data)]
        self._told = time.monotonic()

    def read(self, path: Path) -> Prompts:
        """The usable prompts; what can't be used is noted."""
        data = self._parts.config.data
        self._tell("reading the prompts")
        index(data.model_copy(update={"on_error": "skip"}), self._parts.config.seed, path, check=self._problem)
        prompts = Prompts(path)
        for line, reason in prompts.skipped():
            file = None if len(self._files) > 1 else self._files[0]  # of several, the reason names it
            self._findings.refuse(file, line, reason, stops=data.on_error == "stop")
        for check in self._checks.values():
            refuse_unreachable(check, self._parts.formatters)
        return prompts

    def judge(self, prompts: Prompts) -> None:
        """Ask about every prompt that is to be checked, some ahead of the verdicts that are waited for."""
        start = getattr(self._parts.verification, "start", None)
        if start is not None and self._wanted.paid:
            start()
        pending: deque[_Asked] = deque()
        for asked in self._asked(prompts):
            pending.append(asked)
            if len(pending) >= _AHEAD:
                self._settle(prompts, pending.popleft())
        while pending:
            self._settle(prompts, pending.popleft())

    def _problem(self, prompt: Prompt) -> str | None:
        verification = self._parts.verification
        reason = verification.problem(prompt)
        if reason is None:
            check = verification.check_for(prompt)
            self._checks[id(check)] = check
            self._counts[check.remote] += 1
        elif verification.default.name == "mcq-rlvr" and "verifier" not in prompt.metadata:
            why = ambiguous(*verification.default.reference(prompt.messages, prompt.metadata))
            reason = f"{why}; {reason}" if why else reason
        return reason

    def _asked(self, prompts: Prompts) -> Iterator[_Asked]:
        verification, rows = self._parts.verification, self._wanted.rows
        seed, most = self._parts.config.seed, {False: rows, True: rows or PAID_ROWS}
        draws = {costs: _Draw(count, most[costs], seed) for costs, count in self._counts.items()}
        for prompt in (prompt for page in prompts.pages() for prompt in page):
            reference = verification.reference(prompt)
            costs = reference.check.remote
            if costs and not self._wanted.paid:
                self._findings.unpaid[reference.check.name] += 1
                continue
            if not draws[costs].takes():
                self._findings.unread += 1
                continue
            name, answer, choices = reference.check.name, reference.answer, reference.choices
            self._findings.guess(chance(name, answer, choices))
            why = ambiguous(answer, choices) if name == "mcq-rlvr" else None
            if why:
                self._findings.doubt(self._place(prompts, prompt), prompt.id, why)
            asked = probes(name, prompt, answer, choices, self._wanted.form)
            verdicts = [(probe, verification.submit(prompt, reference, probe.response)) for probe in asked]
            yield _Asked(prompt, reference, verdicts)

    def _settle(self, prompts: Prompts, asked: _Asked) -> None:
        verdicts = [(probe, _verdict(verdict)) for probe, verdict in asked.verdicts]
        judged = Judged(asked.prompt, asked.reference.check.name, asked.reference.answer, verdicts)
        wrong = self._findings.faulty(judged)
        if wrong:
            self._findings.add(judged, self._place(prompts, asked.prompt), wrong)
        if time.monotonic() - self._told >= _TELL_EVERY:
            self._told = time.monotonic()
            self._tell(f"checked {self._findings.prompts:,} of {len(prompts):,} prompts")

    def _place(self, prompts: Prompts, prompt: Prompt) -> Place:
        file, line = prompts.place(prompt)
        return Place(self._files[file], line)


def _verdict(verdict: Verdict | Future[Verdict]) -> Verdict:
    return verdict if isinstance(verdict, Verdict) else verdict.result()


def _passes(parts: Parts) -> tuple[float, float]:
    """The score that passes with every formatter, and the one that passes with any."""
    thresholds = [getattr(formatter, "pass_threshold", None) for formatter in parts.formatters.values()]
    numbers = [float(threshold) for threshold in thresholds if isinstance(threshold, int | float)] or [1.0]
    return max(numbers), min(numbers)


def _shown(file: Path) -> str:
    """A path as seen from the current folder."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)
