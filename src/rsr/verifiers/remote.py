"""Where verifiers that send requests work: one event loop in a thread of its own, shared by all of a run.

    Check.submit ──> Remote.submit ──thread──> ajudge ──> Service ──> Wire        the future comes back at once

So the engine, `rsr verify`, `rsr score` and a plain call wait for the same future, and none of them for the network.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeVar

from rsr.errors import RSRError
from rsr.types import Message, Verdict
from rsr.verifiers.pool import Pool

T = TypeVar("T")

COUNTED = ("requests", "prompt_tokens", "completion_tokens")
PREFIX = "verifier_"
"""Before the names of what verifiers spend, among the counters of the store: `verifier_requests/<whose>`."""


class Asked(NamedTuple):
    """What a verifier is to judge."""

    response: str
    """The final answer."""
    answer: Any
    choices: Any = None
    metadata: Mapping[str, Any] | None = None
    messages: Sequence[Message] = ()
    """The prompt's; empty where they are not known."""
    pool: Pool | None = None
    """For verifiers that are asked in turn and need a process."""


class Service(Protocol):
    """A server that a verifier asks; see `rsr.verifiers.service`."""

    async def start(self) -> None:
        """See whether it is there, with the model; nothing is generated."""

    def state(self, remote: Remote) -> str:
        """What holds its requests up; empty: nothing."""

    def drain(self, remote: Remote) -> None:
        """Send nothing new."""


class Remote:
    """An event loop in a thread, started when it is first needed.

    Args:
        keeps_errors: after an error that no further request can mend (`stopped`) nothing more is sent.

    Attributes:
        stopped: that error.
        spent: what services have spent in this process, by counter.
        before: what earlier starts of the run have spent, by counter.
    """

    def __init__(self, keeps_errors: bool = True) -> None:
        self.stopped: RSRError | None = None
        self.spent: dict[str, float] = {}
        self.before: Mapping[str, float] = {}
        self._keeps_errors = keeps_errors
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._closed = False

    @property
    def started(self) -> bool:
        """Whether anything was asked for."""
        return self._loop is not None

    def submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """The future result of a coroutine, which is made and run in the thread.

        Raises:
            RuntimeError: it is closed.
        """

        async def within() -> T:
            _current.set(self)
            return await make()

        with self._lock:
            if self._closed:
                raise RuntimeError("the verifier was closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="rsr-judge", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(within(), self._loop)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call it in the thread, where that has been started."""
        with self._lock:
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(call)

    def stop(self, error: RSRError) -> None:
        """No request can succeed any more."""
        if self._keeps_errors and self.stopped is None:
            self.stopped = error

    def count(self, whose: str, **added: float) -> None:
        """Add to what a service has spent."""
        for name, value in added.items():
            counter = f"{PREFIX}{name}/{whose}"
            self.spent[counter] = self.spent.get(counter, 0) + value

    def total(self, whose: str, name: str) -> float:
        """What a service has spent of something, in all starts of the run."""
        counter = f"{PREFIX}{name}/{whose}"
        return self.before.get(counter, 0) + self.spent.get(counter, 0)

    def at_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Have it awaited before the loop ends."""
        self._closers.append(closer)

    def close(self) -> None:
        """End what is under way, and the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._loop is None or self._thread is None:
            return
        ended = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        with contextlib.suppress(TimeoutError, CancelledError):
            ended.result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for closer in self._closers:
            await closer()


_current: ContextVar[Remote] = ContextVar("remote")


def current_remote() -> Remote:
    """The one whose thread this is."""
    return _current.get()


def spent_of(counters: Mapping[str, float]) -> dict[str, int]:
    """What all verifiers together have spent, by `requests`, `prompt_tokens` and `completion_tokens`."""
    return {
        name: int(sum(value for counter, value in counters.items() if counter.startswith(f"{PREFIX}{name}/")))
        for name in COUNTED
    }


async def awaited(verdict: Verdict | Future[Verdict]) -> Verdict:
    """A verdict that may still be in the making."""
    return verdict if isinstance(verdict, Verdict) else await asyncio.wrap_future(verdict)


_shared: Remote | None = None
_shared_lock = threading.Lock()


def shared_remote() -> Remote:
    """The one of this process for those who don't bring their own; closed when the interpreter exits."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared._closed:
            _shared = Remote(keeps_errors=False)
            atexit.register(_shared.close)
        return _shared
