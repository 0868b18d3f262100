import asyncio
import contextlib
import logging
import time

import pytest

import rsr.wire
from chat_server import reply_text, serve
from rsr.errors import ConfigError, PromptRefused, RequestFailed, SamplerStopped
from rsr.listed_models import is_listed
from rsr.samplers import SAMPLERS
from rsr.samplers.openai_compatible import OpenAICompatible
from rsr.types import Sampler, SampleRequest


@pytest.fixture(autouse=True)
def quick_and_without_a_key(monkeypatch):
    monkeypatch.setattr(rsr.wire, "BACKOFF", 0.0)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def messages(text="Which one? [p=0.5]"):
    return [{"role": "user", "content": text}]


def request(text="Which one? [p=0.5]", n=1, seed=10, **more):
    return SampleRequest(messages=messages(text), n=n, seed=seed, **more)


def sampling(server, *requests, start=True, look=None, **options):
    """What each request brings, one after the other; `look` is called with the sampler at the end."""

    async def main():
        sampler = OpenAICompatible(**{"model": "test-model", "base_url": server.base_url, **options})
        try:
            if start:
                await sampler.start()
            return [await sampler.sample(each) for each in requests], look and look(sampler)
        finally:
            await sampler.close()

    return asyncio.run(main())


def texts(completions):
    return [completion.text for completion in completions]


def answers(text, *seeds):
    return [reply_text(messages(text), seed) for seed in seeds]


def test_it_is_a_sampler():
    sampler = SAMPLERS.build("openai-compatible-api", {"model": "m", "stream": "auto"})
    assert isinstance(sampler, Sampler)
    assert (sampler.max_choices, sampler.max_in_flight, sampler.identity()) == (None, None, {})


def test_only_what_is_set_is_sent():
    with serve() as server:
        sampling(server, request())
        assert server.stats()["last"]["parameters"] == {"model": "test-model", "seed": 10}
        options = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 50, "stop": ["END"], "extra_params": {"top_k": 5}}
        tools = [{"type": "function"}]
        sampling(server, request(n=2, tools=tools), headers={"X-Team": "rsr"}, send_seed=False, **options)
        last = server.stats()["last"]
    sent = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 50, "stop": ["END"], "top_k": 5, "n": 2, "tools": tools}
    assert last["parameters"] == {"model": "test-model", **sent}
    assert last["headers"]["X-Team"] == "rsr" and "Authorization" not in last["headers"]


def test_one_request_brings_the_answers_to_consecutive_seeds():
    with serve() as server:
        [found], _ = sampling(server, request(n=4))
        assert server.stats()["requests"] == 1
    assert texts(found) == answers("Which one? [p=0.5]", 10, 11, 12, 13)
    assert {(each.finish_reason, each.model) for each in found} == {("stop", "test-model")}
    assert sum(each.completion_tokens for each in found) == sum(len(each.text.split()) for each in found)
    assert [each.prompt_tokens for each in found] == [3, 0, 0, 0]


def test_streamed_and_unstreamed_replies_are_the_same():
    with serve(reasoning="reasoning_content", slots=4) as server:
        requests = [request(n=3), request(seed=99), request("[words=60]")]
        plain, _ = sampling(server, *requests, max_tokens=40)
        streamed, _ = sampling(server, *requests, max_tokens=40, stream=True)
        assert server.stats()["last"]["parameters"]["stream_options"] == {"include_usage": True}
    assert plain == streamed
    assert plain[2][0].finish_reason == "length"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_fields(field):
    with serve(reasoning=field) as server:
        [[found]], _ = sampling(server, request())
    assert found.reasoning == "Thinking about draft 10."


@pytest.mark.parametrize(
    ("llamacpp", "options", "streamed"),
    [
        (False, {}, False),
        (True, {}, True),
        (True, {"may_cancel": False}, False),
        (True, {"stream": False}, False),
        (False, {"stream": True}, True),
    ],
)
def test_auto_streams_where_a_disconnect_would_not_stop_an_unstreamed_reply(llamacpp, options, streamed):
    with serve(llamacpp=llamacpp) as server:
        sampling(server, request(), **options)
        assert server.stats()["last"]["parameters"].get("stream", False) is streamed


@pytest.mark.parametrize("fault", ["noend", "cut"])
def test_a_stream_without_an_end_is_no_answer(fault):
    with serve(faults=[fault]) as server:
        [[found]], _ = sampling(server, request(), stream=True)
        assert server.stats()["requests"] == 2
    assert [found.text] == answers("Which one? [p=0.5]", 10)
    with serve(faults=[fault + "*"]) as server, pytest.raises(RequestFailed, match=r"\(2 tries\)"):
        sampling(server, request(), stream=True, max_retries=1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "text", "finish"),
    [("null", "", "length"), ("nullstop", "", "stop"), ("filtered", None, "content_filter")],
)
def test_outcomes_are_passed_on(fault, text, finish, stream):
    with serve(faults=[fault]) as server:
        [[found]], _ = sampling(server, request(), stream=stream)
        assert server.stats()["requests"] == 1
    assert found.finish_reason == finish
    assert found.text == text if text is not None else found.text


def test_missing_usage_is_not_made_up():
    with serve(faults=["nousage"]) as server:
        [found], _ = sampling(server, request(n=2))
    assert [(each.completion_tokens, each.prompt_tokens) for each in found] == [(None, None)] * 2


def test_llama_cpp_counts_the_first_choice_only():
    with serve(llamacpp=True) as server:
        [found], _ = sampling(server, request(n=3), stream=False)
        [streamed], _ = sampling(server, request(n=3))
    assert [each.completion_tokens for each in streamed] == [len(each.text.split()) for each in streamed]
    assert found[0].completion_tokens == len(found[0].text.split())
    for each in found[1:]:
        assert each.completion_tokens == pytest.approx(len(each.text.split()), rel=0.3)


def limit(sampler):
    return sampler.max_choices


@pytest.mark.parametrize(("n", "message_names_it"), [("unsupported", True), ("silent", False)])
def test_a_server_without_n_is_asked_singly(n, message_names_it):
    with serve(n=n) as server:
        found, limited = sampling(server, request(n=4), request(n=4, seed=20), look=limit)
        assert server.stats()["requests"] == 3
    assert [texts(each) for each in found] == [answers("Which one? [p=0.5]", seed) for seed in (10, 20)]
    assert limited == 1


def test_a_largest_n_is_read_from_the_error():
    with serve(n="capped") as server:
        found, limited = sampling(server, request(n=12), request(n=8), look=limit)
        assert server.stats()["requests"] == 3
    assert [len(each) for each in found] == [8, 8] and limited == 8


def test_a_refused_prompt_does_not_limit_n():
    with serve(context=4) as server:

        async def main():
            sampler = OpenAICompatible(model="test-model", base_url=server.base_url)
            with pytest.raises(PromptRefused, match="maximum context length"):
                await sampler.sample(request("one two three four five six", n=4))
            found = await sampler.sample(request("short", n=4))
            await sampler.close()
            return len(found), sampler.max_choices

        assert asyncio.run(main()) == (4, None)
        assert server.stats()["requests"] == 2


def test_fewer_choices_are_taken_and_more_are_not():
    with serve(n="fewer") as server:
        found, limited = sampling(server, request(n=4), request(n=4), look=limit)
        assert [len(each) for each in found] == [1, 1] and limited == 1
    with serve(n="more") as server:
        found, limited = sampling(server, request(n=4), look=limit)
        assert texts(found[0]) == answers("Which one? [p=0.5]", 10, 11, 12, 13) and limited is None


def test_equal_choices_for_one_seed_are_found_out():
    with serve(n="equal") as server:
        found, limited = sampling(server, request(n=4), request(n=4, seed=12), look=limit)
        assert server.stats()["requests"] == 3
    assert [texts(each) for each in found] == [
        answers("Which one? [p=0.5]", 10, 11),
        answers("Which one? [p=0.5]", 12),
    ]
    assert limited == 1


def test_a_prompt_with_one_answer_is_no_proof():
    same = "[text=The capital of France is Paris, of course.]"
    with serve() as server:
        found, limited = sampling(server, request(same, n=3), request(n=3), request(same, n=3), look=limit)
        # One more request for the first; none after different choices were seen.
        assert server.stats()["requests"] == 4
    assert [len(each) for each in found] == [3, 3, 3] and limited is None


def test_without_the_confirmation_only_choice_0_is_certain():
    same = "[text=The capital of France is Paris, of course.][faults=,503*]"
    with serve() as server:
        [found], limited = sampling(server, request(same, n=3), look=limit, max_retries=1)
        assert server.stats()["requests"] == 3
    assert len(found) == 1 and limited is None


def test_short_and_greedy_answers_are_not_suspicious():
    with serve() as server:
        sampling(server, request("[text=Paris]", n=3))
        sampling(server, request("[text=The capital of France is Paris, of course.]", n=3), temperature=0)
        assert server.stats()["requests"] == 2


@pytest.mark.parametrize("stream", [True, False])
def test_cancelling_ends_the_generation(stream):
    with serve(token_delay=0.05) as server:

        async def main():
            sampler = OpenAICompatible(model="test-model", base_url=server.base_url, stream=stream)
            tasks = [asyncio.create_task(sampler.sample(request("[words=300]", n=2, seed=j))) for j in range(5)]
            await asyncio.sleep(0.3)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for _ in range(100):
                if server.stats()["in_flight"] == 0:
                    break
                await asyncio.sleep(0.01)
            await sampler.close()

        began = time.monotonic()
        asyncio.run(main())
        stats = server.stats()
        assert (stats["aborted"], stats["generated"]) == (10, 0)
        assert time.monotonic() - began < 3


def test_starting_generates_nothing():
    with serve(api_key="k") as server:
        sampling(server, api_key="k")
        assert server.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("serving", "options", "error", "says"),
    [
        ({"api_key": "k"}, {}, SamplerStopped, "set OPENAI_API_KEY or sampler.api_key"),
        ({"api_key": "k"}, {"api_key": "wrong-key"}, SamplerStopped, "the server refuses it"),
        ({"models": ["a", "b"]}, {}, SamplerStopped, "does not have 'test-model'; it lists: a, b"),
        ({"models": ["a", "b"]}, {"model": None}, ConfigError, "sampler.model: missing; the server lists: a, b"),
        ({"models": []}, {"model": None}, ConfigError, "sampler.model: missing; set it"),
    ],
)
def test_starting_finds_out_what_can_not_work(serving, options, error, says):
    with serve(**serving) as server:
        with pytest.raises(error) as caught:
            sampling(server, **options)
        assert says in str(caught.value) and "wrong-key" not in str(caught.value)
        assert server.stats()["requests"] == 0


def test_starting_without_a_list_of_models():
    with serve(models=[]) as server:
        [[found]], _ = sampling(server, request())
        assert found.text


def test_the_key_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "env-key")
    with serve(api_key="env-key") as server:
        sampling(server, request())
        with pytest.raises(SamplerStopped):
            sampling(server, api_key="")
    with serve(api_key="own") as server:
        sampling(server, request(), headers={"authorization": "Bearer own"})


@pytest.mark.parametrize(
    ("model", "entry", "listed"),
    [
        ("m", {"id": "m"}, True),
        ("m", {"id": "m-instruct"}, False),
        ("base", {"id": "lora", "root": "base"}, True),
        ("base", {"id": "lora", "parent": "base"}, True),
        ("m", {"id": "/models/m.gguf", "aliases": ["m"]}, True),
        ("llama3", {"id": "llama3:latest"}, True),
        ("llama3:8b", {"id": "llama3"}, False),
        ("gemini-x", {"id": "models/gemini-x"}, True),
        ("vendor/m:free", {"id": "vendor/m"}, True),
        ("m", {"id": ["m"], "aliases": [{"name": "m"}]}, False),
    ],
)
def test_is_listed(model, entry, listed):
    assert is_listed(model, [entry]) is listed


def test_another_model_in_the_replies_is_warned_of_once(caplog):
    with serve(reply_model="other") as server, caplog.at_level(logging.WARNING, "rsr"):
        sampling(server, request(), request())
    assert [record.getMessage() for record in caplog.records] == [
        "sampler.model: 'test-model' was asked for, but replies come from 'other'"
    ]
    caplog.clear()
    with serve(reply_model="test-model-2025-01-01") as server, caplog.at_level(logging.WARNING, "rsr"):
        sampling(server, request())
    assert not caplog.records


def test_a_refused_parameter_stops_and_names_the_fix():
    with serve(refuses=["seed"]) as server:
        with pytest.raises(SamplerStopped, match=r"set sampler\.send_seed=false"):
            sampling(server, request())
        sampling(server, request(), send_seed=False)


def test_images_become_parts_of_the_last_user_message():
    image = "data:image/png;base64,AAAA"
    with serve() as server:
        sampling(server, request("What is it?", images=[image]))
        [sent] = server.stats()["last"]["messages"]
        assert [part["type"] for part in sent["content"]] == ["image_url", "text"]
        assert sent["content"][0]["image_url"]["url"] == image
        with pytest.raises(PromptRefused, match="neither a URL nor a data: URI"):
            sampling(server, request("What is it?", images=["cat.png"]))


def test_requests_that_run_at_once_do_not_mix():
    with serve(token_delay=0.002, slots=16) as server:

        async def main():
            sampler = OpenAICompatible(model="test-model", base_url=server.base_url, concurrent_requests=64)
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(sampler.close)
                return await asyncio.gather(*(sampler.sample(request(seed=seed, n=2)) for seed in range(0, 60, 2)))

        found = asyncio.run(main())
    assert [text for each in found for text in texts(each)] == answers("Which one? [p=0.5]", *range(60))


def test_one_request_in_a_run_confirms_that_answers_are_constant():
    same = "[text=The capital of France is Paris, of course.]"
    with serve(token_delay=0.01) as server:

        async def main():
            sampler = OpenAICompatible(model="test-model", base_url=server.base_url)
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(sampler.close)
                at_once = await asyncio.gather(*(sampler.sample(request(same, n=3, seed=j)) for j in range(0, 60, 3)))
                return [*at_once, await sampler.sample(request(same, n=3))], sampler.max_choices

        found, limited = asyncio.run(main())
        assert server.stats()["requests"] == 22
    assert [len(each) for each in found] == [3] * 21 and limited is None


def test_replies_that_come_while_equal_choices_are_found_out():
    with serve(n="equal", token_delay=0.01) as server:

        async def main():
            sampler = OpenAICompatible(model="test-model", base_url=server.base_url)
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(sampler.close)
                return await asyncio.gather(*(sampler.sample(request(n=3, seed=j)) for j in range(0, 30, 3)))

        found = asyncio.run(main())
        assert server.stats()["requests"] == 11
    assert sorted(len(each) for each in found) == [1] * 9 + [2]
    for j, each in enumerate(found):
        assert texts(each) == answers("Which one? [p=0.5]", 3 * j, 3 * j + 1)[: len(each)]


def test_white_space_around_a_key_is_not_sent(monkeypatch):
    with serve(api_key="own-key") as server:
        sampling(server, request(), api_key=" own-key\n")
        sampling(server, request(), headers={"Authorization": "Bearer own-key\r\n"})
        monkeypatch.setenv("OPENAI_API_KEY", "own-key\n")
        sampling(server, request())
