"""Bad input of every kind: one line that names the place and the fix, exit code 2, and what was stored stays."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_server import serve
from commands import Ended, free_port, process, question, read_rows, write_rows
from rsr import cli
from rsr.store.rundir import Lease, RunDir

SCRIPTED = ["sampler.type=scripted", "sampler.replies=[The answer is B., The answer is A.]"]


@pytest.fixture
def prompts(folder: Path) -> Path:
    return write_rows(folder / "in.jsonl", [question("a"), question("b", answer="A")])


@pytest.fixture
def earlier(folder: Path, prompts: Path, command: Any) -> Iterator[Path]:
    """A run that has its samples; whatever is done wrong later must leave them, and its files, as they are."""
    ended = command("run", "sft", f"data.input_path={prompts}", "work_dir=run", *SCRIPTED)
    assert ended.code == 0, ended.err
    before = state(folder / "run")
    assert before["rollouts"]
    yield folder / "run"
    assert state(folder / "run") == before


def state(run: Path) -> dict[str, Any]:
    db = sqlite3.connect(run / "rollouts" / "0001.sqlite")
    tables = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in ("rollouts", "texts", "verdicts")}
    db.close()
    files = sorted([*(run / "train").iterdir(), *(run / "provenance").iterdir(), run / "config.yaml"])
    return {**tables, **{file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}}


def again(prompts: Path, *more: str) -> list[str]:
    return ["run", "sft", f"data.input_path={prompts}", "work_dir=run", *SCRIPTED, *more]


# The input


BAD_LINES = [
    ('{"id": "c", "messages": [', "in.jsonl, line 3: not JSON ("),
    ('{"id": "c", "metadata": {"answer": "A"}}', "in.jsonl, line 3: there are no messages in it"),
    (json.dumps(question("a")), "in.jsonl, line 3: duplicate id 'a', also on line 1; give each row an id of its own"),
    (
        json.dumps(question("c", answer=None)),
        "in.jsonl, line 3: metadata.answer: missing; the verifier mcq-rlvr needs one",
    ),
    ('{"messages": [{"role": "bot", "content": "?"}]}', "in.jsonl, line 3: messages[0].role: must be one of"),
]


@pytest.mark.parametrize(("line", "says"), BAD_LINES)
def test_a_bad_row_stops_an_earlier_run_from_going_on(
    line: str, says: str, earlier: Path, prompts: Path, command: Any
) -> None:
    with prompts.open("a") as file:
        file.write(line + "\n")
    ended = command(*again(prompts))
    assert ended.code == 2
    (*progress, error) = ended.errors
    assert progress == ["reading the prompts"]
    assert error.startswith(f"rsr: {prompts}")
    assert says in error
    assert "data.on_error=skip" in error


@pytest.mark.parametrize(("line", "says"), BAD_LINES)
def test_a_bad_row_is_one_line_before_anything_is_made(
    line: str, says: str, folder: Path, prompts: Path, command: Any
) -> None:
    with prompts.open("a") as file:
        file.write(line + "\n")
    assert says in command(*again(prompts, "--quiet")).refused()
    assert not (folder / "run" / "prompts.sqlite").exists()
    assert not (folder / "run" / "config.yaml").exists()


def test_a_bad_row_is_listed_and_left_out_when_asked(folder: Path, prompts: Path, command: Any) -> None:
    with prompts.open("a") as file:
        file.write("{broken\n")
    ended = command(*again(prompts, "data.on_error=skip"))
    assert ended.code == 0, ended.err
    assert "warning: data: 1 rows can't be used and are listed in summary/dropped.jsonl" in ended.err
    (dropped,) = read_rows(folder / "run/summary/dropped.jsonl")
    assert dropped["line"] == 3
    assert "not JSON" in dropped["reason"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.input_path=nowhere.jsonl", "data.input_path: there is no file nowhere.jsonl"),
        ("data.input_path=[in.jsonl, nowhere.jsonl]", "data.input_path: there is no file nowhere.jsonl"),
        ("data.input_path=null", "data.input_path: missing; give the JSONL or Parquet file"),
        ("data.input_path=.", "data.input_path: . is a folder; name the files in it"),
        ("data.input_path=empty.jsonl", "empty.jsonl: there is no prompt in it"),
        ("data.input_path=bad.parquet", "bad.parquet: not a readable Parquet file"),
        ("data.input_path=bad.jsonl.gz", "bad.jsonl.gz, after line 0: can't be read"),
        ("data.preprocess.transform=nowhere.py:f", "nowhere.py:f: there is no file nowhere.py"),
    ],
)
def test_an_input_that_can_not_be_read_is_refused(
    override: str, says: str, folder: Path, prompts: Path, command: Any
) -> None:
    (folder / "empty.jsonl").write_text("\n")
    (folder / "bad.parquet").write_text("no parquet")
    (folder / "bad.jsonl.gz").write_text("no gzip")
    assert says in command(*again(prompts, "--quiet", override)).refused()


# The config


BAD_KEYS = [
    ("sampling.step_sise=4", "sampling.step_sise: unknown key (command line); did you mean 'step_size'?"),
    ("sampler.temprature=0.5", "sampler.temprature: unknown key (command line); did you mean 'temperature'?"),
    ("verifier.no_anser=fail", "verifier.no_anser: unknown key"),
    ("formatter.0.pass_treshold=1", "formatter.pass_treshold: unknown key; did you mean 'pass_threshold'?"),
    ("formater=sft", "formater: unknown key (command line); did you mean 'formatter'?"),
    ("sampling.step_size=four", "sampling.step_size: should be a valid integer"),
    ("formatter.0.pass_threshold=high", "formatter.pass_threshold: should be a valid number"),
    ("sampler.temperature=0", "sampler.temperature: is 0"),
    ("formatter.0.type=sfd", "formatter.type: unknown formatter 'sfd'; did you mean 'sft'?"),
    ("verifier.type=mcq", "verifier.type: unknown verifier 'mcq'"),
    ("sampler.type=openai", "sampler.type: unknown sampler 'openai'"),
    ("verifier.type=./nowhere.py:f", "there is no file ./nowhere.py"),
    ("formatter=[{type: sft}, {type: sft}]", "two formatters would write sft.jsonl"),
    ("formatter=[{type: sft, name: ../x}]", "can't be a file's name"),
    ("sampler.model=${oc.env:NOT_SET_IN_TEST}", "Environment variable 'NOT_SET_IN_TEST' not found (command line)"),
    ("nonsense", "'nonsense': an override is written key=value"),
]


@pytest.mark.parametrize(("override", "says"), BAD_KEYS)
def test_a_wrong_key_or_value_is_refused_by_its_name(
    override: str, says: str, earlier: Path, prompts: Path, command: Any
) -> None:
    assert says in command(*again(prompts, override)).refused()


@pytest.mark.parametrize(("override", "says"), [row for row in BAD_KEYS if "oc.env" not in row[0]])
def test_format_and_verify_refuse_the_same(override: str, says: str, earlier: Path, command: Any) -> None:
    for name in ("format", "verify"):
        assert says in command(name, earlier, override).refused()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sampling: [4\nseed: 1\n", "recipe.yaml, line 2: not valid YAML"),
        ("- sampling\n", "recipe.yaml: a config is a mapping of keys, this is a list"),
        ("nothing much\n", "recipe.yaml: a config is a mapping of keys, this is a single value"),
        ("seed: 1\nsampling:\n  step_sise: 4\n", "sampling.step_sise: unknown key (recipe.yaml, line 3); did you mean"),
        ("seed: 1\nsampler:\n  temprature: 4\n", "sampler.temprature: unknown key (recipe.yaml, line 3); did you mean"),
        ("seed: many\n", "seed: should be a valid integer"),
    ],
)
def test_a_config_file_that_is_wrong_is_refused_with_its_line(
    text: str, says: str, folder: Path, prompts: Path, command: Any
) -> None:
    (folder / "recipe.yaml").write_text(text)
    assert says in command("run", "recipe.yaml", f"data.input_path={prompts}", *SCRIPTED).refused()
    assert not (folder / "runs").exists()


def test_a_config_that_is_binary_is_refused(folder: Path, command: Any) -> None:
    (folder / "recipe.yaml").write_bytes(bytes(range(256)))
    assert "recipe.yaml: not a YAML file" in command("run", "recipe.yaml").refused()


def test_a_recipe_that_is_not_there_says_what_there_is(folder: Path, command: Any) -> None:
    assert (
        "no such config file, run directory or recipe; did you mean 'multi_sft'?"
        in command("run", "multisft").refused()
    )
    assert "sft" in command("run", "zzz").refused()


# The run directory


@pytest.mark.parametrize("name", ["status", "format", "verify", "export"])
@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a file", "a folder with a config of the user's"])
def test_what_is_no_run_directory_is_refused(name: str, what: str, folder: Path, command: Any) -> None:
    target = folder / "x"
    if what != "nothing" and what != "a file":
        target.mkdir()
    if what == "a file":
        target.write_text("")
    if what.startswith("a folder with"):
        (target / "config.yaml").write_text("sampling: {step_size: 4}\n")
    more = ["-o", folder / "out.jsonl"] if name == "export" else []
    assert f"{target} is not a run directory: " in command(name, target, *more).refused()
    assert not (folder / "out.jsonl").exists()


def test_a_work_dir_in_use_is_refused_with_who_holds_it(earlier: Path, prompts: Path, command: Any) -> None:
    with Lease(RunDir(earlier)):
        for arguments in (again(prompts), ["run", "run"], ["format", "run"], ["verify", "run"]):
            line = command(*arguments).refused()
            assert line.startswith("work_dir: run is in use by process ")
            assert line.endswith("wait for it, stop it, or choose another work_dir")
        assert command("status", "run").code == 0


@pytest.mark.parametrize("work_dir", ["in.jsonl", "in.jsonl/below", "/proc/nothing/here"])
def test_a_work_dir_that_can_not_be_made_is_refused(work_dir: str, prompts: Path, command: Any) -> None:
    line = command(*again(prompts, f"work_dir={work_dir}")).refused()
    assert line.startswith(f"work_dir: {work_dir} can't be used: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_work_dir_that_can_not_be_written_is_refused(folder: Path, prompts: Path, command: Any) -> None:
    (folder / "locked").mkdir(mode=0o500)
    assert "work_dir: locked/run can't be used" in command(*again(prompts, "work_dir=locked/run")).refused()


def test_another_model_in_an_earlier_run_is_refused_with_what_differs(
    earlier: Path, prompts: Path, command: Any
) -> None:
    line = command(*again(prompts, "sampler.model=other", "seed=5")).refused()
    assert line.startswith("run: was sampled with other settings: ")
    assert "seed (0 -> 5)" in line
    assert "sampler.model (None -> 'other')" in line
    assert "use another work_dir, or add --new-samples" in line


def test_a_much_changed_input_wants_a_yes(earlier: Path, prompts: Path, command: Any) -> None:
    write_rows(prompts, [question("a"), question("c"), question("d")])
    line = command(*again(prompts, "--quiet")).refused()
    assert "2 prompts added, 1 removed, 0 edited, of 3; to go on with it, add --yes" in line


# The server


def server_run(prompts: Path, url: str, *more: str) -> list[str]:
    where = [f"data.input_path={prompts}", "work_dir=served", f"sampler.base_url={url}"]
    return ["run", "sft", *where, "sampler.model=test-model", *more]


def test_a_server_that_is_not_there_is_named_at_once(folder: Path, prompts: Path, earlier: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    line = process(*server_run(prompts, url), cwd=folder).refused()
    assert url in line
    assert not (folder / "served" / "config.yaml").exists()


def test_a_wrong_model_is_refused_with_those_that_the_server_has(folder: Path, prompts: Path, command: Any) -> None:
    with serve(models=["qwen-7b", "qwen-14b"]) as server:
        line = command(*server_run(prompts, server.base_url, "sampler.model=qwen-8b")).refused()
        assert server.stats()["generated"] == 0
    assert "qwen-8b" in line
    assert "qwen-7b" in line


def test_a_wrong_key_is_refused_and_not_shown(
    folder: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    with serve(api_key="right-key") as server:
        for given in (["sampler.api_key=wrong-key-12"], []):
            line = command(*server_run(prompts, server.base_url, *given)).refused()
            assert "key" in line
            assert "wrong-key-12" not in line
        assert server.stats()["generated"] == 0
        monkeypatch.setenv("OPENAI_API_KEY", "right-key")
        assert command(*server_run(prompts, server.base_url)).code in (0, 1)


def test_an_address_that_is_none_is_refused(prompts: Path, command: Any) -> None:
    assert (
        "sampler.base_url: 'localhost:8000' is no address" in command(*server_run(prompts, "localhost:8000")).refused()
    )


def test_a_server_that_is_lost_leaves_what_was_sampled(folder: Path, prompts: Path, command: Any) -> None:
    more = ["sampler.max_retries=0", "sampling.max_steps=1", "sampling.step_size=1"]
    with serve() as server:
        assert command(*server_run(prompts, server.base_url, *more)).code in (0, 1)
    stored = state(folder / "served")["rollouts"]
    assert len(stored) == 2
    ended = command("run", "served", "sampling.max_steps=4", "formatter=[{type: multi_sft, num_responses: 4}]")
    assert ended.code == 2
    assert ended.errors[-1].startswith("rsr: sampler.base_url: nothing answers at http://127.0.0.1:")
    assert "incomplete: 2 of 2 prompts (not sampled 2): a, b; rsr run served takes them up" in ended.out
    assert state(folder / "served")["rollouts"] == stored


# The other commands


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["score", "nowhere.jsonl", "-o", "out.jsonl"], "nowhere.jsonl: there is no such file"),
        (["score", "rows.jsonl"], "-o: missing"),
        (["score", "rows.jsonl", "-o", "out.jsonl"], "rows.jsonl, line 2: there is no response in it"),
        (["score", "rows.jsonl", "verifier.type=mcq", "-o", "out.jsonl"], "verifier.type: unknown verifier 'mcq'"),
    ],
)
def test_score_refuses_in_one_line_and_writes_nothing(
    arguments: list[str], says: str, folder: Path, command: Any
) -> None:
    write_rows(folder / "rows.jsonl", [{"response": "B", "answer": "B"}, {"answer": "B"}])
    assert says in command(*arguments).refused()
    assert sorted(path.name for path in folder.iterdir()) == ["rows.jsonl"]


@pytest.mark.parametrize(
    "arguments", [["export", "run"], ["run"], ["fly"], ["run", "sft", "--fast"], ["list", "models"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], folder: Path, command: Any) -> None:
    ended = command(*arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_an_error_text_can_not_drive_the_terminal(folder: Path, command: Any) -> None:
    line = command("run", "no\x1b[31msuch\rrecipe\nhere").refused()
    assert "\x1b" not in line
    assert "\r" not in line


# As the user sees it


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["data.input_path=nowhere.jsonl", "work_dir=new"], "data.input_path: there is no file nowhere.jsonl"),
        (["sampling.step_sise=4"], "sampling.step_sise: unknown key (command line); did you mean 'step_size'?"),
        (["formatter.0.type=sfd"], "formatter.type: unknown formatter 'sfd'; did you mean 'sft'? (command line)"),
    ],
)
def test_the_real_command_says_one_line_and_exits_with_2(
    more: list[str], says: str, folder: Path, prompts: Path, earlier: Path
) -> None:
    ended = process(*again(prompts, *more), cwd=folder)
    assert ended == Ended(2, "", f"rsr: {says}\n")


def test_the_traceback_is_shown_when_asked_for(folder: Path, command: Any) -> None:
    ended = command("run", "nowhere", "--traceback")
    assert ended.err.startswith("Traceback")
    assert ended.err.splitlines()[-1].startswith("rsr: nowhere: there is no such config file")


def test_help_and_version_are_everywhere(folder: Path, command: Any) -> None:
    assert command("--version").out.startswith("rsr ")
    for name in ("run", "verify", "format", "status", "score", "export", "lint", "list", "init"):
        ended = command(name, "--help")
        assert ended.code == 0
        assert "Usage: " in ended.out
    assert command("--help").out.count("\n") > 10
    assert {entry.name or entry.callback.__name__ for entry in cli.app.registered_commands if entry.callback} >= {"run"}
