"""The store of rollouts: what is committed comes back as it was, once, and under the right verdicts and limit."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsr.completions import to_rollout
from rsr.errors import StoreError
from rsr.store.rollouts import NewRollout, NewVerdict, RolloutStore, Said, effective
from rsr.types import NO_LIMIT, Completion, Outcome, Prompt, Reason, Rollout, Verdict

KEY = b"sampling-key-000"
CHECK = 11  # the verdict key of now
PASS, FAIL = Verdict(score=1.0, extracted="B"), Verdict(score=0.0, extracted="A")
BROKEN = Verdict(reason=Reason.VERIFIER_ERROR, detail="judge: timeout")
NO_ANSWER = Verdict(reason=Reason.NO_ANSWER)


def prompt(id: str = "q", order: int = 0) -> Prompt:
    return Prompt(order=order, key=id.encode().ljust(16, b"."), id=id, messages=[{"role": "user", "content": id}])


Q = prompt()


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = RolloutStore(tmp_path, KEY)
    yield opened
    opened.close()


def new(
    index: int,
    completion: Completion,
    verdict: Verdict | None = None,
    *,
    of: Prompt = Q,
    limit: int = NO_LIMIT,
    key: int = CHECK,
) -> NewRollout:
    rollout = to_rollout(completion, index, seed=1000 + index, limit=limit)
    return NewRollout(of, rollout, completion, None if verdict is None else Said(verdict, key, 1))


def text(content: str, **more: Any) -> Completion:
    return Completion(text=content, prompt_tokens=3, completion_tokens=5, **more)


def load(store: RolloutStore, *prompts: Prompt, key: int = CHECK, limit: int = NO_LIMIT) -> list[list[Rollout]]:
    asked = prompts or (Q,)
    return store.load(asked, [key] * len(asked), limit)


def texts(store: RolloutStore, rollouts: Sequence[Rollout], of: Prompt = Q) -> list[str]:
    return [completion.text for completion in store.completions(of, rollouts)]


# What is added is what is loaded


def test_a_rollout_comes_back_with_everything_that_was_known_of_it(store: RolloutStore) -> None:
    completion = Completion(text="B is right.", reasoning="A? No.", prompt_tokens=7, completion_tokens=9)
    store.add([new(0, completion, PASS)])
    ((rollout,),) = load(store)
    assert (rollout.index, rollout.seed, rollout.outcome) == (0, 1000, Outcome.OK)
    assert (rollout.prompt_tokens, rollout.completion_tokens, rollout.finish_reason) == (7, 9, "stop")
    assert rollout.has_reasoning
    assert rollout.verdict == PASS
    assert rollout.response == ""
    assert store.completions(Q, [rollout]) == [completion]
    store.fill(Q, [rollout])
    assert (rollout.response, rollout.reasoning) == ("B is right.", "A? No.")


def test_rollouts_come_in_index_order_each_with_its_prompt(store: RolloutStore) -> None:
    other = prompt("r", 1)
    store.add([new(2, text("q2")), new(0, text("r0"), of=other), new(0, text("q0")), new(1, text("q1"))])
    mine, nothing, others = load(store, Q, prompt("never"), other)
    assert texts(store, mine) == ["q0", "q1", "q2"]
    assert texts(store, others, of=other) == ["r0"]
    assert nothing == []
    assert not store.is_empty()


def test_what_is_committed_is_there_for_another_reader_at_once(store: RolloutStore, tmp_path: Path) -> None:
    store.add([new(0, text("B"), PASS)])
    reader = RolloutStore(tmp_path, KEY, readonly=True)
    ((rollout,),) = load(reader)
    assert rollout.verdict == PASS
    reader.close()


def test_two_ways_of_sampling_never_mix(store: RolloutStore, tmp_path: Path) -> None:
    store.add([new(0, text("mine"))])
    other = RolloutStore(tmp_path, b"another-key-0000")
    assert load(other) == [[]]
    assert other.is_empty()
    other.add([new(0, text("theirs"))])
    assert texts(other, load(other)[0]) == ["theirs"]
    assert texts(store, load(store)[0]) == ["mine"]
    other.close()


AWKWARD = ["", " ", "a\x00b", "\x00", "\ufeff", "\u2028\r\n", "😀", "e\u0301", "(\xb5/\xfd", "x" * 1_000_000, "ab" * 65]


@pytest.mark.parametrize("content", AWKWARD, ids=lambda content: repr(content[:6]))
def test_any_text_survives(content: str, store: RolloutStore) -> None:
    store.add([new(0, Completion(text=content, reasoning=content))])
    store.add([new(1, Completion(text="<think>" + content + "</think>B", reasoning=None))])
    (rollouts,) = load(store)
    first, second = store.completions(Q, rollouts)
    assert (first.text, first.reasoning) == (content, content)
    assert (second.text, second.reasoning) == ("<think>" + content + "</think>B", None)


def test_a_lone_surrogate_costs_itself_and_nothing_else(store: RolloutStore) -> None:
    broken = Completion(text="The answer is \ud800B.", reasoning="\udfff", finish_reason="st\ud800p")
    store.add([new(0, broken, Verdict(score=1.0, extracted="\ud800B", detail="\ud800"))])
    ((rollout,),) = load(store)
    store.fill(Q, [rollout])
    assert (rollout.response, rollout.reasoning) == ("The answer is ?B.", "?")
    assert rollout.verdict == Verdict(score=1.0, extracted="?B", detail="?")


def test_the_answer_key_is_the_one_of_the_text_that_is_stored(store: RolloutStore) -> None:
    store.add([new(0, text("one \ud800")), new(1, text("one \ud801 ")), new(2, text("one ?"))])
    (rollouts,) = load(store)
    assert len({rollout.answer_key for rollout in rollouts}) == 1


completions = st.builds(
    Completion,
    text=st.text(max_size=300),
    reasoning=st.none() | st.text(max_size=50),
    finish_reason=st.sampled_from(["stop", "length", "content_filter", "eos", "tool_calls", ""]),
    prompt_tokens=st.none() | st.integers(0, 10**9),
    completion_tokens=st.none() | st.integers(0, 10**9),
)
verdicts = st.none() | st.builds(
    Verdict,
    score=st.none() | st.floats(-1e6, 1e6).map(lambda value: round(value, 9)),
    extracted=st.none() | st.text(max_size=20),
    detail=st.none() | st.text(max_size=20),
    reason=st.none() | st.sampled_from(Reason),
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 5)), st.tuples(completions, verdicts), max_size=12),
    st.integers(1, 5),
)
def test_what_is_added_is_what_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, stored: dict[tuple[int, int], Any], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("store")
    prompts = [prompt(str(number), number) for number in range(3)]
    rows = [new(at, said, verdict, of=prompts[number]) for (number, at), (said, verdict) in stored.items()]
    store = RolloutStore(folder, KEY)
    for start in range(0, len(rows), batch):
        store.add(rows[start : start + batch])
    store.close()
    store = RolloutStore(folder, KEY)
    for number, rollouts in enumerate(load(store, *prompts)):
        assert [rollout.index for rollout in rollouts] == sorted(at for owner, at in stored if owner == number)
        for rollout, completion in zip(rollouts, store.completions(prompts[number], rollouts), strict=True):
            said, verdict = stored[number, rollout.index]
            assert completion == said
            assert rollout.verdict == verdict
            expected = to_rollout(said, rollout.index, 1000 + rollout.index)
            assert rollout.outcome == expected.outcome
            assert rollout.answer_key == expected.answer_key
            store.fill(prompts[number], [rollout])
            assert rollout.response == expected.response
    store.close()


# The first committed row wins


def test_the_first_committed_rollout_of_an_index_wins(store: RolloutStore) -> None:
    store.add([new(0, text("first"), PASS)])
    store.add([new(0, text("second"), FAIL), new(1, text("next"))])
    rollouts = load(store)[0]
    assert texts(store, rollouts) == ["first", "next"]
    assert rollouts[0].verdict == PASS


def test_the_first_of_two_in_one_transaction_wins(store: RolloutStore) -> None:
    store.add([new(0, text("first")), new(0, text("second"))])
    assert texts(store, load(store)[0]) == ["first"]


def test_of_two_writers_the_first_to_commit_wins(store: RolloutStore, tmp_path: Path) -> None:
    other = RolloutStore(tmp_path, KEY)
    store.add([new(0, text("first"))])
    other.add([new(0, text("second"))])
    other.close()
    assert texts(store, load(store)[0]) == ["first"]


def test_a_call_that_fails_commits_nothing(store: RolloutStore) -> None:
    def rows() -> Any:
        yield new(0, text("B"))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.add(rows())
    assert load(store) == [[]]
    store.add([new(0, text("B"))])
    assert len(load(store)[0]) == 1


def test_a_database_that_can_not_be_written_is_one_line(store: RolloutStore, tmp_path: Path) -> None:
    reader = RolloutStore(tmp_path, KEY, readonly=True)
    with pytest.raises(StoreError, match=r"0001\.sqlite: can't be written"):
        reader.add([new(0, text("B"))])
    reader.close()
    assert load(store) == [[]]


# Verdicts


def test_a_verdict_may_come_after_its_rollout(store: RolloutStore) -> None:
    row = new(0, text("B"))
    store.add([row])
    assert load(store)[0][0].verdict is None
    store.add_verdicts([NewVerdict(Q, row.rollout, Said(PASS, CHECK, 1))])
    assert load(store)[0][0].verdict == PASS


@pytest.mark.parametrize("final", [PASS, FAIL, NO_ANSWER, Verdict(reason=Reason.UNVERIFIABLE)])
@pytest.mark.parametrize("later", [PASS, FAIL, BROKEN, NO_ANSWER])
def test_a_final_verdict_is_never_overwritten(final: Verdict, later: Verdict, store: RolloutStore) -> None:
    row = new(0, text("B"), final)
    store.add([row])
    store.add_verdicts([NewVerdict(Q, row.rollout, Said(later, CHECK, 1))])
    assert load(store)[0][0].verdict == final


@pytest.mark.parametrize("later", [PASS, FAIL, NO_ANSWER, Verdict(reason=Reason.VERIFIER_ERROR, detail="again")])
def test_a_verifier_error_is_replaced(later: Verdict, store: RolloutStore) -> None:
    row = new(0, text("B"), BROKEN)
    store.add([row])
    assert not load(store)[0][0].decided
    store.add_verdicts([NewVerdict(Q, row.rollout, Said(later, CHECK, 2))])
    assert load(store)[0][0].verdict == later


def test_verdicts_of_other_keys_stay_beside(store: RolloutStore) -> None:
    row = new(0, text("B"), PASS)
    store.add([row])
    store.add_verdicts([NewVerdict(Q, row.rollout, Said(FAIL, 12, 2))])
    assert load(store, key=CHECK)[0][0].verdict == PASS
    assert load(store, key=12)[0][0].verdict == FAIL
    assert load(store, key=13)[0][0].verdict is None


def test_each_prompt_is_loaded_under_its_own_verdict_key(store: RolloutStore) -> None:
    other = prompt("r", 1)
    store.add([new(0, text("B"), PASS, key=1), new(0, text("B"), FAIL, of=other, key=2)])
    mine, theirs = store.load([Q, other], [1, 2], NO_LIMIT)
    assert (mine[0].verdict, theirs[0].verdict) == (PASS, FAIL)


def test_a_verifier_has_one_number_for_one_name_parameters_and_version(store: RolloutStore, tmp_path: Path) -> None:
    first = store.verifier_id("judge", {"a": 1, "b": 2}, "1")
    assert store.verifier_id("judge", {"b": 2, "a": 1}, "1") == first
    others = {store.verifier_id(*row) for row in [("j", {}, "1"), ("judge", {}, "1"), ("judge", {"a": 1, "b": 2}, "2")]}
    assert len({first, *others}) == 4
    again = RolloutStore(tmp_path, KEY)
    assert again.verifier_id("judge", {"a": 1, "b": 2}, "1") == first
    again.close()


def test_a_verifiers_secrets_are_not_written(store: RolloutStore, tmp_path: Path) -> None:
    store.verifier_id("judge", {"api_key": "sk-secret", "model": "m"}, "1")
    db = sqlite3.connect(tmp_path / "0001.sqlite")
    ((params,),) = db.execute("SELECT params FROM verifiers").fetchall()
    db.close()
    assert params == '{"api_key": "[redacted]", "model": "m"}'


# Limits


def cut(at: int, limit: int) -> NewRollout:
    return new(at, text(f"cut at {limit}", finish_reason="length"), limit=limit)


def whole(at: int, limit: int, content: str = "whole") -> NewRollout:
    return new(at, text(content), PASS, limit=limit)


def test_an_index_that_a_lower_limit_cut_is_open(store: RolloutStore) -> None:
    store.add([cut(0, 10), whole(1, 10)])
    assert [rollout.index for rollout in load(store, limit=10)[0]] == [0, 1]
    assert [rollout.index for rollout in load(store, limit=20)[0]] == [1]
    assert [rollout.index for rollout in load(store, limit=NO_LIMIT)[0]] == [1]


def test_both_rows_stay_when_a_cut_index_is_drawn_again(store: RolloutStore) -> None:
    store.add([cut(0, 10)])
    store.add([whole(0, 20)])
    assert texts(store, load(store, limit=20)[0]) == ["whole"]
    (everything,) = store.load_all([Q], [CHECK])
    assert texts(store, everything) == ["cut at 10", "whole"]
    assert [rollout.verdict for rollout in everything] == [None, PASS]


def test_a_whole_answer_is_kept_when_the_limit_is_lowered(store: RolloutStore) -> None:
    store.add([cut(0, 10), whole(0, 20), whole(1, 20)])
    assert texts(store, load(store, limit=5)[0]) == ["whole", "whole"]


def test_a_cut_counts_under_a_lowered_limit(store: RolloutStore) -> None:
    store.add([cut(0, 20)])
    assert [rollout.outcome for rollout in load(store, limit=10)[0]] == [Outcome.TRUNCATED]


def rollout(at: int, limit: int, outcome: Outcome) -> Rollout:
    return Rollout(index=at, outcome=outcome, limit=limit)


limited = st.builds(rollout, st.integers(0, 3), st.integers(1, 5), st.sampled_from(Outcome))


@given(st.lists(limited, max_size=10, unique_by=lambda row: (row.index, row.limit)), st.integers(1, 6))
def test_of_each_index_the_first_row_counts_that_no_limit_cut(rows: list[Rollout], limit: int) -> None:
    rows.sort(key=lambda row: (row.index, row.limit))
    counting = {row.index: row for row in effective(rows, limit)}
    assert len(counting) == len(effective(rows, limit))
    for at in range(4):
        mine = [row for row in rows if row.index == at]
        ended = [row for row in mine if row.outcome is not Outcome.TRUNCATED]
        cuts = [row for row in mine if row.limit >= limit]
        expected = ended[0] if ended else cuts[-1] if cuts else None
        assert counting.get(at) is expected


def test_minus_1_gives_every_row() -> None:
    rows = [rollout(0, 1, Outcome.TRUNCATED), rollout(0, 2, Outcome.OK)]
    assert effective(rows, -1) == rows


# Reading only


def test_reading_a_folder_without_rollouts_finds_none_and_writes_nothing(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path / "rollouts", KEY, readonly=True)
    assert load(store) == [[]]
    assert store.is_empty()
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_one_line_and_is_kept_beside(tmp_path: Path) -> None:
    content = "not a database, but long enough to be looked at\n" * 100
    (tmp_path / "0001.sqlite").write_text(content)
    store = RolloutStore(tmp_path, KEY)
    (problem,) = store.problems
    assert problem.startswith("rollouts/0001.sqlite was damaged: nothing in it can be read")
    assert (tmp_path / "0001.sqlite.damaged").read_text() == content
    assert load(store) == [[]]
    store.close()


def test_a_file_that_can_not_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "0001.sqlite").mkdir()
    with pytest.raises(StoreError, match=r"0001\.sqlite: can't be opened"):
        RolloutStore(tmp_path, KEY)


def test_thousands_of_prompts_are_loaded_at_once(store: RolloutStore) -> None:
    prompts = [prompt(str(number), number) for number in range(1500)]
    store.add([new(0, text("B"), PASS, of=one) for one in prompts])
    assert [len(rollouts) for rollouts in load(store, *prompts)] == [1] * 1500
