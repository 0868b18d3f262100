"""The README's first command, with the real model: three files, right keys, and the rows that the rollouts give."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quickstart_writes_three_files_that_an_independent_script_recomputes(tmp_path: Path) -> None:
    rsr = [sys.executable, "-m", "rsr"]
    ended = subprocess.run(
        [*rsr, "run", "quickstart", "work_dir=run"], cwd=tmp_path, capture_output=True, text=True, timeout=840
    )
    assert ended.returncode == 0, ended.stderr
    keys = {"sft": ["messages"], "dpo": ["conversations", "chosen", "rejected"], "multi_sft": ["messages", "responses"]}
    for name, expected in keys.items():
        rows = [json.loads(line) for line in (tmp_path / f"run/train/{name}.jsonl").read_text().splitlines()]
        assert len(rows) >= 20
        assert all(list(row) == expected for row in rows)
    subprocess.run([*rsr, "export", "run", "-o", "export.jsonl"], cwd=tmp_path, check=True, capture_output=True)
    script = [sys.executable, "-S", str(ROOT / "tests/recompute.py"), str(ROOT / "data/quickstart.jsonl")]
    checked = subprocess.run(
        [*script, "export.jsonl", "run/train"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
