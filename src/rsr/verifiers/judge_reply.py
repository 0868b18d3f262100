"""What a judge replies: one JSON object on the last line, read strictly. Whatever else it says is no verdict.

{"verdict": "correct" | "incorrect" | "no_answer"}        or, with a scale,        {"score": 7}
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

_VERDICTS = {"correct": 1.0, "incorrect": 0.0, "no_answer": None}
_LONGEST_REASON = 300
_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)
_FENCE_END = re.compile(r"\n```\Z")


class Unreadable(Exception):
    """A reply that is no verdict; says what is wrong with it."""


class Vote(NamedTuple):
    """What one reply says."""

    score: float | None
    """In [0, 1]; None: the response has no answer."""
    reason: str | None = None


class Form(NamedTuple):
    """What a judge is asked for.

    Attributes:
        scale: lowest and highest score; None: a verdict.
    """

    scale: tuple[float, float] | None = None

    @property
    def low(self) -> float:
        """The lowest score."""
        return self.scale[0] if self.scale else 0.0

    @property
    def high(self) -> float:
        """The highest score."""
        return self.scale[1] if self.scale else 1.0

    @property
    def wanted(self) -> str:
        """The object, in words."""
        if self.scale is not None:
            return f'{{"score": N}} where N is a number from {self.low:g} to {self.high:g}'
        return '{"verdict": "correct"}, {"verdict": "incorrect"} or {"verdict": "no_answer"}'

    @property
    def instruction(self) -> str:
        """How to reply."""
        return f"Think briefly. Then end with one line that holds a JSON object and nothing else: {self.wanted}"

    @property
    def again(self) -> str:
        """What is said after a reply that can't be read."""
        return f"Your verdict could not be read. Reply with the JSON object alone, on one line: {self.wanted}"

    def read(self, reply: str) -> Vote:
        """The vote of a reply, whose reasoning has been split off.

        Raises:
            Unreadable: it is none.
        """
        found = _object(reply.strip())
        name = "score" if self.scale is not None else "verdict"
        if name not in found:
            raise Unreadable(f"there is no {name!r} in the JSON object")
        score = _score(found[name], self.scale) if self.scale is not None else _verdict(found[name])
        reason = found.get("reason")
        return Vote(score, reason[:_LONGEST_REASON] if isinstance(reason, str) and reason else None)


def _object(reply: str) -> dict[str, Any]:
    """The JSON object that is the reply, or its last line."""
    whole = _FENCE.match(reply)
    text = (whole[1] if whole else _FENCE_END.sub("", reply)).strip()
    for candidate in (text, text.rpartition("\n")[2].strip()):
        if candidate.startswith("{"):
            try:
                found = json.loads(candidate, object_pairs_hook=_distinct, parse_constant=_refused)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                return found
    raise Unreadable("its last line is no JSON object")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _verdict(value: Any) -> float | None:
    word = value.strip().lower() if isinstance(value, str) else None
    if word not in _VERDICTS:
        raise Unreadable(f"the verdict {str(value)[:40]!r} is none of {', '.join(_VERDICTS)}")
    return _VERDICTS[word]


def _score(value: Any, scale: tuple[float, float]) -> float:
    low, high = scale
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"the score {str(value)[:40]!r} is no number")
    if not low <= value <= high:
        raise Unreadable(f"the score {value:g} is not from {low:g} to {high:g}")
    return (value - low) / (high - low)
