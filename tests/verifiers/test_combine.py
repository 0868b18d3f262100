"""`cascade`, `all`, `any`, `weighted`: who is asked, what counts, and what an error or a missing answer does."""

import itertools

import pytest

from judge_server import Reply, by_letter, fields, judge_server
from rsr.errors import ConfigError
from rsr.types import Message, Reason
from rsr.verifiers import get
from rsr.verifiers.check import Check
from rsr.verifiers.combine import AllOf, AnyOf, Weighted

OPTIONS = {"A": "X", "B": "Y"}
QUESTION: list[Message] = [{"role": "user", "content": "Which?\n\nA: X\nB: Y"}]


def judge_of(server, **params):
    return {"type": "llm-as-judge", "model": "judge", "base_url": server.base_url, "max_retries": 0, **params}


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """Verifiers that say what the response has for them: `part(0)` reads its first word."""
    path = tmp_path / "says.py"
    path.write_text(
        "from rsr.types import Reason, Verdict\n"
        "def said(response, at):\n"
        "    word = response.split()[at]\n"
        "    if word == 'E': raise RuntimeError('broken')\n"
        "    if word == 'U': return Verdict(reason=Reason.UNVERIFIABLE)\n"
        "    return None if word == 'N' else float(word)\n"
        "class Says:\n"
        "    isolated = False\n"
        "    score_range = (0.0, 1.0)\n"
        "    def __init__(self, *, at: int = 0, most: float = 1.0):\n"
        "        self.at, self.score_range = at, (0.0, most)\n"
        "    def __call__(self, response): return said(response, self.at)\n"
    )
    return lambda at, **params: {"type": f"{path}:Says", "at": at, **params}


def outcome(verdict):
    return verdict.reason.value if verdict.score is None else verdict.score


# Cascade


def test_the_judge_is_asked_only_about_what_the_rule_can_not_read():
    with judge_server(by_letter) as server:
        check = get("cascade", verifiers=["mcq-rlvr", judge_of(server)])
        assert check("The answer is B.", "B", OPTIONS).score == 1.0
        assert check("The answer is A.", "B", OPTIONS).score == 0.0
        assert not server.requests
        assert check("I wonder whether the answer is B.", "B", OPTIONS).score == 1.0
        assert len(server.requests) == 1


def test_a_verdict_says_whose_it_is():
    with judge_server(by_letter) as server:
        check = get("cascade", verifiers=["mcq-rlvr", judge_of(server)])
        assert check("The answer is B.", "B", OPTIONS).detail == "mcq-rlvr"
        assert check("Hm. Who knows.", "B", OPTIONS).detail == "llm-as-judge"
        assert check("Hm. Who knows.", "B", OPTIONS).reason is Reason.NO_ANSWER


def test_a_rule_that_fails_is_not_covered_up_by_the_judge():
    with judge_server(by_letter) as server:
        check = get("cascade", verifiers=["mcq-rlvr", judge_of(server)])
        assert check("The answer is B.", "nothing", OPTIONS).reason is Reason.VERIFIER_ERROR
        assert not server.requests
        assert "names no option" in check.refuses("nothing", {"A": "x", "B": "y"}, {}, QUESTION)


def test_a_judge_that_fails_leaves_it_open():
    with judge_server(lambda *_: Reply("", status=500)) as server:
        verdict = get("cascade", verifiers=["mcq-rlvr", judge_of(server)])("Hm.", "B", OPTIONS)
    assert verdict.reason is Reason.VERIFIER_ERROR
    assert verdict.detail.startswith("llm-as-judge: ")


def test_a_share_of_the_passes_is_looked_at_again_and_always_the_same():
    def strict(path, payload):
        return '{"verdict": "incorrect"}'

    with judge_server(strict) as server:
        responses = [f"Thought {number}. The answer is B." for number in range(300)]
        scores = []
        for _ in range(2):
            check = get("cascade", verifiers=["mcq-rlvr", judge_of(server)], check_passes=0.1)
            futures = [check.submit(response, "B", OPTIONS) for response in responses]
            scores.append([one.score if hasattr(one, "score") else one.result(30).score for one in futures])
            assert check("The answer is A.", "B", OPTIONS).score == 0.0
        assert scores[0] == scores[1]
        looked_at = scores[0].count(0.0)
        assert 15 <= looked_at <= 50
        assert len(server.requests) == 2 * looked_at


def test_the_options_are_read_from_the_question_for_all_parts():
    with judge_server(by_letter) as server:
        check = get("cascade", verifiers=["mcq-rlvr", judge_of(server, template="mcq")])
        question: list[Message] = [{"role": "user", "content": "Which?\n\nA: iron\nB: gold"}]
        reference = check.reference(question, {"answer": "B"})
        assert reference == ("B", {"A": "iron", "B": "gold"})
        assert check("gold", *reference, messages=question).score == 1.0
        assert check("Hm.", *reference, messages=question).reason is Reason.NO_ANSWER
        assert fields(server.prompts[0])["CHOICES"] == "A: iron\nB: gold"


def test_a_part_in_a_process_works_too():
    check = get("cascade", verifiers=["math-rlvr", {"type": "exact", "match": "word"}])
    assert check("\\boxed{\\frac{2}{4}}", "1/2").score == 1.0
    assert check("It is (x+1)^2, so \\boxed{(x+1)^2}", "x^2+2x+1").score == 1.0
    assert check("it is iron", "iron").score == 1.0


# All, any, weighted: truth tables. E: error, U: unverifiable, N: no answer

E, U, N = "verifier_error", "unverifiable", "no_answer"


@pytest.mark.parametrize(
    ("words", "all_", "any_"),
    [
        ("1 1", 1.0, 1.0),
        ("1 0", 0.0, 1.0),
        ("0.5 0.25", 0.25, 0.5),
        ("0 N", 0.0, N),
        ("1 N", N, 1.0),
        ("0 U", 0.0, U),
        ("0 E", 0.0, E),
        ("1 E", E, 1.0),
        ("0.5 E", E, E),
        ("N E", E, E),
        ("N N", N, N),
    ],
)
def test_what_could_still_change_it_leaves_it_open(scripted, words, all_, any_):
    parts = [scripted(0), scripted(1)]
    for given in (words, " ".join(reversed(words.split()))):
        assert outcome(get("all", verifiers=parts)(given, None)) == all_
        assert outcome(get("any", verifiers=parts)(given, None)) == any_


def test_the_order_of_the_parts_changes_no_score(scripted):
    for words in itertools.product(["0", "1", "0.5", "N", "E"], repeat=3):
        for name in ("all", "any", "weighted"):
            found = set()
            for order in itertools.permutations(range(3)):
                verdict = get(name, verifiers=[scripted(at) for at in order])(" ".join(words), None)
                found.add(outcome(verdict))
            assert len(found) == 1, (name, words, found)


def test_an_error_that_goes_away_changes_no_verdict_that_was_final(scripted):
    for name in ("all", "any", "weighted"):
        check = get(name, verifiers=[scripted(0), scripted(1)])
        for first in ["0", "1", "0.5", "N"]:
            broken = check(f"{first} E", None)
            if broken.final:
                later = {outcome(check(f"{first} {word}", None)) for word in ["0", "1", "0.5", "N", "U"]}
                assert later == {broken.score}


@pytest.mark.parametrize(("words", "score"), [("1 0", 0.7), ("1 1", 1.0), ("0.5 1", 0.65), ("1 N", N), ("N E", E)])
def test_weights(scripted, words, score):
    check = get("weighted", verifiers=[scripted(0), scripted(1)], weights=[0.7, 0.3])
    assert outcome(check(words, None)) == score


def test_no_request_is_made_once_it_is_settled():
    with judge_server(by_letter) as server:
        check = get("all", verifiers=["mcq-rlvr", judge_of(server)])
        assert check("The answer is A.", "B", OPTIONS).score == 0.0
        assert not server.requests
        assert check("The answer is B.", "B", OPTIONS).score == 1.0
        assert len(server.requests) == 1
        either = get("any", verifiers=["mcq-rlvr", judge_of(server)])
        assert either("The answer is B.", "B", OPTIONS).score == 1.0
        assert len(server.requests) == 1


def test_they_nest():
    check = get(
        "any",
        verifiers=[{"type": "all", "verifiers": ["mcq-rlvr", "exact"]}, {"type": "cascade", "verifiers": ["exact"]}],
    )
    assert check("B", "B", OPTIONS).score == 1.0
    assert check("The answer is B.", "B", OPTIONS).score == 0.0


def test_the_scores_that_are_possible():
    rubric = {"type": "llm-as-judge", "model": "m", "template": "rubric", "rubric": "r"}
    reward = {"type": "reward-model", "model": "m", "base_url": "http://h"}
    assert AllOf(verifiers=["exact", rubric]).score_range == (0.0, 1.0)
    assert AnyOf(verifiers=["exact", reward]).score_range is None
    assert Weighted(verifiers=["exact", rubric], weights=[2.0, -0.5]).score_range == (-0.5, 2.0)
    assert Check("cascade", {"verifiers": ["exact"]}).score_range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("type", "params", "said"),
    [
        ("cascade", {}, r"verifier\.verifiers: missing"),
        ("cascade", {"verifiers": []}, r"verifier\.verifiers: is empty"),
        ("cascade", {"verifiers": [3]}, r"verifier\.verifiers\.0: must be a verifier's name"),
        (
            "cascade",
            {"verifiers": ["mqc-rlvr"]},
            r"verifier\.verifiers\.0\.type: unknown verifier 'mqc-rlvr'; did you mean",
        ),
        ("cascade", {"verifiers": ["exact"], "check_passes": 0.1}, r"verifier\.check_passes: there is no second"),
        ("cascade", {"verifiers": ["exact", "exact"], "check_passes": 2}, r"verifier\.check_passes: it is 2"),
        ("all", {"verifiers": ["exact", {"type": "llm-as-judge"}]}, r"verifier\.verifiers\.1\.model: missing"),
        (
            "any",
            {"verifiers": [{"type": "all", "verifiers": [{"type": "exact", "mach": 1}]}]},
            r"verifier\.verifiers\.0\.verifiers\.0\.mach: unknown key",
        ),
        ("weighted", {"verifiers": ["exact"], "weights": [1.0, 2.0]}, r"verifier\.weights: give 1 numbers"),
    ],
)
def test_a_wrong_config_is_refused(type, params, said):
    with pytest.raises(ConfigError, match=said):
        Check(type, params)


def test_the_key_holds_the_parts_and_no_secret_decides():
    def key(**params):
        judge = {"type": "llm-as-judge", "model": "m", **params}
        return Check("cascade", {"verifiers": ["mcq-rlvr", judge]}).key("B", OPTIONS, {}, QUESTION)

    assert key() == key(api_key="sk-1") == key(base_url="http://h/v1")
    assert (
        len({key(), key(model="n"), key(votes=3), Check("cascade", {"verifiers": ["mcq-rlvr"]}).key("B", OPTIONS, {})})
        == 4
    )
