"""What reaches the guards of a run, for tests: an event of each kind, good or bad, and one guard alone."""

from collections.abc import Callable

from rsr.guards import Guards, Limits
from rsr.hashing import answer_key
from rsr.types import Outcome, Reason, Rollout, Verdict

SHARES = ("truncated", "failed_requests", "verifier_errors", "no_answer", "identical")
Send = Callable[[Guards, int, bool], None]
ERROR = Verdict(reason=Reason.VERIFIER_ERROR, detail="timeout")
RIGHT = Verdict(score=1.0)


def passes(rollout: Rollout) -> bool:
    return rollout.score is not None and rollout.score >= 1.0


def response(text: str, index: int = 0, outcome: Outcome = Outcome.OK, reasoning: str = "") -> Rollout:
    key = answer_key(text)
    return Rollout(index=index, outcome=outcome, answer_key=key, response=text, reasoning=reasoning)


def judge(guards: Guards, prompt: str, index: int, verdict: Verdict, text: str = "It is B.") -> None:
    rollout = response(text, index)
    rollout.verdict = verdict
    guards.judged(prompt, rollout, verdict)


def drawn(guards: Guards, number: int, bad: bool) -> None:
    outcome = Outcome.TRUNCATED if bad else Outcome.OK
    guards.drawn(f"p{number}", response(f"Response {number} of the model.", outcome=outcome))


def requested(guards: Guards, number: int, bad: bool) -> None:
    guards.request(f"p{number}", "HTTP 500: no more memory" if bad else None)


def judged(guards: Guards, number: int, bad: bool) -> None:
    error = Verdict(reason=Reason.VERIFIER_ERROR, detail="KeyError: 'answer'")
    judge(guards, f"p{number}", 0, error if bad else Verdict(score=1.0))


def answered(guards: Guards, number: int, bad: bool) -> None:
    judge(guards, f"p{number}", 0, Verdict(reason=Reason.NO_ANSWER) if bad else Verdict(score=number % 2))


def repeated(guards: Guards, number: int, bad: bool) -> None:
    first = f"Response {number} of the model."
    guards.drawn(f"p{number}", response(first))
    guards.drawn(f"p{number}", response(first if bad else f"Another one, {number}, of the model.", index=1))
    guards.closed(f"p{number}")


SENDS: dict[str, Send] = dict(zip(SHARES, (drawn, requested, judged, answered, repeated), strict=True))


def only(guard: str, share: float | int, window: int) -> Guards:
    """Guards of which one is on."""
    return Guards(Limits(window=window)._replace(**{guard: share}), passes)
