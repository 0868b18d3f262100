"""`Check`: identity, what a verifier may return, and where it runs."""

import asyncio
import sys

import pytest

from rsr.errors import ConfigError, PluginError
from rsr.types import Prompt, Reason, Verdict
from rsr.verifiers import VERIFIERS, get
from rsr.verifiers.check import Check
from rsr.verifiers.pool import Pool
from rsr.verifiers.verification import Verification


def of(result):
    return Check.of_function(lambda response: result)


@pytest.mark.parametrize(("result", "score"), [(True, 1.0), (False, 0.0), (0.25, 0.25), (3, 3.0), (0.1 + 0.2, 0.3)])
def test_numbers_become_scores(result, score):
    assert of(result)("x", None) == Verdict(score=score)


def test_none_is_no_answer_and_a_verdict_is_itself():
    assert of(None)("x", None).reason is Reason.NO_ANSWER
    assert of(Verdict(score=0.1 + 0.2, extracted="y"))("x", None) == Verdict(score=0.3, extracted="y")
    assert of(Verdict(reason=Reason.UNVERIFIABLE))("x", None).reason is Reason.UNVERIFIABLE


@pytest.mark.parametrize("result", ["1", [1], float("nan"), float("inf"), {"score": 1}])
def test_whatever_else_is_an_error(result):
    assert of(result)("x", None).reason is Reason.VERIFIER_ERROR


def test_what_it_raises_becomes_a_verdict_that_names_it():
    def broken(response, answer):
        raise TypeError("boo")

    verdict = Check.of_function(broken)("x", "y")
    assert verdict.reason is Reason.VERIFIER_ERROR
    assert verdict.detail.endswith("broken: TypeError: boo")
    assert not verdict.final


def test_an_exit_is_an_error_too():
    def leaving(response):
        sys.exit(3)

    check = Check.of_function(leaving)
    for verdict in (check("x", None), check.judge("x", None, None, None)):
        assert verdict.reason is Reason.VERIFIER_ERROR
        assert verdict.detail.endswith("leaving: SystemExit: 3")


def test_a_function_gets_only_what_it_takes():
    calls = []
    Check.of_function(lambda response: calls.append(response))("x", 1, 2, {"m": 3})
    Check.of_function(lambda response, answer: calls.append((response, answer)))("x", 1, 2, {"m": 3})
    Check.of_function(lambda response, metadata: calls.append(metadata))("x", 1, 2, {"m": 3})
    Check.of_function(lambda response, *, choices=None: calls.append(choices))("x", 1, 2, {"m": 3})
    Check.of_function(lambda response, **rest: calls.append(rest))("x", 1, 2, {"m": 3})
    Check.of_function(lambda response, answer, /: calls.append(answer))("x", 1)
    assert calls == ["x", ("x", 1), {"m": 3}, 2, {"answer": 1, "choices": 2, "metadata": {"m": 3}}, 1]


def test_what_nothing_fills_is_refused_at_once():
    with pytest.raises(PluginError, match="'gold'"):
        Check.of_function(lambda response, gold: 1)

    async def later(response):
        return 1

    with pytest.raises(PluginError, match="coroutine"):
        Check.of_function(later)

    def named(*, response, answer):
        return 1

    for function in (named, lambda **rest: 1):
        with pytest.raises(PluginError, match="the response is passed as the first positional argument"):
            Check.of_function(function)
    with pytest.raises(PluginError, match="not a function"):
        Check.of_function("x")


def test_needs_answer():
    assert Check.of_function(lambda response, answer: 1).needs_answer
    assert not Check.of_function(lambda response: 1).needs_answer
    assert not Check.of_function(lambda response, answer=None: 1).needs_answer
    assert all(get(name).needs_answer for name in ("exact", "mcq-rlvr", "math-rlvr"))


def test_only_the_final_answer_is_judged():
    seen = Check.of_function(lambda response: Verdict(score=1.0, extracted=response))
    assert seen("<think>no</think> yes ", None).extracted == "yes"
    assert seen({"content": "yes", "reasoning_content": "no"}, None).extracted == "yes"
    assert seen("<think>cut short", None).reason is Reason.NO_ANSWER
    assert seen("", None).reason is Reason.NO_ANSWER


def test_no_answer_fail_is_a_score_and_part_of_the_key():
    failing, plain = get("exact", no_answer="fail"), get("exact")
    assert failing("", "x") == Verdict(score=0.0, detail="no final answer")
    assert failing.key("x", None, {}) != plain.key("x", None, {})
    assert get("mcq-rlvr", no_answer="fail")("no idea", "A").score == 0.0
    with pytest.raises(ConfigError, match=r"verifier\.no_answer"):
        get("exact", no_answer="zero")


def test_cpu_seconds_is_a_parameter_of_every_verifier_and_part_of_the_key_where_given():
    plain, limited = get("math-rlvr"), get("math-rlvr", cpu_seconds=5)
    assert "cpu_seconds" not in plain.params
    assert limited.params["cpu_seconds"] == 5.0
    assert (
        limited.key("x", None, {}) == get("math-rlvr", cpu_seconds=5.0).key("x", None, {}) != plain.key("x", None, {})
    )
    assert get("exact", cpu_seconds=0.5)("x", "x").score == 1.0
    for wrong in (0, -1, True, "5", None, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"verifier\.cpu_seconds: it is .*set it to a number of seconds above 0"):
            get("exact", cpu_seconds=wrong)


@pytest.mark.parametrize(
    ("verifier", "metadata", "says"),
    [
        ("mcq-rlvr", {"answer": "B"}, None),
        ("mcq-rlvr", {"answer": "Mars"}, None),
        ("mcq-rlvr", {"answer": "C"}, "metadata.answer: the reference 'C' names no option of A, B"),
        ("mcq-rlvr", {"answer": "C", "choices": ["x", "y", "z"]}, None),
        ("mcq-rlvr", {"answer": {"a": 1}}, "metadata.answer: the reference {'a': 1} names no option"),
        ("mcq-rlvr", {"answer": True}, "metadata.answer: the reference True names no option"),
        ("mcq-rlvr", {"answer": " "}, "metadata.answer: missing; the verifier mcq-rlvr needs one"),
        ("mcq-rlvr", {"answer": 1 << 70}, "metadata.answer: OverflowError: "),
        ("exact", {"answer": {"a": 1}}, None),
        ("exact", {"answer": [""]}, "metadata.answer: missing or empty"),
        ("math-rlvr", {"answer": "\n"}, "metadata.answer: missing; the verifier math-rlvr needs one"),
        (
            "exact",
            {"answer": "C", "verifier": "mcq-rlvr"},
            "metadata.answer: the reference 'C' names no option of A, B",
        ),
    ],
)
def test_an_unusable_reference_is_found_before_any_sampling(verifier, metadata, says):
    content = "Which is red?\nA: Venus\nB: Mars"
    prompt = Prompt(order=0, key=b"", id="a", messages=[{"role": "user", "content": content}], metadata=metadata)
    with Pool() as pool:
        problem = Verification(get(verifier), pool).problem(prompt)
    if problem and "can't use it: " in problem:
        by = metadata.get("verifier", verifier)
        named = by["type"] if isinstance(by, dict) else by
        hint = "; set verifier.type to another (rsr list verifiers)"
        assert problem.startswith(f"metadata.answer: the verifier {named} can't use it: ")
        assert problem.endswith(hint)
        problem = problem.replace(f"the verifier {named} can't use it: ", "").removesuffix(hint)
    assert problem == says or (says and says.endswith(": ") and problem.startswith(says))


def test_own_code_is_not_asked_about_references():
    def own(response, answer):
        raise AssertionError

    prompt = Prompt(order=0, key=b"", id="a", messages=[], metadata={"answer": "B"})
    with Pool() as pool:
        assert Verification(Check.of_function(own), pool).problem(prompt) is None


def test_keys_follow_what_decides_the_verdict():
    check = get("exact")
    assert check.key("x", None, {"a": 1}) == check.key("x", None, {"a": 2}) != check.key("y", None, {})
    assert check.key("x", None, {}) != check.key("x", ["x"], {}) != get("exact", match="word").key("x", ["x"], {})
    own = Check.of_function(lambda response, metadata: 1)
    assert own.key("x", None, {"a": 1}) != own.key("x", None, {"a": 2})


def test_unknown_names_and_parameters_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'math-rlvr'"):
        get("math-rlvl")
    with pytest.raises(ConfigError, match=r"verifier\.precision"):
        get("math-rlvr", precision=3)


def test_built_in_verifiers_are_listed_with_a_summary():
    listed = {row.name: row.summary for row in VERIFIERS.list()}
    assert {"exact", "mcq-rlvr", "math-rlvr"} <= set(listed)
    assert all(summary and not summary.startswith("broken") for summary in listed.values())


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(
        "def same(response, answer, *, fold: bool = False):\n"
        "    if fold:\n"
        "        response, answer = response.lower(), answer.lower()\n"
        "    return response == answer\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own.py"


def test_a_function_in_a_file_is_a_verifier(own_file):
    check = get("./own.py:same", fold=True)
    assert check.isolated
    assert check.needs_answer
    assert check.name == "./own.py:same"
    assert check("PARIS", "paris").score == 1.0
    assert get(f"{own_file}:same")("PARIS", "paris").score == 0.0
    with pytest.raises(ConfigError, match=r"verifier\.fol"):
        get("./own.py:same", fol=True)
    with pytest.raises(ConfigError, match="samee"):
        get("./own.py:samee")


def test_an_edited_file_is_another_version(own_file):
    before = get("./own.py:same").version
    own_file.write_text(own_file.read_text() + "\n# edited\n")
    assert get("./own.py:same").version != before


def test_it_may_be_called_inside_a_running_event_loop():
    async def main():
        return get("math-rlvr")("\\boxed{x+1}", "1+x"), get("exact")("x", "x")

    assert [verdict.score for verdict in asyncio.run(main())] == [1.0, 1.0]


def test_importing_verifiers_is_light():
    import subprocess

    code = "import sys, rsr.verifiers.check; print({'sympy', 'math_verify', 'pydantic', 'psutil'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "set()\n"
