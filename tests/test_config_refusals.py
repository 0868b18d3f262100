"""A wrong config is refused in one line that names the key, where it stands and what it should be."""

from pathlib import Path

import pytest

from config_texts import loaded, refusal, values
from rsr.config import load
from rsr.errors import ConfigError
from rsr.written import read_yaml


@pytest.mark.parametrize(
    ("text", "key", "line", "nearest"),
    [
        ("samplr:\n  model: x\n", "samplr", 1, "sampler"),
        ("seed: 1\nsampling:\n  step_sise: 4\n", "sampling.step_sise", 3, "step_size"),
        ("data:\n  preprocess:\n    transfrom: x\n", "data.preprocess.transfrom", 3, "transform"),
        ("data:\n  fields: {promt: x}\n", "data.fields.promt", 2, "prompt"),
        ("max_rollouts: 3\n", "max_rollouts", 1, "sampling.max_rollouts"),
    ],
)
def test_an_unknown_key_names_the_nearest_and_its_line(
    text: str, key: str, line: int, nearest: str, tmp_path: Path
) -> None:
    problem = refusal(text, tmp_path=tmp_path)
    assert problem == f"{key}: unknown key ({tmp_path / 'recipe.yaml'}, line {line}); did you mean {nearest!r}?"


@pytest.mark.parametrize("override", ["sampling.step_sise=4", "+sampling.step_sise=4", "sampling={step_sise: 4}"])
def test_an_unknown_key_of_the_command_line_says_so(override: str, tmp_path: Path) -> None:
    problem = refusal("sampling:\n  step_size: 4\n", override, tmp_path=tmp_path)
    assert problem == "sampling.step_sise: unknown key (command line); did you mean 'step_size'?"


def test_an_override_of_a_longer_name_is_not_taken_for_the_wrong_key(tmp_path: Path) -> None:
    problem = refusal("data:\n  lim: 1\n", "data.limit=3", tmp_path=tmp_path)
    assert problem == f"data.lim: unknown key ({tmp_path / 'recipe.yaml'}, line 2); did you mean 'limit'?"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("sampling.step_size=four", "should be a valid integer"),
        ("sampling.step_size=1.5", "should be a valid integer"),
        ("sampling.step_size=0", "greater than or equal to 1"),
        ("sampling.step_size=true", "should be a number"),
        ("sampling.schedule=stepwise", "'continuous' or 'steps'"),
        ("sampling.speculate=often", "'auto'"),
        ("sampling.speculate=1.5", "between 0 and 1"),
        ("sampler.temperature=-1", "greater than or equal to 0"),
        ("sampler.top_p=2", "less than or equal to 1"),
        ("sampler.stream=perhaps", "'auto'"),
        ("sampler.model=123", "should be a valid string"),
        ("sampler.drop_truncated=false", "never training data"),
        ("sampler=fast", "should be a valid dictionary"),
        ("data.input_path=5", "should be a valid string or a valid list"),
        ("data.limit=0", "greater than or equal to 1"),
        ("formatter=[]", "name at least one"),
        ("formatter=5", "should be a valid dictionary"),
    ],
)
def test_a_wrong_value_names_the_key_and_where_it_stands(override: str, says: str, tmp_path: Path) -> None:
    key = override.partition("=")[0]
    problem = refusal("", override, tmp_path=tmp_path)
    assert problem.startswith(f"{key}: ")
    assert says in problem
    assert "(command line)" in problem


def test_a_wrong_value_in_the_file_names_its_line(tmp_path: Path) -> None:
    problem = refusal("seed: 1\nsampling:\n  max_steps: many\n", tmp_path=tmp_path)
    assert problem.startswith("sampling.max_steps: should be a valid integer")
    assert f"({tmp_path / 'recipe.yaml'}, line 3)" in problem


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [1, 2\nb: 3\n", "line 2: not valid YAML"),
        (b"seed: 1\nseed: 2\n", "line 2: not valid YAML: found duplicate key"),
        (b"- seed\n- 1\n", "a mapping of keys, this is a list"),
        (b"just words\n", "a mapping of keys, this is a single value"),
        (b"\xff\xfe\x00seed", "not text in UTF-8"),
        (b"seed: \x00\n", "not valid YAML"),
        (b"---\nseed: 1\n---\nseed: 2\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_config_is_refused_in_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        load(read_yaml(path))
    assert str(refused.value).startswith(str(path))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: No such file"):
        read_yaml(tmp_path / "nothing.yaml")


def test_temperature_0_is_refused_where_a_prompt_may_be_asked_twice(tmp_path: Path) -> None:
    assert refusal("", "sampler.temperature=0", tmp_path=tmp_path).startswith("sampler.temperature: is 0")
    once = values("sampler.temperature=0", "sampling.step_size=1", "sampling.max_steps=1")
    assert once.sampler.temperature == 0


def test_more_attempts_than_seeds_leave_room_for_are_refused(tmp_path: Path) -> None:
    assert "at most 65536" in refusal("", "sampling.max_steps=100000", tmp_path=tmp_path)


def test_a_budget_in_dollars_needs_prices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"budget\.usd: needs sampler\.prices\.completion"):
        loaded("budget: {usd: 5}", tmp_path=tmp_path)
