import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_server import serve
from commands import process, question, write_rows
from rsr.errors import ConfigError
from rsr.messages import sampled_messages
from rsr.simulation.answers import Answers, answer_of, answers_from
from rsr.simulation.clock import VirtualClock
from rsr.simulation.faults import KINDS, Chances, Fault, Script, parse_fault, parse_window
from rsr.simulation.model import Lengths, Model, PassRates, parse_pass_rate
from rsr.simulation.slots import Slots, Speed
from rsr.verifiers.check import Check

CASES = Path(__file__).parent / "verifiers" / "cases"


def ask(text="Which one?"):
    return [{"role": "user", "content": text}]


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


# Slots


jobs = st.lists(
    st.tuples(st.floats(0, 50), st.lists(st.integers(0, 40), min_size=1, max_size=5), st.none() | st.floats(0, 60)),
    max_size=30,
)


@given(jobs, st.integers(0, 4), st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([0.0, 3.0]))
@settings(max_examples=200)
def test_slots_in_virtual_time(jobs, count, rate, latency):
    """Whatever comes and goes: never more than the slots at once, in order, nothing lost, slot-seconds add up."""
    clock = VirtualClock()
    slots = Slots(Speed(count, rate, latency=latency), clock)
    batches, done, running = [], [], []

    def submit(lengths, after):
        batch = slots.submit(lengths, 0, done.append)
        batches.append(batch)
        running.append(slots.running)
        if after is not None:
            clock.call_at(clock.now + after, slots.abort, batch)

    for at, lengths, after in jobs:
        clock.call_at(at, submit, lengths, after)
    clock.run()
    assert not count or max(slots.most, *running, 0) <= count
    assert slots.running == slots.waiting == 0
    every = [job for batch in batches for job in batch.jobs]
    assert len(done) == sum(not batch.aborted for batch in batches)
    assert slots.generated + slots.aborted == len(every)
    began = [job.began for job in every if job.began is not None]
    assert began == sorted(began), "in order of arrival"
    held = sum(job.ended - job.began for job in every if job.began is not None)
    assert slots.busy_seconds == pytest.approx(held)
    assert slots.generated_tokens + slots.aborted_tokens <= sum(job.tokens for job in every)
    if rate and not any(batch.aborted for batch in batches):
        assert held == pytest.approx(sum(job.tokens / rate + latency for job in every))


def test_a_full_engine_is_wholly_used():
    clock = VirtualClock()
    slots = Slots(Speed(4, 10.0), clock)
    for _ in range(10):
        slots.submit([20] * 4, 0, lambda batch: None)
    clock.run()
    assert clock.now == pytest.approx(20.0) and slots.utilization() == pytest.approx(1.0)
    assert slots.makespan == pytest.approx(20.0)


def test_tokens_come_one_by_one_after_the_prompt_is_read():
    clock = VirtualClock()
    slots = Slots(Speed(1, 10.0, prompt_tokens_per_second=100.0, time_scale=2.0), clock)
    batch = slots.submit([20, 5], 200, lambda batch: None)
    seen = {}
    for at in (1.0, 4.0, 5.0, 6.0, 7.9, 8.0, 8.5, 9.0):
        clock.call_at(at, lambda at=at: seen.update({at: [job.produced(clock.now) for job in batch.jobs]}))
    clock.run()
    assert seen == {1: [0, 0], 4: [0, 0], 5: [5, 0], 6: [10, 0], 7.9: [19, 0], 8: [20, 0], 8.5: [20, 2], 9: [20, 5]}


# Faults


def test_chances_are_what_they_say_and_the_same_again():
    chances = Chances("429:2=0.05,reset=0.1,hang*=0.2", seed=3)
    drawn = [
        chances.of(f"{number}", seed, attempt) for number in range(200) for seed in range(10) for attempt in (0, 1)
    ]
    again = Chances("429:2=0.05,reset=0.1,hang*=0.2", seed=3)
    assert drawn == [
        again.of(f"{number}", seed, attempt) for number in range(200) for seed in range(10) for attempt in (0, 1)
    ]
    shares = Counter(fault and fault.kind for fault in drawn)
    assert abs(shares["hang"] / 4000 - 0.2) < 0.08
    assert abs(shares["429"] / 4000 - 0.8 * 0.05) < 0.02 and abs(shares["reset"] / 4000 - 0.8 * 0.1) < 0.02
    for number in range(200):
        of_prompt = {chances.of(f"{number}", seed, 0) for seed in range(10)}
        assert Fault("hang") not in of_prompt or of_prompt == {Fault("hang")}, "always, or never"


def test_a_script_is_for_the_first_requests():
    assert [Script(["429:2", "", "reset"]).at(number) for number in range(4)] == [
        Fault("429", "2"), None, Fault("reset"), None
    ]  # fmt: skip
    assert [Script(["cut", "html*"]).at(number) for number in (0, 1, 99)] == [Fault("cut"), *[Fault("html")] * 2]
    assert Script([]).at(0) is None


@pytest.mark.parametrize("written", ["nothing", "200", "700", "429:soon", "huge:x"])
def test_an_unknown_fault_is_refused(written):
    with pytest.raises(ConfigError, match="faults: "):
        parse_fault(written)


@pytest.mark.parametrize("written", ["429", "429=2", "429=x", "429=0.6,500=0.6"])
def test_chances_that_can_not_be_are_refused(written):
    with pytest.raises(ConfigError, match="faults: "):
        Chances(written)


@pytest.mark.parametrize("written", ["10", "10:x", "10:20:30:40", "-1:3"])
def test_a_window_that_can_not_be_is_refused(written):
    assert parse_window("10:20:3", "storm", retry_after=True) == (10, 20, 3)
    with pytest.raises(ConfigError, match="storm: "):
        parse_window(written, "storm", retry_after=True)
    with pytest.raises(ConfigError):
        parse_window("10:20:3", "outage")


# The server


def talk(server, *payloads, at_once=True, timeout=60.0):
    """What each request brings: status, content type and body, or the error."""

    async def one(session, sent):
        try:
            async with session.post(
                f"{server.base_url}/chat/completions", json={"model": "test-model", **sent}
            ) as reply:
                return reply.status, reply.content_type, await reply.read(), reply.headers
        except (TimeoutError, aiohttp.ClientError) as error:
            return type(error).__name__, "", b"", {}

    async def main():
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
            if at_once:
                return await asyncio.gather(*(one(session, sent) for sent in payloads))
            return [await one(session, sent) for sent in payloads]

    return asyncio.run(main())


def choices_in(body, streamed):
    """Text and finish_reason of each choice of a whole or streamed body."""
    if not streamed:
        return {
            choice["index"]: (choice["message"]["content"], choice["finish_reason"])
            for choice in json.loads(body)["choices"]
        }
    texts, ends = Counter(), {}
    for line in body.decode().split("\n\n"):
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                texts[choice["index"]] = (texts[choice["index"]] or "") + (choice["delta"].get("content") or "")
                if choice["finish_reason"]:
                    ends[choice["index"]] = choice["finish_reason"]
    return {index: (text, ends.get(index)) for index, text in texts.items()}


def settled(server):
    """Its counts when nothing is in flight."""
    for _ in range(500):
        stats = server.stats(deliveries=True)
        if not (stats["in_flight"] or stats["waiting"] or stats["requests_in_flight"]):
            return stats
        time.sleep(0.01)
    raise AssertionError(stats)


@pytest.mark.parametrize("pace", [{}, {"token_delay": 0.0005, "slots": 3}])
def test_whole_and_streamed_replies_hold_the_same(pace):
    with serve(words=40, **pace) as server:
        sent = {"messages": ask("What? [p=0.5]"), "seed": 5, "n": 4}
        stream = {"stream": True, "stream_options": {"include_usage": True}}
        whole, streamed = talk(server, sent, {**sent, **stream}, at_once=False)
        stats = settled(server)
    assert choices_in(whole[2], False) == choices_in(streamed[2], True)
    usage = json.loads(whole[2])["usage"]
    assert json.dumps(usage, separators=(",", ":")) in streamed[2].decode() and streamed[2].endswith(
        b"data: [DONE]\n\n"
    )
    assert (stats["delivered"], stats["paid_twice"], stats["generated_tokens"]) == (
        8,
        4,
        2 * usage["completion_tokens"],
    )
    assert not pace or stats["max_in_flight"] == 3


def test_a_replys_pace_is_the_engines():
    with serve(token_delay=0.01, slots=2) as server:
        began = time.monotonic()
        talk(server, *({"messages": ask("[words=20]"), "seed": seed} for seed in range(6)))
        passed = time.monotonic() - began
        stats = server.stats()
    assert passed >= 3 * 20 * 0.01 and stats["max_in_flight"] == 2
    assert 3 * 20 * 0.01 - 0.001 <= stats["makespan"] <= passed


BODIES = {
    "malformed": lambda status, kind, body: (status, kind) == (200, "application/json") and not is_json(body),
    "truncated": lambda status, kind, body: status == 200 and not is_json(body),
    "html": lambda status, kind, body: (status, kind) == (200, "text/html"),
    "error200": lambda status, kind, body: status == 200 and "message" in json.loads(body)["error"],
    "nochoices": lambda status, kind, body: status == 200 and json.loads(body)["choices"] == [],
    "context": lambda status, kind, body: status == 400 and b"maximum context length" in body,
    "policy": lambda status, kind, body: status == 400 and b"policy" in body,
    "param:top_k": lambda status, kind, body: status == 400 and b"top_k" in body,
    "nomodel": lambda status, kind, body: status == 404 and b"model" in body,
    "401": lambda status, kind, body: status == 401,
    "502": lambda status, kind, body: status == 502,
    "reset": lambda status, kind, body: status == "ServerDisconnectedError",
    "cut": lambda status, kind, body: status == "ClientPayloadError",
    "hang": lambda status, kind, body: status in ("TimeoutError", "SocketTimeoutError", "ServerTimeoutError"),
    "stall": lambda status, kind, body: status in ("TimeoutError", "SocketTimeoutError", "ServerTimeoutError"),
    "plain": lambda status, kind, body: (status, kind) == (200, "text/plain") and is_good(body),
    "nousage": lambda status, kind, body: is_good(body) and "usage" not in json.loads(body),
    "fewer": lambda status, kind, body: len(json.loads(body)["choices"]) == 1,
    "null": lambda status, kind, body: choices_in(body, False)[0] == (None, "length"),
    "nullstop": lambda status, kind, body: choices_in(body, False)[0] == (None, "stop"),
    "filtered": lambda status, kind, body: choices_in(body, False)[0][1] == "content_filter",
    "finish:odd": lambda status, kind, body: choices_in(body, False)[0][1] == "odd",
    "drip:0.2": lambda status, kind, body: is_good(body),
    "noend": lambda status, kind, body: is_good(body),
    "huge:3": lambda status, kind, body: status == 200 and len(body) > 3 << 20 and json.loads(body)["choices"],
}


def is_json(body):
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def is_good(body):
    return "The answer is" in choices_in(body, False)[0][0]


@pytest.mark.parametrize("fault", BODIES)
def test_every_kind_of_fault_is_what_it_says(fault):
    with serve(faults=[fault]) as server:
        sent = {"messages": ask(), "seed": 1, "n": 2}
        [bad] = talk(server, sent, timeout=0.5 if fault in ("hang", "stall") else 60.0)
        [good] = talk(server, sent)
        stats = server.stats()
    assert BODIES[fault](*bad[:3]), bad[:3]
    assert is_good(good[2]) and stats["faults"] == {fault.partition(":")[0]: 1}


def test_every_kind_of_fault_is_tried():
    assert {fault.partition(":")[0] for fault in BODIES} >= set(KINDS) - {"429"}


@pytest.mark.parametrize(
    "fault", ["cut", "noend", "truncated", "null", "nullstop", "filtered", "finish:odd", "drip:0.1"]
)
@pytest.mark.parametrize("token_delay", [0.0, 0.001])
def test_faults_of_streams(fault, token_delay):
    with serve(faults=[fault], token_delay=token_delay) as server:
        sent = {"messages": ask("[words=12]"), "seed": 1, "stream": True}
        bad, good = talk(server, sent, sent, at_once=False)
        stats = server.stats()
    [(text, end)] = choices_in(good[2], True).values()
    assert "The answer is" in text and end == "stop"
    if fault == "cut":
        assert bad[0] == "ClientPayloadError"
    elif fault in ("noend", "truncated"):
        assert b'finish_reason":"' not in bad[2] and (b"[DONE]" in bad[2]) == (fault == "noend")
    else:
        ends = {"null": "length", "nullstop": "stop", "filtered": "content_filter", "finish:odd": "odd"}
        assert [end for _, end in choices_in(bad[2], True).values()] == [ends.get(fault, "stop")]
    assert stats["delivered"] == (1 if fault in ("cut", "noend", "truncated") else 2)


def test_a_stream_that_stalls_has_begun():
    with serve(faults=["stall"]) as server:

        async def main():
            async with (
                aiohttp.ClientSession() as session,
                session.post(
                    f"{server.base_url}/chat/completions",
                    json={"model": "test-model", "messages": ask("[words=90]"), "stream": True},
                ) as reply,
            ):
                assert await reply.content.readany()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await reply.content.readany()

        asyncio.run(main())


def test_a_rerun_meets_the_same_faults():
    def statuses():
        with serve(chances="500=0.3,429=0.2", seed=4) as server:
            sent = [{"messages": ask(f"{number}"), "seed": seed} for number in range(30) for seed in range(3)]
            return [reply[0] for reply in talk(server, *sent)], server.stats()["faults"]

    first = statuses()
    assert first == statuses()
    assert set(first[0]) == {200, 429, 500} and sum(first[1].values()) == sum(status != 200 for status in first[0])


@pytest.mark.slow
@pytest.mark.parametrize("wait", ["3", "date+4"])
def test_retry_after_and_its_violations(wait):
    with serve(faults=[f"429:{wait}"]) as server:
        sent = {"messages": ask(), "seed": 1}
        began = time.monotonic()
        refused, _, _ = talk(server, sent, sent, {"messages": ask("another"), "seed": 1}, at_once=False)
        assert refused[0] == 429 and refused[3]["Retry-After"].endswith("GMT") == wait.startswith("date")
        assert server.stats()["retry_after_violations"] == 1
        time.sleep(max(0.0, began + 4.1 - time.monotonic()))
        talk(server, sent)
        assert server.stats()["retry_after_violations"] == 1


@pytest.mark.slow
def test_a_storm():
    with serve(storm="0.5:3:7", token_delay=0.1, slots=2) as server:
        statuses = []

        async def main():
            async with aiohttp.ClientSession() as session:

                async def post(text, seed):
                    sent = {"model": "test-model", "messages": ask(text), "seed": seed}
                    async with session.post(f"{server.base_url}/chat/completions", json=sent) as reply:
                        await reply.read()
                        return reply.status, reply.headers.get("Retry-After")

                in_flight = asyncio.create_task(post("[words=10]", 1))
                while server.stats()["storm"] is None:
                    await asyncio.sleep(0.05)
                statuses.append(await post("[words=7]", 2))
                statuses.append(await in_flight)
                while (await post("[words=7]", 3))[0] == 429:
                    await asyncio.sleep(0.5)

        asyncio.run(main())
        stats = server.stats()
    assert statuses == [(429, "7"), (200, None)]
    storm = stats["storm"]
    assert (storm["delivered"], storm["in_flight"]) == (1, 1) and storm["requests"] == stats["faults"]["429"]


@pytest.mark.slow
def test_an_outage_cuts_connections_and_ends():
    with serve(outage="0.2:2", token_delay=0.1) as server:
        began = time.monotonic()
        [broken] = talk(server, {"messages": ask("[words=200]"), "seed": 1})
        [refused] = talk(server, {"messages": ask(), "seed": 1})
        assert broken[0] == "ServerDisconnectedError" and refused[0] == "ClientConnectorError"
        while talk(server, {"messages": ask("[words=7]"), "seed": 1})[0][0] != 200:
            assert time.monotonic() - began < 60
            time.sleep(0.05)
        assert time.monotonic() - began >= 2.2 and settled(server)["aborted"] == 1


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves(keeps, stream):
    with serve(token_delay=0.04, slots=2, keeps_generating=keeps) as server:
        sent = {"messages": ask("[words=20]"), "seed": 1, "n": 3, "stream": stream}
        assert talk(server, sent, timeout=0.2)[0][0] != 200
        stats = settled(server)
    if keeps:
        assert (stats["generated"], stats["aborted"], stats["generated_tokens"]) == (3, 0, 60)
    else:
        assert (stats["generated"], stats["aborted"]) == (0, 3) and 2 <= stats["aborted_tokens"] <= 38
    assert stats["delivered"] == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("token_delay", [0.0, 0.0001])
def test_every_completion_is_generated_or_aborted_whenever_clients_leave(caplog, stream, token_delay):
    with serve(token_delay=token_delay) as server:
        sent = json.dumps({"model": "test-model", "messages": ask(), "seed": 1, "n": 2, "stream": stream}).encode()
        host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")

        async def main():
            for number in range(60):
                _, writer = await asyncio.open_connection(host, int(port))
                head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(sent)}\r\n\r\n"
                writer.write(head.encode() + sent)
                await asyncio.sleep(0.0002 * (number % 6))
                writer.transport.abort()

        asyncio.run(main())
        stats = settled(server)
    assert stats["generated"] + stats["aborted"] == 2 * stats["requests"] > 0
    assert stats["delivered"] <= stats["generated"]
    assert caplog.records == [], "nothing is wrong with the server"


def test_it_refuses_what_is_no_chat_request():
    with serve() as server:

        async def main():
            async with aiohttp.ClientSession() as session:
                for data in (b"no json", b"[]", b'{"messages": 3}', b"{}", b'{"messages": [], "n": -1}'):
                    async with session.post(f"{server.base_url}/chat/completions", data=data) as reply:
                        assert reply.status == 400, data
                wrong = {"model": "test-model", "messages": ask("[faults=nothing]")}
                async with session.post(f"{server.base_url}/chat/completions", json=wrong) as reply:
                    assert reply.status == 400 and "there is no 'nothing'" in await reply.text()
                async with session.get(f"{server.base_url}/nowhere") as reply:
                    assert reply.status == 404

        asyncio.run(main())


# The command


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
