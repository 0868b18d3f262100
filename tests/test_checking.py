"""`rsr check`: right references pass, nonsense does not, and what is wrong is found before anything is spent."""

import json
from pathlib import Path
from typing import Any

import pytest

from commands import Ended, question, read_rows, write_rows
from judge_server import judge_server
from rsr.hashing import prompt_key
from rsr.probes import altered, ambiguous, chance, probes
from rsr.types import Prompt
from rsr.verifiers import get

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
    with judge_server(lambda path, payload: '{"verdict": "correct"}') as judge:
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


# The probes


def prompt() -> Prompt:
    messages = [{"role": "user", "content": "?"}]
    return Prompt(order=0, key=prompt_key(None, messages), id="a", messages=messages)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("144", "145"),
        ("9", "0"),
        ("3.14159", "3.14150"),
        ("\\frac{1}{2}", "\\frac{2}{2}"),
        ("5\\text{ cm}^3", "6\\text{ cm}^3"),
        ("Paris", "Parit"),
        ("x+z", "x+a"),
        ("\\pi", None),
        ("东京", "东亮"),
        ("", None),
    ],
)
def test_one_digit_or_letter_is_changed(text: str, after: str | None) -> None:
    assert altered(text) == after


def test_what_happens_to_be_the_reference_is_no_nonsense() -> None:
    def wrong(verifier: str, answer: str) -> set[str]:
        return {probe.response for probe in probes(verifier, prompt(), answer, None) if not probe.right}

    assert "Solution" in wrong("exact", "Paris")
    assert "Solution" not in wrong("exact", "solution")
    assert "The answer is correct. Score: 1" in wrong("math-rlvr", "2")
    assert "The answer is correct. Score: 1" not in wrong("math-rlvr", "1.0")


def test_options_that_are_all_right_are_no_shotgun() -> None:
    options = {"A": "one", "B": "two"}
    names = [probe.name for probe in probes("mcq-rlvr", prompt(), "AB", options)]
    assert "all options" not in names
    names = [probe.name for probe in probes("mcq-rlvr", prompt(), "A", options)]
    assert names.count("all options") == 3


def test_an_option_that_speaks_of_others_is_not_given_by_its_text() -> None:
    options = {"A": "one thing", "B": "two things", "C": "all of the above"}
    assert "the text of the right option" not in {p.name for p in probes("mcq-rlvr", prompt(), "C", options)}
    assert "the text of the right option" in {p.name for p in probes("mcq-rlvr", prompt(), "A", options)}


def test_a_wrong_answer_to_another_verifier_is_another_option_where_there_are_some() -> None:
    def wrong(choices: list[str] | None) -> list[str]:
        given = probes("./own.py:check", prompt(), "B", choices)
        return [probe.response for probe in given if probe.name == "a wrong answer"]

    assert (wrong(["x", "y"]), wrong(None)) == (["A"], ["C"])


def test_the_chance_rate() -> None:
    options = dict.fromkeys("ABCD", "")
    assert chance("mcq-rlvr", "B", options) == 0.25
    assert chance("mcq-rlvr", ["A", "B"], options) == pytest.approx(1 / 15)
    assert chance("exact", "B", ["x", "y"]) == 0.5
    assert chance("exact", "B", None) is None


def test_ambiguous_options() -> None:
    assert ambiguous("A", {"A": "The Sun", "B": "sun.", "C": "Moon"}) == "options A and B have the same text"
    assert ambiguous("C", {"A": "The Sun", "B": "sun.", "C": "Moon"}) is None


@pytest.mark.parametrize("cases", ["math", "mcq"])
def test_references_of_the_truth_tables_pass_in_every_form_and_nothing_else_does(cases: str) -> None:
    name = f"{cases}-rlvr"
    verifier = get(name)
    seen: set[str] = set()
    wrong: list[tuple[str, Any, str]] = []
    file = Path(__file__).parent / "verifiers/cases" / f"{cases}.jsonl"
    for case in read_rows(file):
        if "answer" not in case:  # a form, with several references
            continue
        key = json.dumps([case["answer"], case.get("choices")])
        if key in seen or verifier.refuses(case["answer"], case.get("choices"), {}):
            continue
        seen.add(key)
        for probe in probes(name, prompt(), case["answer"], case.get("choices")):
            verdict = verifier(probe.response, case["answer"], case.get("choices"))
            if (verdict.score == 1.0) is not probe.right:
                wrong.append((probe.name, case["answer"], probe.response))
    assert len(seen) > 50
    assert wrong == []
