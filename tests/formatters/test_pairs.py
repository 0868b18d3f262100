"""Pairs: the strategies by example, what is passed over and listed, and the length bias in the summary."""

import json
from pathlib import Path
from typing import Any

import pytest
from judged import rollout

from commands import question, read_rows, write_rows
from rsr.formatters.dpo import DPO
from rsr.formatters.kto import KTO
from rsr.formatters.sft import SFT
from rsr.types import Formatter, Prompt, Rollout

LONG = "First we count the hens, then the eggs, and at last we multiply all hens by all eggs: "


def asked(key: bytes = b"k" * 16) -> Prompt:
    return Prompt(order=0, key=key, id="q", messages=[{"role": "user", "content": "Which?"}])


def indices(formatter: Formatter, rollouts: list[Rollout], key: bytes = b"k" * 16) -> list[tuple[int, ...]]:
    return [row.indices for row in formatter.rows(asked(key), rollouts)]


MIXED = [
    rollout(0, 1.0, "ten " * 10, extracted="10"),
    rollout(1, 0.1, "nine " * 3, extracted="9"),
    rollout(2, 0.8, "ten!", extracted="10"),
    rollout(3, 0.0, "eleven " * 9, extracted="11"),
    rollout(4, 0.2, "it is eleven", extracted="11"),
    rollout(5, 0.9, "ten, of course", extracted="10"),
]
SOFT: dict[str, Any] = {"pass_threshold": 0.8, "fail_threshold": 0.2}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [(0, 3)]),
        ({"strategy": "nearest_length"}, [(5, 1)]),
        ({"strategy": "hard_negative"}, [(0, 3)]),
        ({"strategy": "margin"}, [(2, 4)]),
        ({"strategy": "margin", "min_margin": 0.7}, [(5, 4)]),
        ({"strategy": "shortest_vs_longest_correct"}, [(2, 0)]),
        ({"pairs_per_prompt": 3}, [(0, 3), (5, 1), (2, 4)]),
        ({"pairs_per_prompt": 9}, [(0, 3), (5, 1), (2, 4)]),
        ({"pairs_per_prompt": 3, "reuse": True}, [(0, 3), (0, 1), (0, 4)]),
    ],
)
def test_a_strategy_says_which_pairs_come_first(params: dict[str, Any], expected: list[tuple[int, int]]) -> None:
    assert indices(DPO(**SOFT, **params), MIXED) == expected


def test_the_most_common_wrong_answer_is_the_hard_negative_and_no_answer_the_last() -> None:
    fails = [rollout(1, 0.0, "x"), rollout(2, 0.0, "z"), rollout(3, 0.0, "y", extracted="9")]
    assert indices(DPO(strategy="hard_negative"), [rollout(0, 1.0, "ten", extracted="10"), *fails]) == [(0, 3)]


def test_random_pairs_follow_from_seed_and_prompt_and_from_nothing_else() -> None:
    many = [rollout(at, float(at % 2), f"text {at}") for at in range(12)]
    drawn = {
        (seed, key): indices(DPO(strategy="random", seed=seed), many, bytes([key]) * 16)
        for seed in range(3)
        for key in range(20)
    }
    assert len({str(pair) for pair in drawn.values()}) > 15
    assert drawn == {
        (seed, key): indices(DPO(strategy="random", seed=seed), many, bytes([key]) * 16) for seed, key in drawn
    }


def test_a_partner_is_exchanged_where_that_makes_another_pair() -> None:
    # 0 and 2 have one text, so 0 must leave 1 to 3: taking the best pair first would leave 2 and 3 without partners
    rollouts = [rollout(0, 1.0, "a"), rollout(1, 0.0, "b"), rollout(2, 0.1, "c"), rollout(3, 0.9, "b")]
    formatter = DPO(**SOFT, pairs_per_prompt=2)
    assert formatter.needs(rollouts) == 0
    assert sorted(indices(formatter, rollouts)) == [(0, 1), (3, 2)]


def test_near_identical_pairs_are_passed_over_for_another() -> None:
    rollouts = [rollout(0, 1.0, LONG + "18."), rollout(1, 0.0, LONG + "19."), rollout(2, 0.0, "I don't know.")]
    assert indices(DPO(), rollouts) == [(0, 1)]
    formatter = DPO(max_similarity=0.9)
    assert indices(formatter, rollouts) == [(0, 2)]
    assert indices(formatter, rollouts[:2]) == []
    assert (formatter.missing(rollouts[:2]), formatter.needs(rollouts[:2])) == ("near_identical", 0)


def test_texts_are_asked_for_step_by_step() -> None:
    texts = {0: LONG + "18.", 1: LONG + "19.", 2: "I don't know.", 3: "No idea."}
    rollouts = [rollout(at, float(at == 0), text) for at, text in texts.items()]
    for one in rollouts:
        one.forget_text()
    formatter, asked_for = DPO(max_similarity=0.9), []
    while more := [one for one in formatter.reads(rollouts) if not one.response]:
        asked_for.append([one.index for one in more])
        for one in more:
            one.response = texts[one.index]
    assert asked_for == [[0, 1], [2]]
    assert indices(formatter, rollouts) == [(0, 2)]


def test_pairs_of_correct_responses_need_two_lengths() -> None:
    formatter = DPO(strategy="shortest_vs_longest_correct")
    same = [rollout(0, 1.0, "ab"), rollout(1, 1.0, "cd")]
    assert (indices(formatter, same), formatter.missing(same)) == ([], "no_difference")
    assert (formatter.missing(same[:1]), formatter.missing([])) == ("one_pass", "no_pass")


def test_sft_selects_by_length_of_what_is_written() -> None:
    rollouts = [rollout(0, 1.0, "abc"), rollout(1, 1.0, "ab", reasoning="a long thought"), rollout(2, 1.0, "abcd")]
    assert indices(SFT(select="shortest"), rollouts) == [(0,)]
    assert indices(SFT(select="shortest", reasoning="drop"), rollouts) == [(1,)]
    assert indices(SFT(select="longest", per_prompt=2), rollouts) == [(1,), (2,)]


def test_kto_balances_a_prompt_and_leaves_out_what_was_judged_both_ways() -> None:
    rollouts = [rollout(0, 1.0, "a"), rollout(1, 1.0, "b"), rollout(2, 0.0, "c"), rollout(3, 0.0, "a")]
    assert indices(KTO(), rollouts) == [(0,), (1,), (2,), (3,)]
    assert indices(KTO(balance=True), rollouts[:3]) == [(0,), (2,)]
    assert indices(KTO(unique=True), rollouts) == [(1,), (2,)]
    assert KTO(unique=True).missing([rollouts[0], rollouts[3]]) == "no_difference"
    assert KTO(balance=True).missing(rollouts[:2]) == "no_fail"
    assert KTO().missing([rollout(0, None, "a")]) == "no_score"


REPLIES = [f"{LONG} The answer is B.", f"{LONG} The answer is A.", "Hm, the answer is A."]


def test_a_run_lists_what_it_passed_over_and_tells_the_length_bias(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a"), question("b")])
    replies = json.dumps({"a": REPLIES, "b": REPLIES[:2]})
    ended = command(
        "run", "dpo", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted", "guards=null",
        f"sampler.replies={replies}", "sampling.max_rollouts=3", "sampling.early_stop=false",
        "formatter=[{type: dpo, max_similarity: 0.8}]",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "chosen 103 characters, rejected 20, chosen longer in 100% of the pairs" in ended.out
    dropped = {"id": "b", "file": "dpo.jsonl", "reason": "near_identical"}
    assert read_rows(folder / "run/summary/dropped.jsonl") == [dropped]
    stats = json.loads((folder / "run/summary/stats.json").read_text())
    lengths = {"chosen_mean": 103.0, "rejected_mean": 20.0, "chosen_longer": 1.0, "chosen_shorter": 0.0}
    assert stats["files"]["dpo"]["length_bias"] == lengths


def test_exploded_rows_are_a_file_of_their_own_and_registered(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    ended = command(
        "run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted",
        'sampler.replies=["The answer is B.", "B it is: the answer is B."]',
        "formatter=[{type: multi_sft, num_responses: 2, explode: true, name: many, file_format: parquet}]",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in (folder / "run/train").iterdir()) == [
        "dataset_info.json", "many.jsonl", "many_exploded.parquet"
    ]  # fmt: skip
    info = json.loads((folder / "run/train/dataset_info.json").read_text())
    assert [(name, entry["file_name"]) for name, entry in info.items()] == [
        ("rsr_many_exploded", "many_exploded.parquet")
    ]
    import rsr

    opened = rsr.open(folder / "run")
    assert [row["messages"][-1]["content"] for row in opened.rows("many_exploded")] == next(opened.rows("many"))[
        "responses"
    ]


def test_parquet_has_the_same_bytes_whatever_the_schedule(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question(f"q{at}") for at in range(60)])
    for name, requests in (("one", 1), ("many", 64)):
        ended = command(
            "run", "sft", "data.input_path=in.jsonl", f"work_dir={name}", "sampler.type=simulated", "guards=null",
            f"sampler.concurrent_requests={requests}", "sampler.median_tokens=20",
            "formatter=[{type: sft, layout: verl}, {type: dpo, file_format: parquet, strategy: random}, "
            "{type: rl_prompts, n: 3}]",
        )  # fmt: skip
        assert ended.code == 0, ended.err
    for path in (folder / "one/train").iterdir():
        assert path.read_bytes() == (folder / "many/train" / path.name).read_bytes()
