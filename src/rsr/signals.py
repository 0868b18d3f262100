"""Ctrl-C and SIGTERM: the first stops the engine and keeps everything, a second stops it now."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from rsr.engine import Engine

_TERM_GRACE = 20.0  # seconds; what sends SIGTERM rarely waits longer


class Signals:
    """SIGINT and SIGTERM stop the engine; a second one stops it now."""

    def __init__(self, engine: Engine) -> None:
        self.exit_code: int | None = None
        self._engine = engine
        self._before: dict[signal.Signals, Any] = {}
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                before = signal.getsignal(number)
                loop.add_signal_handler(number, self._stop, number)
                self._before[number] = before
            except (ValueError, RuntimeError):  # not in the main thread: the caller's signals are its own
                return

    def _stop(self, number: signal.Signals) -> None:
        if self.exit_code is not None:
            self._engine.abort()
            return
        self.exit_code = 128 + number
        self._engine.stop(_TERM_GRACE if number == signal.SIGTERM else None)

    def restore(self) -> None:
        """Give the signals back."""
        loop = asyncio.get_running_loop()
        for number, before in self._before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, before)
