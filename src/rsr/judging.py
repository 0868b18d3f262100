"""Gets verdicts without making anybody wait: at once where cheap, else later, and again after an error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from rsr.errors import RSRError
from rsr.types import Prompt, Reason, Rollout, Verdict

_TRIES = 2
_NO_END = 1 << 31
_PAUSE = 0.2  # seconds before a verifier that failed is asked again

log = logging.getLogger("rsr")


class Judge(Protocol):
    """What is needed of `rsr.verifiers.verification.Verification`.

    Looked for, and may be left out: `stopped`, the error after which no verdict can be had any more; `held_up`, in a
    few words what holds all of them up; `drain()`, called when the run ends: what was not asked yet is not asked.
    """

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
        fail: ends the run, for no verdict can be had any more.

    Attributes:
        give_up: make the last error of a verifier final (`unverifiable`).
    """

    def __init__(
        self, judge: Judge, deliver: Callable[[Case, Verdict], None], fail: Callable[[RSRError], None]
    ) -> None:
        self.pending = 0
        self.give_up = self._stopping = False
        self._judge = judge
        self._deliver = deliver
        self._fail = fail

    @property
    def stopping(self) -> bool:
        """Whether the run ends: nothing is tried again after an error, and what waits for its turn is let go."""
        return self._stopping

    @stopping.setter
    def stopping(self, now: bool) -> None:
        drain = getattr(self._judge, "drain", None)
        if now and not self._stopping and drain is not None:
            drain()
        self._stopping = now

    def room(self, most: int, in_flight: int) -> int:
        """How many completions may be drawn, as far as their verdicts are concerned.

        Args:
            most: verdicts that may be waited for.
            in_flight: completions that are on their way.
        """
        if getattr(self._judge, "held_up", ""):
            # A judge that is out of order is waited for; where nothing waits, one more finds out whether it is back.
            return max(0, 1 - self.pending - in_flight)
        return 0 if self.pending >= most else _NO_END

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
        stopped: RSRError | None = getattr(self._judge, "stopped", None)
        if stopped is not None:
            self._fail(stopped)
        if not verdict.final and stopped is None:
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
