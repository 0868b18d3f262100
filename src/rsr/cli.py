"""The command line: arguments, exit codes, display. It decides nothing.

Exit codes: 0 nothing is owed; 3 finished, but prompts are incomplete or a budget ended it; 4 a guard stopped it;
1 failed, or a requested file has no row; 2 bad usage, config or input; 130, 143 interrupted, everything kept.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import rsr
from rsr.arguments import Config, Overrides, Quiet, RunArgument, Traceback, Yes, loaded_run
from rsr.ending import finish, log_to, redact, run_to_its_end
from rsr.looking import app as looking
from rsr.simulate import app as simulate

app = typer.Typer(
    name="rsr",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn prompts into training data: sample a model several times per prompt, verify every response, stop each "
    "prompt as soon as there is enough, write SFT, DPO and Multi-SFT files.",
    epilog="\b\nExit codes:\n"
    "  0         nothing is owed\n"
    "  1         failed, or a requested file has no row\n"
    "  2         bad usage, config or input\n"
    "  3         finished, but prompts are incomplete or a budget ended it (score: a verifier failed)\n"
    "  4         a guard stopped it\n"
    "  130, 143  interrupted, everything kept",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"rsr {rsr.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config: Config,
    overrides: Overrides = None,
    new_samples: Annotated[
        bool, typer.Option("--new-samples", help="Sample anew where an identity key (model, temperature, ...) changed.")
    ] = False,
    yes: Yes = False,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Make what fails for good a final outcome: nothing stays open.")
    ] = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Start a run, or go on where it stands.

    The same command again resumes: what is stored is replayed, and only what is owed is sampled.

    \b
    Examples:
      rsr run quickstart
      rsr run sft data.input_path=prompts.jsonl sampler.model=gpt-5-mini
      rsr run dpo data.input_path=prompts.jsonl \\
          sampler.base_url=http://localhost:8000/v1 sampler.model=Qwen/Qwen3-8B
      rsr run runs/dpo-1a2b3c4d sampling.max_steps=8
    """
    from rsr.display import Display
    from rsr.loading import load_config
    from rsr.session import Options, Session

    loaded = load_config(config, overrides or [])
    redact.learn(loaded.config.model_dump())
    display = Display(redact, quiet)
    log_to(display)
    options = Options(new_samples=new_samples, yes=yes, give_up=give_up)
    try:
        with Session(loaded, "run", options, display) as session:
            ended = session.sample()
    finally:
        display.close()
    finish(ended)


@app.command()
def check(
    config: Config,
    overrides: Overrides = None,
    rows: Annotated[
        int | None,
        typer.Option("--rows", metavar="N", min=1, help="Check N prompts, drawn by the seed. Default: all."),
    ] = None,
    paid: Annotated[
        bool, typer.Option("--paid", help="Ask verifiers that cost requests too, about --rows prompts (default: 100).")
    ] = False,
    gold: Annotated[
        str | None,
        typer.Option("--gold", metavar="TEXT", help="How a right response looks, with {answer} where the answer is."),
    ] = None,
    pilot: Annotated[
        int | None,
        typer.Option("--pilot", metavar="N", min=1, help="Sample N prompts, which costs, and estimate the whole run."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A JSONL file for all that is found.")] = None,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """See before anything is spent whether input, verifier, thresholds and endpoint will do.

    The reference of every prompt is given to its verifier as a response, which has to pass; so are nonsense, all
    options at once, the prompt itself and a wrong answer, which must not. Exit code 1 where any row fails.

    \b
    Examples:
      rsr check sft data.input_path=prompts.jsonl sampler.model=gpt-5-mini
      rsr check recipe.yaml --rows 1000 --out found.jsonl
      rsr check recipe.yaml --pilot 20
    """
    from rsr.checking import Wanted, check_config
    from rsr.display import Display
    from rsr.findings import lines
    from rsr.loading import load_config

    display = Display(redact, quiet)
    log_to(display)
    found = check_config(load_config(config, overrides or []), redact, Wanted(rows, paid, gold), out, display.say)
    for line in lines(found, out):
        typer.echo(redact(line))
    if pilot is None or found.endpoint is not None:
        raise typer.Exit(found.exit_code)
    from rsr import pilot as pilots

    made = pilots.sample(config, overrides or [], pilot, found.total, display)
    for line in pilots.lines(made):
        typer.echo(redact(line))
    raise typer.Exit(found.exit_code or made.exit_code)


@app.command()
def verify(
    run: RunArgument,
    overrides: Overrides = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Make verdicts that cost requests, and take much changed input.")
    ] = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Judge stored rollouts again; sample nothing.

    Makes every verdict that is missing under the config of now (another verifier, a corrected answer), says which
    rollouts are judged otherwise than before (all of them: summary/flips.jsonl), and writes the training files again.
    Verdicts that are there already are kept; overrides become a new revision of the run's config. Verdicts that cost
    requests want --yes.

    \b
    Example:
      rsr verify runs/dpo-1a2b3c4d verifier.type=math-rlvr
    """
    from rsr.display import Display
    from rsr.session import Options, Session

    loaded = loaded_run(run, overrides)
    display = Display(redact, quiet)
    with Session(loaded, "verify", Options(yes=yes), display) as session:
        made, flips, ended = session.verify()
    typer.echo(f"verdicts   {made:,} made")
    for line in flips.lines():
        typer.echo(redact(line))
    finish(ended)


@app.command(name="format")
def format_(
    run: RunArgument,
    overrides: Overrides = None,
    partial: Annotated[bool, typer.Option("--partial", help="Write rows of undecided prompts too.")] = False,
    yes: Yes = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write the training files again; sample and judge nothing.

    Overrides become a new revision of the run's config; `rsr run RUN` then samples only where they leave a need.

    \b
    Examples:
      rsr format runs/sft-1a2b3c4d formatter.0.pass_threshold=0.5
      rsr format runs/sft-1a2b3c4d 'formatter=[{type: sft}, {type: dpo}]'
    """
    from rsr.display import Display
    from rsr.session import Options, Session

    loaded = loaded_run(run, overrides)
    display = Display(redact, quiet)
    with Session(loaded, "format", Options(partial=partial, yes=yes), display) as session:
        session.index()
        session.save_config()
        ended = session.format()
    finish(ended)


app.add_typer(looking)
app.add_typer(simulate)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code; errors are one line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    run_to_its_end(lambda: app(args=given, standalone_mode=True), given)
