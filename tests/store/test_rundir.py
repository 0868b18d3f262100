"""A run directory: its config, the lease that keeps others out, and files that are old or new but never half."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rsr.errors import RunDirError, StoreError
from rsr.inspection import holder
from rsr.store.rundir import EventLog, Lease, RunDir, StoredConfig, write_atomically

HOLD = """
import sys, time
from pathlib import Path
from rsr.store.rundir import Lease, RunDir
run_dir = RunDir(Path(sys.argv[1]))
lease = Lease(run_dir)
print("held", flush=True)
time.sleep(100)
"""


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path / "run")
    made.create()
    return made


def write_lease(run_dir: RunDir, **values: Any) -> None:
    (run_dir.path / "lease.json").write_text(json.dumps(values))


def read_lease(run_dir: RunDir) -> dict[str, Any]:
    return dict(json.loads((run_dir.path / "lease.json").read_text()))


# The lease


def test_the_lease_says_who_holds_it_until_it_is_released(run_dir: RunDir) -> None:
    before = time.time()
    with Lease(run_dir):
        lease = read_lease(run_dir)
        assert (lease["host"], lease["pid"]) == (socket.gethostname(), os.getpid())
        assert before <= lease["heartbeat"] <= time.time()
        assert holder(run_dir) == f"process {os.getpid()} on {socket.gethostname()}"
    assert read_lease(run_dir) == {}
    assert holder(run_dir) is None


def test_a_second_one_is_refused_in_one_line_with_pid_host_and_fix(run_dir: RunDir) -> None:
    with Lease(run_dir), pytest.raises(RunDirError) as refused:
        Lease(run_dir)
    who = f"process {os.getpid()} on {socket.gethostname()}"
    fix = "wait for it, stop it, or choose another work_dir"
    assert str(refused.value) == f"work_dir: {run_dir.path} is in use by {who}; {fix}"
    Lease(run_dir).release()


def test_another_process_is_refused_and_kill_9_of_the_holder_frees_it(run_dir: RunDir) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(run_dir.path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(RunDirError, match=f"is in use by process {child.pid} on {socket.gethostname()};"):
            Lease(run_dir)
        assert holder(run_dir) is not None
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert read_lease(run_dir)["pid"] == child.pid
    assert holder(run_dir) is None
    with Lease(run_dir):
        assert read_lease(run_dir)["pid"] == os.getpid()


def test_a_fresh_heartbeat_of_another_host_keeps_us_out(run_dir: RunDir) -> None:
    write_lease(run_dir, host="elsewhere", pid=7, heartbeat=time.time() - 20)
    with pytest.raises(RunDirError, match="is in use by process 7 on elsewhere"):
        Lease(run_dir)
    assert read_lease(run_dir)["host"] == "elsewhere"
    assert holder(run_dir) == "process 7 on elsewhere"


def test_a_stale_heartbeat_of_another_host_expires(run_dir: RunDir) -> None:
    write_lease(run_dir, host="elsewhere", pid=7, heartbeat=time.time() - 3600)
    assert holder(run_dir) is None
    with Lease(run_dir):
        assert read_lease(run_dir)["host"] == socket.gethostname()


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"host": ', "\x00\x00"])
def test_a_torn_lease_file_keeps_nobody_out(content: str, run_dir: RunDir) -> None:
    (run_dir.path / "lease.json").write_text(content)
    assert holder(run_dir) is None
    Lease(run_dir).release()


def test_a_heartbeat_is_written_every_ten_seconds_and_not_more_often(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    with Lease(run_dir) as lease:
        beats = []
        for _ in range(25):
            now += 1
            lease.beat()
            beats.append(read_lease(run_dir)["heartbeat"])
    assert sorted(set(beats)) == [1_000_000.0, 1_000_010.0, 1_000_020.0]


def test_a_lease_that_can_not_be_written_is_one_line(run_dir: RunDir) -> None:
    (run_dir.path / "lease.json").mkdir()
    with pytest.raises(RunDirError, match=r"lease\.json can't be written"):
        Lease(run_dir)


# The folders and the config


def test_a_new_run_directory_has_its_folders_and_no_config(run_dir: RunDir) -> None:
    names = {path.name for path in run_dir.path.iterdir()}
    assert names == {"rollouts", "train", "provenance", "summary", "log"}
    assert not run_dir.exists


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunDirError, match=r"work_dir: .* can't be used"):
            RunDir(path).create()


def test_the_config_comes_back_as_it_was_stored(run_dir: RunDir) -> None:
    stored = StoredConfig(
        source={"sampler": {"api_key": "${oc.env:KEY}", "stop": ["\n\n", "ende\u2028"]}},
        values={"sampler": {"temperature": 0.1, "system_prompt": "Zürich 😀: yes"}},
        identity={"seed": 0, "sampler.temperature": 0.1},
        revisions=[{"time": "2026-01-01", "command": "run", "changes": {}}],
        recipe="sft",
    )
    run_dir.store_config(stored, "0.1.0")
    assert run_dir.exists
    assert run_dir.stored() == stored


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is not a run directory: there is no config.yaml in it"),
        (b"sampling: {step_size: 4}\n", "is not a run directory: its config.yaml was not written by a run"),
        (b"", "is damaged"),
        (b"a: [", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"schema_version: 1\n", "is damaged"),
        (b"schema_version: next\n", "is damaged"),
        (b"schema_version: 2\n", "was written by a newer version of rsr; upgrade rsr"),
    ],
)
def test_what_is_no_run_directory_of_ours_is_refused_in_one_line(
    content: bytes | None, says: str, run_dir: RunDir
) -> None:
    if content is not None:
        run_dir.config.write_bytes(content)
    with pytest.raises(RunDirError) as refused:
        run_dir.stored()
    assert says in str(refused.value)
    assert str(run_dir.path) in str(refused.value)
    assert "\n" not in str(refused.value)


# Files


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    reader = path.open()
    write_atomically(path, "new")
    assert (reader.read(), path.read_text()) == ("old", "new")
    reader.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="file: can't be written: No space left on device"):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_events_are_json_lines_with_the_time_and_without_secrets(run_dir: RunDir) -> None:
    for number in range(2):
        log = EventLog(run_dir, lambda text: text.replace("secret", "[redacted]"))
        log.write("began", number=number, why="a secret\nof two lines", path=run_dir.path)
        log.close()
    lines = [json.loads(line) for line in (run_dir.log / "events.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == [0, 1]
    assert lines[0]["why"] == "a [redacted]\nof two lines"
    assert all(line["time"].startswith("20") and line["event"] == "began" for line in lines)
