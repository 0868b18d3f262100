"""What a formatter needs is the least that could satisfy it, by example and by trying; together they need the most."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged import rollout, row, rows, scores

from recompute import satisfied
from rsr.formatters import FORMATTERS
from rsr.formatters.dpo import DPO
from rsr.formatters.multi_sft import MultiSFT
from rsr.formatters.sft import SFT
from rsr.schedule import combined_needs
from rsr.types import Formatter, Rollout

# By example


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


# By trying

SOFT = {"pass_threshold": 0.75, "fail_threshold": 0.25}

ENTRIES: list[dict[str, Any]] = [
    {"type": "sft"},
    {"type": "sft", "best_of": 3},
    {"type": "sft", "per_prompt": 3, "select": "random"},
    {"type": "dpo"},
    {"type": "dpo", "reasoning": "drop", **SOFT},
    {"type": "dpo", "min_margin": 0.6, "strategy": "margin", **SOFT},
    {"type": "dpo", "pairs_per_prompt": 2, **SOFT},
    {"type": "dpo", "pairs_per_prompt": 2, "reasoning": "drop", **SOFT},
    {"type": "dpo", "pairs_per_prompt": 3, "reuse": True, "reasoning": "drop", **SOFT},
    {"type": "dpo", "pairs_per_prompt": 2, "reuse": True, **SOFT},
    {"type": "dpo", "strategy": "shortest_vs_longest_correct"},
    {"type": "dpo", "strategy": "shortest_vs_longest_correct", "pairs_per_prompt": 2},
    {"type": "dpo", "strategy": "shortest_vs_longest_correct", "pairs_per_prompt": 3, "reuse": True},
    {"type": "reward_pairs", "pairs_per_prompt": 2, "min_margin": 0.7, **SOFT},
    {"type": "multi_sft", "num_responses": 3},
    {"type": "multi_sft", "num_responses": 3, "unique_by": "normalized"},
    {"type": "multi_sft", "num_responses": 2, "unique_by": "answer"},
    {"type": "kto"},
    {"type": "kto", "min_passes": 2, "min_fails": 1, "balance": True, **SOFT},
    {"type": "kto", "min_passes": 0, "min_fails": 2},
    {"type": "kto", "min_passes": 2, "unique": True, **SOFT},
    {"type": "rl_prompts", "n": 4},
]

MOST = 4  # further ones are tried

drawn = st.lists(
    st.tuples(
        st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0]),
        st.sampled_from(["A", "a.", "B", "C", "D"]),
        st.sampled_from([None, "1", "2"]),
        st.sampled_from(["", "So."]),
    ),
    max_size=7,
)


def exported(index: int, score: float | None, text: str, extracted: str | None, reasoning: str) -> dict[str, Any]:
    reason = "no_answer" if score is None else None
    row = {"index": index, "outcome": "ok", "score": score, "text": text, "extracted": extracted}
    return {**row, "reasoning": reasoning, "reason": reason}


def stored(row: dict[str, Any]) -> Rollout:
    return rollout(row["index"], row["score"], row["text"], row["reasoning"], row["extracted"])


def least(entry: dict[str, Any], valid: list[dict[str, Any]]) -> int:
    """The least number of further rollouts, all different and of any score, that satisfies; by trying."""
    for count in range(MOST):
        for kinds in itertools.combinations_with_replacement(itertools.product((9.0, -9.0), ("", "So.")), count):
            new = [
                exported(len(valid) + at, score, f"new {at}", f"new {at}", reasoning)
                for at, (score, reasoning) in enumerate(kinds)
            ]
            if satisfied(entry, [*valid, *new]):
                return count
    return MOST


def built(entry: dict[str, Any]) -> Formatter:
    formatter: Formatter = FORMATTERS.build(entry["type"], {key: entry[key] for key in entry if key != "type"})
    return formatter


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
@settings(max_examples=60, deadline=None)
@given(drawn=drawn)
def test_needs_is_the_least_number_that_could_satisfy(entry: dict[str, Any], drawn: Any) -> None:
    valid = [exported(index, *what) for index, what in enumerate(drawn)]
    needs = built(entry).needs([stored(row) for row in valid])
    assert min(needs, MOST) == least(entry, valid)


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
@settings(max_examples=60, deadline=None)
@given(drawn=drawn)
def test_needs_falls_by_one_at_most_and_never_rises(entry: dict[str, Any], drawn: Any) -> None:
    formatter = built(entry)
    rollouts = [stored(exported(index, *what)) for index, what in enumerate(drawn)]
    needs = [formatter.needs(rollouts[:count]) for count in range(len(rollouts) + 1)]
    assert all(0 <= before - after <= 1 for before, after in itertools.pairwise(needs))


@settings(max_examples=100, deadline=None)
@given(drawn=drawn, some=st.lists(st.sampled_from(range(len(ENTRIES))), min_size=1, max_size=4, unique=True))
def test_together_they_are_satisfied_exactly_when_all_are(drawn: Any, some: list[int]) -> None:
    valid = [exported(index, *what) for index, what in enumerate(drawn)]
    needs = combined_needs([built(ENTRIES[at]) for at in some])
    for count in range(len(valid) + 1):
        rollouts = [stored(row) for row in valid[:count]]
        assert (needs(rollouts) == 0) is all(satisfied(ENTRIES[at], valid[:count]) for at in some)


def test_near_duplicates_are_told_in_index_order() -> None:
    pytest.importorskip("rensa")
    base = "The train leaves at nine and needs two hours, so it arrives at eleven in the morning."
    texts = [base, base.replace("nine", "nine o'clock"), "Eleven, since nine and two make eleven.", base + " Yes!"]
    valid = [exported(index, 1.0, text, None, "") for index, text in enumerate(texts)]
    entry = {"type": "multi_sft", "num_responses": 4, "unique_by": "near", "max_similarity": 0.6}
    formatter = built(entry)
    needs = [formatter.needs([stored(row) for row in valid[:count]]) for count in range(5)]
    assert needs == [4, 3, 3, 2, 2]
    strict = built({**entry, "max_similarity": 0.99})
    assert strict.needs([stored(row) for row in valid]) == 0
