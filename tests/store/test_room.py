"""A full disk, a quota, a limit of file size: nothing is lost, the reserve is given up, and taken again."""

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import KEY, OF_A_PROMPT, PLAIN, found, loaded, rows

from rsr.errors import StoreError, StoreFull
from rsr.sections import StoreConfig
from rsr.store.rollouts import RolloutStore
from rsr.store.room import Room

RESERVED = StoreConfig(reserve_bytes=1 << 20, sync=None)


class Failing:
    """A connection of which some statements fail."""

    def __init__(self, db: sqlite3.Connection, statement: str, times: int, code: int) -> None:
        self._db, self._statement, self._times, self._code = db, statement, times, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, statement: str, *parameters: Any) -> Any:
        self._may_fail(statement)
        return self._db.execute(statement, *parameters)

    def executemany(self, statement: str, *parameters: Any) -> Any:
        self._may_fail(statement)
        return self._db.executemany(statement, *parameters)

    def _may_fail(self, statement: str) -> None:
        if statement.startswith(self._statement) and self._times:
            self._times -= 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = self._code
            raise error


def fail(store: RolloutStore, statement: str, times: int, code: int = sqlite3.SQLITE_FULL) -> None:
    store._live.db = Failing(store._live.db, statement, times, code)  # type: ignore[assignment]


def test_the_reserve_is_there_while_the_store_is_open(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=RESERVED)
    reserve = tmp_path / ".reserve"
    assert reserve.stat().st_size == 1 << 20
    assert reserve.stat().st_blocks * 512 >= 1 << 20
    assert store.short_of_room is None
    assert store.regain()
    store.close()
    assert not reserve.exists()


@pytest.mark.parametrize("statement", ["COMMIT", "BEGIN", "INSERT INTO texts", "INSERT OR IGNORE INTO rollouts"])
def test_a_full_disk_costs_the_reserve_and_nothing_else(statement: str, tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=RESERVED)
    store.add(rows(0))
    fail(store, statement, times=1)
    store.add(rows(1))
    assert [len(some) for some in loaded(store, 2)] == [OF_A_PROMPT] * 2
    assert store.short_of_room == f"{tmp_path}: the disk is full; 1 MB of free room are needed there to go on"
    assert not (tmp_path / ".reserve").exists()
    assert store.regain()
    assert store.short_of_room is None
    assert (tmp_path / ".reserve").exists()
    store.close()


@pytest.mark.parametrize("statement", ["COMMIT", "BEGIN", "INSERT INTO texts"])
def test_without_a_reserve_nothing_of_the_call_is_committed_and_it_can_be_made_again(
    statement: str, tmp_path: Path
) -> None:
    store = RolloutStore(tmp_path, KEY, settings=PLAIN)
    fail(store, statement, times=3)
    for _ in range(3):
        with pytest.raises(StoreFull, match="the disk is full; 1 MB of free room are needed there"):
            store.add(rows(0))
        assert loaded(store, 1) == [[]]
    store.add(rows(0))
    assert store.regain()
    store.close()
    assert found(tmp_path, 1) == (OF_A_PROMPT, [])


def test_counters_are_kept_until_they_are_committed(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=PLAIN)
    store.count(requests=1)
    fail(store, "COMMIT", times=1)
    with pytest.raises(StoreFull):
        store.add(rows(0))
    assert store.counters()["requests"] == 1
    store.add(rows(0))
    store.close()
    store = RolloutStore(tmp_path, KEY, settings=PLAIN)
    assert store.counters()["requests"] == 1
    store.close()


def test_another_failure_of_the_disk_is_no_lack_of_room(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=RESERVED)
    fail(store, "COMMIT", 1, sqlite3.SQLITE_IOERR_WRITE)
    with pytest.raises(StoreError, match="can't be written") as failure:
        store.add(rows(0))
    assert not isinstance(failure.value, StoreFull)
    assert store.short_of_room is None
    assert (tmp_path / ".reserve").exists()
    store.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_failed_write_is_a_lack_of_room_where_nothing_else_can_be_written(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RolloutStore(tmp_path, KEY, settings=RESERVED)
    fail(store, "COMMIT", 2, sqlite3.SQLITE_IOERR_WRITE)

    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreFull):
        store.add(rows(0))
    monkeypatch.undo()
    store.close()


def test_the_reserve_is_an_eighth_of_what_is_free_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(size: int) -> Callable[[object], Any]:
        return lambda _: type("Usage", (), {"free": size})

    monkeypatch.setattr("shutil.disk_usage", free(8 << 20))
    Room(tmp_path, 64 << 20)
    assert (tmp_path / ".reserve").stat().st_size == 1 << 20
    monkeypatch.setattr("shutil.disk_usage", free(100_000))
    room = Room(tmp_path, 64 << 20)
    assert not (tmp_path / ".reserve").exists()
    assert not room.give_up()


def test_there_is_no_room_again_as_long_as_the_reserve_can_not_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, 1 << 20)
    assert room.give_up()
    assert not room.give_up()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.posix_fallocate", full)
        assert not room.regain()
        assert room.short is not None
    assert room.regain()
    assert room.short is None


LIMITED = """
import resource, sys
from pathlib import Path
from rsr.errors import StoreFull
from rsr.sections import StoreConfig
from rsr.store.rollouts import RolloutStore
from stored import KEY, loaded, rows

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
store = RolloutStore(folder, KEY, settings=StoreConfig(reserve_bytes=0, sync=None))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
stored = []
refused = 0
for number in range(60):
    try:
        store.add(rows(number))
        stored.append(number)
    except StoreFull:
        refused += 1
assert refused, "the limit was never met"
there = [number for number, some in enumerate(loaded(store, 60)) if some]
assert there == stored, (there, stored)
assert not store.regain() or refused
store.close()
print(len(stored))
"""


@pytest.mark.parametrize("limit", [200_000, 300_001])
def test_a_limit_of_file_size_loses_nothing_and_the_process_can_end(limit: int, tmp_path: Path) -> None:
    """A real lack of room in the middle of writing, checkpoints included; the next process goes on."""
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "x"), str(limit)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert ended.returncode == 0, ended.stderr
    stored = int(ended.stdout)
    assert stored > 0
    count, problems = found(tmp_path / "x", 60)
    assert (count, problems) == (stored * OF_A_PROMPT, [])
    store = RolloutStore(tmp_path / "x", KEY, settings=PLAIN)
    for number in range(60):
        store.add(rows(number))
    store.close()
    assert found(tmp_path / "x", 60) == (60 * OF_A_PROMPT, [])
