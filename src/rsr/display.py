"""What the user sees while a run goes on, and the summary at its end.

Progress goes to stderr: a live table on a terminal, a plain line every ten seconds elsewhere. Results go to stdout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from rsr.progress import Progress
from rsr.session import Ended, Watch

_PLAIN_EVERY = 10.0  # seconds


class Display(Watch):
    """Shows a run on stderr.

    Args:
        redact: takes secrets out of what is shown.
        quiet: show warnings only.
    """

    def __init__(self, redact: Callable[[str], str], quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
        self._redact = redact
        self._quiet = quiet
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._shown = 0.0

    def indexing(self) -> None:
        """Say that the input is being read."""
        self.say("reading the prompts")

    def begin(self, progress: Progress, work_dir: Path) -> None:
        """Start the table, or say where the plain lines belong."""
        self._progress = progress
        self.say(f"{work_dir}: {progress.total:,} prompts")
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        self._shown = time.monotonic()

    def tick(self) -> None:
        """Bring what is shown up to date."""
        if self._progress is None or self._quiet:
            return
        if self._live is not None:
            self._live.update(_table(self._progress))
        elif time.monotonic() - self._shown >= _PLAIN_EVERY:
            self._shown = time.monotonic()
            self.say(plain_line(self._progress))

    def writing(self) -> None:
        """Take the table away."""
        self.close()
        if self._progress is not None:
            self.say(plain_line(self._progress))
        self.say("writing the training files")

    def warn(self, text: str) -> None:
        """A warning line."""
        self._console.print(self._redact(f"warning: {' '.join(text.split())}"), markup=False)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """A line, unless quiet."""
        if not self._quiet:
            self._console.print(self._redact(text), markup=False)


def plain_line(progress: Progress) -> str:
    """All figures in one line."""
    figures = ", ".join(f"{name} {value}" for name, value in _figures(progress))
    return f"{figures}; {progress.held_up}" if progress.held_up else figures


def summary_lines(ended: Ended) -> list[str]:
    """The truth about a run: prompts, rollouts, files, and what is still owed."""
    summary = ended.summary
    prompts, rollouts, tokens = summary["prompts"], summary["rollouts"], summary["tokens"]
    rate = summary["pass_rate"]
    stopped = ", ".join(
        f"{prompts[key]:,} {text}" for key, text in _STOPS.items() if prompts[key] or key == "satisfied"
    )
    outcomes = ", ".join(f"{count:,} {name}" for name, count in rollouts["outcomes"].items() if count)
    lines = [
        f"run        {ended.run_dir.path}",
        f"prompts    {prompts['total']:,}: {stopped}",
        f"rollouts   {rollouts['stored']:,} ({outcomes or 'none'}), {rollouts['used']:,} used",
        f"pass rate  {_percent(rate['first_rollout'])} of {rate['first_rollouts_scored']:,} first rollouts scored, "
        f"{_percent(rate['all_rollouts'])} of all {rollouts['scored']:,}" + _unscored(rollouts["unscored"]),
        f"tokens     {tokens['completion']:,} completion, {tokens['prompt']:,} prompt"
        + (f", {tokens['usd']:,.2f} USD" if tokens["usd"] is not None else ""),
    ]
    asked = summary.get("verifier", {})
    if asked.get("requests"):
        counts = f"{asked['completion_tokens']:,} completion, {asked['prompt_tokens']:,} prompt tokens"
        lines.append(f"verifier   {asked['requests']:,} requests, {counts}")
    redrawn = summary["redrawn"]
    if redrawn["rollouts"]:
        rest = f"; the rest has {redrawn['mean_tokens_of_the_rest']}"
        lines.append(f"redrawn    {redrawn['rollouts']:,} responses, {redrawn['mean_tokens']} tokens on average{rest}")
    for name, file in summary["files"].items():
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(file["prompts_without_row"].items()))
        without = f"; without a row: {reasons}" if reasons else ""
        without += _bias(file.get("length_bias"))
        verb = "wrote" if summary.get("written", True) else "there is"
        lines.append(
            f"{verb:<10} {ended.run_dir.train / file.get('file', f'{name}.jsonl')}  {file['rows']:,} rows{without}"
        )
    for file, report in summary.get("lint", {}).items():
        reasons = ", ".join(f"{reason} {it['rows']:,}" for reason, it in report["found"].items())
        lines.append(
            f"lint       {file}: {reasons}; rsr lint {ended.run_dir.train / file} --trainer {report['trainer']}"
        )
    return lines


def _bias(bias: Mapping[str, Any] | None) -> str:
    if not bias:
        return ""
    lengths = f"chosen {bias['chosen_mean']:,.0f} characters, rejected {bias['rejected_mean']:,.0f}"
    return f"; {lengths}, chosen longer in {bias['chosen_longer']:.0%} of the pairs"


def owed_line(summary: Mapping[str, Any], path: Path, code: int = 0, budget: bool = False) -> str | None:
    """The last line where something is owed: how many prompts, why, and what to do."""
    incomplete = summary["prompts"]["incomplete"]
    if not incomplete:
        return None
    why = ", ".join(f"{_OPEN.get(reason, reason)} {count:,}" for reason, count in summary["incomplete_reasons"].items())
    first = summary["incomplete_first"]
    named = ", ".join(first) + (", ..." if incomplete > len(first) else "")
    total = summary["prompts"]["total"]
    why += ", interrupted" if code in _INTERRUPTED else ", the budget is spent" if budget else ""
    onward = f"with a larger budget, rsr run {path} goes on" if budget else f"rsr run {path} takes them up"
    return f"incomplete: {incomplete:,} of {total:,} prompts ({why}): {named}; {onward}"


_INTERRUPTED = {130, 143}

_STOPS = {
    "satisfied": "satisfied",
    "full": "with max_rollouts but not satisfied",
    "exhausted": "with all attempts spent but not satisfied",
    "refused": "refused by the server",
    "incomplete": "incomplete",
}

_OPEN = {
    "not_sampled": "not sampled",
    "request_failed": "request failed",
    "not_verified": "not verified",
    "verifier_error": "verifier failed",
}


def _figures(progress: Progress) -> list[tuple[str, str]]:
    seconds = max(time.monotonic() - progress.started, 1e-9)
    errors = progress.failed_requests + progress.verifier_errors
    rate = progress.passed / progress.scored if progress.scored else None
    return [
        ("prompts", f"{progress.done:,}/{progress.total:,}"),
        ("satisfied", f"{progress.satisfied:,}"),
        ("rollouts", f"{progress.rollouts:,}"),
        ("pass rate", _percent(rate)),
        ("tokens/s", f"{progress.completion_tokens / seconds:,.0f}"),
        ("in flight", f"{progress.in_flight:,}"),
        ("truncated", f"{progress.truncated:,}"),
        ("errors", f"{errors:,}"),
        ("left", _time_left(progress, seconds)),
    ]


def _table(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    figures = _figures(progress)
    for _ in figures:
        table.add_column(justify="right")
    table.add_row(*(f"[dim]{name}[/dim]" for name, _ in figures))
    table.add_row(*(value for _, value in figures))
    if progress.held_up:
        table.caption = progress.held_up
    return table


def _time_left(progress: Progress, seconds: float) -> str:
    here = progress.done - progress.replayed
    if here <= 0 or seconds < 2:
        return "?"
    left = round((progress.total - progress.done) * seconds / here)
    minutes, rest = divmod(left, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _unscored(reasons: Mapping[str, int]) -> str:
    text = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
    return f"; without a score: {text}" if text else ""
