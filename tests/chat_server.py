"""The simulated server (`rsr.simulation`) for tests, with the options that tests name.

Choice j of a request with seed s is choice 0 of seed s + j: text is a function of (messages, seed) and nothing else,
and no two seeds give the same text. Words are tokens. Tags in a prompt's text are obeyed: see `rsr.simulation.model`;
faults: see `rsr.simulation.faults`; what `stats()` tells: see `rsr.simulation.counts`.

    with serve(token_delay=0.01, models=["m"]) as server:      # in a thread; process=True: in a process of its own
        server.base_url, server.stats()

    python tests/chat_server.py --port 0 --token-delay 0.01    # first line: listening http://127.0.0.1:PORT/v1
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from rsr.simulation.behaviour import Behaviour
from rsr.simulation.faults import parse_window
from rsr.simulation.model import Lengths, Model, PassRates, label_of
from rsr.simulation.server import listening
from rsr.simulation.slots import Speed

label = label_of
"""The name of a prompt in `deliveries`."""


@dataclasses.dataclass
class Options:
    """What the server does; each is a keyword of `serve` and a flag of the command line."""

    port: int = 0
    models: list[str] | None = dataclasses.field(default_factory=lambda: ["test-model"])
    """Listed on /v1/models, others are 404. Empty or None: no list (404), any model is served."""
    reply_model: str | None = None
    api_key: str | None = None
    seed: int = 0
    words: int = 30
    """Median length of a reply."""
    sigma: float = 0.5
    pass_rate: float | None = None
    """Default: by hash of the messages, between 0.05 and 0.95."""
    token_delay: float = 0.0
    latency: float = 0.0
    """Seconds before a completion begins."""
    slots: int = 0
    """Completions generated at once; others wait. 0: no limit."""
    n: str = "ok"
    """See `Behaviour.choices`."""
    refuses: list[str] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    """For the first requests of every prompt; with a last `*`, the last one goes on for ever."""
    chances: str = ""
    """Faults by chance: `429=0.05,500=0.02`."""
    storm: str = ""
    outage: str = ""
    reasoning: str | None = None
    llamacpp: bool = False
    keeps_generating: bool = False
    context: int = 0
    tokens_per_event: int = 16
    keepalive: float = 75.0


def behaviour(options: Options) -> Behaviour:
    """What the simulation calls them."""
    p = options.pass_rate
    return Behaviour(
        model=Model(
            options.seed,
            PassRates() if p is None else PassRates(p, p),
            Lengths(options.words, options.sigma),
        ),
        speed=Speed(
            slots=options.slots,
            tokens_per_second=1 / options.token_delay if options.token_delay else 0.0,
            latency=options.latency,
        ),
        models=options.models or [],
        reply_model=options.reply_model,
        api_key=options.api_key,
        script=options.faults,
        faults=options.chances,
        storm=parse_window(options.storm, "storm", retry_after=True) if options.storm else None,
        outage=parse_window(options.outage, "outage") if options.outage else None,
        keeps_generating=options.keeps_generating,
        llamacpp=options.llamacpp,
        choices=options.n,  # type: ignore[arg-type]
        refuses=options.refuses,
        reasoning=options.reasoning,
        context=options.context,
        tokens_per_event=1 if options.token_delay else options.tokens_per_event,
        keepalive=options.keepalive,
        remembers=True,
    )


def reply_text(messages: list[dict[str, Any]], seed: int, words: int = 30, server_seed: int = 0) -> str:
    """The text that (messages, seed) gets."""
    model = behaviour(Options(words=words, seed=server_seed)).model
    return model.reply(model.subject(messages), seed).text


class Running:
    """A server that is up."""

    def __init__(self, base_url: str, process: subprocess.Popen[str] | None = None):
        self.base_url = base_url
        self.process = process

    def stats(self, deliveries: bool = False) -> dict[str, Any]:
        url = self.base_url.removesuffix("/v1") + "/stats" + ("?deliveries=1" if deliveries else "")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as reply:
            found: dict[str, Any] = json.load(reply)
            return found

    def settled(self) -> dict[str, Any]:
        """Its counts when nothing is in flight."""
        for _ in range(500):
            stats = self.stats(deliveries=True)
            if not (stats["in_flight"] or stats["waiting"] or stats["requests_in_flight"]):
                return stats
            time.sleep(0.01)
        raise AssertionError(stats)


@contextlib.contextmanager
def serve(process: bool = False, **options: Any) -> Iterator[Running]:
    """A running server with these options (see `Options`)."""
    if process:
        yield from _serve_in_process(options)
        return
    chosen = Options(**options)
    ready: list[Any] = []
    up = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        try:
            async with listening(behaviour(chosen), port=chosen.port) as url:
                ready.extend([url, asyncio.get_running_loop(), stop])
                up.set()
                await stop.wait()
        except BaseException as cause:
            ready.insert(0, cause)
            up.set()
            raise

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    up.wait()
    if isinstance(ready[0], BaseException):
        raise ready[0]
    url, loop, stop = ready
    try:
        yield Running(url)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _serve_in_process(options: dict[str, Any]) -> Iterator[Running]:
    command = [sys.executable, __file__]
    for name, value in options.items():
        shown = ",".join(value) if isinstance(value, list) else "" if value is None else str(value)
        command.append(f"--{name.replace('_', '-')}={shown}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield Running(running.stdout.readline().split()[-1], process=running)
        finally:
            running.terminate()
            running.wait()


def options_from(arguments: list[str] | None = None) -> Options:
    """The command line's options; lists are separated by commas."""
    parser = argparse.ArgumentParser(description="A deterministic OpenAI-compatible server for tests.")
    for field in dataclasses.fields(Options):
        kind = str(field.type).removesuffix(" | None")
        convert: Any = {"int": int, "float": float, "bool": lambda text: text.lower() in ("1", "true")}.get(kind, str)
        if kind.startswith("list"):
            convert = lambda text: [part for part in text.split(",") if part]  # noqa: E731 (one of a chain)
        parser.add_argument(f"--{field.name.replace('_', '-')}", dest=field.name, type=convert)
    given = {key: value for key, value in vars(parser.parse_args(arguments)).items() if value is not None}
    return Options(**given)


async def _main() -> None:
    options = options_from()
    async with listening(behaviour(options), port=options.port) as url:
        sys.stdout.write(f"listening {url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
