"""What goes between the pool and its worker processes.

    rsr.verifiers.pool  ──pickle──>  (spec number, spec, None)           build          ──msgpack──>  Reply
                        ──pickle──>  (spec number, task, CPU seconds)    judge          ──msgpack──>  Reply

Each message has its length before it, in 4 bytes. Requests are pickled since references may be integers of any size;
they come from our own process. Replies are msgpack, since a worker runs code of others.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from rsr.types import Verdict

LENGTH = struct.Struct(">I")


class Spec(NamedTuple):
    """Which verifier a worker is to build."""

    type: str
    params: dict[str, Any]

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time that one task may take, where the config says it."""
        return self.params.get("cpu_seconds")


class Task(NamedTuple):
    """What a worker is to judge."""

    response: str
    answer: Any
    choices: Any
    metadata: Mapping[str, Any] | None


class Reply(msgspec.Struct, array_like=True):
    """What a worker answers to each message."""

    cpu: float
    """Seconds of CPU time that the worker has used so far."""
    verdict: Verdict | None = None
    error: str | None = None
    """Why a verifier could not be built."""
    out_of_memory: bool = False
    warm: bool = False
    """To a build: the verifier has warmed itself, so its first task takes no longer than others."""
