"""What passes and what fails, and checks of values; shared by the formatters."""

from __future__ import annotations

import math
from typing import Literal

from rsr.types import Rollout

Messages = Literal["original", "sampled"]


def passed(rollout: Rollout, threshold: float) -> bool:
    """Whether its score is at least the threshold. No score never passes."""
    verdict = rollout.verdict
    return verdict is not None and verdict.score is not None and verdict.score >= threshold


def failed(rollout: Rollout, threshold: float) -> bool:
    """Whether its score is at most the threshold. No score never fails."""
    verdict = rollout.verdict
    return verdict is not None and verdict.score is not None and verdict.score <= threshold


def check_thresholds(pass_threshold: float, fail_threshold: float | None) -> None:
    """Raise ValueError, naming the key, where a score could pass and fail at once."""
    for key, value in (("pass_threshold", pass_threshold), ("fail_threshold", fail_threshold)):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{key}: must be a number, is {value}")
    if fail_threshold is not None and fail_threshold >= pass_threshold:
        raise ValueError(
            f"fail_threshold: {fail_threshold} must be below pass_threshold {pass_threshold}, "
            "or one score would be both right and wrong"
        )


def check_count(key: str, value: int | None, least: int = 1) -> None:
    """Raise ValueError, naming the key, where a number is not at least 1 (or `least`)."""
    if value is not None and value < least:
        raise ValueError(f"{key}: must be at least {least}, is {value}")


def check_share(key: str, value: float) -> None:
    """Raise ValueError, naming the key, where a number is not between 0 and 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{key}: must be between 0 and 1, is {value}")
