"""What `rsr check` has found: counted, the first ones kept to be shown, all of them written to a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from rsr.errors import RSRError
from rsr.probes import Probe
from rsr.types import Prompt, Reason, Verdict

SHOWN = 20
_WIDEST = 60


class Place(NamedTuple):
    """Where a prompt stands in the input."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class Judged(NamedTuple):
    """A prompt with the verdicts on its probes."""

    prompt: Prompt
    verifier: str
    answer: Any
    verdicts: Sequence[tuple[Probe, Verdict]]


class Findings:
    """What was checked, and what is wrong.

    Args:
        passes: the score that passes with every formatter, and the one that passes with any.
        out: where every finding is written, a JSON line each.
    """

    def __init__(self, passes: tuple[float, float], out: BinaryIO | None = None) -> None:
        self.prompts = self.failing = self.unusable = self.skipped = self.unread = 0
        self.verifiers: Counter[str] = Counter()
        self.unpaid: Counter[str] = Counter()
        self.probes: Counter[bool] = Counter()
        self.faults: Counter[str] = Counter()
        self.rows: Counter[bool] = Counter()
        self.without_gold = 0
        self.ambiguous = 0
        self.endpoint: RSRError | None = None
        """Why the sampler can't be used."""
        self.chances = 0
        self.chance = 0.0
        self.shown: list[str] = []
        self.warnings: list[str] = []
        self._all, self._any = passes
        self._out = out
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    @property
    def total(self) -> int:
        """The prompts of the input."""
        return self.prompts + self.unread + sum(self.unpaid.values())

    @property
    def exit_code(self) -> int:
        """2 where the sampler is not there as configured, 1 where rows fail, else 0."""
        if self.endpoint is not None:
            return self.endpoint.exit_code
        return int(bool(self.failing or self.unusable))

    def refuse(self, file: str | None, line: int, reason: str, stops: bool) -> None:
        """A row that can't be used; `stops`: a run would end because of it."""
        self.unusable += stops
        self.skipped += not stops
        if stops and len(self.shown) < SHOWN // 2:  # the other half is for what verifiers do
            self._show(f"{Place(file, line)}: {reason}" if file else f"line {line}: {reason}")
        self._write({"file": file, "line": line, "probe": "input", "detail": reason})

    def guess(self, chance: float | None) -> None:
        """How often a blind guess is right for a prompt; None: not known."""
        if chance is not None:
            self.chances += 1
            self.chance += chance

    def doubt(self, place: Place, id: str, why: str) -> None:
        """A prompt whose reference is ambiguous."""
        self.ambiguous += 1
        if self.ambiguous == 1:
            self.warnings.append(f"{place} ({id}): the reference is ambiguous: {why}")
        self._write({**place._asdict(), "id": id, "probe": "ambiguous", "detail": why})

    def faulty(self, judged: Judged) -> list[tuple[Probe, Verdict]]:
        """The probes that were judged wrongly; counts them."""
        wrong = [(probe, verdict) for probe, verdict in judged.verdicts if self._is_fault(probe, verdict)]
        self.prompts += 1
        self.verifiers[judged.verifier] += 1
        self.probes.update(probe.right for probe, _ in judged.verdicts)
        self.without_gold += not any(probe.right for probe, _ in judged.verdicts)
        self.faults.update(probe.name for probe, _ in wrong)
        self.rows.update({probe.right for probe, _ in wrong})
        self.failing += bool(wrong)
        return wrong

    def add(self, judged: Judged, place: Place, wrong: Sequence[tuple[Probe, Verdict]]) -> None:
        """A prompt with probes that were judged wrongly."""
        probe, verdict = wrong[0]
        more = f" (and {len(wrong) - 1} more of its probes)" if len(wrong) > 1 else ""
        self._show(f"{place} ({judged.prompt.id}): {_sentence(probe, verdict, judged.answer)}{more}")
        for probe, verdict in wrong:
            row = {**place._asdict(), "id": judged.prompt.id, "verifier": judged.verifier, "probe": probe.name}
            said = {"score": verdict.score, "extracted": verdict.extracted, "detail": verdict.detail}
            reason = verdict.reason.value if verdict.reason else None
            given = {"must_pass": probe.right, "response": probe.response, "answer": judged.answer}
            self._write({**row, **given, **said, "reason": reason})

    def _is_fault(self, probe: Probe, verdict: Verdict) -> bool:
        if verdict.reason is Reason.VERIFIER_ERROR:
            return True
        if probe.right:
            return verdict.score is None or verdict.score < self._all
        return verdict.score is not None and verdict.score >= self._any

    def _show(self, line: str) -> None:
        if len(self.shown) < SHOWN:
            self.shown.append("".join(char if char.isprintable() else " " for char in line))

    def _write(self, row: dict[str, Any]) -> None:
        if self._out is not None:
            self._out.write(self._encode(row) + b"\n")


def lines(findings: Findings, out: Path | None) -> Iterator[str]:
    """The report: what was checked, then the rows that fail, then what to do."""
    total = findings.prompts
    left_out = f", {findings.skipped:,} more can't be used (data.on_error=skip)" if findings.skipped else ""
    bad = f", {findings.unusable:,} rows can't be used" if findings.unusable else ""
    yield f"input      {findings.total:,} prompts{bad}{left_out}"
    named = ", ".join(f"{name} {count:,}" for name, count in findings.verifiers.most_common()) or "none"
    spread = f"; {findings.unread:,} others were not checked (--rows)" if findings.unread else ""
    yield f"checked    {total:,} prompts: {named}{spread}"
    for name, count in findings.unpaid.items():
        yield f"not paid   {count:,} prompts: {name} costs requests; --paid checks a sample of them (--rows)"
    if total:
        yield from _probed(findings)
    for warning in findings.warnings:
        more = f" (and {findings.ambiguous - 1:,} more prompts)" if findings.ambiguous > 1 else ""
        yield f"warning    {warning}{more}"
    yield f"endpoint   {findings.endpoint or 'ready'}"
    if findings.failing or findings.unusable:
        yield from _failing(findings, out)


def _probed(findings: Findings) -> Iterator[str]:
    total = findings.prompts - findings.without_gold
    right, wrong = findings.probes[True], findings.probes[False]
    note = f"; {findings.without_gold:,} have none that a response could be" if findings.without_gold else ""
    passing = total - findings.rows[True]
    yield f"reference  {passing:,} of {total:,} prompts: it passes in every form ({right:,} responses){note}"
    refusing = findings.prompts - findings.rows[False]
    yield f"nonsense   {refusing:,} of {findings.prompts:,} prompts: nothing wrong passes ({wrong:,} responses)"
    if findings.chances:
        share = 100 * findings.chance / findings.chances
        yield f"chance     {share:.1f} % of blind guesses pass (1/k for k options, {findings.chances:,} prompts)"
    else:
        yield "chance     not known: no prompt has options"


def _failing(findings: Findings, out: Path | None) -> Iterator[str]:
    count = findings.failing + findings.unusable
    yield f"failing    {count:,} prompts or rows"
    for name, times in findings.faults.most_common(10):
        yield f"  {times:>9,}  {name}"
    if findings.unusable:
        yield f"  {findings.unusable:>9,}  rows that can't be used"
    yield from (f"  {line}" for line in findings.shown)
    more = count - len(findings.shown)
    if out:
        yield f"all of them, with what the verifier said: {out}"
    elif more > 0:
        yield f"  and {more:,} more; --out FILE writes them all"


def _sentence(probe: Probe, verdict: Verdict, answer: Any) -> str:
    if verdict.reason is Reason.VERIFIER_ERROR:
        return f"the verifier fails on {probe.name}, {_short(probe.response)}: {verdict.detail}"
    said = "does not pass" if probe.right else "passes"
    got = f"score {verdict.score:g}" if verdict.score is not None else str(verdict.reason and verdict.reason.value)
    read = f", read as {_short(verdict.extracted)}" if verdict.extracted else ""
    return f"{probe.name} {said}: {_short(probe.response)} -> {got}{read}; reference {_short(answer)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 4]}...{text[-1]}"
