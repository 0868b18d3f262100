"""A clock that jumps from one event to the next: hours of an engine in a moment."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any


class VirtualClock:
    """What `Slots` needs of an event loop, in virtual time; `run` goes on until nothing is left to happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._numbers = count()

    def time(self) -> float:
        """Seconds since the beginning."""
        return self.now

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> None:
        """Call it then; what is due at the same time is called in the order of these calls."""
        heapq.heappush(self._events, (when, next(self._numbers), callback, args))

    def run(self) -> None:
        """Let everything happen."""
        while self._events:
            when, _, callback, args = heapq.heappop(self._events)
            self.now = max(self.now, when)
            callback(*args)
