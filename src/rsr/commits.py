"""Puts what came back on disk, in the order in which it came, and keeps it while the disk is full.

A full disk costs nothing that was received: the store gives up its reserve for it, or it stays in memory until there
is room. Meanwhile nothing is drawn. When there is room again the run goes on by itself; when there is none for
`store.wait_for_room` seconds it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rsr.arrivals import Batch
from rsr.errors import PluginError, RSRError, StoreError, StoreFull, boundary
from rsr.store.rollouts import RolloutStore

_LOOK = 1.0  # seconds between two looks at a full disk


class Commits:
    """Batches on their way to disk.

    Args:
        store: where they go.
        take: hears of each batch once it is on disk.
        fail: ends the run.
        warn: tells the user.
        wake: called when drawing may go on.
        wait: seconds to wait for room.

    Attributes:
        full: whether the disk is, so that nothing may be drawn.
    """

    def __init__(
        self,
        store: RolloutStore,
        take: Callable[[Batch], None],
        fail: Callable[[RSRError], None],
        warn: Callable[[str], None],
        wake: Callable[[], None],
        wait: float,
    ) -> None:
        self._store = store
        self._take, self._fail, self._warn, self._wake = take, fail, warn, wake
        self._wait = wait
        self._loop = asyncio.get_running_loop()
        self._held: list[Batch] = []
        self._error: StoreError | None = None
        self._since = 0.0
        self.full = False

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def lost(self) -> str | None:
        """What could not be stored, in words, for the end of the run; None: everything could."""
        count = sum(len(batch.rows) for batch in self._held)
        return f"{self._error}; {count} completions could not be stored" if self._held else None

    def put(self, batch: Batch) -> None:
        """Commit a batch after those before it."""
        self._held.append(batch)
        self.flush()

    def flush(self) -> None:
        """Commit what is held, then let it count."""
        self._flush()
        if self._error is not None and not isinstance(self._error, StoreFull):
            self._fail(self._error)
        elif (self._error is not None or self._store.short_of_room) and not self.full:
            self._wait_for_room()

    def _flush(self) -> None:
        self._error = None
        while self._held:
            batch = self._held[0]
            self._store.count(commits=1)
            try:
                with boundary(StoreError, "the store"):
                    if batch.rows:
                        self._store.add(batch.rows)
                    if batch.judged:
                        self._store.add_verdicts([judged.row() for judged in batch.judged])
            except StoreError as error:
                self._error = error
                return
            del self._held[0]
            try:
                # Whatever a formatter of the user's raises must end the run, not leave it waiting for ever.
                with boundary(PluginError, "what decides on the rollouts failed"):
                    self._take(batch)
            except RSRError as error:
                self._fail(error)

    def _wait_for_room(self) -> None:
        self.full = True
        self._since = self._loop.time()
        waiting = f"waiting {self._wait:g} s for room (store.wait_for_room)"
        self._warn(f"{self._why}; nothing is sampled meanwhile, {waiting}")
        self._loop.call_later(_LOOK, self._look)

    def _look(self) -> None:
        try:
            with boundary(StoreError, "the store"):
                self._look_once()
        except RSRError as error:  # in a callback of the loop it would be heard by nobody
            self._fail(error)

    def _look_once(self) -> None:
        self.flush()
        if not self._held and self._store.regain():
            self.full = False
            self._warn("there is room again: going on")
            self._wake()
            return
        if self._loop.time() - self._since >= self._wait:
            kept = "" if self._held else "; nothing that was received is lost"
            self._fail(StoreFull(f"{self._why}{kept}"))
            return
        self._loop.call_later(_LOOK, self._look)

    @property
    def _why(self) -> str:
        return str(self._store.short_of_room or self._error)
