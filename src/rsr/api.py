"""The Python API: `rsr.run`, `rsr.open` and the `Run` that both give."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsr.config import Loaded, load
from rsr.errors import BudgetSpent, ConfigError, InputError, PluginError, RunDirError
from rsr.inspection import opened, rollouts
from rsr.loading import load_config
from rsr.parts import Given
from rsr.row_files import read_rows
from rsr.session import Options, Session, Watch
from rsr.store.rundir import RunDir
from rsr.types import Formatter, Row, Sampler
from rsr.written import from_mapping


class Run:
    """A run directory, to be read.

    Attributes:
        path: the run directory.
        exit_code: of the command that made it, where `rsr.run` did; else None.
    """

    def __init__(self, path: Path, exit_code: int | None = None, given: Given | None = None) -> None:
        self.path = path
        self.exit_code = exit_code
        self._dir = RunDir(path)
        self._given = given or Given()
        if not self._dir.exists:
            raise RunDirError(f"{path} is not a run directory: there is no config.yaml in it")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def stats(self) -> dict[str, Any]:
        """`summary/stats.json`: prompts by how they stopped, rows per file and why prompts have none, rollouts."""
        path = self._dir.summary / "stats.json"
        if not path.exists():
            raise RunDirError(f"{self.path}: has no summary yet; the run is not over")
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content

    @property
    def files(self) -> dict[str, Path]:
        """The training files by name."""
        found = (file for file in self._dir.train.iterdir() if file.suffix in (".jsonl", ".parquet"))
        return {file.stem: file for file in sorted(found)}

    def rows(self, name: str) -> Iterator[Row]:
        """The rows of a training file.

        Raises:
            InputError: there is no such file.
        """
        if name not in self.files:
            raise InputError(f"{self.path}: there is no training file {name!r}; there are: {', '.join(self.files)}")
        yield from read_rows(self.files[name])

    def rollouts(self) -> Iterator[dict[str, Any]]:
        """Every stored rollout, in input and index order; the columns of `rsr export`."""
        with opened(load_config(str(self.path)), self._given) as run:
            yield from rollouts(run)


def run(
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    prompts: str | Path | Sequence[Mapping[str, Any]] | None = None,
    work_dir: str | Path | None = None,
    sampler: Sampler | Mapping[str, Any] | None = None,
    verifier: Callable[..., Any] | Mapping[str, Any] | str | None = None,
    formatter: Formatter | Mapping[str, Any] | str | Sequence[Any] | None = None,
    overrides: Sequence[str] = (),
    options: Options | None = None,
    watch: Watch | None = None,
) -> Run:
    """Sample, verify, stop early, write training files; or go on where a run stands.

    Args:
        config: a recipe's name, a YAML file, a run directory, or a mapping; default: all defaults.
        prompts: the input file, or the rows themselves.
        work_dir: the run directory; the same one again resumes.
        sampler: a `Sampler`, or the config's section.
        verifier: a function `(response, answer, ...) -> score`, a name, or the config's section.
        formatter: formatters, or the config's entries; one or several.
        overrides: `dotted.key=value`, as on the command line.
        options: as `--yes`, `--give-up`, `--new-samples`.
        watch: hears how the run goes.

    Returns:
        The run; `exit_code` says how it ended, as on the command line.

    Raises:
        RSRError: the config, the input, the server or the disk; nothing that was sampled is lost.
    """
    section: dict[str, Any] = {}
    given = Given()
    if isinstance(prompts, str | Path):
        section["data.input_path"] = str(prompts)
    elif prompts is not None:
        given = given._replace(rows=prompts)
    if work_dir is not None:
        section["work_dir"] = str(work_dir)
    if isinstance(sampler, Mapping):
        section.update({f"sampler.{key}": value for key, value in sampler.items()})
    elif sampler is not None:
        given = given._replace(sampler=_whole(sampler, "sampler", _SAMPLER))
    if isinstance(verifier, Mapping | str):
        section["verifier"] = {"type": verifier} if isinstance(verifier, str) else dict(verifier)
    elif verifier is not None:
        given = given._replace(verifier=verifier)
    if formatter is not None:
        given, entries = _formatters(given, formatter)
        if entries:
            section["formatter"] = entries
    loaded = _loaded(config, section, overrides)
    with Session(loaded, "rsr.run", options or Options(), watch, given) as session:
        ended = _outside_loop(session.sample)
    if ended.error is not None and not isinstance(ended.error, BudgetSpent):
        raise ended.error
    return Run(ended.run_dir.path, ended.exit_code, given)


def open(
    run_dir: str | Path,
    *,
    verifier: Callable[..., Any] | None = None,
    formatter: Formatter | Sequence[Formatter] | None = None,
) -> Run:
    """A run directory, to be read.

    Args:
        run_dir: the run directory.
        verifier: the function that the run was made with, if it was one: its verdicts are the ones to be read.
        formatter: the formatters, if they were handed over as objects.

    Raises:
        RunDirError: it is none.
    """
    given = Given(verifier=verifier)
    if formatter is not None:
        given, _ = _formatters(given, formatter)
    return Run(Path(run_dir).expanduser(), given=given)


def _formatters(given: Given, formatter: Any) -> tuple[Given, list[dict[str, Any]]]:
    listed = list(formatter) if isinstance(formatter, Sequence) and not isinstance(formatter, str) else [formatter]
    entries: list[Any] = [{"type": entry} if isinstance(entry, str) else entry for entry in listed]
    if all(isinstance(entry, Mapping) for entry in entries):
        return given, [dict(entry) for entry in entries]
    if any(isinstance(entry, Mapping) for entry in entries):
        raise InputError("formatter: give either formatters or config entries, not both")
    return given._replace(formatters=[_whole(entry, "formatter", _FORMATTER) for entry in entries]), []


_SAMPLER = ("max_in_flight", "max_choices", "identity", "start", "sample", "close")
_FORMATTER = ("name", "needs", "rows", "missing", "dataset_info")


def _whole(part: Any, kind: str, members: Sequence[str]) -> Any:
    lacking = [member for member in members if not hasattr(part, member)]
    if lacking:
        raise PluginError(f"{kind}: a {type(part).__name__} is none, it has no {', '.join(lacking)}")
    return part


def _loaded(config: Any, section: Mapping[str, Any], overrides: Sequence[str]) -> Loaded:
    set_keys = [f"{key}={_as_yaml(key, value)}" for key, value in section.items()]
    if config is None or isinstance(config, Mapping):
        return load(from_mapping(config or {}, "the given config"), [*set_keys, *overrides])
    return load_config(str(config), [*set_keys, *overrides])


def _as_yaml(key: str, value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=os.fspath)
    except TypeError as cause:
        raise ConfigError(f"{key}: {cause}; give what YAML can hold, or the part itself as an object") from None
    # JSON may hold characters that YAML wants escaped.
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _outside_loop(call: Callable[[], Any]) -> Any:
    """Call it; from inside a running event loop (a notebook), in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    ended: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            ended.append(call())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="rsr-run")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return ended[0]
