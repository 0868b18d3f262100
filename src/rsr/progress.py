"""Counters of a run at work, for the display. The truth is in the store."""

from __future__ import annotations

import time

from rsr.schedule import Stop
from rsr.types import Outcome, Rollout, Verdict


class Progress:
    """What this process has done so far.

    Attributes:
        total: prompts of the input.
        started: monotonic time.
        replayed: prompts that had rollouts before.
        done: prompts that are closed for now: satisfied, out of budget, refused or incomplete.
        failing: prompts whose last request failed to the end, as many as are remembered.
        held_up: what holds everything up, in a few words; empty: nothing.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.started = time.monotonic()
        self.held_up = ""
        self.failing: set[str] = set()
        self.replayed = self.done = 0
        self.satisfied = self.incomplete = self.refused = 0
        self.requests = self.in_flight = self.failed_requests = 0
        self.rollouts = self.truncated = self.completion_tokens = 0
        self.scored = self.passed = self.verifier_errors = 0

    def reopened(self) -> None:
        """A further pass over the input begins."""
        self.done = self.satisfied = self.incomplete = self.refused = self.replayed = 0

    def closed(self, stop: Stop | None) -> None:
        """A prompt is closed; None: incomplete."""
        self.done += 1
        self.satisfied += stop is Stop.SATISFIED
        self.refused += stop is Stop.REFUSED
        self.incomplete += stop is None

    def drawn(self, rollout: Rollout) -> None:
        """A rollout came."""
        self.rollouts += rollout.outcome is not Outcome.REFUSED
        self.truncated += rollout.outcome is Outcome.TRUNCATED
        self.completion_tokens += rollout.completion_tokens or 0

    def judged(self, verdict: Verdict, passed: bool) -> None:
        """A verdict came."""
        self.verifier_errors += not verdict.final
        self.scored += verdict.score is not None
        self.passed += passed
