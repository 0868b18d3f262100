"""What an alarm is, and the counts that can raise one: of the latest events, of a row of equal ones, of repeats.

Pure and cheap: an event costs a few additions; examples are cut and cleaned when there is an alarm.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from rsr.types import Rollout, Verdict

_HELD = 1 << 15
"""Texts of open prompts that are remembered (a hash each); beyond, the prompt opened first is forgotten."""
_BY_CHANCE = 20
"""A row of the same word this many times longer than its mean is no chance: e^-20."""
_NEAR = 64
"""Verdicts of a row before its limit from which on examples are kept."""
_EXAMPLES = 3
_LINE = 120
_KEPT = 480
"""Characters of a text that an example is made of, before white space is taken out."""


class Example(msgspec.Struct, frozen=True):
    """One of the events that an alarm is about."""

    prompt_id: str
    index: int | None
    """None: the request failed, so there is no rollout."""
    text: str
    """One printable line of at most 120 characters: of the response (its end, where that tells), or the error."""

    def __str__(self) -> str:
        where = "" if self.index is None else f", index {self.index}"
        return f"{one_line(self.prompt_id, 60)}{where}: {self.text}"


class Tripped(NamedTuple):
    """An alarm."""

    guard: str
    """Its key in the config, e.g. `guards.truncated`."""
    share: float
    words: str
    """The share and what it is of, e.g. `124 of the last 200 completions (62 %) were cut by max_tokens`."""
    examples: tuple[Example, ...]
    """The latest, at most three, of different prompts where there are such."""
    fix: str
    """What to change."""

    def __str__(self) -> str:
        return f"{self.guard}: {self.words}; {self.fix}"


_WORDS = {
    "truncated": "of the last {of} completions ({percent} %) were cut by max_tokens",
    "failed_requests": "of the last {of} requests ({percent} %) failed to the end",
    "verifier_errors": "of the last {of} verdicts ({percent} %) are verifier errors",
    "no_answer": "of the last {of} verdicts ({percent} %) found no answer",
    "identical": "of the last {of} further responses of a prompt ({percent} %) repeat one that it had",
}
_FIX = {
    "truncated": "raise sampler.max_tokens, and only the responses that it cut are drawn again",
    "failed_requests": "look at the errors and at the server, or lower sampler.concurrent_requests",
    "verifier_errors": "mend the verifier; rsr verify makes the missing verdicts without a request",
    "no_answer": "ask for the form that verifier.type reads, with sampler.prompt_suffix or system_prompt",
    "identical": "raise sampler.temperature, turn off caching of responses, and see that the server heeds seeds",
    "all_fail": "look at the references (metadata.answer) and at what verifier.type reads in the responses",
    "all_pass": "look whether verifier.type accepts anything, or the prompts are too easy to choose from",
}


class _Noted(msgspec.Struct, frozen=True):
    """What an example is made of, should there be an alarm: cutting and cleaning can wait until then."""

    serial: int
    prompt_id: str
    index: int | None
    before: str
    """Our words, before the text."""
    text: str
    from_end: bool
    extracted: str | None = None

    def example(self) -> Example:
        before = f"read {one_line(self.extracted, 30)} in: " if self.extracted else self.before
        text = one_line(self.text, _LINE - len(before), self.from_end) or "(no text)"
        return Example(self.prompt_id, self.index, before + text)


class _Notes:
    """The latest few, of different prompts where there are such."""

    def __init__(self) -> None:
        self._latest: deque[_Noted] = deque(maxlen=_EXAMPLES)

    def take(self, noted: _Noted) -> None:
        if self._latest and self._latest[-1].prompt_id == noted.prompt_id:
            self._latest[-1] = noted
        else:
            self._latest.append(noted)

    def clear(self) -> None:
        self._latest.clear()

    def examples(self, since: int = 0) -> tuple[Example, ...]:
        return tuple(noted.example() for noted in self._latest if noted.serial >= since)


class Window:
    """How many of the latest `size` events of a guard are bad."""

    def __init__(self, guard: str, limit: float, size: int) -> None:
        self.guard = guard
        self.notes = _Notes()
        self.came = self.bad = 0
        self._size = size
        self._ring = bytearray(size)
        # The least count whose share, as Python divides, reaches the limit: no product is rounded past it.
        least = max(1, int(limit * size) - 1)
        while least / size < limit:
            least += 1
        self._least = least

    def add(self, bad: bool) -> bool:
        """Count an event; whether that is an alarm."""
        ring, at = self._ring, self.came % self._size
        self.came += 1
        if bad != ring[at]:
            ring[at] = bad
            self.bad += 1 if bad else -1
        return self.bad >= self._least and self.came >= self._size

    def note(self, prompt_id: str, index: int | None, text: str, before: str = "", from_end: bool = False) -> None:
        """Keep what the next event, a bad one, looks like."""
        cut = text[-_KEPT:] if from_end else text[:_KEPT]
        self.notes.take(_Noted(self.came, prompt_id, index, before, cut, from_end))

    def holds(self, serial: int) -> bool:
        """Whether the event of this number (from 0) is among the latest."""
        return serial >= self.came - self._size

    def mend(self, serial: int) -> None:
        """An event that was bad is not, after all."""
        self._ring[serial % self._size] = 0
        self.bad -= 1

    def alarm(self) -> Tripped:
        """The alarm, in words."""
        share = self.bad / self._size
        words = _WORDS[self.guard].format(of=f"{self._size:,}", percent=f"{100 * share:.3g}")
        key = f"guards.{self.guard}"
        higher = f"{key}=N with N above {share:.3g}, or " if share < 1 else ""
        fix = f"{_FIX[self.guard]}; if it is meant to be so: {higher}{key}=null"
        return Tripped(key, share, f"{self.bad:,} {words}", self.notes.examples(self.came - self._size), fix)


class Row:
    """How many scored verdicts in a row have the same word."""

    def __init__(self, limit: int, window: int) -> None:
        self.notes = _Notes()
        self.length = 0
        self._word = False
        self._limit = limit
        self._window = window
        self._counts = [0, 0]

    def add(self, passed: bool) -> bool:
        """Count a scored verdict; whether that is an alarm."""
        counts = self._counts
        counts[passed] += 1
        if passed != self._word:
            self._word, self.length = passed, 0
            self.notes.clear()
        self.length += 1
        if self.length < self._limit:
            return False
        scored, others = counts[0] + counts[1], counts[not passed]
        return scored >= self._window and (not others or self.length * others >= _BY_CHANCE * scored)

    def note(self, prompt_id: str, rollout: Rollout, verdict: Verdict) -> None:
        """Keep what a verdict of this row looks like, if it may become an alarm soon."""
        if self.length < self._limit - _NEAR:
            return
        text = rollout.response[-_KEPT:]
        self.notes.take(_Noted(self.length, prompt_id, rollout.index, "", text, True, verdict.extracted))

    def alarm(self) -> Tripped:
        """The alarm, in words."""
        word, fix = ("pass", _FIX["all_pass"]) if self._word else ("fail", _FIX["all_fail"])
        key = "guards.pass_rate"
        higher = f"{key}=N with N above {self.length:,}"
        fix = f"{fix}; if it is meant to be so: {higher}, or {key}=null"
        return Tripped(key, 1.0, f"the last {self.length:,} scored responses all {word}", self.notes.examples(), fix)


class Repeats:
    """Which texts the open prompts have had: a hash and an index each."""

    def __init__(self) -> None:
        self.held = 0
        self._prompts: dict[str, dict[int, int]] = {}

    def earlier(self, prompt_id: str, key: int, index: int) -> int | None:
        """The index of an equal text; -1: the prompt had other ones only; None: it had none, or this index itself."""
        texts = self._prompts.get(prompt_id)
        if texts is None:
            self._prompts[prompt_id] = {key: index}
            found = None
        elif key in texts:
            found = texts[key]
            return None if found == index else found
        else:
            texts[key] = index
            found = -1
        self.held += 1
        if self.held > _HELD:
            self.forget(next(iter(self._prompts)))
        return found

    def forget(self, prompt_id: str) -> None:
        """A prompt is done with."""
        self.held -= len(self._prompts.pop(prompt_id, ()))


def one_line(text: str, most: int, from_end: bool = False) -> str:
    """The text's beginning (or end) on one line, without what a terminal would act on.

    Args:
        text: any; model output too.
        most: characters that the line may have.
        from_end: keep the end.
    """
    line = " ".join(text.split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    if len(line) <= most:
        return line
    return "..." + line[3 - most :] if from_end else line[: most - 3] + "..."
