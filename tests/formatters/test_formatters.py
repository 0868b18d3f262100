"""The formatters: exactly the rows of RECIPES.md, and needs that stop a prompt at the right moment."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import question, read_rows, write_rows
from rsr.errors import ConfigError
from rsr.formatters import FORMATTERS
from rsr.formatters.dpo import DPO
from rsr.formatters.multi_sft import MultiSFT
from rsr.formatters.sft import SFT
from rsr.hashing import answer_key
from rsr.schedule import combined_needs
from rsr.training_files import dataset_info, unusable
from rsr.types import FormattedRow, Formatter, Outcome, Prompt, Reason, Rollout, Verdict

TEXT = "Which is correct?\n\nA: X\nB: Y"


def prompt(messages: list[dict[str, Any]] | None = None, **more: Any) -> Prompt:
    return Prompt(order=0, key=b"k" * 16, id="q", messages=messages or [{"role": "user", "content": TEXT}], **more)


def rollout(index: int, score: float | None, text: str | None = None, reasoning: str = "") -> Rollout:
    response = f"Answer {index}" if text is None else text
    return Rollout(
        index=index,
        outcome=Outcome.OK,
        verdict=Verdict(score=score, reason=Reason.NO_ANSWER if score is None else None),
        answer_key=answer_key(response),
        has_reasoning=bool(reasoning.strip()),
        response=response,
        reasoning=reasoning,
    )


def scores(*values: float | None) -> list[Rollout]:
    return [rollout(index, value) for index, value in enumerate(values)]


def rows(formatter: Formatter, rollouts: Sequence[Rollout], of: Prompt | None = None) -> list[FormattedRow]:
    return list(formatter.rows(of or prompt(), rollouts))


def row(formatter: Formatter, rollouts: Sequence[Rollout], of: Prompt | None = None) -> dict[str, Any]:
    (only,) = rows(formatter, rollouts, of)
    return only.row


def written(value: Any) -> str:
    return json.dumps(value)  # the order of keys counts


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


# Needs


def test_sft_needs_one_until_there_is_a_pass() -> None:
    assert [SFT().needs(scores(*values)) for values in ([], [0.0], [0.0, None], [0.0, 1.0])] == [1, 1, 1, 0]


def test_best_of_needs_so_many_valid_ones_of_which_one_passes() -> None:
    formatter = SFT(best_of=3)
    cases: list[list[float | None]] = [[], [1.0], [1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, None, 1.0]]
    assert [formatter.needs(scores(*values)) for values in cases] == [3, 2, 1, 0, 1, 0]


def test_dpo_needs_the_missing_sides() -> None:
    cases: list[list[float | None]] = [[], [None], [1.0], [1.0, 1.0], [0.0], [0.0, 1.0]]
    assert [DPO().needs(scores(*values)) for values in cases] == [2, 2, 1, 1, 1, 0]


def test_dpo_needs_one_more_where_one_answer_was_judged_both_ways() -> None:
    same = [rollout(0, 1.0, "B"), rollout(1, 0.0, " B\n")]
    assert DPO().needs(same) == 1
    assert rows(DPO(), same) == []
    assert DPO().missing(same) == "no_difference"
    assert DPO().needs([*same, rollout(2, 0.0, "A")]) == 0
    assert row(DPO(), [*same, rollout(2, 0.0, "A")])["rejected"]["value"] == "A"


def test_multi_sft_needs_num_responses_less_the_different_passes() -> None:
    formatter = MultiSFT(num_responses=3)
    passes = [rollout(0, 1.0, "a"), rollout(1, 1.0, " a\n"), rollout(2, 0.0, "b"), rollout(3, 1.0, "c")]
    assert [formatter.needs(passes[:count]) for count in range(5)] == [3, 2, 2, 2, 1]


def test_together_formatters_need_what_the_neediest_needs() -> None:
    needs = combined_needs([SFT(), DPO(), MultiSFT(num_responses=3)])
    cases: list[list[float | None]] = [[], [1.0], [1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]]
    assert [needs(scores(*values)) for values in cases] == [3, 2, 2, 1, 0]


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


# Reasoning


THOUGHT = [rollout(0, 1.0, "B", reasoning="\nA? No.\n"), rollout(1, 0.0, "A", reasoning="Why not.")]
KEPT = "<think>\nA? No.\n</think>\n\nB"


def test_reasoning_is_kept_in_tags_by_default() -> None:
    assert row(SFT(), THOUGHT)["messages"][-1] == {"role": "assistant", "content": KEPT}
    assert row(MultiSFT(), THOUGHT)["responses"] == [KEPT]
    assert row(DPO(), THOUGHT)["chosen"]["value"] == KEPT
    assert row(DPO(), THOUGHT)["rejected"]["value"] == "<think>\nWhy not.\n</think>\n\nA"


def test_reasoning_can_be_dropped() -> None:
    assert row(SFT(reasoning="drop"), THOUGHT)["messages"][-1] == {"role": "assistant", "content": "B"}
    assert row(MultiSFT(reasoning="drop"), THOUGHT)["responses"] == ["B"]
    made = row(DPO(reasoning="drop"), THOUGHT)
    assert (made["chosen"]["value"], made["rejected"]["value"]) == ("B", "A")


def test_reasoning_can_have_a_field_of_its_own() -> None:
    message = row(SFT(reasoning="field"), THOUGHT)["messages"][-1]
    assert message == {"role": "assistant", "content": "B", "reasoning_content": "A? No."}
    plain = row(SFT(reasoning="field"), [rollout(0, 1.0, "B", reasoning=" ")])["messages"][-1]
    assert plain == {"role": "assistant", "content": "B"}


@pytest.mark.parametrize("formatter", ["dpo", "kto", "reward_pairs", "multi_sft"])
def test_shapes_without_messages_have_no_field_for_reasoning(formatter: str) -> None:
    with pytest.raises(ConfigError, match=r"formatter\.reasoning: .*keep.* or .*drop"):
        FORMATTERS.build(formatter, {"reasoning": "field"})


def test_a_pair_has_reasoning_on_both_sides_or_on_none() -> None:
    one_sided = [rollout(0, 1.0, "B", reasoning="Hm."), rollout(1, 0.0, "A")]
    assert rows(DPO(), one_sided) == []
    assert (DPO().needs(one_sided), DPO().missing(one_sided)) == (1, "reasoning_on_one_side")
    made = row(DPO(reasoning="drop"), one_sided)
    assert (made["chosen"]["value"], made["rejected"]["value"]) == ("B", "A")


def test_of_equally_good_pairs_one_with_reasoning_on_both_sides_is_taken() -> None:
    (made,) = rows(
        DPO(), [rollout(0, 1.0, "B", reasoning="Hm."), rollout(1, 0.0, "A"), rollout(2, 0.0, "C", reasoning="So.")]
    )
    assert made.indices == (0, 2)
    assert "<think>" in made.row["chosen"]["value"]
    assert "<think>" in made.row["rejected"]["value"]


def test_equal_answers_with_different_reasoning_are_equal() -> None:
    same = [rollout(0, 1.0, "B", reasoning="one"), rollout(1, 1.0, "B", reasoning="two")]
    assert MultiSFT(num_responses=2).needs(same) == 1
    assert row(MultiSFT(num_responses=2), same)["responses"] == ["<think>\none\n</think>\n\nB"]
    assert rows(DPO(), [same[0], rollout(1, 0.0, "B", reasoning="two")]) == []


# Messages


CHAT = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": [{"type": "text", "text": "Which?"}, {"type": "image_url", "image_url": {"url": "u"}}]},
]


def test_system_prompts_and_several_turns_become_sharegpt_turns() -> None:
    assert row(DPO(), scores(1.0, 0.0), prompt(CHAT))["conversations"] == [
        {"from": "system", "value": "Be short."},
        {"from": "human", "value": "Hello"},
        {"from": "gpt", "value": "Hi"},
        {"from": "human", "value": "Which?<image>"},
    ]


def test_developer_and_tool_turns_have_sharegpt_names_too() -> None:
    chat = [{"role": "developer", "content": "Be short."}, {"role": "tool", "content": "42"}]
    turns = row(DPO(), scores(1.0, 0.0), prompt(chat))["conversations"]
    assert turns == [{"from": "system", "value": "Be short."}, {"from": "observation", "value": "42"}]


@pytest.mark.parametrize("formatter", [SFT(layout="openai"), MultiSFT()])
def test_openai_messages_stay_as_they_are_in_the_order_role_content(formatter: Formatter) -> None:
    shuffled = [{"content": "Hello", "role": "user", "name": "me", "weight": 3, "tool_calls": None}]
    (message, *_) = row(formatter, scores(1.0), prompt(shuffled))["messages"]
    assert written(message) == written({"role": "user", "content": "Hello", "name": "me"})
    assert row(formatter, scores(1.0), prompt(CHAT))["messages"][:4] == CHAT


def test_sampled_messages_are_written_only_when_asked_for(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    extra = ["sampler.type=scripted", "sampler.system_prompt=Be short.", "sampler.prompt_suffix=End with a letter."]
    both = "formatter=[{type: sft}, {type: sft, name: sampled, messages: sampled}]"
    ended = command(
        "run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.replies=[The answer is B.]", both, *extra
    )
    assert ended.code == 0, ended.err
    (original,) = read_rows(folder / "run/train/sft.jsonl")
    (sampled,) = read_rows(folder / "run/train/sampled.jsonl")
    text = question("a")["messages"][0]["content"]
    answer = {"role": "assistant", "content": "The answer is B."}
    assert original["messages"] == [{"role": "user", "content": text}, answer]
    assert sampled["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": f"{text}\n\nEnd with a letter."},
        answer,
    ]


# dataset_info.json: what LLaMA-Factory takes, as checked by training with it


def test_dataset_info_registers_sft_and_dpo_with_complete_tags_and_never_as_openai() -> None:
    formatters: dict[str, Formatter] = {"sft": SFT(), "dpo": DPO(), "multi_sft": MultiSFT()}
    assert json.loads(dataset_info(formatters)) == {
        "rsr_sft": {
            "file_name": "sft.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "observation_tag": "tool",
                "function_tag": "function_call",
                "system_tag": "system",
            },
        },
        "rsr_dpo": {
            "file_name": "dpo.jsonl",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
            "tags": {
                "role_tag": "from",
                "content_tag": "value",
                "user_tag": "human",
                "assistant_tag": "gpt",
                "observation_tag": "observation",
                "function_tag": "function_call",
                "system_tag": "system",
            },
        },
    }


def test_dataset_info_names_the_file_that_is_written() -> None:
    assert json.loads(dataset_info({"hard": SFT()}))["rsr_hard"]["file_name"] == "hard.jsonl"


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


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ({"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "B"}]}, None),
        (
            {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": " \n"}]},
            "an answer is empty",
        ),
        ({"messages": [{"role": "user", "content": "?"}], "responses": ["B", ""]}, "an answer is empty"),
        ({"chosen": {"from": "gpt", "value": "B"}, "rejected": {"from": "gpt", "value": "A"}}, None),
        ({"chosen": {"from": "gpt", "value": "B"}, "rejected": {"from": "gpt", "value": " "}}, "an answer is empty"),
        (
            {"chosen": {"from": "gpt", "value": "B"}, "rejected": {"from": "gpt", "value": "B"}},
            "chosen and rejected are equal",
        ),
    ],
)
def test_what_no_trainer_should_be_given_is_found(made: dict[str, Any], problem: str | None) -> None:
    assert unusable(made) == problem


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


def test_a_tool_call_in_the_prompt_becomes_a_function_call_turn() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
    chat = [
        {"role": "user", "content": "What is up?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "clouds", "tool_call_id": "1"},
    ]
    turns = row(DPO(), scores(1.0, 0.0), prompt(chat))["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "function_call", "observation"]
    assert json.loads(turns[1]["value"]) == {"name": "look", "arguments": {"at": "sky"}}
    messages = row(SFT(), scores(1.0), prompt(chat))["messages"]
    assert [message["role"] for message in messages] == ["user", "function_call", "tool", "assistant"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_threshold_is_a_number(value: float) -> None:
    with pytest.raises(ValueError, match="pass_threshold: must be a number"):
        SFT(pass_threshold=value)
