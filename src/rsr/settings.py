"""How the engine runs: what it is told by whoever builds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rsr.schedule import Needs, Rules
from rsr.types import Message, Prompt, Rollout


class Settings(NamedTuple):
    """What the engine needs to know of the config.

    Attributes:
        rules: budget and policy.
        needs: the combined need of the formatters.
        slots: completions in flight at most.
        limit: `max_tokens`, `NO_LIMIT` where it is not set.
        sampling_key: of the streams, for seeds.
        messages: a prompt's messages as they are sent.
        passes: whether a rollout passes, for the display.
        grace: seconds that a stop waits for what is in flight.
        wait_for_room: seconds that a full disk is waited for.
    """

    rules: Rules
    needs: Needs
    slots: int
    limit: int
    sampling_key: bytes
    messages: Callable[[Prompt], list[Message]]
    passes: Callable[[Rollout], bool]
    grace: float = 60.0
    wait_for_room: float = 300.0
