"""Databases of older versions are read, those of newer ones refused; a migration is made whole or not at all."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from commands import process, question, write_rows
from rsr.errors import RunDirError, StoreError
from rsr.hashing import answer_key
from rsr.migrations import Migration, migrate
from rsr.store.migrations import ROLLOUT_MIGRATIONS
from rsr.store.rollouts import RolloutStore
from rsr.store.rundir import SCHEMA_VERSION, RunDir
from rsr.types import Completion, Outcome, Prompt, Reason, Rollout, Verdict

FIXTURES = Path(__file__).parent / "fixtures"
KEY = b"sampling-key-000"
LONG = "This one is long enough to be compressed. " * 12 + "The answer is B."


def prompt(id: str) -> Prompt:
    return Prompt(order=0, key=id.encode().ljust(16, b"."), id=id, messages=[])


def restored(folder: Path, version: int) -> Path:
    path = folder / "0001.sqlite"
    db = sqlite3.connect(path)
    db.executescript((FIXTURES / f"rollouts_schema_{version}.sql").read_text(encoding="utf-8"))
    db.close()
    return path


def tables(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


# Old databases


def test_there_is_a_fixture_of_every_schema() -> None:
    written = {path.name for path in FIXTURES.glob("rollouts_schema_*.sql")}
    assert written == {f"rollouts_schema_{number}.sql" for number in range(1, len(ROLLOUT_MIGRATIONS) + 1)}


@pytest.mark.parametrize("readonly", [True, False])
def test_a_store_of_schema_1_is_opened_and_read(readonly: bool, tmp_path: Path) -> None:
    path = restored(tmp_path, 1)
    before = path.read_bytes()
    store = RolloutStore(tmp_path, KEY, readonly=readonly)
    assert store.problems == []
    assert (path.read_bytes() == before) == readonly
    assert store.totals()[:2] == (28, 178)
    q, r = store.load([prompt("q"), prompt("r")], [11, 11], limit=128)
    assert q == [
        Rollout(
            index=0,
            outcome=Outcome.OK,
            verdict=Verdict(score=1.0, extracted="B"),
            seed=1000,
            limit=64,
            prompt_tokens=7,
            completion_tokens=9,
            answer_key=answer_key("The answer is B."),
            has_reasoning=True,
        ),
        Rollout(
            index=1,
            outcome=Outcome.OK,
            verdict=Verdict(score=0.0, extracted="A"),
            seed=1001,
            limit=64,
            prompt_tokens=7,
            completion_tokens=5,
            answer_key=answer_key("The answer is A."),
            has_reasoning=True,
        ),
        Rollout(
            index=2,
            outcome=Outcome.OK,
            verdict=Verdict(reason=Reason.VERIFIER_ERROR, detail="judge: timeout"),
            seed=1002,
            limit=128,
            prompt_tokens=7,
            completion_tokens=100,
            answer_key=answer_key(LONG),
        ),
    ]
    assert [rollout.outcome for rollout in r] == [Outcome.EMPTY]
    assert [completion.text for completion in store.completions(prompt("q"), q)] == [
        "<think>A? No.</think>The answer is B.",
        "The answer is A.",
        LONG,
    ]
    assert store.completions(prompt("q"), q[1:2])[0] == Completion(
        text="The answer is A.", reasoning="Hm.", prompt_tokens=7, completion_tokens=5
    )
    store.close()


@pytest.mark.parametrize("readonly", [True, False])
def test_a_store_of_schema_2_is_opened_and_read(readonly: bool, tmp_path: Path) -> None:
    restored(tmp_path, 2)
    store = RolloutStore(tmp_path, KEY, readonly=readonly)
    assert store.problems == []
    assert store.totals() == (35, 187, 6, 1)
    assert store.counters() == {
        "rollouts": 6,
        "completions": 6,
        "uncounted": 1,
        "prompt_tokens": 35,
        "completion_tokens": 187,
        "requests": 3,
    }
    ((*_, first, last), _) = store.load([prompt("q"), prompt("r")], [11, 11], limit=128)
    assert (first.redrawn, last.redrawn) == (False, True)
    assert last.verdict == Verdict(reason=Reason.NO_ANSWER)
    assert store.completions(prompt("q"), [last])[0].text == LONG
    (r,) = store.load([prompt("r")], [12], limit=128)
    assert [rollout.verdict for rollout in r] == [Verdict(score=0.5)]
    store.close()


def test_a_damaged_store_of_schema_1_is_salvaged(tmp_path: Path) -> None:
    path = restored(tmp_path, 1)
    data = path.read_bytes()
    path.write_bytes(bytes(100) + data[100:])
    store = RolloutStore(tmp_path, KEY)
    assert "all 5 rollouts that were found in it are kept" in store.problems[0]
    q, r = store.load([prompt("q"), prompt("r")], [11, 11], limit=128)
    assert [row.score for row in q] == [1.0, 0.0, None]
    assert store.completions(prompt("q"), q)[2].text == LONG
    assert [row.outcome for row in r] == [Outcome.EMPTY]
    assert store.totals()[:2] == (28, 178)
    store.close()


def test_a_text_of_schema_1_that_is_not_that_of_its_rollout_is_not_kept(tmp_path: Path) -> None:
    path = restored(tmp_path, 1)
    data = path.read_bytes().replace(b"The answer is A.", b"The answer is C.")
    path.write_bytes(bytes(100) + data[100:])
    store = RolloutStore(tmp_path, KEY)
    assert "4 of about 5 rollouts are kept" in store.problems[0]
    assert [row.index for row in store.load([prompt("q")], [11], limit=128)[0]] == [0, 2]
    store.close()


def test_the_cut_row_of_schema_1_counts_under_its_own_limit_only(tmp_path: Path) -> None:
    path = restored(tmp_path, 1)
    db = sqlite3.connect(path)
    db.execute("DELETE FROM rollouts WHERE lim = 128")
    db.commit()
    db.close()
    store = RolloutStore(tmp_path, KEY)
    assert [row.index for row in store.load([prompt("q")], [11], limit=64)[0]] == [0, 1, 2]
    assert [row.index for row in store.load([prompt("q")], [11], limit=65)[0]] == [0, 1]
    store.close()


# Newer ones


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = restored(tmp_path, 1)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 999")
    db.close()
    before = path.read_bytes()
    with pytest.raises(
        RunDirError, match=r"0001\.sqlite: was written by a newer version of rsr .*; upgrade rsr"
    ) as why:
        RolloutStore(tmp_path, KEY, readonly=True)
    assert why.value.exit_code == 2
    assert path.read_bytes() == before


@pytest.mark.parametrize("part", ["config.yaml", "prompts.sqlite", "rollouts/0001.sqlite"])
def test_a_run_directory_of_a_newer_version_is_refused_with_exit_code_2(part: str, folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    arguments = ["run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted"]
    assert command(*arguments).code == 0
    target = folder / "run" / part
    if part == "config.yaml":
        text = target.read_text()
        assert f"schema_version: {SCHEMA_VERSION}\n" in text
        target.write_text(text.replace(f"schema_version: {SCHEMA_VERSION}\n", "schema_version: 999\n"))
    else:
        db = sqlite3.connect(target)
        db.execute("PRAGMA user_version = 999")
        db.close()
    for again in (arguments, ["run", "run"], ["format", "run"]):
        ended = command(*again)
        assert ended.code == 2, ended.err
        assert ended.errors[-1].startswith("rsr: run/")
        assert "was written by a newer version of rsr" in ended.errors[-1]
    assert "newer version" in process("status", "run", cwd=folder).refused()


# Migrating


def make(table: str) -> Migration:
    return lambda db: db.execute(f"CREATE TABLE {table} (x)") and None


@pytest.fixture
def db(tmp_path: Path) -> Any:
    connection = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    yield connection
    connection.close()


def test_only_what_is_missing_is_applied(db: sqlite3.Connection, tmp_path: Path) -> None:
    migrate(db, [make("one"), make("two")], tmp_path)
    assert (tables(db), version(db)) == ({"one", "two"}, 2)
    db.execute("DROP TABLE one")
    migrate(db, [make("one"), make("two"), make("three")], tmp_path)
    assert (tables(db), version(db)) == ({"two", "three"}, 3)
    migrate(db, [make("one"), make("two"), make("three")], tmp_path)
    assert (tables(db), version(db)) == ({"two", "three"}, 3)


def test_a_migration_that_fails_is_rolled_back_and_the_ones_before_it_stay(
    db: sqlite3.Connection, tmp_path: Path
) -> None:
    def failing(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (x)")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        migrate(db, [make("one"), failing, make("three")], tmp_path)
    assert (tables(db), version(db)) == ({"one"}, 1)
    migrate(db, [make("one"), make("two"), make("three")], tmp_path)
    assert (tables(db), version(db)) == ({"one", "two", "three"}, 3)


def test_a_migration_that_fails_in_the_store_is_one_line(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "0001.sqlite")
    db.execute("CREATE TABLE rollouts (x)")
    db.close()
    with pytest.raises(StoreError, match=r"0001\.sqlite: can't be opened"):
        RolloutStore(tmp_path, KEY)


def test_two_processes_that_open_a_new_database_at_once_both_succeed(tmp_path: Path) -> None:
    meet, failed = threading.Barrier(6), list[BaseException]()

    def open_it() -> None:
        try:
            meet.wait()
            RolloutStore(tmp_path, KEY).close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_prompts_of_schema_1_are_read_as_they_are_and_made_again_by_the_next_run(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a"), question("b")])
    arguments = ["run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted"]
    command(*arguments)
    path = RunDir(folder / "run").prompts
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DROP INDEX light")
    db.execute("ALTER TABLE prompts DROP COLUMN verdict")
    db.execute("DELETE FROM meta WHERE name != 'fingerprint'")
    db.execute("PRAGMA user_version = 1")
    db.close()
    before = path.read_bytes()
    assert command("status", "run").code == 0
    assert path.read_bytes() == before
    assert command(*arguments).code == 0
    db = sqlite3.connect(path)
    assert version(db) == 2
    assert db.execute("SELECT count(verdict) FROM prompts").fetchone() == (2,)
    db.close()


def test_prompts_have_the_version_of_their_migrations(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    command("run", "sft", "data.input_path=in.jsonl", "work_dir=run", "sampler.type=scripted")
    db = sqlite3.connect(RunDir(folder / "run").prompts)
    assert version(db) == 2
    db.close()
