"""What came back from a sampler or a judge, on its way to disk: nothing counts before it is there.

Open       a prompt at work
Arrival    what became of a request
Judged     a verdict that came later
Batch      what came within a few milliseconds, ready to be committed
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rsr.completions import to_rollout
from rsr.guards import REFUSED_AT_START, Refusals
from rsr.schedule import Draw, Stream
from rsr.store.rollouts import NewRollout, NewVerdict, Said
from rsr.types import Completion, Outcome, Prompt, Rollout, Verdict
from rsr.verifiers.verification import Reference


class Open(NamedTuple):
    """A prompt at work."""

    prompt: Prompt
    reference: Reference
    stream: Stream
    base: int
    """The seed of index 0."""
    verifier: int
    """The verifier's number in the store."""


class Arrival(NamedTuple):
    """What became of a request: completions, or why there are none."""

    open: Open
    draw: Draw
    completions: list[Completion]
    message: str | None = None
    outcome: Outcome = Outcome.REFUSED

    @property
    def refused(self) -> bool:
        """Whether the server refuses the prompt."""
        return self.message is not None and self.outcome is Outcome.REFUSED

    def rollouts(self, limit: int) -> Iterator[tuple[Rollout, Completion]]:
        """The rollout of each index, still without a verdict; `limit` is `max_tokens` of now."""
        draw, base = self.draw, self.open.base
        if self.message is None:
            for index, completion in enumerate(self.completions, start=draw.start):
                yield to_rollout(completion, index, seed=base + index, limit=limit), completion
            return
        for index in draw.indices if self.outcome is Outcome.FAILED else [draw.start]:
            said = Completion(text=self.message)
            yield Rollout(index=index, outcome=self.outcome, seed=base + index, limit=limit), said


class Arrivals:
    """Requests that came back and are not taken yet. Refusals wait until the server has answered anything."""

    def __init__(self) -> None:
        self._come: list[Arrival] = []
        self._refusals: Refusals[Arrival] = Refusals()

    def __bool__(self) -> bool:
        return bool(self._come)

    @property
    def refusals_wait(self) -> bool:
        """Whether refusals are held back."""
        return bool(self._refusals.held)

    @property
    def refused_from_the_start(self) -> str | None:
        """Why it must be the config, where the server has refused the first prompts and answered none."""
        if not self._refusals.tripped:
            return None
        last = self._refusals.held[-1].message
        return f"the server refused the first {REFUSED_AT_START} prompts, the last with: {last}"

    def put(self, arrival: Arrival) -> None:
        """A request has come back."""
        self._come.append(arrival)

    def take(self, ended: bool = False) -> Sequence[Arrival]:
        """What counts now; `ended`: nothing more comes, so refusals count too."""
        come, self._come = self._come, []
        refused = [arrival for arrival in come if arrival.refused]
        others = [arrival for arrival in come if not arrival.refused] if refused else come
        if not refused and not self._refusals.held and not others:
            return others
        answered = ended or any(arrival.completions for arrival in others)
        return [*self._refusals.sift(refused, answered), *others]


class Judged(NamedTuple):
    """A verdict on a stored rollout of an open prompt."""

    open: Open
    rollout: Rollout
    verdict: Verdict

    def row(self) -> NewVerdict:
        """As the store takes it."""
        opened = self.open
        return NewVerdict(opened.prompt, self.rollout, Said(self.verdict, opened.reference.key, opened.verifier))


class Batch(NamedTuple):
    """What is committed, and heard of, together."""

    rows: list[NewRollout]
    drawn: list[tuple[Arrival, list[Rollout]]]
    judged: Sequence[Judged]
