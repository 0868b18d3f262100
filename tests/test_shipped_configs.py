"""The files in configs/: the recipes of RECIPES.md key by key, and every key with its default and meaning."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from config_texts import put
from rsr.config import describe, load
from rsr.sections import RunConfig
from rsr.written import read_yaml

CONFIGS = Path(__file__).parents[1] / "configs"

# The YAML blocks of RECIPES.md, as they stand there.
RECIPES = {
    "sft": """
# configs/sft.yaml
sampling:
  max_rollouts: 16
  step_size: 4
  max_steps: 4
  early_stop: true        # Stop once we have 1 correct

formatter:
  - type: sft
    pass_threshold: 1.0   # score >= 1.0 is correct
""",
    "dpo": """
# configs/dpo.yaml
sampling:
  max_rollouts: 32
  step_size: 8
  max_steps: 4
  early_stop: true        # Stop once we have both pass and fail

formatter:
  - type: dpo
    pass_threshold: 1.0   # score >= 1.0 → chosen
    fail_threshold: 0.0   # score <= 0.0 → rejected
""",
    "multi_sft": """
# configs/multi_sft.yaml
sampling:
  max_rollouts: 64
  step_size: 8
  max_steps: 8
  early_stop: true

sampler:
  temperature: 0.8        # Higher for diversity

formatter:
  - type: multi_sft
    num_responses: 16     # Collect 16 unique correct responses
    pass_threshold: 1.0
""",
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_is_the_one_of_recipes_md_key_by_key(name: str) -> None:
    shipped = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    assert shipped == yaml.safe_load(RECIPES[name])


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_loads_and_opens_with_a_line_about_it(path: Path) -> None:
    assert load(read_yaml(path)).config.formatter
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_config_yaml_has_every_key_with_its_default_and_nothing_else() -> None:
    written = yaml.safe_load((CONFIGS / "config.yaml").read_text(encoding="utf-8"))
    expected: dict[str, Any] = {}
    for key, default, _, _ in describe():
        put(expected, key, [entry.model_dump() for entry in default] if key == "formatter" else default)
    assert written == expected


def test_config_yaml_means_the_same_as_no_config_at_all() -> None:
    assert load(read_yaml(CONFIGS / "config.yaml")).config == RunConfig()


def test_config_yaml_says_of_each_key_what_it_means_and_its_class() -> None:
    text = " ".join((CONFIGS / "config.yaml").read_text(encoding="utf-8").replace("#", " ").split())
    for key, _, kind, meaning in describe():
        assert f"{meaning} [{kind}]" in text, key
