"""`store.local_dir`: what is written lies on a local disk, comes home, and is found again wherever a run ended."""

import shutil
from pathlib import Path

import pytest
from stored import KEY, OF_A_PROMPT, PLAIN, TINY, found, loaded, manifest, rows

from rsr.errors import StoreError
from rsr.sections import StoreConfig
from rsr.store.rollouts import RolloutStore

pytestmark = pytest.mark.usefixtures("many")


def local(folder: Path) -> StoreConfig:
    return StoreConfig(**{**TINY.model_dump(), "local_dir": str(folder)})


def test_the_live_file_is_on_the_local_disk_and_comes_home(tmp_path: Path) -> None:
    folder, disk = tmp_path / "net", tmp_path / "disk"
    store = RolloutStore(folder, KEY, settings=local(disk))
    store.add(rows(0))
    (place,) = disk.iterdir()
    assert len(place.name) == 16
    assert not list(folder.glob("*.sqlite"))
    assert manifest(folder)[0]["place"] == str(place)
    reader = RolloutStore(folder, KEY, readonly=True)
    assert len(loaded(reader, 1)[0]) == OF_A_PROMPT
    reader.close()
    for number in range(1, 12):
        store.add(rows(number))
    assert len(list(folder.glob("*.sqlite"))) >= 1
    store.close()
    assert not list(place.glob("*.sqlite*"))
    assert found(folder, 12, TINY) == (48, [])


def test_a_local_file_that_a_kill_left_is_found_again(tmp_path: Path) -> None:
    folder, disk = tmp_path / "net", tmp_path / "disk"
    store = RolloutStore(folder, KEY, settings=local(disk))
    store.add(rows(0))
    shutil.copytree(tmp_path, tmp_path.with_name("killed"))
    store.close()
    shutil.rmtree(tmp_path)
    tmp_path.with_name("killed").rename(tmp_path)
    assert found(folder, 1, local(disk)) == (OF_A_PROMPT, [])
    assert found(folder, 1, PLAIN) == (OF_A_PROMPT, [])
    assert (folder / "0001.sqlite").exists()


def test_a_local_file_on_another_host_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, disk = tmp_path / "net", tmp_path / "disk"
    monkeypatch.setattr("socket.gethostname", lambda: "node1")
    store = RolloutStore(folder, KEY, settings=local(disk))
    store.add(rows(0))
    shutil.copytree(folder, tmp_path / "seen")
    store.close()
    monkeypatch.setattr("socket.gethostname", lambda: "node2")
    count, problems = found(tmp_path / "seen", 1, readonly=True)
    assert (count, len(problems)) == (0, 1)
    assert problems[0].startswith("rollouts/0001.sqlite is on node1 in ")
    count, problems = found(tmp_path / "seen", 1)
    assert count == 0
    assert "lies on node1" in problems[0]
    assert (tmp_path / "seen" / "0002.sqlite").exists()


def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        RolloutStore(tmp_path / "file" / "rollouts", KEY)
    with pytest.raises(StoreError, match="file"):
        RolloutStore(tmp_path / "rollouts", KEY, settings=local(tmp_path / "file"))
