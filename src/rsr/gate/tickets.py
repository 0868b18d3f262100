"""A request on its way through a gate, and what a failed try of it says about the endpoint."""

from __future__ import annotations

import enum
from collections.abc import Hashable


class Sign(enum.Enum):
    """What a failed try says about the endpoint."""

    NONE = "nothing"
    GONE = "it can't be reached"
    BUSY = "it is busy"
    SLOW = "it does not answer in time"
    ILL = "it fails"

    @property
    def may_be_the_prompt(self) -> bool:
        """Whether another prompt might have fared better."""
        return self not in (Sign.GONE, Sign.BUSY)


class Ticket:
    """One request, from its first try to its last.

    Args:
        key: whose it is; requests of one prompt share a key. None: nobody else's.
        weight: completions that it asks for.
        prompt_tokens: about; looked at only where tokens per minute are limited.
        max_tokens: the longest that each completion can be, where that is known.
    """

    __slots__ = (
        *("key", "weight", "prompt_tokens", "max_tokens", "used", "redrawn", "waiter", "why"),
        *("tries", "burnt", "late", "probes", "not_before", "rest_until"),
        *("sent_at", "number", "turn", "flying", "counted", "probing", "booked"),
    )

    def __init__(
        self, key: Hashable = None, weight: int = 1, prompt_tokens: int = 0, max_tokens: int | None = None
    ) -> None:
        self.key = self if key is None else key
        self.weight = weight
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.used: int | None = None
        """Prompt and completion tokens by the usage of the reply; set by whoever reads that."""
        self.redrawn = False
        """Whether an earlier try failed after generation may have begun; set by whoever sends it."""
        self.waiter: object = None
        """Its sender's, to be told by."""
        self.why = ""
        """How its last try failed; set by whoever sent it."""
        self.tries = 0
        """Tries that were sent."""
        self.burnt = 0
        """Failed tries that count; a failure that is the endpoint's alone does not."""
        self.late = 0
        """Failed tries that took the whole time a reply may take."""
        self.probes = 0
        """Times that it went while the endpoint was out of order."""
        self.not_before = 0.0
        """When Retry-After has passed."""
        self.rest_until = 0.0
        """When backoff has passed; a probe does not wait for that."""
        # The gate's own.
        self.sent_at = 0.0
        self.number = 0  # of its last try, among all tries of the gate
        self.turn = 0  # tells a stale entry of a queue from a valid one
        self.flying = False
        self.counted = False  # takes room under the limit
        self.probing = False
        self.booked: list[float] | None = None
