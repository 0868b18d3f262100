"""What a change of a key costs: the four classes, the sampling key, and the changes that are listed."""

from typing import Any

import pytest

from config_texts import put, values
from rsr.config import changes, describe, key_class, key_classes, load, sampling_identity, sampling_key
from rsr.sections import KeyClass, RunConfig
from rsr.written import from_mapping

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


def key_of(settings: dict[str, Any]) -> bytes:
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        put(nested, key, value)
    return sampling_key(sampling_identity(load(from_mapping(nested)).config, {}))


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
