"""Power, networks and media that can't be written."""

import os
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from stored import KEY, OF_A_PROMPT, PLAIN, TINY, fill, found, loaded, rows

from rsr.errors import StoreError
from rsr.sections import StoreConfig
from rsr.store import connections
from rsr.store.mounts import file_system, is_network
from rsr.store.rollouts import RolloutStore
from rsr.store.syncing import Syncing


class Synced:
    """Takes down what is synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.came = threading.Event()
        self.error: OSError | None = None
        monkeypatch.setattr("rsr.store.syncing.sync", self)

    def __call__(self, path: Path) -> None:
        self.names.append(path.name)
        self.came.set()
        if self.error is not None:
            raise self.error


def sync_every(seconds: float | None) -> StoreConfig:
    return StoreConfig(sync=seconds, reserve_bytes=0)


def mode(store: RolloutStore) -> tuple[str, int]:
    db = store._live.db
    return db.execute("PRAGMA journal_mode").fetchone()[0], db.execute("PRAGMA synchronous").fetchone()[0]


def test_a_commit_is_synced_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = Synced(monkeypatch)
    store = RolloutStore(tmp_path, KEY, settings=sync_every(0.01))
    assert synced.names == []
    store.add(rows(0))
    assert synced.came.wait(20)
    store.close()
    assert synced.names[:2] == ["0001.sqlite-wal", tmp_path.name]


def test_nothing_is_synced_where_nothing_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = Synced(monkeypatch)
    syncing = Syncing(tmp_path / "wal", 0.001)
    assert not synced.came.wait(0.05)
    for _ in range(3):
        synced.came.clear()
        syncing.committed()
        assert synced.came.wait(20)
    syncing.close()


def test_0_waits_for_the_disk_at_each_commit_and_null_never_does(tmp_path: Path) -> None:
    for seconds, synchronous, thread in ((0, 2, False), (None, 1, False), (5, 1, True)):
        store = RolloutStore(tmp_path, KEY, settings=sync_every(seconds))
        assert mode(store) == ("wal", synchronous)
        assert any(thread.name == "rsr-sync" for thread in threading.enumerate()) == thread
        store.add(rows(0))
        store.close()
        assert not any(thread.name == "rsr-sync" for thread in threading.enumerate())


def test_a_sync_that_fails_is_said_at_the_next_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = Synced(monkeypatch)
    synced.error = OSError(5, "Input/output error")
    store = RolloutStore(tmp_path, KEY, settings=sync_every(0.001))
    store.add(rows(0))
    assert synced.came.wait(20)
    with pytest.raises(StoreError, match="can't be brought onto the disk: Input/output error"):
        for number in range(1, 10_000):
            store.add(rows(number % 50))
    synced.error = None
    store.close()


def test_the_log_goes_away_at_the_end_and_the_locks_stay_meanwhile(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=sync_every(0.001))
    for number in range(30):
        store.add(rows(number))
    other = sqlite3.connect(tmp_path / "0001.sqlite", isolation_level=None, timeout=0)
    store._live.db.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    store._live.db.execute("ROLLBACK")
    other.close()
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001.sqlite", "manifest.json"]


# Networks


class Mount(NamedTuple):
    mountpoint: str
    fstype: str


TABLE = [
    Mount("/", "ext4"),
    Mount("/home", "nfs4"),
    Mount("/home/me/fast", "xfs"),
    Mount("/mnt/over", "ext4"),
    Mount("/mnt/over", "CIFS"),
    Mount("/ssh", "fuse.sshfs"),
    Mount("/snap", "fuse.squashfuse"),
]


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/data/run", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/me/run/not/there/yet", "nfs4", True),
        ("/homes/run", "ext4", False),
        ("/home/me/fast/run", "xfs", False),
        ("/mnt/over/run", "cifs", True),
        ("/ssh/x", "fuse.sshfs", True),
        ("/snap/x", "fuse.squashfuse", False),
    ],
)
def test_the_kind_of_file_system_is_that_of_the_nearest_mount(path: str, kind: str, network: bool) -> None:
    assert file_system(Path(path), TABLE) == kind
    assert is_network(kind) is network


def test_a_table_that_names_nothing_is_no_network(tmp_path: Path) -> None:
    assert file_system(tmp_path, []) == ""
    assert not is_network("")
    assert not is_network(file_system(tmp_path))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsr.store.files.file_system", lambda _: "nfs4")


@pytest.mark.usefixtures("network")
def test_on_a_network_the_writer_shares_nothing(tmp_path: Path) -> None:
    store = RolloutStore(tmp_path, KEY, settings=TINY)
    assert store._live.db.execute("PRAGMA locking_mode").fetchone() == ("exclusive",)
    for number in range(12):
        store.add(rows(number))
    assert not list(tmp_path.glob("*-shm"))
    assert len(store._segments) > 1
    sealed = sum(len(some) for some in loaded(store, 12)) - store._live.row_count()
    count, problems = found(tmp_path, 12, readonly=True)
    assert count == sealed
    assert len(problems) == 1
    assert f"is being written by process {os.getpid()} on " in problems[0]
    store.close()
    assert found(tmp_path, 12, readonly=True) == (12 * OF_A_PROMPT, [])
    assert found(tmp_path, 12, TINY) == (12 * OF_A_PROMPT, [])


# Reading where nothing can be written


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As root everything can be written, so the answers are made up."""
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    original = sqlite3.connect

    def connect(target: Any, **options: Any) -> sqlite3.Connection:
        # What SQLite does where it can't make the memory that readers of a log share.
        if "mode=ro" in str(target) and "/rsr-" not in str(target):
            raise sqlite3.OperationalError("unable to open database file")
        return original(target, **options)

    monkeypatch.setattr("sqlite3.connect", connect)


@pytest.mark.usefixtures("unwritable")
def test_a_folder_that_can_not_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.undo()
        fill(tmp_path, range(12), TINY)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert found(tmp_path, 12, readonly=True) == (48, [])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_killed_run_on_media_that_can_not_be_written_is_read_with_its_log(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = RolloutStore(tmp_path / "a", KEY, settings=PLAIN)
    for number in range(12):
        store.add(rows(number))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    store.close()
    for path in (tmp_path / "b").glob("*-shm"):
        path.unlink()
    assert connections.has_log(tmp_path / "b" / "0001.sqlite")
    request.getfixturevalue("unwritable")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "b").iterdir()}
    assert found(tmp_path / "b", 12, readonly=True) == (48, [])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "b").iterdir()} == before
