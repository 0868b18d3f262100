"""CPU per rollout the whole way, against the bound and against the openai SDK, in one run on one server.

    python bench/wire.py [--rollouts 20000] [--in-flight 256] [--tokens-per-event 16] [--repeats 3] [--json FILE]

    whole way    `rsr run sft`: request, mcq-rlvr, durable row, training file; the CPU of that process from its start
                 to its end (user and system)
    bound        a loop over raw sockets (uvloop protocols) that only sends the requests and parses the JSON
    openai SDK   AsyncOpenAI alone, nothing done with its replies

The server is `rsr simulate serve` in a process of its own on loopback: no waiting, replies of about 2 KB. Every figure
is the best of the repeats, since others on the machine can only add to it. The ratios are the result: absolute times
are this machine's. `--server` adds what the server itself takes for a request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil

HERE = Path(__file__).resolve()
WORDS = 310
"""Tokens of a reply: with the envelope about 2 KB."""
QUESTION = "Which is correct in case {}?\n\nA: the first\nB: the second\nC: the third\nD: the fourth"


@contextlib.contextmanager
def simulated(per_event: int, pass_rate: float) -> Iterator[tuple[str, psutil.Process]]:
    """The server: its base URL and process."""
    command = [sys.executable, "-m", "rsr", "simulate", "serve", "--slots=0", "--tokens-per-second=0", "--sigma=0"]
    command += [f"--median-tokens={WORDS}", f"--pass-rate={pass_rate}", f"--tokens-per-event={per_event}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1], psutil.Process(process.pid)
        finally:
            process.terminate()


def cpu(process: psutil.Process) -> float:
    """Seconds of CPU of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def body(number: int, streamed: bool) -> dict[str, Any]:
    """What `rsr run` sends for a prompt."""
    sent: dict[str, Any] = {
        "messages": [{"role": "user", "content": QUESTION.format(number)}],
        "model": "m",
        "seed": number,
    }
    return sent | ({"stream": True, "stream_options": {"include_usage": True}} if streamed else {})


# The contenders. Each runs in a process of its own: `python bench/wire.py --contender NAME URL REQUESTS ...`


class _Connection(asyncio.Protocol):
    """Sends one request after the other over a raw socket and parses what comes back."""

    def __init__(self, requests: Iterator[bytes], streamed: bool, over: asyncio.Future[None]) -> None:
        self._requests = requests
        self._streamed = streamed
        self._over = over
        self._buffer = bytearray()
        self._decode = msgspec.json.Decoder().decode

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self._over.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._streamed:
            if self._buffer.endswith(b"0\r\n\r\n"):
                # Chunks don't cut events where the server writes a reply at once: read the lines as they are.
                for line in bytes(self._buffer).split(b"\n"):
                    if line.startswith(b"data: {"):
                        self._decode(line[6:])
                self._buffer.clear()
                self._next()
            return
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.find(b"Content-Length: ")
        length = int(self._buffer[at + 16 : self._buffer.find(b"\r", at)])
        if len(self._buffer) >= head + 4 + length:
            reply = self._decode(bytes(self._buffer[head + 4 : head + 4 + length]))
            assert reply["choices"]
            self._buffer.clear()
            self._next()


async def raw(url: str, requests: int, in_flight: int, streamed: bool) -> None:
    """The bound."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")

    def encoded() -> Iterator[bytes]:
        for number in range(requests):
            content = msgspec.json.encode(body(number, streamed))
            yield (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % (host.encode(), len(content))
            ) + content

    todo = encoded()
    loop = asyncio.get_running_loop()
    ended = [loop.create_future() for _ in range(in_flight)]
    for over in ended:
        await loop.create_connection(lambda over=over: _Connection(todo, streamed, over), host, int(port))
    await asyncio.gather(*ended)


async def openai_sdk(url: str, requests: int, in_flight: int, streamed: bool) -> None:
    """The SDK alone."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=url, api_key="none") as client:
        todo = iter(range(requests))

        async def worker() -> None:
            for number in todo:
                reply = await client.chat.completions.create(**body(number, streamed))
                if streamed:
                    async for _ in reply:
                        pass
                else:
                    assert reply.choices[0].message.content

        await asyncio.gather(*(worker() for _ in range(in_flight)))


CONTENDERS = {"raw": raw, "openai": openai_sdk}


def contend(name: str, url: str, requests: int, in_flight: int, streamed: bool) -> None:
    """Run one and print the CPU seconds of a request, its own import and start left out."""
    import uvloop

    contender = CONTENDERS[name]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(contender(url, 2 * in_flight, in_flight, streamed))
        before = resource.getrusage(resource.RUSAGE_SELF)
        runner.run(contender(url, requests, in_flight, streamed))
        after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(seconds / requests)


def measured(name: str, url: str, requests: int, in_flight: int, streamed: bool) -> float:
    """Milliseconds of CPU a request takes a contender."""
    command = [sys.executable, str(HERE), "--contender", name, url, str(requests), str(in_flight), str(int(streamed))]
    return 1e3 * float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def whole_way(url: str, prompts: Path, in_flight: int, streamed: bool, folder: Path) -> tuple[float, int]:
    """Seconds of CPU of `rsr run`, and how many rollouts it stored."""
    command = [sys.executable, "-m", "rsr", "run", "sft", "--quiet", f"data.input_path={prompts}"]
    command += [f"work_dir={folder}", f"sampler.base_url={url}", "sampler.model=m"]
    command += [f"sampler.concurrent_requests={in_flight}", f"sampler.stream={str(streamed).lower()}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OPENAI_API_KEY": ""})
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said
    stats = json.loads((folder / "summary" / "stats.json").read_text())
    return usage.ru_utime + usage.ru_stime, int(stats["rollouts"]["stored"])


def bench(given: argparse.Namespace, streamed: bool, folder: Path) -> dict[str, float]:
    """Milliseconds of CPU per rollout of each contender."""
    best: dict[str, float] = {}

    def keep(name: str, value: float) -> None:
        best[name] = min(value, best.get(name, value))

    files = {}
    for count in (50, given.rollouts):
        files[count] = folder / f"prompts-{count}.jsonl"
        with files[count].open("w") as file:
            for number in range(count // 2):  # half of the rollouts pass
                messages = [{"role": "user", "content": QUESTION.format(number)}]
                file.write(json.dumps({"id": f"q{number}", "messages": messages, "metadata": {"answer": "B"}}) + "\n")
    for repeat in range(given.repeats):
        with simulated(given.tokens_per_event, 0.5) as (url, server):
            name = "streamed" if streamed else "whole"
            start, few = whole_way(url, files[50], given.in_flight, streamed, folder / f"start-{name}-{repeat}")
            before = cpu(server)
            spent, stored = whole_way(
                url, files[given.rollouts], given.in_flight, streamed, folder / f"run-{name}-{repeat}"
            )
            keep("whole way", 1e3 * spent / stored)
            keep("whole way, less start and end", 1e3 * (spent - start) / (stored - few))
            keep("server", 1e3 * (cpu(server) - before) / stored)
            keep("bound", measured("raw", url, given.rollouts, given.in_flight, streamed))
            keep("openai SDK", measured("openai", url, min(given.rollouts, 4000), given.in_flight, streamed))
    return best


def main() -> None:
    if sys.argv[1:2] == ["--contender"]:
        name, url, requests, in_flight, streamed = sys.argv[2:]
        contend(name, url, int(requests), int(in_flight), streamed == "1")
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--tokens-per-event", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for streamed in (False, True):
            results["streamed" if streamed else "unstreamed"] = bench(given, streamed, Path(folder))
    print("| CPU per rollout | unstreamed | streamed |\n|---|---|---|")
    for name in results["unstreamed"]:
        values = [results[kind][name] for kind in ("unstreamed", "streamed")]
        print(f"| {name} | " + " | ".join(f"{value:.3f} ms" for value in values) + " |")
    for name, over, under in (
        ("whole way / bound", "whole way", "bound"),
        ("openai SDK / whole way", "openai SDK", "whole way"),
    ):
        values = [results[kind][over] / results[kind][under] for kind in ("unstreamed", "streamed")]
        print(f"| {name} | " + " | ".join(f"{value:.1f} x" for value in values) + " |")
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
