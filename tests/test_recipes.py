"""Recipes: found by name or file from anywhere, and the paths in them mean the same wherever one stands."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from commands import question, write_rows
from rsr.errors import ConfigError
from rsr.recipes import anchor, copy_to, find, shipped

ROOT = Path(__file__).parents[1]


def anchored(config: dict[str, Any], folder: Path) -> Any:
    content = OmegaConf.create(config)
    anchor(content, folder)
    return OmegaConf.to_container(content, resolve=False)


def test_the_recipes_of_the_checkout_are_shipped() -> None:
    assert {"sft", "dpo", "multi_sft", "config", "quickstart"} <= set(shipped())
    for path in shipped().values():
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_a_file_wins_over_a_recipe_of_the_same_name(folder: Path) -> None:
    assert find("sft").origin.name != "sft"
    (folder / "sft").write_text("seed: 5\n")
    found = find("sft")
    assert (found.origin.content.seed, found.recipe, found.folder) == (5, "sft", folder)


def test_an_unknown_one_says_which_is_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        find("quikstart")


def test_paths_are_looked_for_here_then_beside_the_config_then_beside_its_folder(folder: Path) -> None:
    configs = folder / "kept" / "configs"
    for place in (folder, configs, folder / "kept"):
        place.mkdir(parents=True, exist_ok=True)
        (place / "3.jsonl").touch()
    (configs / "2.jsonl").touch()
    (folder / "kept" / "2.jsonl").touch()
    (folder / "kept" / "1.jsonl").touch()
    asked = {"data": {"input_path": ["3.jsonl", "2.jsonl", "1.jsonl", "0.jsonl"]}}
    assert anchored(asked, configs)["data"]["input_path"] == [
        str(folder / "3.jsonl"),
        str(configs / "2.jsonl"),
        str(folder / "kept" / "1.jsonl"),
        "0.jsonl",
    ]


@pytest.mark.parametrize("written", ["list", "mapping"])
def test_every_key_that_may_hold_a_path_is_made_absolute(written: str, folder: Path) -> None:
    (folder / "mine.py").touch()
    (folder / "model.gguf").touch()
    formatter: Any = {"type": "./mine.py:F"}
    config = {
        "data": {"input_path": "mine.py", "preprocess": {"transform": "mine.py:t"}},
        "verifier": {"type": "./mine.py:v"},
        "sampler": {"type": "./mine.py:S", "model_path": "model.gguf", "replies": "./mine.py:r"},
        "formatter": [formatter] if written == "list" else formatter,
    }
    text = json.dumps(anchored(config, folder))
    assert text.count(f"{folder}/") == 7
    assert "./" not in text


def test_names_interpolations_and_what_is_not_there_stay_as_they_are(folder: Path) -> None:
    config = {
        "data": {"input_path": "${oc.env:INPUT}"},
        "verifier": {"type": "mcq-rlvr"},
        "sampler": {"type": "scripted", "replies": {"a": ["x.py:y"]}, "model_path": "nowhere.gguf"},
        "formatter": [{"type": "sft"}, {"type": "./nowhere.py:F"}],
    }
    assert anchored(config, folder) == config


def test_a_run_goes_on_from_another_folder(folder: Path, monkeypatch: pytest.MonkeyPatch, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    (folder / "mine.py").write_text("def check(response, answer):\n    return True\n")
    given = ["data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted", "verifier.type=./mine.py:check"]
    assert command("run", "sft", *given).code == 0
    before = (folder / "run/train/sft.jsonl").read_text()
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    ended = command("run", "../run")
    assert ended.code == 0, ended.err
    assert "warning" not in ended.err
    assert (folder / "run/train/sft.jsonl").read_text() == before


def test_init_copies_configs_and_data_and_leaves_what_is_there(folder: Path, command: Any) -> None:
    (folder / "configs").mkdir()
    (folder / "configs/sft.yaml").write_text("mine\n")
    written = {path.relative_to(folder) for path in copy_to(folder)}
    assert {Path("configs/dpo.yaml"), Path("configs/config.yaml"), Path("data/quickstart.jsonl")} <= written
    assert (folder / "configs/sft.yaml").read_text() == "mine\n"
    assert (folder / "configs/dpo.yaml").read_text() == (ROOT / "configs/dpo.yaml").read_text()
    assert command("init").out == "everything is there already\n"


def test_list_names_every_recipe_with_its_first_line(folder: Path, command: Any) -> None:
    said = command("list", "recipes").out
    for name, path in shipped().items():
        first = path.read_text(encoding="utf-8").split("\n")[0].removeprefix("# ")
        assert any(line.split()[0] == name and line.endswith(first) for line in said.splitlines()[1:])
