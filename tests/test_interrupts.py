"""Signals outside of sampling, while the input is read and while rollouts are judged; and unusual files to write to."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # real processes

RSR = [sys.executable, "-m", "rsr"]


def start(*arguments: str, cwd: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([*RSR, *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write_prompts(folder: Path, count: int) -> None:
    rows = [{"id": f"q{n}", "messages": [{"role": "user", "content": f"{n}?"}]} for n in range(count)]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "own.py").write_text("import time\n\ndef slow(response):\n    time.sleep(0.05)\n    return 1.0\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_input_is_read_ends_at_once(tmp_path: Path, number: int, code: int) -> None:
    write_prompts(tmp_path, 400)
    (tmp_path / "slow.py").write_text("import time\n\ndef rows(row):\n    time.sleep(0.1)\n    return row\n")
    more = ["data.preprocess.transform=slow.py:rows", "sampler.type=scripted", "verifier.type=own.py:slow"]
    process = start("run", "sft", "data.input_path=p.jsonl", "work_dir=run", *more, cwd=tmp_path)
    while not (tmp_path / "run" / "prompts.sqlite.new").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == code
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "prompts.sqlite").exists()


def test_an_interrupted_verify_keeps_the_verdicts_that_were_made(tmp_path: Path) -> None:
    write_prompts(tmp_path, 150)
    made = ["sampler.type=scripted", "sampler.replies=[one, two]", "verifier.type=exact"]
    (tmp_path / "fast.py").write_text("def fast(response):\n    return 1.0\n")
    made[-1] = "verifier.type=fast.py:fast"
    subprocess.run(
        [*RSR, "run", "sft", "data.input_path=p.jsonl", "work_dir=run", *made, "-q"], cwd=tmp_path, check=True
    )
    process = start("verify", "run", "verifier.type=own.py:slow", cwd=tmp_path)
    time.sleep(3.5)
    assert process.poll() is None, "it is still at work"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    again = start("verify", "run", cwd=tmp_path)
    out, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    left = int(out.splitlines()[0].split()[1].replace(",", ""))
    assert 0 < left < 145


def test_an_export_goes_through_a_pipe_and_a_link(tmp_path: Path) -> None:
    write_prompts(tmp_path, 3)
    (tmp_path / "fast.py").write_text("def fast(response):\n    return 1.0\n")
    made = ["sampler.type=scripted", "verifier.type=fast.py:fast", "sampling.speculate=0", "-q"]
    subprocess.run([*RSR, "run", "sft", "data.input_path=p.jsonl", "work_dir=run", *made], cwd=tmp_path, check=True)
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    subprocess.run([*RSR, "export", "run", "-o", "pipe"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    reader.join(10)
    assert len(read[0].splitlines()) == 3
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "real.jsonl").write_text("old")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    subprocess.run([*RSR, "export", "run", "-o", "link.jsonl"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_text() == read[0]
