"""The real trainers on the files of one run, where their environments are: see run.py.

    RSR_TRAINERS=FOLDER pytest tests/trainers

FOLDER is one that run.py has filled. Without it these tests are skipped: the environments have some 2 GB each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import run
import run_files

FOLDER = Path(os.environ.get("RSR_TRAINERS", "nowhere"))

pytestmark = [pytest.mark.slow, pytest.mark.trainers, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_files.make(tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize("name", run.TRAINERS)
def test_every_row_is_kept_and_every_label_is_the_text_of_the_file(name: str, request: Any) -> None:
    python = run.python_of(FOLDER, run.TRAINERS[name].environment)
    if not python.exists():
        pytest.skip(
            f"{python} is not there; python tests/trainers/run.py FOLDER makes it, RSR_TRAINERS=FOLDER names it"
        )
    outcomes = run.check(FOLDER, request.getfixturevalue("train"), name, layers=2)
    assert outcomes
    assert [outcome for outcome in outcomes if not run.good(outcome)] == []
    run.ask_lint(FOLDER, request.getfixturevalue("train"), name, layers=2)


def test_the_run_has_the_texts_that_break_careless_loaders(train: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in train.glob("*.jsonl"))
    for hard in ("Łódź", "🤔", "﷽", "\\\\boxed", "<think>", "```python", "{braces}", "tool_calls", "function_call"):
        assert hard in text
    assert len(list(train.iterdir())) > 15


def test_lint_finds_nothing_in_the_files_of_the_run(train: Path) -> None:
    summary = json.loads((train.parent / "summary" / "stats.json").read_text())
    assert summary["lint"] == {}
    assert min(file["rows"] for file in summary["files"].values()) == run_files.ROWS
