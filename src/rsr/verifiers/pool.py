"""Processes for verifiers that may spin, leak or crash: limited in CPU time and memory, killed and replaced.

    submit ──> queue ──> thread 1 ──pipe── worker 1        one thread and one process per worker, started when needed
                    └──> thread 2 ──pipe── worker 2

A task that takes more than `cpu_seconds` of the worker's CPU time, or the memory limit, is `unverifiable`: final, for
it would be so again, however busy the machine is. One that takes ten times as long by the clock, or whose worker dies,
is a `verifier_error`: tried again. The first task that a worker has for a verifier may take `WARM_SECONDS`, for it may
import and load what the others need; beyond `cpu_seconds` its verdict doesn't count, and the task is judged again by
the worker that is warm now. A verifier that warms itself has no such first task. Nothing is based on signals inside
the worker, so verifiers run in any thread here and in the main thread there.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import queue
import select
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple

import msgspec

from rsr.types import Reason, Verdict
from rsr.verifiers.pipe import LENGTH, Reply, Spec, Task

BUILD_SECONDS = 300.0
"""How long a worker may take to import and build a verifier."""

WARM_SECONDS = 60.0
"""CPU time that the first task of a verifier may take in a worker; by the clock it is twice that, at least."""

_POLL = 0.05


class _Job(NamedTuple):
    spec: Spec
    task: Task
    future: Future[Verdict]


class Pool:
    """Worker processes that judge final answers.

    Args:
        workers: how many at most (default: the cores that we may use).
        cpu_seconds: CPU time that one task may take, where the verifier's `cpu_seconds` doesn't say otherwise.
    """

    def __init__(self, workers: int | None = None, cpu_seconds: float = 2.0) -> None:
        self.workers = workers or _cores()
        self.cpu_seconds = cpu_seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._processes: set[_Worker] = set()
        self._unfinished = 0  # jobs queued or being judged
        self._closed = False

    def submit(self, spec: Spec, task: Task) -> Future[Verdict]:
        """The future verdict; it never holds an exception, but may be cancelled until a worker takes the task.

        Raises:
            RuntimeError: the pool is closed.
        """
        job = _Job(spec, task, Future())
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            self._unfinished += 1
            if len(self._threads) < min(self._unfinished, self.workers):
                name = f"rsr-verifier-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
                self._threads[-1].start()
            self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """Kill the workers; what was not judged becomes a `verifier_error`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for worker in self._processes:
                worker.kill()
            for _ in self._threads:
                self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout=5)
        with contextlib.suppress(queue.Empty):
            while True:
                _settle(self._jobs.get_nowait(), _error("the pool was closed"))

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        worker: _Worker | None = None
        try:
            while (job := self._jobs.get()) is not None:
                taken = job.future.set_running_or_notify_cancel()
                if taken:
                    worker, verdict = self._judged(worker, job)
                with self._lock:  # before the result is seen: whoever submits next shall not start another worker
                    self._unfinished -= 1
                if taken:
                    job.future.set_result(verdict)
        finally:
            if worker is not None:
                self._discard(worker)

    def _judged(self, worker: _Worker | None, job: _Job) -> tuple[_Worker | None, Verdict]:
        """The verdict, and the worker to go on with."""
        try:
            for _ in range(2):
                fresh = worker is None
                worker = worker or self._started()
                verdict = worker.judge(job.spec, job.task)
                if verdict is not None:
                    return worker, verdict
                # Out of memory: perhaps because of what an earlier task has left behind. Only a fresh worker decides.
                self._discard(worker)
                worker = None
                if fresh:
                    break
            return None, Verdict(reason=Reason.UNVERIFIABLE, detail="the memory limit was reached")
        except _OverCPU as cause:
            verdict = Verdict(reason=Reason.UNVERIFIABLE, detail=str(cause))
        except _Died as cause:
            verdict = _error(f"{job.spec.type}: {cause}")
        except Exception as cause:  # the task can't be pickled, no process can be started
            verdict = _error(f"{job.spec.type}: {type(cause).__name__}: {cause}")
        if worker is not None:
            self._discard(worker)
        return None, verdict

    def _started(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise _Died("the pool was closed")
            worker = _Worker(self.cpu_seconds)
            self._processes.add(worker)
        return worker

    def _discard(self, worker: _Worker) -> None:
        with self._lock:
            self._processes.discard(worker)
        worker.close()


class _OverCPU(Exception):
    pass


class _Died(Exception):
    pass


class _Worker:
    """The parent's end of a worker process; used by one thread at a time."""

    def __init__(self, cpu_seconds: float) -> None:
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        self._limit = cpu_seconds
        self._cpu = 0.0
        self._built: dict[bytes, int] = {}
        self._warm: set[int] = set()
        self._decoder = msgspec.msgpack.Decoder(Reply)
        command = [sys.executable, "-P", "-m", "rsr.verifiers.worker", str(requests), str(replies)]
        path = os.pathsep.join(entry for entry in sys.path if entry)  # plug-ins are found where we find them
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=_standard_error(),
                pass_fds=(requests, replies),
                env={**os.environ, "PYTHONPATH": path},
                process_group=0,  # Ctrl-C is for the parent, which decides what becomes of its workers
            )
        finally:
            os.close(requests)
            os.close(replies)

    def judge(self, spec: Spec, task: Task) -> Verdict | None:
        """The verdict; None: out of memory.

        Raises:
            _OverCPU: it took too much CPU time.
            _Died: it took too long, or the process ended.
        """
        number = self._number(spec)
        limit = spec.cpu_seconds or self._limit
        if number in self._warm:
            reply = self._ask(number, task, limit, wall=10 * limit)
        else:
            before = self._cpu
            reply = self._ask(number, task, max(limit, WARM_SECONDS), wall=max(10 * limit, 2 * WARM_SECONDS))
            self._warm.add(number)
            if reply.cpu - before > limit and not reply.out_of_memory:
                reply = self._ask(number, task, limit, wall=10 * limit)
        if reply.out_of_memory:
            return None
        return reply.verdict or _error(f"{spec.type}: {reply.error}")

    def kill(self) -> None:
        """End the process; the thread that waits for it sees the pipe end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """Kill the process and let go of the pipes."""
        self.kill()
        self._process.wait()
        os.close(self._requests)
        os.close(self._replies)

    def _number(self, spec: Spec) -> int:
        """The number under which the worker knows a verifier, built there if it is new."""
        key = pickle.dumps(tuple(spec))
        if key not in self._built:
            number = len(self._built)
            reply = self._ask(number, spec, None, wall=BUILD_SECONDS)
            if reply.error is not None:
                raise _Died(f"can't be built in a worker: {reply.error}")
            self._built[key] = number
            if reply.warm:
                self._warm.add(number)
        return self._built[key]

    def _ask(self, number: int, message: Spec | Task, cpu: float | None, wall: float) -> Reply:
        body = pickle.dumps((number, tuple(message), cpu))
        try:
            self._write(LENGTH.pack(len(body)) + body)
            deadline = time.monotonic() + wall
            length = LENGTH.unpack(self._read(LENGTH.size, cpu, deadline))[0]
            reply = self._decoder.decode(self._read(length, cpu, deadline))
        except (BrokenPipeError, EOFError):
            raise _Died(f"the worker died ({_how(self._process.wait())})") from None
        self._cpu = reply.cpu
        return reply

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._requests, view) :]

    def _read(self, size: int, cpu: float | None, deadline: float) -> bytes:
        data = b""
        while len(data) < size:
            if select.select([self._replies], [], [], _POLL)[0]:
                chunk = os.read(self._replies, size - len(data))
                if not chunk:
                    raise EOFError
                data += chunk
            elif cpu is not None and self._used() > cpu:
                raise _OverCPU(f"took more than {cpu:g} s of CPU time")
            elif time.monotonic() > deadline:
                raise _Died("took too long by the clock; is the machine overloaded?")
        return data

    def _used(self) -> float:
        """CPU seconds since the last reply."""
        import psutil

        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system) - self._cpu


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _standard_error() -> int:
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _error(detail: str) -> Verdict:
    return Verdict(reason=Reason.VERIFIER_ERROR, detail=detail)


def _settle(job: _Job | None, verdict: Verdict) -> None:
    if job is not None and job.future.set_running_or_notify_cancel():
        job.future.set_result(verdict)


_shared: Pool | None = None
_shared_lock = threading.Lock()


def shared_pool() -> Pool:
    """The pool of this process for those who don't bring their own; closed when the interpreter exits."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared._closed:
            _shared = Pool()
            atexit.register(_shared.close)
        return _shared
