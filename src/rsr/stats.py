"""The figures of a run, computed from the store: what was asked, what came, what was written, and why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rsr.budgets import Prices
from rsr.schedule import Stop, Stream
from rsr.types import Outcome, Rollout

_UNPRICED = Prices()
_NAMED = 10  # prompts that the last line names
_INVALID = (Outcome.TRUNCATED, Outcome.FILTERED, Outcome.EMPTY, Outcome.FAILED)


class Stats:
    """Adds up prompt by prompt.

    Args:
        passes: whether a rollout passes; the first formatter's threshold.
        prices: US dollars for a million tokens.
        failing: prompts whose last request failed.
    """

    def __init__(
        self, passes: Callable[[Rollout], bool], prices: Prices = _UNPRICED, failing: Collection[str] = ()
    ) -> None:
        self._passes = passes
        self._prices = prices
        self._failing = failing
        self.stops: Counter[str] = Counter()
        self._outcomes = dict.fromkeys(Outcome, 0)
        self.unscored: Counter[str] = Counter()
        self.without: dict[str, Counter[str]] = {}
        self.incomplete: Counter[str] = Counter()
        self.incomplete_ids: list[str] = []
        self.used = self.stored = 0
        self.scored = self.passed = 0
        self.first_scored = self.first_passed = 0
        self.redrawn = _Lengths()
        self.drawn_once = _Lengths()
        self.prompt_tokens = self.completion_tokens = self.used_completion_tokens = 0

    def add(self, id: str, stream: Stream, rollouts: Sequence[Rollout], without: Mapping[str, str]) -> None:
        """One prompt: where it stands, all its stored rollouts, and why formatters wrote no row."""
        self.stops[stream.stop.value if stream.stop else "incomplete"] += 1
        if stream.stop is None:
            why = why_open(stream)
            self.incomplete["request_failed" if why == "not_sampled" and id in self._failing else why] += 1
            if len(self.incomplete_ids) < _NAMED:
                self.incomplete_ids.append(id)
        for name, reason in without.items():
            self.without.setdefault(name, Counter())[reason] += 1
        for rollout in rollouts:
            self._add_rollout(rollout, used=rollout.index < stream.prefix)

    def _add_rollout(self, rollout: Rollout, used: bool) -> None:
        outcome, tokens = rollout.outcome, rollout.completion_tokens
        if outcome is Outcome.REFUSED:
            return
        self.stored += 1
        self.used += used
        self._outcomes[outcome] += 1
        (self.redrawn if rollout.redrawn else self.drawn_once).add(tokens)
        self.prompt_tokens += rollout.prompt_tokens or 0
        if tokens is not None:
            self.completion_tokens += tokens
            if used:
                self.used_completion_tokens += tokens
        if outcome is not Outcome.OK:
            return
        verdict = rollout.verdict
        if verdict is None or verdict.score is None:
            self.unscored[verdict.reason.value if verdict and verdict.reason else "not_verified"] += 1
            return
        passed = self._passes(rollout)
        self.scored += 1
        self.passed += passed
        if rollout.index == 0:
            self.first_scored += 1
            self.first_passed += passed

    def summary(self, rows: Mapping[str, int], skipped: int = 0) -> dict[str, Any]:
        """What goes into `summary/stats.json`."""
        total = sum(self.stops.values())
        return {
            "prompts": {
                "total": total,
                **{stop.value: self.stops[stop.value] for stop in Stop},
                "incomplete": self.stops["incomplete"],
                "skipped_rows": skipped,
            },
            "incomplete_reasons": dict(self.incomplete),
            "incomplete_first": self.incomplete_ids,
            "files": {
                name: {"rows": count, "prompts_without_row": dict(self.without.get(name, {}))}
                for name, count in rows.items()
            },
            "rollouts": {
                "stored": self.stored,
                "used": self.used,
                "surplus": self.stored - self.used,
                "outcomes": {outcome.value: self._outcomes[outcome] for outcome in (Outcome.OK, *_INVALID)},
                "scored": self.scored,
                "passed": self.passed,
                "unscored": dict(self.unscored),
            },
            "pass_rate": {
                # Early stop draws hard prompts more often, so the share of all rollouts is too low; the first rollout
                # of each prompt is always drawn, so its share is not biased.
                "first_rollout": _share(self.first_passed, self.first_scored),
                "first_rollouts_scored": self.first_scored,
                "all_rollouts": _share(self.passed, self.scored),
            },
            "tokens": {
                "prompt": self.prompt_tokens,
                "completion": self.completion_tokens,
                "completion_used": self.used_completion_tokens,
                "usd": self._usd(),
            },
            # Redrawing what took too long favours short answers: when these lengths differ, raise sampler.timeout.
            "redrawn": {
                "rollouts": self.redrawn.count,
                "mean_tokens": self.redrawn.mean,
                "mean_tokens_of_the_rest": self.drawn_once.mean,
            },
        }

    def _usd(self) -> float | None:
        cost = self._prices.cost(self.prompt_tokens, self.completion_tokens)
        return None if cost is None else round(cost, 6)


class _Lengths:
    """Adds up lengths in tokens, where they are known."""

    def __init__(self) -> None:
        self.count = self._known = self._sum = 0

    def add(self, tokens: int | None) -> None:
        self.count += 1
        if tokens is not None:
            self._known += 1
            self._sum += tokens

    @property
    def mean(self) -> float | None:
        return round(self._sum / self._known, 1) if self._known else None


def why_no_row(stream: Stream, rollouts: Sequence[Rollout]) -> str | None:
    """Why a prompt can have no row in any file, or None where that is for the formatter to say."""
    if stream.stop is None:
        return "incomplete"
    if stream.stop is Stop.REFUSED:
        return "refused"
    if not stream.valid and stream.prefix:
        outcomes = Counter(rollout.outcome.value for rollout in rollouts if rollout.index < stream.prefix)
        return outcomes.most_common(1)[0][0]
    return None


def why_open(stream: Stream) -> str:
    """What an undecided prompt waits for at its first open index."""
    rollout = stream.results.get(stream.prefix)
    if rollout is None:
        return "not_sampled"
    return "verifier_error" if rollout.verdict is not None else "not_verified"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
