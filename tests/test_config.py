"""Configs: what is read, what is refused and how, which class each key is of, and the recipes that are shipped."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rsr.config import (
    Loaded,
    changes,
    describe,
    key_class,
    key_classes,
    load,
    sampling_identity,
    sampling_key,
)
from rsr.errors import ConfigError
from rsr.sections import KeyClass, RunConfig
from rsr.written import from_mapping, read_yaml

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
IDENTITY = {
    "sampler.model": "m2",
    "sampler.temperature": 0.3,
    "sampler.top_p": 0.5,
    "sampler.stop": ["x"],
    "sampler.extra_params": {"top_k": 3},
    "sampler.system_prompt": "Be short.",
    "sampler.prompt_suffix": "In one word.",
    "sampler.replies": ["A"],
    "seed": 7,
}
OTHERS = {
    "sampler.max_tokens": (KeyClass.LIMITS, 10),
    "sampler.base_url": (KeyClass.TRANSPORT, "http://localhost:1/v1"),
    "sampler.api_key": (KeyClass.TRANSPORT, "key-2"),
    "sampler.headers": (KeyClass.TRANSPORT, {"X-A": "b"}),
    "sampler.concurrent_requests": (KeyClass.TRANSPORT, 3),
    "sampler.timeout": (KeyClass.TRANSPORT, 5),
    "sampler.stream": (KeyClass.TRANSPORT, True),
    "sampling.speculate": (KeyClass.TRANSPORT, 0),
    "work_dir": (KeyClass.TRANSPORT, "elsewhere"),
    "stop_grace": (KeyClass.TRANSPORT, 1),
    "sampling.max_rollouts": (KeyClass.DECISIONS, 3),
    "sampling.step_size": (KeyClass.DECISIONS, 3),
    "sampling.max_steps": (KeyClass.DECISIONS, 3),
    "sampling.early_stop": (KeyClass.DECISIONS, False),
    "sampling.schedule": (KeyClass.DECISIONS, "steps"),
    "verifier": (KeyClass.DECISIONS, {"type": "exact"}),
    "formatter": (KeyClass.DECISIONS, [{"type": "dpo"}]),
    "data.input_path": (KeyClass.DECISIONS, "other.jsonl"),
    "data.limit": (KeyClass.DECISIONS, 3),
    "data.shuffle": (KeyClass.DECISIONS, True),
}


def of(text: str, *overrides: str, tmp_path: Path) -> Loaded:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load(read_yaml(path), overrides)


def values(*overrides: str) -> RunConfig:
    return load(from_mapping({}), overrides).config


def refusal(text: str, *overrides: str, tmp_path: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        of(text, *overrides, tmp_path=tmp_path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


# Reading


def test_what_a_config_leaves_out_comes_from_defaults(tmp_path: Path) -> None:
    config = of("sampling:\n  step_size: 8\n", tmp_path=tmp_path).config
    assert config.sampling.step_size == 8
    assert config.sampling.max_steps == 4
    assert config.sampler.type == "openai-compatible-api"
    assert config.verifier.type == "mcq-rlvr"
    assert [formatter.type for formatter in config.formatter] == ["sft"]
    assert (config.seed, config.sampler.concurrent_requests) == (0, 128)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert of("", tmp_path=tmp_path).config == RunConfig()


def test_a_section_whose_keys_are_all_commented_out_is_all_defaults(tmp_path: Path) -> None:
    assert of("data:\n  # limit: 3\nsampler:\nverifier:\n", tmp_path=tmp_path).config == RunConfig()


def test_one_guard_can_be_turned_off_or_all_of_them(tmp_path: Path) -> None:
    one = of("guards:\n  truncated: null\n", tmp_path=tmp_path).config.guards
    assert one is not None and one.truncated is None and one.no_answer == 0.8
    assert of("guards: null\n", tmp_path=tmp_path).config.guards is None


def test_a_budget_in_dollars_needs_prices(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"budget\.usd: needs sampler\.prices\.completion"):
        of("budget: {usd: 5}", tmp_path=tmp_path)


@pytest.mark.parametrize("written", ["dpo", "[dpo]", "{type: dpo}", "[{type: dpo}]"])
def test_one_formatter_may_be_written_without_a_list(written: str, tmp_path: Path) -> None:
    assert [entry.type for entry in of(f"formatter: {written}", tmp_path=tmp_path).config.formatter] == ["dpo"]


# Overrides


def test_overrides_win_over_the_file_and_the_last_one_wins(tmp_path: Path) -> None:
    text = "seed: 1\nsampling: {step_size: 2, max_steps: 3}\n"
    config = of(text, "seed=5", "seed=6", "sampling.step_size=9", tmp_path=tmp_path).config
    assert (config.seed, config.sampling.step_size, config.sampling.max_steps) == (6, 9, 3)


def test_values_are_yaml() -> None:
    config = values(
        "sampler.temperature=1e-1",
        "sampling.early_stop=false",
        "sampler.max_tokens=null",
        "data.input_path=[a.jsonl, b.parquet]",
        "sampler.extra_params={top_k: 20, chat_template_kwargs: {enable_thinking: false}}",
    )
    assert config.sampler.temperature == 0.1
    assert config.sampling.early_stop is False
    assert config.sampler.max_tokens is None
    assert config.data.input_path == ["a.jsonl", "b.parquet"]
    assert config.sampler.extra_params == {"top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}


def test_an_override_replaces_a_mapping_as_a_whole(tmp_path: Path) -> None:
    text = "sampler: {extra_params: {top_k: 1, min_p: 0.1}}"
    config = of(text, "sampler.extra_params={top_k: 2}", tmp_path=tmp_path).config
    assert config.sampler.extra_params == {"top_k": 2}


@pytest.mark.parametrize(
    "text",
    ["a=b=c", "put it in a box", " \\boxed{}", "x: y", "ends with =", "Zürich 😀"],
)
def test_values_may_hold_equals_signs_spaces_and_colons(text: str) -> None:
    assert values(f"sampler.system_prompt='{text}'").sampler.system_prompt == text


def test_a_value_without_quotes_may_hold_equals_signs_and_spaces() -> None:
    assert values("sampler.prompt_suffix=Think, then answer x = 3").sampler.prompt_suffix == "Think, then answer x = 3"


def test_a_list_entry_is_set_by_its_index(tmp_path: Path) -> None:
    text = "formatter: [{type: sft}, {type: dpo, fail_threshold: 0.1}]"
    config = of(text, "formatter.0.pass_threshold=0.5", "formatter.1.pass_threshold=0.7", tmp_path=tmp_path).config
    assert [entry.model_dump() for entry in config.formatter] == [
        {"type": "sft", "pass_threshold": 0.5},
        {"type": "dpo", "fail_threshold": 0.1, "pass_threshold": 0.7},
    ]


@pytest.mark.parametrize("text", ["", "formatter: sft", "formatter: {type: sft}"])
def test_the_first_formatter_is_set_by_its_index_however_it_is_written(text: str, tmp_path: Path) -> None:
    config = of(text, "formatter.0.pass_threshold=0.5", tmp_path=tmp_path).config
    assert [entry.model_dump() for entry in config.formatter] == [{"type": "sft", "pass_threshold": 0.5}]


def test_a_whole_list_is_replaced(tmp_path: Path) -> None:
    text = "formatter: [{type: sft, pass_threshold: 0.5}]"
    config = of(text, "formatter=[{type: sft}, {type: dpo}]", tmp_path=tmp_path).config
    assert [entry.model_dump() for entry in config.formatter] == [{"type": "sft"}, {"type": "dpo"}]


def test_an_index_that_is_not_there_says_how_to_write_the_list(tmp_path: Path) -> None:
    problem = refusal("formatter: [{type: sft}]", "formatter.1.type=dpo", tmp_path=tmp_path)
    assert problem.startswith("formatter.1.type: ")
    assert "formatter=[{type: sft}, {type: dpo}]" in problem


@pytest.mark.parametrize("override", ["sampler.model", "=3", "nonsense"])
def test_an_override_without_a_value_says_how_one_is_written(override: str, tmp_path: Path) -> None:
    assert "an override is written key=value" in refusal("", override, tmp_path=tmp_path)


def test_an_override_that_is_not_yaml_names_its_key(tmp_path: Path) -> None:
    assert refusal("", "sampler.stop=[a, b", tmp_path=tmp_path).startswith("sampler.stop: can't be set")


# Interpolation


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODEL_OF_TEST", "qwen")
    monkeypatch.setenv("STEPS_OF_TEST", "7")
    text = "sampler:\n  model: ${oc.env:MODEL_OF_TEST}\n  base_url: http://${oc.env:HOST_OF_TEST,localhost}:80/v1\n"
    loaded = of(text, "sampling.max_steps=${oc.env:STEPS_OF_TEST}", tmp_path=tmp_path)
    assert loaded.config.sampler.model == "qwen"
    assert loaded.config.sampler.base_url == "http://localhost:80/v1"
    assert loaded.config.sampling.max_steps == 7
    assert loaded.source["sampler"]["model"] == "${oc.env:MODEL_OF_TEST}"


def test_one_key_may_be_taken_from_another(tmp_path: Path) -> None:
    assert of("seed: 3\nsampling: {max_steps: '${seed}'}", tmp_path=tmp_path).config.sampling.max_steps == 3


@pytest.mark.parametrize("value", ["${oc.env:NOT_SET_IN_TEST}", "${nowhere}", "${broken", "${"])
def test_an_interpolation_that_fails_names_key_and_line(value: str, tmp_path: Path) -> None:
    problem = refusal(f"seed: 1\nsampler:\n  model: '{value}'\n", tmp_path=tmp_path)
    assert problem.startswith("sampler.model: ")
    assert f"({tmp_path / 'recipe.yaml'}, line 3)" in problem


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    problem = refusal("", "sampler.api_key=${oc.env:NOT_SET_IN_TEST}", tmp_path=tmp_path)
    assert "NOT_SET_IN_TEST" in problem
    assert "(command line)" in problem


# Refusals


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


# Warnings


def test_fewer_attempts_than_max_rollouts_is_a_warning_that_says_what_will_happen() -> None:
    config = values("sampling.max_rollouts=16", "sampling.step_size=2", "sampling.max_steps=3")
    (warning,) = config.warnings()
    assert "step_size 2 * max_steps 3 = 6 is less than max_rollouts 16" in warning
    assert "at most 6 responses will be drawn for a prompt" in warning


@pytest.mark.parametrize("steps", [8, 9])
def test_enough_attempts_give_no_warning(steps: int) -> None:
    assert values("sampling.max_rollouts=16", "sampling.step_size=2", f"sampling.max_steps={steps}").warnings() == []


# The four classes


def test_identity_keys_are_these_and_no_others() -> None:
    assert {key for key, kind in key_classes() if kind is KeyClass.IDENTITY} == set(IDENTITY)


def test_every_key_has_a_class_and_a_meaning() -> None:
    for key, _, kind, meaning in describe():
        assert kind in KeyClass, key
        assert meaning.endswith("."), key


@pytest.mark.parametrize("key", IDENTITY)
def test_the_sampling_key_changes_with_an_identity_key(key: str) -> None:
    assert key_class(key) is KeyClass.IDENTITY
    assert key_of({key: IDENTITY[key]}) != key_of({})


@pytest.mark.parametrize("key", OTHERS)
def test_the_sampling_key_stays_with_any_other_key(key: str) -> None:
    kind, value = OTHERS[key]
    assert key_class(key if key not in ("verifier", "formatter") else f"{key}.type") is kind
    assert key_of({key: value}) == key_of({})


def test_the_sampling_key_is_the_same_for_every_key_that_is_no_identity() -> None:
    tried = {*IDENTITY, *OTHERS, "verifier.type"}
    rest = [
        key
        for key, default, kind, _ in describe()
        if key not in tried and kind is not KeyClass.IDENTITY and isinstance(default, bool | int | float)
    ]
    assert "sampler.send_seed" in rest
    defaults = {name: value for name, value, _, _ in describe()}
    for key in rest:
        default = defaults[key]
        larger = default / 2 if isinstance(default, float) and default < 1 else default + 1
        changed = not default if isinstance(default, bool) else larger
        if key != "sampler.drop_truncated":
            assert key_of({key: changed}) == key_of({}), key


def test_what_the_sampler_adds_is_part_of_the_sampling_key() -> None:
    config = RunConfig()
    assert sampling_key(sampling_identity(config, {"weights": "a"})) != sampling_key(sampling_identity(config, {}))


def test_parameters_of_verifiers_and_formatters_are_decisions() -> None:
    assert key_class("verifier.no_answer") is KeyClass.DECISIONS
    assert key_class("formatter.0.pass_threshold") is KeyClass.DECISIONS


def test_changes_are_listed_by_dotted_key_with_both_values() -> None:
    old = values().model_dump(mode="json")
    new = values("sampler.model=m", "sampler.extra_params={top_k: 1}", "formatter=[{type: dpo}]").model_dump(
        mode="json"
    )
    assert changes(old, old) == {}
    assert changes(old, new) == {
        "sampler.model": (None, "m"),
        "sampler.extra_params": ({}, {"top_k": 1}),
        "formatter": ([{"type": "sft"}], [{"type": "dpo"}]),
    }


def key_of(settings: dict[str, Any]) -> bytes:
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        put(nested, key, value)
    return sampling_key(sampling_identity(load(from_mapping(nested)).config, {}))


def put(nested: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        nested = nested.setdefault(section, {})
    nested[last] = value


# The files in configs/


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
