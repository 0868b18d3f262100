"""Configs: what is read from file, command line and environment, and which of them wins."""

from pathlib import Path

import pytest

from config_texts import loaded, refusal, values
from rsr.sections import RunConfig

# Reading


def test_what_a_config_leaves_out_comes_from_defaults(tmp_path: Path) -> None:
    config = loaded("sampling:\n  step_size: 8\n", tmp_path=tmp_path).config
    assert config.sampling.step_size == 8
    assert config.sampling.max_steps == 4
    assert config.sampler.type == "openai-compatible-api"
    assert config.verifier.type == "mcq-rlvr"
    assert [formatter.type for formatter in config.formatter] == ["sft"]
    assert (config.seed, config.sampler.concurrent_requests) == (0, 128)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert loaded("", tmp_path=tmp_path).config == RunConfig()


def test_a_section_whose_keys_are_all_commented_out_is_all_defaults(tmp_path: Path) -> None:
    assert loaded("data:\n  # limit: 3\nsampler:\nverifier:\n", tmp_path=tmp_path).config == RunConfig()


def test_one_guard_can_be_turned_off_or_all_of_them(tmp_path: Path) -> None:
    one = loaded("guards:\n  truncated: null\n", tmp_path=tmp_path).config.guards
    assert one is not None and one.truncated is None and one.no_answer == 0.8
    assert loaded("guards: null\n", tmp_path=tmp_path).config.guards is None


@pytest.mark.parametrize("written", ["dpo", "[dpo]", "{type: dpo}", "[{type: dpo}]"])
def test_one_formatter_may_be_written_without_a_list(written: str, tmp_path: Path) -> None:
    assert [entry.type for entry in loaded(f"formatter: {written}", tmp_path=tmp_path).config.formatter] == ["dpo"]


# Overrides


def test_overrides_win_over_the_file_and_the_last_one_wins(tmp_path: Path) -> None:
    text = "seed: 1\nsampling: {step_size: 2, max_steps: 3}\n"
    config = loaded(text, "seed=5", "seed=6", "sampling.step_size=9", tmp_path=tmp_path).config
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
    config = loaded(text, "sampler.extra_params={top_k: 2}", tmp_path=tmp_path).config
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
    config = loaded(text, "formatter.0.pass_threshold=0.5", "formatter.1.pass_threshold=0.7", tmp_path=tmp_path).config
    assert [entry.model_dump() for entry in config.formatter] == [
        {"type": "sft", "pass_threshold": 0.5},
        {"type": "dpo", "fail_threshold": 0.1, "pass_threshold": 0.7},
    ]


@pytest.mark.parametrize("text", ["", "formatter: sft", "formatter: {type: sft}"])
def test_the_first_formatter_is_set_by_its_index_however_it_is_written(text: str, tmp_path: Path) -> None:
    config = loaded(text, "formatter.0.pass_threshold=0.5", tmp_path=tmp_path).config
    assert [entry.model_dump() for entry in config.formatter] == [{"type": "sft", "pass_threshold": 0.5}]


def test_a_whole_list_is_replaced(tmp_path: Path) -> None:
    text = "formatter: [{type: sft, pass_threshold: 0.5}]"
    config = loaded(text, "formatter=[{type: sft}, {type: dpo}]", tmp_path=tmp_path).config
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
    found = loaded(text, "sampling.max_steps=${oc.env:STEPS_OF_TEST}", tmp_path=tmp_path)
    assert found.config.sampler.model == "qwen"
    assert found.config.sampler.base_url == "http://localhost:80/v1"
    assert found.config.sampling.max_steps == 7
    assert found.source["sampler"]["model"] == "${oc.env:MODEL_OF_TEST}"


def test_one_key_may_be_taken_from_another(tmp_path: Path) -> None:
    assert loaded("seed: 3\nsampling: {max_steps: '${seed}'}", tmp_path=tmp_path).config.sampling.max_steps == 3


@pytest.mark.parametrize("value", ["${oc.env:NOT_SET_IN_TEST}", "${nowhere}", "${broken", "${"])
def test_an_interpolation_that_fails_names_key_and_line(value: str, tmp_path: Path) -> None:
    problem = refusal(f"seed: 1\nsampler:\n  model: '{value}'\n", tmp_path=tmp_path)
    assert problem.startswith("sampler.model: ")
    assert f"({tmp_path / 'recipe.yaml'}, line 3)" in problem


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    problem = refusal("", "sampler.api_key=${oc.env:NOT_SET_IN_TEST}", tmp_path=tmp_path)
    assert "NOT_SET_IN_TEST" in problem
    assert "(command line)" in problem


# Warnings


def test_fewer_attempts_than_max_rollouts_is_a_warning_that_says_what_will_happen() -> None:
    config = values("sampling.max_rollouts=16", "sampling.step_size=2", "sampling.max_steps=3")
    (warning,) = config.warnings()
    assert "step_size 2 * max_steps 3 = 6 is less than max_rollouts 16" in warning
    assert "at most 6 responses will be drawn for a prompt" in warning


@pytest.mark.parametrize("steps", [8, 9])
def test_enough_attempts_give_no_warning(steps: int) -> None:
    assert values("sampling.max_rollouts=16", "sampling.step_size=2", f"sampling.max_steps={steps}").warnings() == []
