"""The simulated model: a reply is a function of seeds and messages, and its answers are read by the verifiers."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_client import ask
from commands import question, write_rows
from rsr.errors import ConfigError
from rsr.messages import sampled_messages
from rsr.simulation.answers import Answers, answer_of, answers_from
from rsr.simulation.model import Lengths, Model, PassRates, parse_pass_rate
from rsr.verifiers.check import Check

CASES = Path(__file__).parents[1] / "verifiers" / "cases"


def replies(model, text="Which one?", count=400, **more):
    subject = model.subject(ask(text))
    return [model.reply(subject, seed, **more) for seed in range(count)]


# The model


@given(st.text(max_size=40), st.integers(0, 2**31), st.integers(0, 3))
def test_a_reply_is_a_function_of_the_seeds_and_the_messages(text, seed, own):
    one, other = Model(own), Model(own)
    assert one.reply(one.subject(ask(text)), seed) == other.reply(other.subject(ask(text)), seed)


def test_no_two_seeds_of_a_prompt_give_the_same_text():
    assert len({reply.text for reply in replies(Model(lengths=Lengths(10, 0.1)), count=5000)}) == 5000


def test_other_seeds_of_the_model_give_other_replies():
    assert replies(Model(1), count=5) != replies(Model(2), count=5)


@given(st.integers(1, 40_000), st.integers(0, 1000))
@settings(max_examples=50)
def test_tokens_are_words(length, seed):
    model = Model(lengths=Lengths(length, 0.0, 50_000))
    reply = model.reply(model.subject(ask()), seed)
    assert len(reply.text.split()) == len(reply.text.split(" ")) == reply.tokens == max(length, 6)


def test_lengths_are_lognormal_and_capped():
    tokens = sorted(reply.tokens for reply in replies(Model(lengths=Lengths(100, 1.0, 500)), count=4000))
    assert 90 < tokens[2000] < 110 and 230 < tokens[3364] < 310  # the median, and one sigma above it
    assert tokens[-1] == 500 and all(reply.finish_reason == "stop" for reply in replies(Model()))


def test_max_tokens_and_stop_strings_cut():
    [whole] = replies(Model(), count=1)
    [cut] = replies(Model(), count=1, max_tokens=3)
    assert cut == (" ".join(whole.text.split()[:3]), 3, "length", whole.passes)
    [stopped] = replies(Model(), count=1, stop=["never there", " answer"])
    assert stopped.text == whole.text[: whole.text.index(" answer")] and stopped.finish_reason == "stop"
    assert stopped.tokens == len(stopped.text.split(" "))


def test_pass_rates_lie_between_their_bounds():
    model = Model(pass_rates=PassRates(0.2, 0.4))
    rates = [model.subject(ask(str(number))).pass_rate for number in range(2000)]
    assert 0.2 <= min(rates) < 0.21 and 0.39 < max(rates) <= 0.4 and abs(sum(rates) / 2000 - 0.3) < 0.01
    for rate in (0.0, 0.3, 1.0):
        passed = sum(reply.passes for reply in replies(Model(pass_rates=PassRates(rate, rate)), count=4000))
        assert abs(passed / 4000 - rate) < 0.03


@pytest.mark.parametrize(("written", "rates"), [("0.3", (0.3, 0.3)), ("0.05:0.95", (0.05, 0.95)), ("1", (1, 1))])
def test_pass_rates_as_they_are_written(written, rates):
    assert parse_pass_rate(written) == rates


@pytest.mark.parametrize("written", ["", "2", "a", "0.5:0.1", "0.1:0.2:0.3", "-0.1"])
def test_what_is_no_pass_rate_is_refused(written):
    with pytest.raises(ConfigError, match="pass rate"):
        parse_pass_rate(written)


def test_tags_without_values_are_plain_text():
    plain = "Write [text] and [answer] and [p] and [p=often] and [words=many] and [faults]"
    subject = Model().subject(ask(plain))
    assert (subject.text, subject.length, subject.faults) == (None, None, None)
    assert subject.pass_rate == Model().subject(ask(plain)).pass_rate and subject.answer.right == "B"
    tagged = Model().subject(ask("[p=.5][words=20][text=][answer=-7][faults=500,cut][reasoning]"))
    assert (tagged.pass_rate, tagged.length, tagged.text, tagged.answer.right) == (0.5, 20, "", "-7")
    assert tagged.faults == "500,cut" and tagged.reasoning
    assert Model().reply(tagged, 3)[:3] == ("", 0, "stop")


# Answers


def verdict(check, answer, choices, metadata, text):
    return check.judge(f"Draft 7: so here. The answer is {text}.", answer, choices, metadata).score


MCQ = [
    ("B", {"A": "one", "B": "two"}, ""),
    ("B", ["one", "two", "three"], ""),
    (1, ["one", "two", "three"], ""),
    ("two", ["one", "two", "three"], ""),
    ("C", None, "Which?\n\nA: one\nB: two\nC: three"),
    ("(C)", None, "Which?\n\n(A) one\n(B) two\n(C) three"),
    ("C", {"label": ["A", "B", "C"], "text": ["one", "two", "three"]}, ""),
    ("B", [{"label": "A", "text": "one"}, {"label": "B", "text": "two"}], ""),
    ("D", None, "What is it?"),
    (["A", "C"], ["one", "two", "three", "four"], ""),
    ("A, C", ["one", "two", "three", "four"], ""),
    ("\\boxed{B}", ["one", "two"], ""),
    ("B) two", None, "Which?\n\nA) one\nB) two"),
]


@pytest.mark.parametrize(("reference", "choices", "text"), MCQ)
def test_multiple_choice_is_answered_as_the_verifier_reads_it(reference, choices, text):
    check = Check("mcq-rlvr")
    metadata = {"answer": reference} | ({} if choices is None else {"choices": choices})
    answer, options = check.reference(ask(text), metadata)
    found = answer_of(reference, ask(text), metadata)
    assert verdict(check, answer, options, metadata, found.right) == 1.0
    assert {verdict(check, answer, options, metadata, wrong) for wrong in found.wrong} == {0.0}


MATHS = sorted({str(json.loads(line)["answer"]) for line in (CASES / "math.jsonl").read_text().splitlines()})


def test_mathematics_is_answered_as_the_verifier_reads_it():
    check = Check("math-rlvr")
    for reference in MATHS:
        metadata = {"answer": reference, "verifier": "math-rlvr"}
        found = answer_of(reference, ask("How much?"), metadata)
        assert verdict(check, reference, None, metadata, found.right) == 1.0, (reference, found)
        assert verdict(check, reference, None, metadata, found.wrong[0]) == 0.0, (reference, found)


@pytest.mark.parametrize(
    "reference", ["42", 42, "#### 42", "So 6 * 7 = 42.\n#### 42", "1,234", "0.5", "\\frac{1}{2}", "-3"]
)
def test_numbers_are_boxed_without_being_told_the_verifier(reference):
    check = Check("math-rlvr")
    found = answer_of(reference, ask("How much?"), {})
    assert found.right.startswith("\\boxed{")
    assert verdict(check, reference, None, {}, found.right) == 1.0
    assert {verdict(check, reference, None, {}, wrong) for wrong in found.wrong} == {0.0}


@pytest.mark.parametrize("reference", ["Paris", ["Paris", "Lutetia"], "the Red Sea", "42"])
def test_texts_are_answered_as_the_verifier_reads_them(reference):
    check = Check("exact", {"match": "word"})
    metadata = {"verifier": {"type": "exact", "match": "word"}}
    found = answer_of(reference, ask("Where?"), metadata)
    assert verdict(check, reference, None, metadata, found.right) == 1.0
    assert {verdict(check, reference, None, metadata, wrong) for wrong in found.wrong} == {0.0}


def test_a_prompt_is_found_with_what_the_sampler_adds():
    known = Answers([(ask("How much is\n it?"), "41", {}), (ask("How much"), "42", {}), (ask("none"), None, {})])
    assert len(known) == 2
    for system in (None, "Be brief."):
        for suffix in (None, "Put it into \\boxed{}.\n\nThink first.", " please"):
            sent = sampled_messages(ask("How much is\n it?"), system, suffix)
            found = known.of(sent)
            assert found is not None and found.right == "\\boxed{41}", (system, suffix)
    assert known.of(ask("Anything else?")) is None and known.of(ask("none")) is None


def test_answers_come_from_the_input(tmp_path):
    rows = [question("a", "B"), {"question": "How much?", "answer": 12}, {"broken": True}, question("c", None)]
    found = answers_from([write_rows(tmp_path / "in.jsonl", rows)])
    assert len(found) == 2
    model = Model(pass_rates=PassRates(1, 1), answers=found)
    assert all(reply.text.endswith("The answer is \\boxed{12}.") for reply in replies(model, "How much?", 5))
    with pytest.raises(ConfigError, match="there is no file"):
        answers_from([tmp_path / "nowhere.jsonl"])
