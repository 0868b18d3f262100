"""What goes wrong with which request: kinds of faults, how they are written, and who gets one.

    429=0.05,500=0.02,hang*=0.01     chances: a share of the requests; with `*`, a share of the prompts, always
    [faults=429:2,reset,html]        a script in the prompt's text: for its first requests; with a last `*` the last
                                     one goes on for ever
    10:30, 10:30:5                   a storm: 429 (with Retry-After: 5) from second 10 on for 30 s
    60:20                            an outage: the port is closed from second 60 on for 20 s

By chance means by a hash of (seed, prompt, request seed, number of the try): the same run meets the same faults again.
Times count from the first request.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from rsr.errors import ConfigError

KINDS = {
    "429": "any status from 400 on; `429:2` with Retry-After: 2, `429:date+2` with an HTTP date",
    "context": "400: the prompt is longer than the model's context",
    "policy": "400: the prompt is against a policy",
    "param": "400 about a parameter; `param:top_k` names it",
    "nomodel": "404: no such model",
    "reset": "the connection is cut before any byte",
    "cut": "the connection is cut in the middle of the body",
    "hang": "no reply, ever",
    "stall": "half of the body, then nothing",
    "drip": "the body in small pieces over 10 s; `drip:60` over 60 s",
    "noend": "a stream that ends without a finish_reason",
    "malformed": "200 with a body that is not JSON",
    "truncated": "200 with half of the JSON",
    "html": "200 with an HTML page",
    "error200": "200 with an error in the body",
    "nochoices": "200 without a choice",
    "fewer": "one choice, whatever n was asked for",
    "null": "content null, finish_reason length",
    "nullstop": "content null, finish_reason stop",
    "filtered": "finish_reason content_filter",
    "finish": "an unknown finish_reason; `finish:eos_limit` names it",
    "plain": "a good reply as text/plain",
    "nousage": "a good reply without usage",
    "huge": "a body of 300 MB; `huge:1000` of 1,000 MB",
}
"""Every kind and what it does."""

IN_PLACE = frozenset({"context", "policy", "param", "nomodel", "reset", "hang", "malformed", "html", "error200"}) | {
    "nochoices",
    "huge",
}
"""Answered at once, in place of a completion; the others (statuses aside) are done to a completion."""


class Fault(NamedTuple):
    """One thing that goes wrong."""

    kind: str
    detail: str = ""

    @property
    def status(self) -> int:
        """The HTTP status that it is; 0: it is no plain status."""
        return int(self.kind) if self.kind.isdigit() else 0

    @property
    def in_place(self) -> bool:
        """Whether it comes in place of a completion."""
        return self.kind.isdigit() or self.kind in IN_PLACE


def parse_fault(text: str) -> Fault:
    """A fault as it is written: `429:2`, `reset`.

    Raises:
        ConfigError: there is no such kind.
    """
    kind, _, detail = text.strip().partition(":")
    if kind not in KINDS and not (kind.isdigit() and 400 <= int(kind) <= 599):
        raise ConfigError(f"faults: there is no {kind!r}; known: a status (429, 503:2), {', '.join(list(KINDS)[1:])}")
    number = detail.removeprefix("date+") if kind.isdigit() else detail
    if detail and (kind.isdigit() or kind in ("drip", "huge")) and not _is_number(number):
        raise ConfigError(f"faults: {text.strip()}: {detail!r} is no number of seconds")
    return Fault(kind, detail)


class Script:
    """Faults of the first requests of a prompt.

    Args:
        entries: as written; the last one may end in `*`.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._for_ever = bool(entries) and entries[-1].strip().endswith("*")
        self._faults = [
            parse_fault(entry.strip().removesuffix("*")) if entry.strip("* ") else None for entry in entries
        ]

    def at(self, number: int) -> Fault | None:
        """The fault of a prompt's request, counted from 0."""
        if self._for_ever:
            number = min(number, len(self._faults) - 1)
        return self._faults[number] if number < len(self._faults) else None


class Chances:
    """Faults by chance.

    Args:
        written: `429=0.05,hang*=0.01`.
        seed: of the server.

    Raises:
        ConfigError: it can't be read, or the shares are more than 1 together.
    """

    def __init__(self, written: str = "", seed: int = 0) -> None:
        self._seed = seed
        self._random: list[tuple[float, Fault]] = []
        self._always: list[tuple[float, Fault]] = []
        for entry in filter(None, (part.strip() for part in written.split(","))):
            name, equals, share = entry.rpartition("=")
            if not equals or not _is_number(share) or not 0 <= float(share) <= 1:
                raise ConfigError(f"faults: {entry!r} is no KIND=SHARE, such as 429=0.05")
            chosen = self._always if name.endswith("*") else self._random
            upto = (chosen[-1][0] if chosen else 0.0) + float(share)
            if upto > 1 + 1e-9:
                raise ConfigError("faults: the shares are more than 1 together")
            chosen.append((upto, parse_fault(name.removesuffix("*"))))

    def __bool__(self) -> bool:
        return bool(self._random or self._always)

    def of(self, label: str, seed: int, attempt: int) -> Fault | None:
        """The fault of a request: of a prompt, with a seed, sent for the so-manieth time (from 0)."""
        return self._pick(self._always, label) or self._pick(self._random, f"{label}/{seed}/{attempt}")

    def _pick(self, faults: list[tuple[float, Fault]], name: str) -> Fault | None:
        if not faults:
            return None
        digest = blake2b(f"{self._seed}/fault/{name}".encode(), digest_size=4).digest()
        drawn = int.from_bytes(digest) * 2.0**-32
        return next((fault for upto, fault in faults if drawn < upto), None)


class Window(NamedTuple):
    """A span of time after the first request, in seconds."""

    start: float
    length: float
    retry_after: float | None = None

    @property
    def end(self) -> float:
        """When it is over."""
        return self.start + self.length


def parse_window(text: str, name: str, retry_after: bool = False) -> Window:
    """A window as it is written: `60:20`, or `10:30:5` with Retry-After where that is allowed.

    Raises:
        ConfigError: it can't be read.
    """
    parts = text.split(":")
    if len(parts) not in ((2, 3) if retry_after else (2,)) or not all(map(_is_number, parts)):
        form = "START:SECONDS" + (" or START:SECONDS:RETRY_AFTER" if retry_after else "")
        raise ConfigError(f"{name}: {text!r} is no {form}")
    return Window(*map(float, parts))


def _is_number(text: str) -> bool:
    try:
        return 0 <= float(text) < float("inf")
    except ValueError:
        return False
