"""`llm-as-judge` by itself: what is sent, what a reply must be, votes, errors, and what a verification spends."""

import asyncio
from collections import Counter

import pytest

from judge_server import QUESTION, Reply, always, by_letter, fields, in_turn, judge, judge_server
from rsr.types import Prompt, Reason
from rsr.verifiers import get
from rsr.verifiers.check import Check
from rsr.verifiers.judge_reply import Form, Unreadable
from rsr.verifiers.pool import Pool
from rsr.verifiers.verification import Verification


def test_it_is_called_like_any_verifier():
    with judge_server(by_letter) as server:
        check = get("llm-as-judge", model="judge", base_url=server.base_url)
        assert check("The answer is B.", "B").score == 1.0
        assert check("The answer is A.", "B").score == 0.0
        assert check("I can't tell.", "B").reason is Reason.NO_ANSWER
        assert check("<think>The answer is B.", "B").reason is Reason.NO_ANSWER
        assert len(server.requests) == 3, "what has no final answer costs nothing"


def test_it_works_in_threads_and_in_a_running_loop():
    with judge_server(by_letter) as server:
        check = judge(server)

        async def main():
            return check("The answer is B.", "B")

        assert asyncio.run(main()).score == 1.0
        futures = [check.submit("The answer is B.", "B") for _ in range(20)]
        assert {future.result(20).score for future in futures} == {1.0}


def test_the_older_name_grades_multiple_choice():
    with judge_server(by_letter) as server:
        check = judge(server, type="mcq-llm-as-judge")
        assert check("The answer is B.", "B", ["X", "Y"], messages=QUESTION).score == 1.0
        shown = fields(server.prompts[0])
    assert shown["CHOICES"] == "A: X\nB: Y"
    assert shown["QUESTION"] == QUESTION[0]["content"]
    assert "multiple-choice" in server.prompts[0]


def test_what_is_sent_is_what_was_set():
    with judge_server(by_letter) as server:
        judge(server, temperature=0.2, max_tokens=50, extra_params={"top_k": 3})("The answer is B.", "B")
        judge(server, send_seed=False)("The answer is B.", "B")
    first, second = (payload for _, payload in server.requests)
    assert {key: first[key] for key in ("temperature", "max_tokens", "top_k")} == {
        "temperature": 0.2,
        "max_tokens": 50,
        "top_k": 3,
    }
    assert first["seed"] > 0
    assert set(second) == {"model", "messages"}


def test_equal_responses_to_a_prompt_are_judged_once():
    with judge_server(by_letter) as server:
        check = judge(server)
        futures = [check.submit("The answer is B.", "B", messages=QUESTION) for _ in range(8)]
        assert {future.result(20).score for future in futures} == {1.0}
        assert check("The answer is B.", "B", messages=QUESTION).score == 1.0
        assert len(server.requests) == 1
        assert check("The answer is B.", "A", messages=QUESTION).score == 0.0
        assert len(server.requests) == 2


def test_the_same_response_gets_the_same_request():
    with judge_server(by_letter) as server:
        for response in ("The answer is B.", "The answer is B.", "The answer is B!"):
            judge(server)(response, "B")
    one, again, other = server.requests
    assert one == again != other


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"verdict": "correct"}', 1.0),
        ('Let me see.\n\n{"verdict":"INCORRECT", "reason": "It says 3."}\n', 0.0),
        ('```json\n{\n "verdict": "correct"\n}\n```', 1.0),
        ('So:\n```json\n{"verdict": "incorrect"}\n```', 0.0),
        ('<think>{"verdict": "incorrect"}</think>\n{"verdict": "correct"}', 1.0),
        ('{"verdict": "incorrect"}\nNo, wait.\n{"verdict": "correct"}', 1.0),
    ],
)
def test_a_verdict_is_the_object_on_the_last_line(reply, score):
    with judge_server(always(reply)) as server:
        assert judge(server)("x", "y").score == score
        assert len(server.requests) == 1


UNREADABLE = [
    "correct",
    '{"verdict": "correct"} I hope that helps.',
    '{"verdict": "maybe"}',
    '{"verdict": true}',
    '{"verdict": 1}',
    '{"score": 1}',
    "{}",
    "[]",
    "null",
    '{"verdict": "correct", "verdict": "incorrect"}',
    '{"verdict": {"verdict": "correct"}}',
    '{"verdict": ["correct"]}',
    '{"verdict": "correct"',
    '"verdict": "correct"',
    "{'verdict': 'correct'}",
    '{"verdict": "correct or incorrect"}',
    "[" * 5000,
]


@pytest.mark.parametrize("reply", UNREADABLE)
def test_what_can_not_be_read_is_asked_for_once_more_and_then_an_error(reply):
    with judge_server(always(reply)) as server:
        verdict = judge(server)("x", "y")
    assert verdict.reason is Reason.VERIFIER_ERROR
    assert verdict.score is None
    assert "can't be read" in verdict.detail
    assert len(server.requests) == 2
    first, second = (payload for _, payload in server.requests)
    assert second["messages"][0] == first["messages"][0]
    assert second["messages"][1] == {"role": "assistant", "content": reply[-4000:]}
    assert "JSON object alone" in second["messages"][2]["content"]
    assert second["seed"] != first["seed"]


def test_a_repaired_reply_counts():
    with judge_server(in_turn("It is right!", '{"verdict": "correct"}')) as server:
        assert judge(server)("x", "y").score == 1.0


def test_another_try_after_what_could_not_be_read_has_other_seeds():
    with judge_server(in_turn("?", "?", "?", '{"verdict": "correct"}')) as server:
        check = judge(server)
        assert check("x", "y").reason is Reason.VERIFIER_ERROR
        assert check("x", "y").score == 1.0
        assert len({payload["seed"] for _, payload in server.requests}) == 4


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply('{"verdict": "correct"}', finish="length"), "cut"),
        (Reply('{"verdict": "correct"}', finish="content_filter"), "filtered"),
        (Reply(""), "empty"),
        (Reply("<think>hm"), "empty"),
        (Reply('{"verdict": "correct"}', status=500), "server error"),
        (Reply({"choices": []}), "no choices"),
        (Reply({"error": {"message": "no"}}), "no"),
        (Reply({"error": {"message": "context length is 10 tokens"}}, status=400), "context"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reply_that_failed_is_an_error_and_never_a_score(reply, said):
    with judge_server(always(reply)) as server:
        verdict = judge(server, max_retries=0)("x", "y")
    assert verdict.reason is Reason.VERIFIER_ERROR
    assert said in verdict.detail
    assert len(server.requests) <= 2


# Scales


@pytest.mark.parametrize(("said", "score"), [(10, 1.0), (1, 0.0), (5.5, 0.5), (7, 0.666666667)])
def test_a_score_of_the_rubric_is_put_between_0_and_1(said, score):
    with judge_server(always(f'{{"score": {said}}}')) as server:
        verdict = judge(server, template="rubric", rubric="Be short.")("x", None)
    assert verdict.score == score
    assert "Be short." in server.prompts[0]
    assert "from 1 to 10" in server.prompts[0]


@pytest.mark.parametrize("said", ["0", "11", '"7"', "true", "null", "NaN", "Infinity", "1e999", "[7]"])
def test_a_score_that_is_not_on_the_scale_is_none(said):
    with pytest.raises(Unreadable):
        Form((1.0, 10.0)).read(f'{{"score": {said}}}')


def test_a_rows_rubric_goes_first_and_is_fenced():
    with judge_server(always('{"score": 3}')) as server:
        check = judge(server, template="rubric", scale=[0, 3])
        assert check("x", None, metadata={"rubric": "Rhyme."}).score == 1.0
        assert fields(server.prompts[0])["RUBRIC"] == "Rhyme."
        assert "'rubric' is undefined" in check("x", None).detail
    assert check.refuses(None, None, {}, QUESTION) == "verifier.template: 'rubric' is undefined"


# Votes


def test_votes_have_seeds_of_their_own_and_the_majority_counts():
    with judge_server(in_turn(*['{"verdict": "correct"}'] * 2, '{"verdict": "incorrect"}')) as server:
        verdict = judge(server, votes=3)("x", "y")
    assert (verdict.score, verdict.detail) == (1.0, "2 of 3 votes agree")
    assert len({payload["seed"] for _, payload in server.requests}) == 3


@pytest.mark.parametrize(("votes", "agreement"), [(3, 0.7), (2, 0.5), (4, 0.1)])
def test_too_little_agreement_is_unverifiable(votes, agreement):
    replies = ['{"verdict": "correct"}', '{"verdict": "incorrect"}'] * 2
    with judge_server(in_turn(*replies)) as server:
        verdict = judge(server, votes=votes, agreement=agreement)("x", "y")
    assert verdict.reason is Reason.UNVERIFIABLE
    assert verdict.final


def test_votes_on_a_scale_agree_where_they_are_near_the_middle_one():
    with judge_server(in_turn('{"score": 8}', '{"score": 9}', '{"score": 2}')) as server:
        assert judge(server, template="rubric", rubric="r", scale=[0, 10], votes=3)("x", None).score == 0.8
    with judge_server(in_turn('{"score": 8}', '{"score": 5}', '{"score": 2}')) as server:
        verdict = judge(server, template="rubric", rubric="r", scale=[0, 10], votes=3)("x", None)
    assert verdict.reason is Reason.UNVERIFIABLE


def test_a_missing_vote_leaves_the_verdict_open_and_the_others_paid_for():
    count = Counter()

    def answer(path, payload):
        count[payload["seed"]] += 1
        first = min(count) == payload["seed"] and len(count) == 1
        return Reply("", status=500) if first and count[payload["seed"]] == 1 else '{"verdict": "correct"}'

    with judge_server(answer) as server:
        check = judge(server, votes=3, max_retries=0, concurrent_requests=1)
        assert check("x", "y").reason is Reason.VERIFIER_ERROR
        assert check("x", "y").score == 1.0
    assert sorted(count.values()) == [1, 1, 2]


# A verification


def prompt(**metadata):
    return Prompt(order=0, key=bytes(16), id="p", messages=QUESTION, metadata=metadata)


def test_a_row_can_not_send_requests_anywhere():
    verification = Verification(Check("mcq-rlvr"), Pool())
    named = {"type": "llm-as-judge", "model": "m", "base_url": "http://evil"}
    for verifier in (
        named,
        "reward-model",
        {"type": "cascade", "verifiers": [named]},
        {"type": "all", "verifiers": []},
    ):
        problem = verification.problem(prompt(answer="A", verifier=verifier))
        assert "can only be set in the config" in problem
    verification.close()


def test_what_was_spent_is_counted_and_the_budget_ends_it():
    with judge_server(by_letter) as server:
        verification = Verification(judge(server, budget={"requests": 3}), Pool())
        verification.remote.before = {f"verifier_requests/{verification.default.services[0].whose}": 1}
        given = prompt(answer="B")
        reference = verification.reference(given)
        scores = [verification.submit(given, reference, f"The answer is {x}.").result().score for x in "ABCD"]
        assert scores == [0.0, 1.0, None, None]
        assert "verifier.budget.requests: 3 of 3 are spent" in str(verification.stopped)
        spent = {name.partition("/")[0]: count for name, count in verification.uncounted().items()}
        assert spent == {"verifier_requests": 2, "verifier_prompt_tokens": 200, "verifier_completion_tokens": 10}
        assert verification.uncounted() == {}
        verification.close()
    assert len(server.requests) == 2


def test_no_more_than_concurrent_requests_are_in_flight():
    with judge_server(always(Reply('{"verdict": "correct"}', wait=0.05))) as server:
        check = judge(server, concurrent_requests=3)
        for future in [check.submit(f"x{number}", "y") for number in range(15)]:
            assert future.result(20).score == 1.0
    assert server.most == 3


def test_a_secret_in_the_servers_words_is_not_repeated():
    with judge_server(always(Reply({"error": {"message": "bad: sk-secret-1"}}, status=500))) as server:
        verdict = judge(server, api_key="sk-secret-1", max_retries=0)("x", "y")
    assert "sk-secret-1" not in verdict.detail


def test_closing_ends_what_is_under_way():
    with judge_server(always(Reply('{"verdict": "correct"}', wait=0.5))) as server:
        verification = Verification(judge(server), Pool())
        given = prompt(answer="B")
        future = verification.submit(given, verification.reference(given), "x")
        verification.close()
        assert future.cancelled()
