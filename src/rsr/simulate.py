"""`rsr simulate`: the simulated server on the command line."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsr.errors import ConfigError, RSRError

if TYPE_CHECKING:
    from rsr.simulation.behaviour import Behaviour

app = typer.Typer(
    name="simulate",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A simulated engine, to try a config before anything is spent.",
)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="0: a free one.")]
Remote = Annotated[bool, typer.Option("--allow-remote", help="Allow a --host that other machines reach.")]
Models = Annotated[list[str] | None, typer.Option(help="A model that it serves. Default: whatever is asked for.")]
Key = Annotated[str | None, typer.Option(help="Refuse requests with another key.")]
Seed = Annotated[int, typer.Option(help="Another one gives other texts, lengths, pass rates and faults.")]
Slots = Annotated[int, typer.Option(min=0, help="Completions generated at once; 0: no limit.")]
Rate = Annotated[float, typer.Option(min=0, help="Of one slot; 0: no time at all.")]
Reading = Annotated[float, typer.Option(min=0, help="0: prompts are read in no time.")]
Latency = Annotated[float, typer.Option(min=0, help="Seconds before the first token.")]
Scale = Annotated[float, typer.Option(min=0, help="All times are multiplied by it: 0.1 is ten times faster.")]
PassRate = Annotated[str, typer.Option(help="Of every prompt, or LOW:HIGH, between which a prompt's hash chooses.")]
Median = Annotated[float, typer.Option(min=1, help="Median length of a reply (lognormal).")]
Sigma = Annotated[float, typer.Option(min=0, help="Of the logarithm of the length.")]
Cap = Annotated[int, typer.Option(min=1, help="No reply is longer.")]
AnswersFile = Annotated[Path | None, typer.Option(help="The input file: passing replies give its answers.")]
Transform = Annotated[str | None, typer.Option(help="data.preprocess.transform of the config, for --answers.")]
Faults = Annotated[str, typer.Option(help="What goes wrong by chance: 429=0.05,500=0.02,hang*=0.01.")]
Storm = Annotated[str | None, typer.Option(help="START:SECONDS[:RETRY_AFTER] of 429s, after the first request.")]
Outage = Annotated[str | None, typer.Option(help="START:SECONDS with the port closed, after the first request.")]
Keeps = Annotated[bool, typer.Option("--keeps-generating", help="A client that leaves does not stop the generation.")]
PerEvent = Annotated[int, typer.Option(min=1, help="Of a streamed reply.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where an error comes from.")]


@app.callback()
def _main() -> None:
    pass


@app.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 0,
    allow_remote: Remote = False,
    model: Models = None,
    api_key: Key = None,
    seed: Seed = 0,
    slots: Slots = 64,
    tokens_per_second: Rate = 50.0,
    prompt_tokens_per_second: Reading = 0.0,
    latency: Latency = 0.0,
    time_scale: Scale = 1.0,
    pass_rate: PassRate = "0.05:0.95",
    median_tokens: Median = 200.0,
    sigma: Sigma = 1.0,
    max_tokens_cap: Cap = 4000,
    answers: AnswersFile = None,
    transform: Transform = None,
    faults: Faults = "",
    storm: Storm = None,
    outage: Outage = None,
    keeps_generating: Keeps = False,
    tokens_per_event: PerEvent = 4,
    traceback: Traceback = False,
) -> None:
    """Serve a simulated model as an OpenAI-compatible server, until it is interrupted.

    The first line says where: listening http://127.0.0.1:PORT/v1. GET /stats, beside /v1, tells what it counted. A
    reply is a function of --seed, the messages and the request's seed. docs/simulate.md lists the faults.

    \b
    Examples:
      rsr simulate serve --answers prompts.jsonl --slots 64 --tokens-per-second 50
      rsr simulate serve --faults 429:2=0.05,500=0.02,reset=0.01 --storm 10:30
    """
    from rsr.simulation.answers import answers_from
    from rsr.simulation.behaviour import Behaviour
    from rsr.simulation.faults import parse_window
    from rsr.simulation.model import Lengths, Model, parse_pass_rate
    from rsr.simulation.slots import Speed

    _refuse_remote(host, allow_remote)
    learnt = None if answers is None else answers_from([answers.expanduser()], transform=transform)
    if learnt is not None and not len(learnt):
        raise ConfigError(f"--answers: no row of {answers} has messages and an answer (metadata.answer, or answer)")
    behaviour = Behaviour(
        model=Model(seed, parse_pass_rate(pass_rate), Lengths(median_tokens, sigma, max_tokens_cap), learnt),
        speed=Speed(slots, tokens_per_second, prompt_tokens_per_second, latency, time_scale),
        models=model or [],
        api_key=api_key,
        faults=faults,
        storm=None if storm is None else parse_window(storm, "--storm", retry_after=True),
        outage=None if outage is None else parse_window(outage, "--outage"),
        keeps_generating=keeps_generating,
        tokens_per_event=tokens_per_event,
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(behaviour, host, port))


async def _serve(behaviour: Behaviour, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    from rsr.simulation.server import listening

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with listening(behaviour, host, port) as url:
            typer.echo(f"listening {url}")
            sys.stdout.flush()
            await stop.wait()
    except OSError as cause:
        raise RSRError(f"--host {host} --port {port}: can't listen there: {cause.strerror or cause}") from cause


def _refuse_remote(host: str, allowed: bool) -> None:
    """Anybody who reaches it could use it; so loopback only, unless told otherwise."""
    loopback = host == "localhost"
    with suppress(ValueError):
        loopback = ipaddress.ip_address(host).is_loopback
    if not loopback and not allowed:
        raise ConfigError(f"--host: {host} may be reached from other machines; add --allow-remote where that is wanted")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
