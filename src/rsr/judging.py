"""Gets verdicts without making anybody wait: at once where cheap, later from a process, again after an error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from rsr.types import Prompt, Reason, Rollout, Verdict

_TRIES = 2
_PAUSE = 0.2  # seconds before a verifier that failed is asked again

log = logging.getLogger("rsr")


class Judge(Protocol):
    """What is needed of `rsr.verifiers.verification.Verification`."""

    def submit(self, prompt: Prompt, reference: Any, response: str) -> Verdict | Future[Verdict]:
        """The verdict on a final answer, or its future."""


class Case(NamedTuple):
    """A rollout to be judged, and who asks."""

    asker: Any
    prompt: Prompt
    reference: Any
    rollout: Rollout


class Judging:
    """Verdicts on their way.

    Args:
        judge: makes them.
        deliver: gets every verdict that `ask` didn't give at once; always in a later turn of the event loop.

    Attributes:
        give_up: make the last error of a verifier final (`unverifiable`).
        stopping: don't try again after an error.
    """

    def __init__(self, judge: Judge, deliver: Callable[[Case, Verdict], None]) -> None:
        self.pending = 0
        self.stopping = self.give_up = False
        self._judge = judge
        self._deliver = deliver

    def ask(self, case: Case) -> Verdict | None:
        """The verdict where it is final at once; else None, and it is delivered later."""
        verdict = self._judge.submit(case.prompt, case.reference, case.rollout.response)
        if isinstance(verdict, Verdict) and verdict.final:
            return verdict
        self.pending += 1
        self._expect(case, verdict, tries=1)
        return None

    def _expect(self, case: Case, verdict: Verdict | Future[Verdict], tries: int) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(verdict, Verdict):
            loop.call_soon(self._came, case, verdict, tries)
            return

        def done(future: Future[Verdict]) -> None:
            # A loop that is closed has been told to let go of everything.
            if not future.cancelled() and not loop.is_closed():
                loop.call_soon_threadsafe(self._came, case, future.result(), tries)

        verdict.add_done_callback(done)

    def _came(self, case: Case, verdict: Verdict, tries: int) -> None:
        if not verdict.final:
            log.warning("prompt %s, index %d: %s", case.prompt.id, case.rollout.index, verdict.detail)
            if tries < _TRIES and not self.stopping:
                asyncio.get_running_loop().call_later(_PAUSE, self._again, case, tries + 1)
                return
            if self.give_up:
                verdict = Verdict(reason=Reason.UNVERIFIABLE, detail=f"given up: {verdict.detail}")
        self.pending -= 1
        self._deliver(case, verdict)

    def _again(self, case: Case, tries: int) -> None:
        self._expect(case, self._judge.submit(case.prompt, case.reference, case.rollout.response), tries)
