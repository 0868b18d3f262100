"""Damaged files: found at opening, said in a line, and everything readable is kept, exactly as it was."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import CHECK, KEY, OF_A_PROMPT, PLAIN, TINY, fill, found, loaded, prompt, rows

from rsr.errors import StoreDamaged
from rsr.sections import StoreConfig
from rsr.store.rollouts import NewVerdict, RolloutStore, Said
from rsr.types import NO_LIMIT, Verdict

PROMPTS = 40
TOTAL = PROMPTS * OF_A_PROMPT
PAGE = 4096


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with one file, and one with many."""
    folders = {"one": tmp_path_factory.mktemp("one"), "many": tmp_path_factory.mktemp("many")}
    fill(folders["one"], range(PROMPTS), PLAIN)
    fill(folders["many"], range(PROMPTS), TINY)
    return folders


def settings_of(kind: str) -> StoreConfig:
    return PLAIN if kind == "one" else TINY


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("0*.sqlite"))


def change(path: Path, how: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    how(data)
    path.chmod(0o644)
    path.write_bytes(data)


def check(folder: Path, settings: StoreConfig) -> tuple[int, list[str]]:
    """Opened for reading nothing changes; opened for writing it is mended, once, and can be filled up again."""
    before = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    seen, said = found(folder, PROMPTS, settings, readonly=True)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    assert {name: data for name, data in after.items() if data} == {name: data for name, data in before.items() if data}
    kept, problems = found(folder, PROMPTS, settings)
    assert seen == kept
    assert bool(said) == bool(problems)
    assert found(folder, PROMPTS, settings) == (kept, [])
    fill(folder, range(PROMPTS), settings)
    assert found(folder, PROMPTS, settings) == (TOTAL, [])
    return kept, problems


DAMAGES: dict[str, Callable[[random.Random, bytearray], None]] = {}


def damage(function: Callable[[random.Random, bytearray], None]) -> Callable[[random.Random, bytearray], None]:
    DAMAGES[function.__name__] = function
    return function


@damage
def a_byte(chance: random.Random, data: bytearray) -> None:
    data[chance.randrange(len(data))] ^= chance.randrange(1, 256)


@damage
def fifty_bytes(chance: random.Random, data: bytearray) -> None:
    for _ in range(50):
        a_byte(chance, data)


@damage
def a_stretch(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    part = data[at : at + 500]
    data[at : at + 500] = chance.randbytes(len(part))


@damage
def a_page_of_noise(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data) // PAGE) * PAGE
    data[at : at + PAGE] = chance.randbytes(PAGE)


@damage
def a_page_of_zeros(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data) // PAGE) * PAGE
    data[at : at + PAGE] = bytes(PAGE)


@damage
def a_cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


@damage
def a_cut_in_the_header(chance: random.Random, data: bytearray) -> None:
    del data[chance.choice([0, 1, 16, 99, 100, 511, 512, 4095, 4096]) :]


@damage
def the_header(chance: random.Random, data: bytearray) -> None:
    data[:100] = chance.randbytes(100)


@damage
def the_first_page(chance: random.Random, data: bytearray) -> None:
    data[:PAGE] = chance.randbytes(PAGE)


@damage
def pages_that_change_places(chance: random.Random, data: bytearray) -> None:
    one, two = (chance.randrange(len(data) // PAGE) * PAGE for _ in range(2))
    data[one : one + PAGE], data[two : two + PAGE] = data[two : two + PAGE], data[one : one + PAGE]


def damaged(folder: Path, name: str, kind: str, seed: int, whole: dict[str, Path]) -> tuple[Path, bool]:
    chance = random.Random(f"{name}-{kind}-{seed}")
    shutil.copytree(whole[kind], folder)
    target = chance.choice(segments(folder))
    before = target.read_bytes()
    change(target, lambda data: DAMAGES[name](chance, data))
    return target, target.read_bytes() != before


@pytest.mark.parametrize("kind", ["one", "many"])
@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_readable_is_kept_and_the_rest_is_said(
    name: str, kind: str, whole: dict[str, Path], tmp_path: Path
) -> None:
    target, _ = damaged(tmp_path / "x", name, kind, 0, whole)
    kept, problems = check(tmp_path / "x", settings_of(kind))
    if problems:
        assert len(problems) == 1
        assert problems[0].startswith(f"rollouts/{target.name} was damaged: ")
        assert problems[0].endswith(f"the damaged file is kept as rollouts/{target.name}.damaged")
        assert target.with_name(target.name + ".damaged").exists()
    else:
        assert kept == TOTAL


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["one", "many"])
@pytest.mark.parametrize("name", DAMAGES)
def test_in_many_places(name: str, kind: str, whole: dict[str, Path], tmp_path: Path) -> None:
    for seed in range(1, 16):
        damaged(tmp_path / str(seed), name, kind, seed, whole)
        kept, problems = check(tmp_path / str(seed), settings_of(kind))
        assert problems or kept == TOTAL


def test_one_byte_costs_a_rollout_or_two_and_one_page_what_was_in_it(whole: dict[str, Path], tmp_path: Path) -> None:
    for name, most in (("a_byte", 3), ("a_page_of_noise", 100), ("the_header", 0)):
        damaged(tmp_path / name, name, "one", 3, whole)
        kept, _ = check(tmp_path / name, PLAIN)
        assert TOTAL - kept <= most, name


def test_a_missing_file_is_known_and_the_rest_is_used(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(whole["many"], folder)
    lost, *_ = segments(folder)
    lost.rename(tmp_path / "aside")
    kept, said = found(folder, PROMPTS, TINY, readonly=True)
    assert said == [f"rollouts/0001.sqlite is missing: {TOTAL - kept} rollouts are gone"]
    again, problems = found(folder, PROMPTS, TINY)
    assert again == kept
    gone = f"{TOTAL - kept} rollouts are gone and are sampled again; put the file back to have them"
    assert problems == [f"rollouts/0001.sqlite is missing: {gone}"]
    assert found(folder, PROMPTS, TINY) == (kept, [])  # said once
    (tmp_path / "aside").rename(lost)
    assert found(folder, PROMPTS, TINY) == (TOTAL, [])


def test_the_only_file_is_missing(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(whole["one"], folder)
    (folder / "0001.sqlite").rename(tmp_path / "aside")
    kept, problems = found(folder, PROMPTS)
    assert kept == 0
    assert "0001.sqlite is missing: 160 rollouts are gone" in problems[0]
    (tmp_path / "aside").rename(folder / "0001.sqlite")
    assert found(folder, PROMPTS) == (TOTAL, [])


def test_damage_that_is_met_while_reading_is_one_line_and_is_mended_by_the_same_command(
    whole: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "x"
    shutil.copytree(whole["one"], folder)
    store = RolloutStore(folder, KEY, settings=PLAIN)
    ((first, *_), *_) = loaded(store, PROMPTS)
    db = sqlite3.connect(folder / "0001.sqlite")
    db.execute(
        "UPDATE texts SET content = CAST(substr(content, 1, length(content) - 3) || x'000000' AS BLOB) WHERE text = 1"
    )
    db.commit()
    db.close()
    with pytest.raises(StoreDamaged, match=r"0001\.sqlite: is damaged; run the same command again"):
        store.completions(prompt(0), [first])
    store.close()
    kept, problems = found(folder, PROMPTS)
    assert kept == TOTAL - 1
    assert "159 of about 160 rollouts are kept" in problems[0]


def test_a_text_that_is_gone_is_damage(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(whole["one"], folder)
    store = RolloutStore(folder, KEY, settings=PLAIN)
    ((first, *_), *_) = loaded(store, PROMPTS)
    db = sqlite3.connect(folder / "0001.sqlite")
    db.execute("DELETE FROM texts WHERE text = 1")
    db.commit()
    db.close()
    with pytest.raises(StoreDamaged, match="1 texts are missing"):
        store.completions(prompt(0), [first])
    store.close()
    assert found(folder, PROMPTS)[0] == TOTAL - 1


def test_a_verdict_that_changed_by_itself_is_never_used(whole: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    shutil.copytree(whole["one"], folder)
    db = sqlite3.connect(folder / "0001.sqlite")
    db.execute("UPDATE verdicts SET score = 1.0 - score WHERE stream = 5")
    db.commit()
    db.close()
    store = RolloutStore(folder, KEY, settings=PLAIN)
    assert "all 160 rollouts that were found in it are kept" in store.problems[0]
    assert [rollout.verdict is None for rollout in loaded(store, PROMPTS)[4]] == [True] * OF_A_PROMPT
    store.close()


def test_verdicts_and_counters_are_kept(tmp_path: Path) -> None:
    fill(tmp_path, range(PROMPTS))
    store = RolloutStore(tmp_path, KEY, settings=PLAIN)
    store.count(requests=7, seconds=1.5)
    later = rows(3)[1]
    store.add_verdicts([NewVerdict(later.prompt, later.rollout, Said(Verdict(score=0.25), 99, 1))])
    before = store.totals()
    store.close()
    change(tmp_path / "0001.sqlite", lambda data: data.__setitem__(slice(0, 100), bytes(100)))
    store = RolloutStore(tmp_path, KEY, settings=PLAIN)
    assert store.problems
    assert store.totals() == before
    assert (store.counters()["requests"], store.counters()["seconds"]) == (7, 1.5)
    assert store.load([prompt(3)], [99], NO_LIMIT)[0][1].verdict == Verdict(score=0.25)
    assert [rollout.score for rollout in store.load([prompt(3)], [CHECK], NO_LIMIT)[0]] == [1.0, 0.0, 1.0, 0.0]
    assert store.verifier_id("exact", {}, "1") == 1
    store.close()


# After a kill: the log is there


def killed(folder: Path, into: Path, checkpoint: int = 1000) -> None:
    """A copy of a folder of a process that was killed."""
    store = RolloutStore(folder, KEY, settings=PLAIN)
    store.verifier_id("exact", {}, "1")
    store._live.db.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}")
    for number in range(PROMPTS):
        store.add(rows(number))
    shutil.copytree(folder, into)
    store.close()


@pytest.mark.parametrize("checkpoint", [5, 20, 1000])
def test_a_kill_costs_nothing(checkpoint: int, tmp_path: Path) -> None:
    killed(tmp_path / "a", tmp_path / "b", checkpoint)
    assert found(tmp_path / "b", PROMPTS, readonly=True) == (TOTAL, [])
    assert found(tmp_path / "b", PROMPTS) == (TOTAL, [])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("checkpoint", [5, 1000])
def test_a_log_that_was_cut_costs_its_tail(checkpoint: int, seed: int, tmp_path: Path) -> None:
    killed(tmp_path / "a", tmp_path / "b", checkpoint)
    chance = random.Random(seed)
    change(tmp_path / "b" / "0001.sqlite-wal", lambda data: data.__delitem__(slice(chance.randrange(len(data)), None)))
    check(tmp_path / "b", PLAIN)


@pytest.mark.parametrize("seed", range(6))
def test_a_broken_byte_in_the_log_costs_little_and_is_said(seed: int, tmp_path: Path) -> None:
    killed(tmp_path / "a", tmp_path / "b")
    chance = random.Random(seed)
    wal = tmp_path / "b" / "0001.sqlite-wal"
    change(wal, lambda data: data.__setitem__(at := chance.randrange(len(data) // 2), data[at] ^ 255))
    kept, problems = check(tmp_path / "b", PLAIN)
    assert problems
    assert TOTAL - kept <= 100


def test_a_log_that_is_gone_is_said(tmp_path: Path) -> None:
    killed(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "0001.sqlite-wal").unlink()
    kept, problems = found(tmp_path / "b", PROMPTS)
    assert kept < TOTAL
    assert problems == ["rollouts/0001.sqlite-wal is missing: what was in it is sampled again"]


@pytest.mark.parametrize("seed", range(6))
def test_a_file_that_was_cut_beside_its_log(seed: int, tmp_path: Path) -> None:
    killed(tmp_path / "a", tmp_path / "b", 20)
    chance = random.Random(seed)
    change(tmp_path / "b" / "0001.sqlite", lambda data: data.__delitem__(slice(chance.randrange(len(data)), None)))
    kept, problems = check(tmp_path / "b", PLAIN)
    assert problems or kept == TOTAL
