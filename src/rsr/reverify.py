"""Makes the verdicts that are missing on stored rollouts, with nothing sampled."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from typing import NamedTuple

from rsr.replay import Stored
from rsr.store.rollouts import NewVerdict, RolloutStore, Said
from rsr.types import Outcome, Rollout, Verdict
from rsr.verifiers.verification import Verification

_AHEAD = 256  # verdicts on their way at once
_COMMIT = 256
_COMMIT_SECONDS = 1.0


class _Pending(NamedTuple):
    stored: Stored
    rollout: Rollout
    verdict: Verdict | Future[Verdict]


def missing_verdicts(replayed: Iterable[Stored], store: RolloutStore, verification: Verification) -> int:
    """Judge every valid rollout that has no final verdict under the config of now; returns how many were judged.

    Ends early where no verdict can be had any more (`verification.stopped`).
    """
    verification.remote.before = store.counters()
    pending: deque[_Pending] = deque()
    done: list[NewVerdict] = []
    made, committed = 0, time.monotonic()

    def commit() -> None:
        nonlocal committed
        store.count(commits=1, **verification.uncounted())
        store.add_verdicts(done)
        done.clear()
        committed = time.monotonic()

    def settle(item: _Pending) -> None:
        nonlocal made
        verdict = item.verdict.result() if isinstance(item.verdict, Future) else item.verdict
        if not verdict.final and verification.stopped is not None:  # it was not asked
            return
        made += 1
        check = item.stored.reference.check
        verifier = store.verifier_id(check.name, check.params, check.version)
        done.append(NewVerdict(item.stored.prompt, item.rollout, Said(verdict, item.stored.reference.key, verifier)))
        item.rollout.forget_text()
        if len(done) >= _COMMIT or time.monotonic() - committed > _COMMIT_SECONDS:
            commit()

    try:
        for stored in replayed:
            if verification.stopped is not None:
                break
            owed = [rollout for rollout in stored.rollouts if rollout.outcome is Outcome.OK and not rollout.decided]
            store.fill(stored.prompt, owed)
            for rollout in owed:
                verdict = verification.submit(stored.prompt, stored.reference, rollout.response)
                pending.append(_Pending(stored, rollout, verdict))
                while pending and (len(pending) >= _AHEAD or _is_there(pending[0].verdict)):
                    settle(pending.popleft())
        while pending:
            settle(pending.popleft())
    finally:
        commit()  # after Ctrl-C too
    return made


def _is_there(verdict: Verdict | Future[Verdict]) -> bool:
    return isinstance(verdict, Verdict) or verdict.done()
