"""A worker process: builds verifiers once and judges one final answer after the other (`rsr.verifiers.pipe`).

The two pipes have descriptors of their own: what a verifier prints goes to the parent's standard error. The end of the
request pipe ends the worker.
"""

from __future__ import annotations

import contextlib
import pickle
import resource
import sys
import time
from typing import Any, BinaryIO

import msgspec

from rsr.verifiers.pipe import LENGTH, Reply

MEMORY = 1 << 30
"""Bytes that judging may take beyond what the worker has after it has built its verifiers."""

COLD_MEMORY = 2 << 30
"""The same for the first task of a verifier that can't warm itself: it may import a library or load a model."""

_encoder = msgspec.msgpack.Encoder()


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer messages until the pipe ends."""
    checks: dict[int, Any] = {}
    cold: set[int] = set()
    while True:
        head = requests.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return
        size = LENGTH.unpack(head)[0]
        body = requests.read(size)
        if len(body) < size:
            return
        number, task, cpu_seconds = pickle.loads(body)
        if number in checks:
            _limit_cpu(cpu_seconds)
            reply = _judge(checks[number], task)
            if number in cold:  # what the first task has loaded is not the next one's
                cold.discard(number)
                _limit(resource.RLIMIT_AS, _address_space() + MEMORY)
        else:
            reply = _build(checks, number, task)
            if not reply.warm:
                cold.add(number)
                _limit(resource.RLIMIT_AS, _address_space() + COLD_MEMORY)
        reply.cpu = time.process_time()
        _send(replies, reply)


def _build(checks: dict[int, Any], number: int, spec: Any) -> Reply:
    from rsr.verifiers.check import Check

    _limit(resource.RLIMIT_AS, None)
    try:
        check = Check(*spec)
        warm = check.warm()
        checks[number] = check
        return Reply(cpu=0.0, warm=warm)
    except BaseException as cause:
        return Reply(cpu=0.0, error=f"{type(cause).__name__}: {cause}")
    finally:
        _limit(resource.RLIMIT_AS, _address_space() + MEMORY)


def _judge(check: Any, task: Any) -> Reply:
    try:
        return Reply(cpu=0.0, verdict=check.judge(*task))
    except MemoryError:
        return Reply(cpu=0.0, out_of_memory=True)
    except BaseException as cause:
        return Reply(cpu=0.0, error=f"{type(cause).__name__}: {cause}")


def _send(replies: BinaryIO, reply: Reply) -> None:
    try:
        body = _encoder.encode(reply)
    except UnicodeEncodeError:  # a lone surrogate in what was extracted
        body = _encoder.encode(_printable(reply))
    replies.write(LENGTH.pack(len(body)) + body)
    replies.flush()


def _printable(reply: Reply) -> Reply:
    def clean(text: str | None) -> str | None:
        return text and text.encode("utf-8", "replace").decode()

    verdict = reply.verdict
    if verdict is not None:
        verdict = msgspec.structs.replace(verdict, extracted=clean(verdict.extracted), detail=clean(verdict.detail))
    return Reply(reply.cpu, verdict, clean(reply.error), reply.out_of_memory, reply.warm)


def _limit_cpu(cpu_seconds: float) -> None:
    """End by itself far beyond the parent's limit: nobody else would, if the parent has died."""
    _limit(resource.RLIMIT_CPU, int(min(time.process_time() + 2 * cpu_seconds + 30, 1 << 31)))


def _limit(which: int, value: int | None) -> None:
    _, hard = resource.getrlimit(which)
    soft = hard if value is None else value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # a system that doesn't have this limit
        resource.setrlimit(which, (soft, hard))


def _address_space() -> int:
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123  # once per build, and pathlib is no help here
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        import psutil

        return int(psutil.Process().memory_info().vms)


def main() -> None:
    """The process's entry: `python -m rsr.verifiers.worker REQUESTS REPLIES`."""
    requests, replies = int(sys.argv[1]), int(sys.argv[2])
    with (
        contextlib.suppress(BrokenPipeError, KeyboardInterrupt),  # outermost: closing writes what could not be written
        open(requests, "rb") as source,
        open(replies, "wb") as sink,
    ):
        serve(source, sink)


if __name__ == "__main__":
    main()
