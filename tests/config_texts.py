"""Configs for tests: loaded from a text with overrides, or refused in one line."""

from pathlib import Path
from typing import Any

import pytest

from rsr.config import Loaded, load
from rsr.errors import ConfigError
from rsr.sections import RunConfig
from rsr.written import from_mapping, read_yaml


def loaded(text: str, *overrides: str, tmp_path: Path) -> Loaded:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load(read_yaml(path), overrides)


def values(*overrides: str) -> RunConfig:
    return load(from_mapping({}), overrides).config


def refusal(text: str, *overrides: str, tmp_path: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        loaded(text, *overrides, tmp_path=tmp_path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def put(nested: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key, `sampler.model`."""
    *sections, last = key.split(".")
    for section in sections:
        nested = nested.setdefault(section, {})
    nested[last] = value
