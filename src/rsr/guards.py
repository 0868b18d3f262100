"""Alarms over a run, as pure decisions: what arrives goes in, whether to go on comes out.

    guard            of what, the latest `window` of them                           trips at a share of
    truncated        completions that came                                          those that max_tokens cut
    failed_requests  requests that ended; a refusal is an answer                    those that failed to the end
    verifier_errors  verdicts that came, one for a case, its last word              those that are verifier errors
    no_answer        final verdicts (so verifier errors aside)                      those without an answer
    identical        completions of more than 20 characters that came when their    those that repeat one of them
                     prompt had another such one
    pass_rate        scored verdicts, in a row and not in a window                  (all pass, or none does)

What is no completion (refused, given up) counts nowhere but in `failed_requests`. Repeats are counted and not equal
pairs: k completions with d different texts are k - 1 with k - d repeats, whatever order they come in.

No guard trips before `window` of its events have come: what goes wrong in a shorter run is for the summary to tell.
`pass_rate` trips at max(`pass_rate`, 20 / share of the other word so far) scored verdicts in a row with the same word:
a run in which one of 200 fails by chance sees 4,000 passes in a row once in e^20 tries. A process starts with empty
windows, so a run that has been mended is not held back by what came before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from rsr.alarms import Repeats, Row, Tripped, Window
from rsr.types import Outcome, Reason, Rollout, Verdict

T = TypeVar("T")

REFUSED_AT_START = 20

_TELLING = 20
"""Characters: shorter responses are equal by chance."""


class Limits(NamedTuple):
    """The keys of `guards`; None turns one off."""

    window: int = 200
    truncated: float | None = None
    failed_requests: float | None = None
    verifier_errors: float | None = None
    no_answer: float | None = None
    identical: float | None = None
    pass_rate: int | None = None


class Guards:
    """Hears what comes; says when to stop.

    Args:
        limits: the shares; None turns all guards off.
        passes: whether a rollout, with its verdict, passes.
        redact: takes secrets out of errors, before they are cut short.

    Attributes:
        tripped: the first alarm; nothing is counted after it.
    """

    def __init__(
        self, limits: Limits | None, passes: Callable[[Rollout], bool], redact: Callable[[str], str] = str
    ) -> None:
        self.tripped: Tripped | None = None
        self._passes = passes
        self._redact = redact
        limits = limits or Limits()
        self._truncated = _window("truncated", limits.truncated, limits)
        self._requests = _window("failed_requests", limits.failed_requests, limits)
        self._errors = _window("verifier_errors", limits.verifier_errors, limits)
        self._no_answer = _window("no_answer", limits.no_answer, limits)
        self._identical = _window("identical", limits.identical, limits)
        self._row = None if limits.pass_rate is None else Row(limits.pass_rate, limits.window)
        self._repeats = Repeats()
        self._erred: dict[tuple[str, int], int] = {}

    def drawn(self, prompt_id: str, rollout: Rollout) -> None:
        """A completion came; its texts must still be there."""
        outcome = rollout.outcome
        if self.tripped is not None or outcome is Outcome.REFUSED or outcome is Outcome.FAILED:
            return
        window = self._truncated
        if window is not None:
            cut = outcome is Outcome.TRUNCATED
            if cut:
                before = f"{rollout.completion_tokens:,} tokens, ending: " if rollout.completion_tokens else "ending: "
                text = rollout.response or rollout.reasoning
                window.note(prompt_id, rollout.index, text, before, from_end=True)
            if window.add(cut):
                self.tripped = window.alarm()
                return
        if self._identical is not None:
            self._compare(self._identical, prompt_id, rollout)

    def _compare(self, window: Window, prompt_id: str, rollout: Rollout) -> None:
        reasoning = rollout.reasoning
        # Of a long reasoning its length and end: short answers that were reached in different ways are no repeats.
        if len(rollout.response.strip()) + len(reasoning) <= _TELLING:
            return
        key = hash((rollout.answer_key, len(reasoning), reasoning[-64:]))
        earlier = self._repeats.earlier(prompt_id, key, rollout.index)
        if earlier is None:
            return
        repeats = earlier >= 0
        if repeats:
            window.note(prompt_id, rollout.index, rollout.response or reasoning, f"the same as index {earlier}: ")
        if window.add(repeats):
            self.tripped = window.alarm()

    def judged(self, prompt_id: str, rollout: Rollout, verdict: Verdict) -> None:
        """A verdict came and is in the rollout; its text must still be there.

        A case whose verifier failed may be judged again: its last word replaces the error.
        """
        if self.tripped is not None:
            return
        reason = verdict.reason
        error = reason is Reason.VERIFIER_ERROR
        window = self._errors
        if window is not None:
            if error or self._erred:
                self._count_error(window, prompt_id, rollout.index, verdict)
            elif window.add(False):
                self.tripped = window.alarm()
        if error or self.tripped is not None:
            return
        window = self._no_answer
        if window is not None:
            without = reason is Reason.NO_ANSWER
            if without:
                window.note(prompt_id, rollout.index, rollout.response, from_end=True)
            if window.add(without):
                self.tripped = window.alarm()
                return
        row = self._row
        if row is not None and verdict.score is not None:
            trips = row.add(self._passes(rollout))
            row.note(prompt_id, rollout, verdict)
            if trips:
                self.tripped = row.alarm()

    def _count_error(self, window: Window, prompt_id: str, index: int, verdict: Verdict) -> None:
        erred, error, case = self._erred, not verdict.final, (prompt_id, index)
        while erred and not window.holds(next(iter(erred.values()))):
            del erred[next(iter(erred))]
        before = erred.get(case)
        if before is not None:
            if not error:
                del erred[case]
                window.mend(before)
            return
        if error:
            window.note(prompt_id, index, self._redact(verdict.detail or ""))
            erred[case] = window.came
        if window.add(error):
            self.tripped = window.alarm()

    def request(self, prompt_id: str, error: str | None = None) -> None:
        """A request ended: with an answer (a refusal is one), or with an error after the last try."""
        window = self._requests
        if self.tripped is not None or window is None:
            return
        if error is not None:
            window.note(prompt_id, None, self._redact(error))
        if window.add(error is not None):
            self.tripped = window.alarm()

    def closed(self, prompt_id: str) -> None:
        """A prompt is done with: nothing more is compared with what it had."""
        self._repeats.forget(prompt_id)


def _window(guard: str, share: float | None, limits: Limits) -> Window | None:
    return None if share is None else Window(guard, share, limits.window)


class Refusals(Generic[T]):
    """Holds refusals back until the server has answered anything: before that they may be the server's fault.

    Attributes:
        held: those that don't count yet.
    """

    def __init__(self) -> None:
        self.held: list[T] = []
        self._answered = False

    def sift(self, refused: list[T], answered: bool) -> list[T]:
        """The refusals that count now; `answered`: the server has answered something, or there is no more to come."""
        self.held += refused
        self._answered = self._answered or answered
        if not self._answered:
            return []
        counting, self.held = self.held, []
        return counting

    @property
    def tripped(self) -> bool:
        """Whether the server has refused so many prompts, and answered none, that it must be the config."""
        return len(self.held) >= REFUSED_AT_START
