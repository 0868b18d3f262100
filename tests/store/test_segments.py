"""Several files: sealed as they grow, read as one, and the first committed row of a key wins wherever it is."""

import os
import random
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import CHECK, KEY, OF_A_PROMPT, PLAIN, TINY, fill, found, loaded, manifest, prompt, rows

from rsr.completions import to_rollout
from rsr.store import connections
from rsr.store.rollouts import NewRollout, NewVerdict, RolloutStore, Said
from rsr.types import NO_LIMIT, Completion, Prompt, Reason, Rollout, Verdict

pytestmark = pytest.mark.usefixtures("many")

PASS, FAIL = Verdict(score=1.0), Verdict(score=0.0)
BROKEN = Verdict(reason=Reason.VERIFIER_ERROR, detail="timeout")


def new(number: int, index: int, text: str, verdict: Verdict | None = None) -> NewRollout:
    completion = Completion(text=text, completion_tokens=5)
    said = None if verdict is None else Said(verdict, CHECK, 1)
    return NewRollout(prompt(number), to_rollout(completion, index), completion, said)


def big(number: int) -> list[NewRollout]:
    """Enough to fill a file of the smallest size."""
    noise = "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=120_000))
    return [new(number, 0, noise)]


def test_a_file_that_has_grown_is_sealed_and_a_new_one_begun(tmp_path: Path) -> None:
    fill(tmp_path, range(30), TINY)
    entries = manifest(tmp_path)
    names = sorted(path.name for path in tmp_path.glob("*.sqlite"))
    assert [entry["name"] for entry in entries] == names
    assert len(names) > 3
    for entry in entries:
        status = (tmp_path / entry["name"]).stat()
        assert (entry["bytes"], entry["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        assert entry["sealed"] == (entry["name"] != names[-1]) == (not status.st_mode & stat.S_IWUSR)
    assert sum(entry["rows"] for entry in entries) == 30 * OF_A_PROMPT
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, "manifest.json"]
    assert found(tmp_path, 30, TINY) == (30 * OF_A_PROMPT, [])
    assert found(tmp_path, 30, readonly=True) == (30 * OF_A_PROMPT, [])


def test_sealed_files_are_never_written_again(tmp_path: Path) -> None:
    fill(tmp_path, range(20), TINY)
    sealed = {path: path.read_bytes() for path in tmp_path.glob("*.sqlite") if not path.stat().st_mode & stat.S_IWUSR}
    assert sealed
    fill(tmp_path, range(25), TINY)
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    store.add_verdicts([NewVerdict(new.prompt, new.rollout, Said(FAIL, 99, 1)) for new in rows(0)])
    store.close()
    assert {path: path.read_bytes() for path in sealed} == sealed


def test_a_row_that_an_older_file_has_is_not_stored_again(tmp_path: Path) -> None:
    fill(tmp_path, range(20), TINY)
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    before = store.totals()
    other = [new(number, index, "something else", FAIL) for number in range(20) for index in range(OF_A_PROMPT)]
    store.add(other)
    assert store.totals() == before
    store.close()
    assert found(tmp_path, 20, TINY) == (20 * OF_A_PROMPT, [])


def test_the_first_row_wins_though_a_file_that_was_away_comes_back(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    store.add([new(0, 0, "first", PASS), *big(1)])
    store.close()
    (tmp_path / "0001.sqlite").rename(tmp_path / "aside")
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    store.add([new(0, 0, "second", FAIL), new(0, 1, "third", FAIL)])
    store.close()
    (tmp_path / "aside").rename(tmp_path / "0001.sqlite")
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    ((one, two),) = store.load([prompt(0)], [CHECK], NO_LIMIT)
    assert [said.text for said in store.completions(prompt(0), [one, two])] == ["first", "third"]
    assert [one.verdict, two.verdict] == [PASS, FAIL]
    assert [[rollout.index for rollout in all] for all in store.load_all([prompt(0)], [CHECK])] == [[0, 1]]
    store.close()


@pytest.mark.parametrize("first", [None, BROKEN, PASS])
@pytest.mark.parametrize("second", [BROKEN, FAIL])
@pytest.mark.parametrize("third", [None, BROKEN, PASS])
def test_verdicts_on_a_rollout_of_a_sealed_file(
    first: Verdict | None, second: Verdict, third: Verdict | None, tmp_path: Path
) -> None:
    """A final one stays; an error is replaced by what comes later, whichever files they are in."""
    row = new(0, 0, "text", first)
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    expected = first
    store.add([row])
    for number, verdict in enumerate((second, third), start=1):
        store.add(big(number))
        if verdict is not None:
            store.add_verdicts([NewVerdict(row.prompt, row.rollout, Said(verdict, CHECK, 1))])
            expected = expected if expected is not None and expected.final else verdict
    assert store.load([prompt(0)], [CHECK], NO_LIMIT)[0][0].verdict == expected
    store.close()
    assert len(list(tmp_path.glob("*.sqlite"))) == 3
    store = RolloutStore(tmp_path, KEY, readonly=True)
    assert store.load([prompt(0)], [CHECK], NO_LIMIT)[0][0].verdict == expected
    store.close()


def test_a_verdict_never_counts_for_another_answer(tmp_path: Path) -> None:
    row = new(0, 0, "right")
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    store.add([row, *big(1)])
    store.add_verdicts([NewVerdict(row.prompt, row.rollout, Said(PASS, CHECK, 1))])
    store.close()
    (tmp_path / "0001.sqlite").unlink()
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    store.add([new(0, 0, "wrong")])
    assert store.load([prompt(0)], [CHECK], NO_LIMIT)[0][0].verdict is None
    store.close()


def test_a_verifier_keeps_its_number_in_every_file(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    numbers = [store.verifier_id(name, {}, "1") for name in ("exact", "judge")]
    store.add(big(0))
    assert store.verifier_id("third", {}, "1") not in numbers
    store.close()
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    assert [store.verifier_id(name, {}, "1") for name in ("exact", "judge")] == numbers
    store.close()


def test_totals_and_counters_are_over_all_files_and_starts(tmp_path: Path) -> None:
    for start in range(3):
        store = RolloutStore(tmp_path, KEY, settings=TINY)
        store.count(requests=2, seconds=0.5)
        for number in range(start * 10, start * 10 + 10):
            store.add(rows(number))
        store.count(requests=1)
        store.close()
    other = RolloutStore(tmp_path, b"another-key-0000", settings=TINY)
    other.add([new(0, 0, "theirs")])
    assert other.totals()[:2] == (0, 5)
    assert other.counters().get("requests") is None
    other.close()
    for readonly in (True, False):
        store = RolloutStore(tmp_path, KEY, readonly, settings=TINY)
        assert store.totals()[:2] == (OF_A_PROMPT * sum(range(30)), 30 * sum(range(OF_A_PROMPT)))
        counters = store.counters()
        assert (counters["requests"], counters["seconds"]) == (9, 1.5)
        store.close()


def test_someone_who_reads_does_not_keep_a_run_from_going_on(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    store.add([new(0, 0, "first")])
    reader = connections.to_read(tmp_path / "0001.sqlite")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM rollouts").fetchone() == (1,)
    store._live.db.execute("PRAGMA busy_timeout = 10")
    store.add(big(1))
    store.add([new(2, 0, "last")])
    assert reader.execute("SELECT count(*) FROM rollouts").fetchone() == (1,)
    assert [len(all) for all in loaded(store, 3)] == [1, 1, 1]
    reader.close()
    store.close()
    assert [entry["sealed"] for entry in manifest(tmp_path)] == [True, False]
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    assert store.problems == []
    assert [len(all) for all in loaded(store, 3)] == [1, 1, 1]
    store.close()


def test_an_old_folder_without_a_manifest_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    (tmp_path / "manifest.json").unlink()
    assert found(tmp_path, 5, readonly=True) == (20, [])
    fill(tmp_path, range(10), TINY)
    assert found(tmp_path, 10, TINY) == (40, [])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"segments": 3}'])
def test_a_manifest_that_can_not_be_read_is_made_again(content: str, tmp_path: Path) -> None:
    fill(tmp_path, range(12), TINY)
    before = manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    assert found(tmp_path, 12, TINY) == (48, [])
    assert [entry["name"] for entry in manifest(tmp_path)] == [entry["name"] for entry in before]


def test_a_file_that_was_closed_properly_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, range(12), TINY)

    def refuse(*_: object, **__: object) -> bool:
        raise AssertionError("looked into")

    monkeypatch.setattr("rsr.store.mending.is_sound", refuse)
    assert found(tmp_path, 12, TINY) == (48, [])
    assert found(tmp_path, 12, TINY, readonly=True) == (48, [])
    os.utime(tmp_path / "0001.sqlite")
    with pytest.raises(AssertionError, match="looked into"):
        RolloutStore(tmp_path, KEY, settings=TINY)


def test_names_go_on_in_order_beyond_four_digits(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    store.add(big(0))
    store.close()
    (tmp_path / "0002.sqlite").rename(tmp_path / "9999.sqlite")
    (tmp_path / "manifest.json").unlink()
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    store.add([*big(1), new(9, 0, "first")])
    store.add([new(9, 0, "second")])
    store.close()
    names = [path.name for path in tmp_path.glob("*.sqlite")]
    assert sorted(names) == ["0001.sqlite", "10000.sqlite", "9999.sqlite"]
    store = RolloutStore(tmp_path, KEY, readonly=True)
    assert store._live.path.name == "10000.sqlite"
    assert [len(all) for all in loaded(store, 10)] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    store.close()


def test_prompts_of_more_files_than_the_table_tells_apart_are_all_found(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    for number in range(12):
        store.add([*big(number), new(number + 100, 0, "small")])
    assert len(store._segments) > 10
    assert [len(all) for all in loaded(store, 112)] == [1] * 12 + [0] * 88 + [1] * 12
    store.add([new(50, 0, "later")])
    assert len(loaded(store, 112)[50]) == 1
    store.close()


def test_a_prompt_is_of_one_type(tmp_path: Path) -> None:
    """`load` takes prompts, `load_keys` their keys; both see the same."""
    fill(tmp_path, range(3))
    store = RolloutStore(tmp_path, KEY, settings=PLAIN)
    prompts: list[Prompt] = [prompt(number) for number in range(3)]
    by_key = store.load_keys([one.key for one in prompts], [CHECK] * 3, NO_LIMIT)
    assert by_key == store.load(prompts, [CHECK] * 3, NO_LIMIT)
    store.close()


# Whatever is done in whatever order


indices = st.integers(0, 3)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(indices, indices, st.integers(0, 3)), min_size=1, max_size=4)),
        st.tuples(st.just("fat"), st.lists(st.tuples(indices, indices, st.integers(4, 6)), min_size=1, max_size=1)),
        st.tuples(st.just("judge"), st.lists(st.tuples(indices, indices, st.integers(0, 2)), min_size=1, max_size=3)),
        st.tuples(st.just("reopen"), st.just([])),
        st.tuples(st.just("kill"), st.just([])),
    ),
    max_size=12,
)
VERDICTS = [PASS, FAIL, BROKEN]
FAT = ["".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=90_000)) for number in range(3)]


def said_text(number: int) -> str:
    return FAT[number - 4] if number > 3 else f"text {number}"


@settings(max_examples=25, deadline=None)
@given(actions)
def test_what_was_committed_first_is_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, list[tuple[int, int, int]]]]
) -> None:
    folder = tmp_path_factory.mktemp("store") / "0"
    store = RolloutStore(folder, KEY, settings=TINY)
    texts: dict[tuple[int, int], str] = {}
    verdicts: dict[tuple[int, int], Verdict] = {}
    for generation, (action, places) in enumerate(actions, start=1):
        if action in ("add", "fat"):
            store.add([new(number, index, said_text(text)) for number, index, text in places])
            for number, index, text in places:
                texts.setdefault((number, index), said_text(text))
        elif action == "judge":
            known = [(at, VERDICTS[which]) for *at, which in places if tuple(at) in texts]
            for (number, index), verdict in known:
                row = new(number, index, texts[number, index])
                store.add_verdicts([NewVerdict(row.prompt, row.rollout, Said(verdict, CHECK, 1))])
                before = verdicts.get((number, index))
                if before is None or not before.final:
                    verdicts[number, index] = verdict
        else:
            if action == "kill":
                other = folder.with_name(str(generation))
                shutil.copytree(folder, other)
                store.close()
                folder = other
            else:
                store.close()
            store = RolloutStore(folder, KEY, settings=TINY)
            assert store.problems == []
    for number, rollouts in enumerate(loaded(store, 4)):
        completions = store.completions(prompt(number), rollouts)
        assert {(number, rollout.index): said.text for rollout, said in zip(rollouts, completions, strict=True)} == {
            at: text for at, text in texts.items() if at[0] == number
        }
        assert {(number, rollout.index): rollout.verdict for rollout in rollouts} == {
            at: verdicts.get(at) for at in texts if at[0] == number
        }
    assert store.counters().get("rollouts", 0) == len(texts)
    store.close()


def test_many_prompts_are_filled_at_once(tmp_path: Path) -> None:
    fill(tmp_path, range(30), TINY)
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    all = loaded(store, 30)
    wanted: list[tuple[bytes, list[Rollout]]] = [
        (prompt(number).key, rollouts[number % 3 :]) for number, rollouts in enumerate(all)
    ]
    store.fill_all(wanted)
    for number, rollouts in enumerate(all):
        for index, rollout in enumerate(rollouts):
            text = rows(number)[index].completion.text
            assert rollout.response == (text.strip() if index >= number % 3 else "")
    store.close()
