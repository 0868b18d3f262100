"""Alarms over a run, as pure decisions: what arrives goes in, whether to go on comes out."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

REFUSED_AT_START = 20


class Refusals(Generic[T]):
    """Holds refusals back until the server has answered anything: before that they may be the server's fault.

    Attributes:
        held: those that don't count yet.
    """

    def __init__(self) -> None:
        self.held: list[T] = []
        self._answered = False

    def sift(self, refused: list[T], answered: bool) -> list[T]:
        """The refusals that count now; `answered`: the server has answered something, or there is no more to come."""
        self.held += refused
        self._answered = self._answered or answered
        if not self._answered:
            return []
        counting, self.held = self.held, []
        return counting

    @property
    def tripped(self) -> bool:
        """Whether the server has refused so many prompts, and answered none, that it must be the config."""
        return len(self.held) >= REFUSED_AT_START
