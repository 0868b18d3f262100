"""The formatters: exactly the rows of RECIPES.md, of the rollouts that the thresholds choose, whatever was drawn."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged import TEXT, prompt, rollout, row, rows, scores, written

from rsr.errors import ConfigError
from rsr.formatters import FORMATTERS
from rsr.formatters.dpo import DPO
from rsr.formatters.multi_sft import MultiSFT
from rsr.formatters.sft import SFT
from rsr.training_files import unusable
from rsr.types import Formatter, Rollout

# Exactly the rows of RECIPES.md


def test_an_sft_row_is_that_of_recipes_md() -> None:
    made = row(SFT(), [rollout(0, 0.0), rollout(1, 1.0, "The answer is B because...")])
    assert written(made) == written(
        {
            "messages": [
                {"role": "user", "content": TEXT},
                {"role": "assistant", "content": "The answer is B because..."},
            ]
        }
    )


def test_a_dpo_row_is_that_of_recipes_md() -> None:
    made = row(DPO(), [rollout(0, 0.0, "The answer is A..."), rollout(1, 1.0, "The answer is B...")])
    assert written(made) == written(
        {
            "conversations": [{"from": "human", "value": TEXT}],
            "chosen": {"from": "gpt", "value": "The answer is B..."},
            "rejected": {"from": "gpt", "value": "The answer is A..."},
        }
    )


def test_a_multi_sft_row_is_that_of_recipes_md() -> None:
    texts = ["The answer is B because reason 1...", "B is correct. Here's why...", "Looking at this problem, B..."]
    made = row(MultiSFT(num_responses=3), [rollout(index, 1.0, text) for index, text in enumerate(texts)])
    assert written(made) == written({"messages": [{"role": "user", "content": TEXT}], "responses": texts})


@pytest.mark.parametrize("formatter", [SFT(), DPO()])
def test_images_and_tools_are_columns_only_where_a_prompt_has_them(formatter: Formatter) -> None:
    both = [rollout(0, 1.0), rollout(1, 0.0)]
    assert {"images", "tools"}.isdisjoint(row(formatter, both))
    rich = row(formatter, both, prompt(images=["i.png"], tools=[{"name": "t"}]))
    assert (rich["images"], rich["tools"]) == (["i.png"], '[{"name": "t"}]')


def test_answers_are_trimmed() -> None:
    made = row(DPO(), [rollout(0, 1.0, "\n B \n"), rollout(1, 0.0, " A\t")])
    assert (made["chosen"]["value"], made["rejected"]["value"]) == ("B", "A")


# Thresholds


@pytest.mark.parametrize(
    ("threshold", "score", "passes"),
    [
        (1.0, 1.0, True),
        (1.0, 0.999, False),
        (0.5, 0.5, True),
        (0.5, 0.499999999, False),
        (0.0, 0.0, True),
        (-1, -1, True),
    ],
)
def test_a_score_of_at_least_the_threshold_passes(threshold: float, score: float, passes: bool) -> None:
    formatter = SFT(pass_threshold=threshold)
    assert formatter.needs(scores(score)) == (0 if passes else 1)
    assert len(rows(formatter, scores(score))) == passes


@pytest.mark.parametrize(
    ("threshold", "score", "fails"), [(0.0, 0.0, True), (0.0, 0.001, False), (0.3, 0.3, True), (0.3, 0.31, False)]
)
def test_a_score_of_at_most_the_threshold_fails(threshold: float, score: float, fails: bool) -> None:
    formatter = DPO(fail_threshold=threshold)
    assert formatter.needs(scores(1.0, score)) == (0 if fails else 1)
    assert len(rows(formatter, scores(1.0, score))) == fails


@pytest.mark.parametrize("formatter", [SFT(), DPO(), MultiSFT()])
def test_a_rollout_without_a_score_is_neither_right_nor_wrong(formatter: Formatter) -> None:
    unscored = [rollout(0, None), rollout(1, None)]
    assert formatter.needs(unscored) == formatter.needs([])
    assert rows(formatter, unscored) == []


def test_a_rollout_without_a_score_is_never_rejected() -> None:
    assert rows(DPO(), scores(1.0, None)) == []
    assert row(DPO(), scores(1.0, None, 0.0))["rejected"]["value"] == "Answer 2"
    assert DPO(fail_threshold=0.9).needs(scores(1.0, None)) == 1


def test_a_score_between_the_thresholds_is_on_no_side() -> None:
    assert DPO().needs(scores(0.5)) == 2
    assert rows(DPO(), scores(1.0, 0.5)) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_threshold_is_a_number(value: float) -> None:
    with pytest.raises(ValueError, match="pass_threshold: must be a number"):
        SFT(pass_threshold=value)


# Which are chosen


def test_sft_takes_the_best_and_of_equals_the_first() -> None:
    assert rows(SFT(pass_threshold=0.5), scores(0.6, 0.9, 0.9, 0.7))[0].indices == (1,)
    assert rows(SFT(best_of=3), scores(1.0, 2.0, 1.5))[0].indices == (1,)


def test_dpo_takes_best_pass_and_worst_fail_and_of_equals_the_first() -> None:
    formatter = DPO(pass_threshold=0.5, fail_threshold=0.4)
    assert rows(formatter, scores(0.3, 0.6, 0.9, 0.1, 0.9, 0.1))[0].indices == (2, 3)


def test_dpo_passes_over_a_best_pair_of_equal_answers() -> None:
    rollouts = [rollout(0, 1.0, "B"), rollout(1, 0.0, "B "), rollout(2, 0.0, "A"), rollout(3, 1.0, "B!")]
    assert rows(DPO(), rollouts)[0].indices == (0, 2)


def test_multi_sft_writes_the_best_first_and_no_answer_twice() -> None:
    rollouts = [
        rollout(0, 0.6, "a"),
        rollout(1, 0.9, "b"),
        rollout(2, 0.8, "a "),
        rollout(3, 0.9, "c"),
        rollout(4, 0.7, "d"),
    ]
    (made,) = rows(MultiSFT(num_responses=3, pass_threshold=0.5), rollouts)
    assert made.row["responses"] == ["b", "c", "a"]
    assert made.indices == (1, 3, 2)


def test_multi_sft_writes_what_it_has_but_not_fewer_than_min_responses() -> None:
    two = [rollout(0, 1.0, "a"), rollout(1, 1.0, "b"), rollout(2, 1.0, "b ")]
    assert row(MultiSFT(num_responses=4), two)["responses"] == ["a", "b"]
    assert row(MultiSFT(num_responses=4, min_responses=2), two)["responses"] == ["a", "b"]
    strict = MultiSFT(num_responses=4, min_responses=3)
    assert rows(strict, two) == []
    assert (strict.missing(two), strict.missing(scores(0.0))) == ("too_few", "no_pass")


def test_why_there_is_no_row_is_said_in_one_word() -> None:
    assert SFT().missing(scores(0.0)) == "no_pass"
    assert (DPO().missing(scores(0.0)), DPO().missing(scores(1.0)), DPO().missing([])) == (
        "no_pass",
        "no_fail",
        "no_pass",
    )


# What is refused


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("dpo", {"pass_threshold": 0.5, "fail_threshold": 0.5}, "formatter.fail_threshold: 0.5 must be below"),
        ("sft", {"pass_threshold": 0.5, "fail_threshold": 0.7}, "formatter.fail_threshold: 0.7 must be below"),
        ("sft", {"best_of": 0}, "formatter.best_of: must be at least 1"),
        ("multi_sft", {"num_responses": 0}, "formatter.num_responses: must be at least 1"),
        ("multi_sft", {"num_responses": 2, "min_responses": 3}, "formatter.min_responses: 3 must be at most"),
        ("sft", {"pass_threshold": "high"}, "formatter.pass_threshold: should be a valid number"),
        ("sft", {"pass_treshold": 1}, "formatter.pass_treshold: unknown key; did you mean 'pass_threshold'?"),
        ("sft", {"messages": "both"}, "formatter.messages: should be 'original' or 'sampled'"),
        ("sfd", {}, "unknown formatter 'sfd'; did you mean 'sft'?"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_key(name: str, params: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        FORMATTERS.build(name, params)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["sft", "multi_sft"])
def test_the_fail_threshold_of_other_configs_is_taken_and_not_used(name: str) -> None:
    formatter = FORMATTERS.build(name, {"pass_threshold": 1.0, "fail_threshold": 0.0})
    assert len(rows(formatter, scores(1.0, 0.0))) == 1


# For every stream of rollouts


FORMATTERS_TRIED: list[Formatter] = [
    SFT(),
    SFT(best_of=4),
    SFT(pass_threshold=0.5),
    DPO(),
    DPO(pass_threshold=0.7, fail_threshold=0.5),
    MultiSFT(num_responses=1),
    MultiSFT(num_responses=3),
    MultiSFT(num_responses=4, min_responses=3, pass_threshold=0.5),
]
streams = st.lists(
    st.tuples(
        st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0]),
        st.sampled_from(["A", "B", "B ", "C", "D"]),
        st.sampled_from(["", "So."]),
    ),
    max_size=10,
)


def stream(drawn: list[tuple[float | None, str, str]]) -> list[Rollout]:
    return [rollout(index, *what) for index, what in enumerate(drawn)]


@pytest.mark.parametrize("formatter", FORMATTERS_TRIED, ids=lambda formatter: f"{formatter.name}")
@settings(max_examples=150, deadline=None)
@given(drawn=streams)
def test_needs_never_rises_and_a_satisfied_prompt_gives_a_row(formatter: Formatter, drawn: Any) -> None:
    rollouts = stream(drawn)
    needs = [formatter.needs(rollouts[:count]) for count in range(len(rollouts) + 1)]
    assert needs == sorted(needs, reverse=True)
    # one rollout can serve no more than one of what is missing
    assert all(before - after <= 1 for before, after in pairwise(needs))
    if needs[-1] == 0:
        assert len(rows(formatter, rollouts)) == 1


@pytest.mark.parametrize("formatter", FORMATTERS_TRIED, ids=lambda formatter: f"{formatter.name}")
@settings(max_examples=150, deadline=None)
@given(drawn=streams)
def test_every_row_is_fit_for_a_trainer_and_says_what_it_is_made_of(formatter: Formatter, drawn: Any) -> None:
    rollouts = stream(drawn)
    made = rows(formatter, rollouts)
    assert made or formatter.missing(rollouts)
    for formatted in made:
        assert unusable(formatted.row) is None
        assert set(formatted.indices) <= {one.index for one in rollouts}
        responses = formatted.row.get("responses", [])
        assert len({text.rpartition("</think>")[2].strip() for text in responses}) == len(responses)
        if formatter.name != "dpo":  # the best answer may be the one that has no different rejected one
            assert rollouts[formatted.indices[0]].score == max(one.score for one in rollouts if one.score is not None)


@settings(max_examples=150, deadline=None)
@given(drawn=streams)
def test_texts_are_not_needed_to_decide(drawn: Any) -> None:
    rollouts = stream(drawn)
    expected = [formatter.needs(rollouts) for formatter in FORMATTERS_TRIED]
    for one in rollouts:
        one.response = one.reasoning = ""
    assert [formatter.needs(rollouts) for formatter in FORMATTERS_TRIED] == expected
