import asyncio
import time

import pytest

from rsr.errors import ConfigError, PromptRefused, RequestFailed, SamplerStopped
from rsr.samplers import SAMPLERS
from rsr.samplers.scripted import Scripted
from rsr.types import Completion, Sampler, SampleRequest


def request(tag="p", index=0, n=1, seed=100):
    return SampleRequest(messages=[], seed=seed + index, n=n, tag=tag, index=index)


def ask(sampler, *args, **kwargs):
    return asyncio.run(sampler.sample(request(*args, **kwargs)))


def texts(sampler, *args, **kwargs):
    return [completion.text for completion in ask(sampler, *args, **kwargs)]


def script(request, j):
    return f"{request.tag}/{request.index + j}"


def test_it_is_a_sampler():
    sampler = SAMPLERS.build("scripted", {"replies": ["a"], "max_choices": 2})
    assert isinstance(sampler, Sampler)
    assert (sampler.max_choices, sampler.max_in_flight) == (2, None)
    asyncio.run(sampler.start())
    asyncio.run(sampler.close())


def test_a_list_is_read_by_index_and_begins_again():
    sampler = Scripted(replies=["a", "b", "c"])
    assert texts(sampler, n=5) == ["a", "b", "c", "a", "b"]
    assert texts(sampler, index=1, n=2) == ["b", "c"]


def test_a_dict_is_read_by_prompt():
    sampler = Scripted(replies={"p": ["a"], "q": "always", "*": ["rest"]})
    assert [texts(sampler, tag, 3) for tag in "pqr"] == [["a"], ["always"], ["rest"]]
    with pytest.raises(SamplerStopped, match="none for prompt 'r'"):
        ask(Scripted(replies={"p": ["a"]}), "r")


def test_a_function_is_called(tmp_path):
    assert texts(Scripted(replies=script), index=4, n=2) == ["p/4", "p/5"]
    file = tmp_path / "replies.py"
    file.write_text("def reply(request, j):\n    return {'text': str(request.seed + j), 'reasoning': 'hm'}\n")
    sampler = Scripted(replies=f"{file}:reply")
    assert ask(sampler, n=2)[1].reasoning == "hm"
    before = sampler.identity()
    assert before["scripted"] == "reply"
    file.write_text(file.read_text() + "\n")
    assert sampler.identity() != before


def test_without_replies_they_are_made_up_from_the_seed():
    sampler = Scripted()
    made = texts(sampler, n=8)
    assert made[3:5] == texts(sampler, index=3, n=2)
    assert len(set(made)) == 8 and len({text[-2] for text in made}) > 1


def test_entries_say_all_of_a_completion():
    entry = {"text": "x y", "reasoning": "r", "finish_reason": "length", "completion_tokens": 9}
    assert ask(Scripted(replies=[entry], model="m")) == [
        Completion(text="x y", reasoning="r", finish_reason="length", completion_tokens=9, model="m")
    ]
    assert ask(Scripted(replies=["x y z"]))[0].completion_tokens == 3
    assert ask(Scripted(replies=lambda request, j: Completion(text="own"))) == [Completion(text="own")]


def test_max_tokens_cuts_words():
    cut = ask(Scripted(replies=["one two three"], max_tokens=2))[0]
    assert (cut.text, cut.finish_reason, cut.completion_tokens) == ("one two", "length", 2)
    assert ask(Scripted(replies=["one two three"], max_tokens=3))[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("kind", "error"), [("failed", RequestFailed), ("refused", PromptRefused), ("stopped", SamplerStopped)]
)
def test_errors(kind, error):
    sampler = Scripted(replies=["a", {"error": kind, "times": 1, "text": "b"}, {"error": kind}])
    assert texts(sampler, n=3) == ["a"]  # the choices before it
    assert texts(sampler, index=1, n=3) == ["b"]
    with pytest.raises(error, match="index 2 of prompt 'p'"):
        ask(sampler, index=2)


def test_fail_is_a_share_of_first_requests():
    sampler = Scripted(replies=["a"], fail=0.3)
    failed = 0
    for index in range(300):
        try:
            ask(sampler, index=index)
        except RequestFailed:
            failed += 1
    assert 60 < failed < 120
    assert all(texts(sampler, index=index) == ["a"] for index in range(300))


def test_delays():
    began = time.monotonic()
    ask(Scripted(replies=["a", {"text": "b", "delay": 0.1}], delay=5), n=2)
    ask(Scripted(replies=["a"], delay=0.1))
    assert 0.2 <= time.monotonic() - began < 2


def test_identity_covers_the_script():
    assert Scripted(replies=["a"]).identity() == Scripted(replies=["a"], delay=1).identity()
    assert Scripted(replies=["a"]).identity() != Scripted(replies=["b"]).identity()
    assert Scripted(replies=script).identity() == {"scripted": "script"}
    assert Scripted().identity() != Scripted(replies=["a"]).identity()


@pytest.mark.parametrize(
    ("replies", "says"),
    [
        ([], "the list is empty"),
        ([{"txt": "a"}], "unknown key 'txt'"),
        ({"p": [{"error": "boom"}]}, "unknown error 'boom'"),
    ],
)
def test_a_script_that_can_not_work(replies, says):
    with pytest.raises(ConfigError, match=says):
        Scripted(replies=replies)
    with pytest.raises(ConfigError, match="a int is no reply"):
        ask(Scripted(replies=lambda request, j: 3))
