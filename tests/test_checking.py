"""`rsr check`: right references pass, nonsense does not, and what is wrong is found before anything is spent."""

from pathlib import Path
from typing import Any

import pytest

from commands import Ended, question, read_rows, write_rows
from judge_server import always, judge_server

SCRIPTED = ("sampler.type=scripted", "sampler.replies=[unused]")
TEXT = "Which?\n\nA: Mars\nB: Venus\nC: Pluto\nD: Earth"


def row(id: str, text: str, answer: Any, **metadata: Any) -> dict[str, Any]:
    return {"id": id, "messages": [{"role": "user", "content": text}], "metadata": {"answer": answer, **metadata}}


@pytest.fixture
def check(folder: Path, command: Any) -> Any:
    """`rsr check sft` on rows, with everything that it finds in found.jsonl."""

    def run(rows: list[dict[str, Any]], *more: str) -> Ended:
        write_rows(folder / "in.jsonl", rows)
        ended: Ended = command("check", "sft", "data.input_path=in.jsonl", *SCRIPTED, "-o", "found.jsonl", *more)
        return ended

    return run


def says(ended: Ended, name: str) -> str:
    """The line of the report that begins with a word."""
    (line,) = [line for line in ended.out.splitlines() if line.split(maxsplit=1)[0] == name]
    return line.split(maxsplit=1)[1]


# What is fine


def test_the_quickstart_is_fine(folder: Path, command: Any) -> None:
    ended = command("check", "quickstart", *SCRIPTED, "-o", "found.jsonl")
    assert ended.code == 0, ended.out
    assert says(ended, "input") == "40 prompts"
    assert says(ended, "checked") == "40 prompts: mcq-rlvr 16, exact 14, math-rlvr 10"
    assert says(ended, "reference").startswith("40 of 40 prompts")
    assert says(ended, "nonsense").startswith("40 of 40 prompts")
    assert says(ended, "endpoint") == "ready"
    assert read_rows(folder / "found.jsonl") == []


def test_every_built_in_verifier_tells_its_probes_apart(check: Any) -> None:
    rows = [
        row("letter", TEXT, "B"),
        row("text", TEXT, "Pluto"),
        row("several", TEXT, ["A", "C"]),
        row("listed", "Which?", 1, choices=["Mars", "Venus"]),
        row("unknown", "Which letter?", "C"),
        row("number", "What is 12 * 12?", "144", verifier="math-rlvr"),
        row("solution", "How many?", "48 / 2 = 24, so 48 + 24 = 72.\n#### 72", verifier="math-rlvr"),
        row("latex", "Solve it.", "$\\frac{x+1}{2}$", verifier="math-rlvr"),
        row("alternatives", "Solve it.", ["0.5", "1/2"], verifier="math-rlvr"),
        row("one", "How many moons has the Earth?", "1", verifier="math-rlvr"),
        row("exact", "Capital of France?", ["Paris", "Paname"], verifier="exact"),
        row("word", "Capital of France?", "Paris", verifier={"type": "exact", "match": "word"}),
    ]
    ended = check(rows)
    assert ended.code == 0, ended.out
    assert says(ended, "reference").startswith(f"{len(rows)} of {len(rows)} prompts")
    assert "%" in says(ended, "chance")


def test_nothing_is_left_behind_and_no_run_is_made(check: Any, folder: Path) -> None:
    check([question("a")])
    assert sorted(path.name for path in folder.iterdir()) == ["found.jsonl", "in.jsonl"]


# What is not


def test_rows_that_can_not_be_used_are_all_listed(folder: Path, command: Any) -> None:
    rows = [
        question("a"),
        question("b", "E"),
        question("c", None),
        question("a"),
        row("d", TEXT, "B", verifier="exakt"),
    ]
    write_rows(folder / "in.jsonl", rows)
    with (folder / "in.jsonl").open("a") as file:
        file.write("not json\n")
    ended = command("check", "sft", "data.input_path=in.jsonl", *SCRIPTED)
    assert ended.code == 1
    assert says(ended, "input") == "1 prompts, 5 rows can't be used"
    listed = [line.strip() for line in ended.out.splitlines() if line.startswith("  in.jsonl, line")]
    assert [line.split(":")[0] for line in listed] == [f"in.jsonl, line {line}" for line in (2, 3, 5, 6, 4)]
    assert "names no option of A, B" in listed[0]
    assert "did you mean 'exact'?" in listed[2]
    ended = command("check", "sft", "data.input_path=in.jsonl", "data.on_error=skip", *SCRIPTED)
    assert (ended.code, says(ended, "input")) == (0, "1 prompts, 5 more can't be used (data.on_error=skip)")


def test_a_prompt_that_gives_the_answer_away_is_found(check: Any, folder: Path) -> None:
    rows = [row("a", TEXT, "B"), row("b", "Is Paris larger?", "Paris", verifier={"type": "exact", "match": "word"})]
    ended = check(rows)
    assert ended.code == 1
    assert "in.jsonl, line 2 (b): the prompt itself passes: 'Is Paris larger?' -> score 1" in ended.out
    (found,) = read_rows(folder / "found.jsonl")
    assert {key: found[key] for key in ("file", "line", "id", "verifier", "probe", "must_pass", "score")} == {
        "file": "in.jsonl",
        "line": 2,
        "id": "b",
        "verifier": "exact",
        "probe": "the prompt itself",
        "must_pass": False,
        "score": 1.0,
    }


def test_equal_options_are_a_warning(check: Any) -> None:
    twins = "Which?\n\nA: Mars\nB: Venus\nC: Mars"
    ended = check([row("a", twins, "A"), row("b", twins, "C")])
    assert ended.code == 0, ended.out
    assert says(ended, "warning") == (
        "in.jsonl, line 1 (a): the reference is ambiguous: options A and C have the same text (and 1 more prompts)"
    )
    ended = check([row("a", twins, "B"), row("b", twins, "Mars")])
    assert ended.code == 1
    assert "in.jsonl, line 2: options A and C have the same text; metadata.answer: " in ended.out


OWN = """
def lenient(response, answer):
    return 1.0
def strict(response, answer):
    return 0.0
def marked(response, answer):
    return response == f"<<{answer}>>"
def broken(response, answer):
    raise RuntimeError("no")
def unread(response, answer):
    return None
def graded(response, answer):
    return 8.0 if answer == response else 2.0
graded.score_range = (0, 10)
"""


@pytest.mark.parametrize(
    ("name", "code", "reference", "nonsense"),
    [
        ("lenient", 1, "2 of 2", "0 of 2"),
        ("strict", 1, "0 of 2", "2 of 2"),
        ("unread", 1, "0 of 2", "2 of 2"),
        ("broken", 1, "0 of 2", "0 of 2"),
        ("marked", 1, "0 of 2", "2 of 2"),
    ],
)
def test_an_own_verifier_is_asked_the_same(
    name: str, code: int, reference: str, nonsense: str, check: Any, folder: Path
) -> None:
    (folder / "own.py").write_text(OWN)
    ended = check([row("a", "x?", "41"), row("b", "y?", "forty-one")], f"verifier.type=./own.py:{name}")
    assert ended.code == code
    assert says(ended, "reference").startswith(f"{reference} prompts")
    assert says(ended, "nonsense").startswith(f"{nonsense} prompts")
    if name == "broken":
        assert "the verifier fails on the reference, '41': " in ended.out


def test_gold_says_how_a_right_response_looks(check: Any, folder: Path) -> None:
    (folder / "own.py").write_text(OWN)
    own = "verifier.type=./own.py:marked"
    assert check([row("a", "x?", "41")], own, "--gold", "<<{answer}>>").code == 0
    assert "--gold: '<<' has no {answer} in it" in check([row("a", "x?", "41")], own, "--gold", "<<").refused()


def test_a_reference_that_no_response_could_be_is_counted(check: Any, folder: Path) -> None:
    (folder / "own.py").write_text("def tests(response, answer):\n    return 0.0\n")
    ended = check([row("a", "Write it.", {"in": 1, "out": 2})], "verifier.type=./own.py:tests")
    assert ended.code == 0, ended.out
    assert says(ended, "reference").endswith("1 have none that a response could be")


@pytest.mark.parametrize(
    ("verifier", "given", "says"),
    [
        ("mcq-rlvr", "{type: sft, pass_threshold: 2}", "formatter.pass_threshold: "),
        ("exact", "[{type: sft}, {type: dpo, fail_threshold: -1}]", "formatter.1.fail_threshold: "),
        ("./own.py:graded", "{type: sft, pass_threshold: 11}", "formatter.pass_threshold: "),
    ],
)
def test_a_threshold_that_no_score_can_meet_is_refused(
    verifier: str, given: str, says: str, check: Any, folder: Path
) -> None:
    (folder / "own.py").write_text(OWN)
    refused = check([question("a")], f"verifier.type={verifier}", f"formatter={given}").errors[-1]
    assert refused.startswith(f"rsr: {says}")
    assert f"{verifier.rpartition('/')[2]} gives scores from 0 to 1" in refused


def test_a_threshold_within_an_own_scale_is_fine_and_decides(check: Any, folder: Path) -> None:
    (folder / "own.py").write_text(OWN)
    own = "verifier.type=./own.py:graded"
    assert check([row("a", "x?", "41")], own, "formatter.0.pass_threshold=8").code == 0
    assert "does not pass" in check([row("a", "x?", "41")], own, "formatter.0.pass_threshold=9").out
    assert "passes: " in check([row("a", "x?", "41")], own, "formatter.0.pass_threshold=1").out


# How much


def test_so_many_rows_are_drawn_by_the_seed(check: Any, folder: Path) -> None:
    (folder / "own.py").write_text(OWN)
    rows = [row(f"q{at}", "x?", "41") for at in range(10)]
    ended = check(rows, "verifier.type=./own.py:strict", "--rows", "3")
    assert says(ended, "input") == "10 prompts"
    assert says(ended, "checked") == "3 prompts: ./own.py:strict 3; 7 others were not checked (--rows)".replace(
        "./own.py:strict", f"{folder}/own.py:strict"
    )

    def drawn(rows: int, seed: int) -> list[str]:
        check(many, "verifier.type=./own.py:strict", "--rows", str(rows), f"seed={seed}")
        return [found["id"] for found in read_rows(folder / "found.jsonl")]

    many = [row(f"q{at}", "x?", "41") for at in range(100)]
    assert len(set(drawn(7, 0))) == 7
    assert drawn(7, 0) == drawn(7, 0) != drawn(7, 1)
    assert len(set(drawn(100, 0))) == len(set(drawn(200, 0))) == 100


def test_at_most_some_are_shown_and_all_are_written(check: Any, folder: Path) -> None:
    (folder / "own.py").write_text(OWN)
    ended = check([row(f"q{at}", "x?", "41") for at in range(50)], "verifier.type=./own.py:strict")
    assert ended.out.count("in.jsonl, line") == 20
    assert len(read_rows(folder / "found.jsonl")) == 50


def test_a_verifier_that_costs_requests_is_asked_only_where_that_is_wanted(check: Any) -> None:
    rows = [row(f"q{at}", "x?", "41") for at in range(12)]
    with judge_server(always('{"verdict": "correct"}')) as judge:
        asked = ["verifier.type=llm-as-judge", "verifier.model=judge", f"verifier.base_url={judge.base_url}"]
        ended = check(rows, *asked)
        assert ended.code == 0, ended.out
        assert says(ended, "checked") == "0 prompts: none"
        assert says(ended, "not").startswith("paid   12 prompts: llm-as-judge costs requests; --paid checks a sample")
        assert not judge.requests
        paid = check(rows, *asked, "--paid", "--rows", "2")
        assert judge.requests
    assert says(paid, "checked").startswith("2 prompts: llm-as-judge 2")
    assert paid.code == 1, "a judge that finds everything correct is found out"


# The endpoint


def test_an_endpoint_that_is_not_there_is_said_after_the_rest(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    address = "sampler.base_url=http://127.0.0.1:9/v1"
    ended = command("check", "sft", "data.input_path=in.jsonl", "sampler.model=m", address)
    assert ended.code == 2
    assert says(ended, "reference").startswith("1 of 1 prompts")
    assert says(ended, "endpoint").startswith("sampler.base_url: nothing answers at http://127.0.0.1:9/v1")


def test_a_missing_input_and_a_wrong_config_are_refused(folder: Path, command: Any) -> None:
    assert "there is no file none.jsonl" in command("check", "sft", "data.input_path=none.jsonl", *SCRIPTED).err
    assert command("check", "sft", "data.input_path=none.jsonl", *SCRIPTED).code == 2
    assert "unknown verifier 'exakt'" in command("check", "sft", "verifier.type=exakt", *SCRIPTED).refused()


# The pilot


PRICES = ("sampler.prices.prompt=0", "sampler.prices.completion=1000000")
REPLY = "sampler.replies=[{text: The answer is B., completion_tokens: 5}]"


def test_a_pilot_samples_some_prompts_and_estimates_the_rest(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question(f"q{at}") for at in range(40)])
    ended = command("check", "sft", "data.input_path=in.jsonl", "sampler.type=scripted", REPLY, *PRICES, "--pilot", 4)
    assert ended.code == 0, ended.err
    assert says(ended, "pilot").startswith("4 of 4 prompts: 4 responses, sft 4 rows; ")
    spent = "40 prompts: about 40 responses, 200 completion and 0 prompt tokens, 200.00 USD"
    assert says(ended, "estimate") == spent
    assert [path.name for path in folder.iterdir()] == ["in.jsonl"]


def test_a_pilot_of_more_prompts_than_there_are_takes_them_all(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a"), question("b"), question("bad", None)])
    ended = command("check", "sft", "data.input_path=in.jsonl", "sampler.type=scripted", REPLY, "--pilot", 9)
    assert ended.code == 1  # of the bad row
    assert says(ended, "estimate") == "2 prompts: about 2 responses, 10 completion and 0 prompt tokens"


def test_a_pilot_that_gets_nothing_says_so(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    failing = ("sampler.type=scripted", "sampler.replies={'*': {error: failed}}", "sampler.max_retries=0")
    ended = command("check", "sft", "data.input_path=in.jsonl", *failing, "--pilot", 1)
    assert ended.code == 3
    assert says(ended, "estimate") == "none: no prompt was finished"


def test_without_pilot_nothing_is_sampled_and_without_an_endpoint_no_pilot_is_made(folder: Path, command: Any) -> None:
    write_rows(folder / "in.jsonl", [question("a")])
    ended = command("check", "sft", "data.input_path=in.jsonl", "sampler.type=scripted", REPLY)
    assert "pilot" not in ended.out
    gone = ("sampler.model=m", "sampler.base_url=http://127.0.0.1:9/v1")
    ended = command("check", "sft", "data.input_path=in.jsonl", *gone, "--pilot", 1)
    assert (ended.code, "pilot" in ended.out) == (2, False)
