"""`rsr simulate serve`: an engine to try a real config on, for this machine only."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import process, write_rows


@pytest.fixture
def started():
    """Starts `rsr simulate serve`; gives its base URL and process."""
    running = []

    def start(*arguments):
        command = [sys.executable, "-m", "rsr", "simulate", "serve", *map(str, arguments)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        first = running[-1].stdout.readline()
        assert re.fullmatch(r"listening http://127\.0\.0\.1:\d+/v1\n", first), first
        return first.split()[1], running[-1]

    yield start
    for each in running:
        each.kill()
        each.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_cleanly(started, number):
    _, running = started("--api-key", "very-secret-key")
    running.send_signal(number)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err) == (0, "", "")


@pytest.mark.slow
def test_a_real_config_is_tried_on_its_own_prompts(started, tmp_path):
    """Every kind of prompt passes at a pass rate of 1, with the verifiers that the config names."""
    prompts = Path(__file__).parents[1] / "data" / "quickstart.jsonl"
    url, _ = started("--answers", prompts, "--tokens-per-second", 0, "--pass-rate", 1, "--faults", "500=0.1")
    ended = process(
        *("run", "sft", f"data.input_path={prompts}", f"sampler.base_url={url}", "sampler.model=any"),
        *("sampler.system_prompt=Be brief.", "sampler.prompt_suffix=Think first.", f"work_dir={tmp_path / 'run'}"),
    )
    assert ended.code == 0, ended.err
    stats = json.loads((tmp_path / "run" / "summary" / "stats.json").read_text())
    assert stats["pass_rate"]["all_rollouts"] == 1.0 and stats["prompts"]["satisfied"] == 40


@pytest.mark.slow
def test_it_is_for_this_machine_only_unless_told(tmp_path):
    refused = process("simulate", "serve", "--host", "0.0.0.0").refused()
    assert "--allow-remote" in refused
    assert "faults: " in process("simulate", "serve", "--faults", "nothing=0.1").refused()
    assert "no row" in process("simulate", "serve", "--answers", write_rows(tmp_path / "p.jsonl", [{"x": 1}])).refused()
