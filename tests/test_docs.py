"""What the documentation shows is executed: Python blocks, configs, commands (every run against the scripted sampler).

A Python block whose first line is `# name.py` is that file. `cat > FILE <<'EOF'` in a bash block writes the file;
`# exit N` after a command is the exit code that it should have.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rsr
from rsr import cli, recipes, simulate
from rsr.config import load
from rsr.loading import load_config
from rsr.sections import RunConfig
from rsr.simulation.behaviour import Behaviour
from rsr.simulation.server import listening
from rsr.verifiers.pool import shared_pool
from rsr.written import read_yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
_HEREDOC = re.compile(r"^cat > (\S+) <<'EOF'\n(.*?)^EOF$", re.M | re.S)


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with some prompts, where `rsr.run` samples from a script."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    options = "\n".join(f"{letter}: option {letter}" for letter in "ABCD")
    rows = [
        {"id": f"q{at}", "messages": [{"role": "user", "content": f"{at}?\n\n{options}"}], "metadata": {"answer": "B"}}
        for at in range(4)
    ]
    Path("prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    real_run = rsr.run

    def scripted_run(*args: Any, sampler: Any = None, **kwargs: Any) -> Any:
        if sampler is None or isinstance(sampler, Mapping):
            sampler = {**(sampler or {}), "type": "scripted"}
        return real_run(*args, sampler=sampler, **kwargs)

    monkeypatch.setattr(rsr, "run", scripted_run, raising=False)
    yield tmp_path
    sys.modules.pop("rsr_toy", None)
    shared_pool().close()  # its workers know this folder's plug-ins


def test_the_generated_pages_are_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, "scripts/docs", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme, contributing = (blocks(ROOT / name)[at].text for name, at in (("README.md", -1), ("CONTRIBUTING.md", 0)))
    assert readme == contributing
    assert readme in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_config_yaml_is_the_defaults() -> None:
    assert load_config("config").config == RunConfig()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_works(page: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in blocks(page):
        _ACTIONS.get(block.language, lambda text, names: None)(block.text, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_no_machine_is_named(page: Path) -> None:
    assert not re.findall(r"/(?:root|home|work|tmp|mnt)/\S*", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _python(text: str, names: dict[str, Any]) -> None:
    file = re.match(r"# (\w+\.py)\n", text)
    if file:
        Path(file[1]).write_text(text, encoding="utf-8")
    exec(compile(text, file[1] if file else "block", "exec"), names)


def _yaml(text: str, names: dict[str, Any]) -> None:
    file = Path("block.yaml")
    file.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in re.findall(r"\$\{oc\.env:(\w+)\}", text):
            patch.setenv(name, "not-a-key")
        load(read_yaml(file))


def _json(text: str, names: dict[str, Any]) -> None:
    json.loads(text)


def _toml(text: str, names: dict[str, Any]) -> None:
    """Install a package's entry points, as pip would."""
    project = tomllib.loads(text)["project"]
    info = Path(f"{project['name'].replace('-', '_')}-{project['version']}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))


def _bash(text: str, names: dict[str, Any]) -> None:
    for name, content in _HEREDOC.findall(text):
        Path(name).write_text(content, encoding="utf-8")
    for command, code in commands(_HEREDOC.sub("", text)):
        modelless = {"sampler.type=scripted", "sampler.type=simulated", "sampler.type=parrot"}
        if command[0] == "run" and modelless.isdisjoint(command) and ".py:Parrot" not in " ".join(command):
            command = [*command, "sampler.type=scripted"]
        if command[0] == "run" and not (Path(command[1]).exists() or command[1] in recipes.shipped()):
            continue  # a run directory of the reader's
        with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
            patch.setattr(simulate, "_serve", _served_for_a_moment)
            cli.main(command)
        assert ended.value.code in code, shlex.join(command)


async def _served_for_a_moment(behaviour: Behaviour, host: str, port: int) -> None:
    async with listening(behaviour):
        pass


def commands(text: str) -> Iterator[tuple[list[str], set[int]]]:
    """The arguments of each `rsr` command and the exit codes that it may have."""
    for line in text.replace("\\\n", " ").splitlines():
        expected = re.search(r"# exit ([\d or]+)$", line)
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and words[0] in ("rsr", ".venv/bin/rsr"):
                yield words[1:], {int(code) for code in re.findall(r"\d+", expected[1])} if expected else {0}


_ACTIONS: dict[str, Callable[[str, dict[str, Any]], None]] = {
    "python": _python,
    "yaml": _yaml,
    "json": _json,
    "toml": _toml,
    "bash": _bash,
}
