"""Commands that look into runs and files, and change no run: status, score, export, lint, list, init."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from rsr.arguments import Overrides, RunArgument, Traceback, loaded_run
from rsr.errors import ConfigError
from rsr.lint.report import Trainer

app = typer.Typer()


class Kind(enum.StrEnum):
    """What `rsr list` lists."""

    VERIFIERS = "verifiers"
    FORMATTERS = "formatters"
    SAMPLERS = "samplers"
    RECIPES = "recipes"


class FileFormat(enum.StrEnum):
    """What `rsr export` writes."""

    JSONL = "jsonl"
    PARQUET = "parquet"


class What(enum.StrEnum):
    """What `rsr export` exports."""

    ROLLOUTS = "rollouts"


class Example(enum.StrEnum):
    """Trainers that `rsr export` writes examples for."""

    LLAMAFACTORY = "llamafactory"
    TRL = "trl"
    VERL = "verl"
    OPENRLHF = "openrlhf"
    AXOLOTL = "axolotl"


@app.command()
def status(run: RunArgument, traceback: Traceback = False) -> None:
    """Say how far a run is, also while it goes on.

    Reads what is stored and changes nothing.
    """
    from rsr.display import owed_line, summary_lines
    from rsr.inspection import status as run_status

    ended, holder = run_status(loaded_run(run))
    for line in summary_lines(ended):
        typer.echo(line)
    typer.echo(f"at work    {holder}" if holder else "at work    nobody")
    owed = owed_line(ended.summary, ended.run_dir.path)
    if owed and not holder:
        typer.echo(owed)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL rows with response and answer.")],
    overrides: Overrides = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", show_default=False, help="Where to write the rows with their verdicts.")
    ] = Path("-"),
    traceback: Traceback = False,
) -> None:
    """Judge any file of responses.

    Rows may also have choices and metadata. Each comes back with score, extracted and reason.

    \b
    Example:
      rsr score responses.jsonl verifier.type=math-rlvr -o scored.jsonl
    """
    from rsr.config import load
    from rsr.scoring import score_file
    from rsr.verifiers.check import Check
    from rsr.written import from_mapping

    if str(out) == "-":
        raise ConfigError("-o: missing; say where to write the rows with their verdicts")
    loaded = load(from_mapping({}, "the command line"), overrides or [])
    verifier = loaded.config.verifier
    scored = score_file(file, Check(verifier.type, verifier.model_extra or {}), out)
    reasons = "".join(f", {reason} {count:,}" for reason, count in sorted(scored.unscored.items()))
    typer.echo(f"{out}: {scored.rows:,} rows, {scored.passed:,} pass, {scored.scored - scored.passed:,} fail{reasons}")
    if scored.unscored.get("verifier_error"):
        raise typer.Exit(3)


@app.command()
def export(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", show_default=False, help="The file to write; of examples the folder.")
    ] = None,
    what: Annotated[What, typer.Option(help="What to export.")] = What.ROLLOUTS,
    format: Annotated[FileFormat, typer.Option(help="The file's format.")] = FileFormat.JSONL,
    trainer: Annotated[
        Example | None,
        typer.Option(show_default=False, help="Write an example training config or script for each of its files."),
    ] = None,
    model: Annotated[str, typer.Option(help="What the examples train: a hub's name or a folder.")] = "Qwen/Qwen3-0.6B",
    cutoff_len: Annotated[int, typer.Option(metavar="TOKENS", help="Of the examples.")] = 4096,
    traceback: Traceback = False,
) -> None:
    """Write the stored rollouts, or examples of training on the run's files.

    A rollout is a row, with its verdict, and whether its prompt's decision uses it. Examples go to the folder
    examples/TRAINER of the run unless -o says where.

    \b
    Examples:
      rsr export runs/sft-1a2b3c4d --format parquet -o rollouts.parquet
      rsr export runs/sft-1a2b3c4d --trainer llamafactory --model models/Qwen3-8B
    """
    if trainer is not None:
        from rsr.examples import Asked, write_examples

        for path in write_examples(loaded_run(run), Asked(trainer.value, model, cutoff_len), out):
            typer.echo(f"wrote {path}")
        return
    from rsr.inspection import export_rollouts

    if out is None:
        raise ConfigError("-o: missing; say which file to write")
    count = export_rollouts(loaded_run(run), out, format.value)
    typer.echo(f"{out}: {count:,} {what.value}")


@app.command()
def lint(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Training files: JSONL or Parquet.")],
    trainer: Annotated[
        Trainer | None, typer.Option(show_default=False, help="Whose reading is checked. Default: by the rows.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model's tokenizer: lengths and its chat template are tried.")
    ] = None,
    cutoff_len: Annotated[
        int | None, typer.Option(metavar="TOKENS", help="The trainer's cutoff; without --tokenizer an estimate.")
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Ask the trainer's own loader too, where it is installed beside RSR.")
    ] = False,
    traceback: Traceback = False,
) -> None:
    """Look for rows that a trainer would drop, mangle or cut.

    Reads any training file, of a run or not. Exit code 1 when something is found, 0 when nothing is.

    \b
    Examples:
      rsr lint runs/sft-1a2b3c4d/train/sft.jsonl
      rsr lint pairs.jsonl --trainer trl --tokenizer models/Qwen3-8B --cutoff-len 4096
    """
    from rsr.lint import Options
    from rsr.lint import lint as look

    reports = [look(file, Options(trainer, tokenizer, cutoff_len, real)) for file in files]
    for report in reports:
        for line in report.text():
            typer.echo(line)
    if any(reports):
        raise typer.Exit(1)


@app.command(name="list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(metavar="KIND", help="Default: all.")] = None,
    traceback: Traceback = False,
) -> None:
    """List verifiers, formatters, samplers and recipes.

    Name, package, and what it does, or why it is broken.
    """
    from rsr.formatters import FORMATTERS
    from rsr.recipes import shipped
    from rsr.samplers import SAMPLERS
    from rsr.verifiers import VERIFIERS

    registries = {Kind.VERIFIERS: VERIFIERS, Kind.FORMATTERS: FORMATTERS, Kind.SAMPLERS: SAMPLERS}
    for listed, registry in registries.items():
        if kind in (None, listed):
            typer.echo(f"{listed.value}:")
            for entry in registry.list():
                package = f"{entry.package} {entry.version}".strip()
                typer.echo(f"  {entry.name:<24} {package:<16} {entry.summary}")
    if kind in (None, Kind.RECIPES):
        typer.echo("recipes:")
        for name, path in shipped().items():
            first = path.read_text(encoding="utf-8").split("\n")[0].lstrip("# ")
            typer.echo(f"  {name:<24} {'rsr':<16} {first}")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to put them.")] = Path(),
    traceback: Traceback = False,
) -> None:
    """Copy the recipes and the quickstart's prompts into a folder.

    What is there already stays as it is.
    """
    from rsr.recipes import copy_to

    written = list(copy_to(folder))
    for path in written:
        typer.echo(f"wrote {path}")
    if not written:
        typer.echo("everything is there already")
