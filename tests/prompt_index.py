"""The input for tests: rows go through a new index, and what is stored, left out or refused is seen."""

from pathlib import Path
from typing import Any

import pytest

from rsr.errors import InputError
from rsr.prompts import Prompts, index
from rsr.sections import DataConfig
from rsr.types import Prompt


def accepts_all(prompt: Prompt) -> str | None:
    return None


def indexed(path: Path, *, seed: int = 0, rows: Any = None, **data: Any) -> list[Prompt]:
    """The prompts of `data`, through a new index at `path`/prompts.sqlite."""
    index(DataConfig.model_validate(data), seed, path / "prompts.sqlite", accepts_all, rows=rows)
    return stored(path)


def stored(path: Path) -> list[Prompt]:
    prompts = Prompts(path / "prompts.sqlite")
    try:
        found = [prompt for page in prompts.pages(3) for prompt in page]
        assert len(found) == len(prompts)
        return found
    finally:
        prompts.close()


def skipped(path: Path) -> list[tuple[int, str]]:
    prompts = Prompts(path / "prompts.sqlite")
    try:
        return list(prompts.skipped())
    finally:
        prompts.close()


def refusal(path: Path, **data: Any) -> str:
    with pytest.raises(InputError) as refused:
        indexed(path, **data)
    assert "\n" not in str(refused.value)
    return str(refused.value)
