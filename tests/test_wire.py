import asyncio
import contextlib
import subprocess
import sys
import time

import msgspec
import pytest

import rsr.wire
from chat_server import serve
from raw_server import http, raw_server, read_request
from rsr.endpoint import Limits
from rsr.errors import ConfigError, PromptRefused, RequestFailed, SamplerDown, SamplerStopped
from rsr.failures import TABLE, Failed, Failure, ParameterRefused
from rsr.wire import Wire, pause

CHAT = "chat/completions"
GOOD = msgspec.json.encode({"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]})


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch):
    monkeypatch.setattr(rsr.wire, "BACKOFF", 0.0)


def payload(text="hello [words=5]", **more):
    return {"model": "test-model", "messages": [{"role": "user", "content": text}], "seed": 1, **more}


def post(url, sent, **options):
    async def main():
        wire = Wire(url, **options)
        try:
            return await wire.post(CHAT, sent)
        finally:
            await wire.close()

    return asyncio.run(main())


def post_to_raw(handle, sent=None, use=None, **options):
    """What one request to a raw server brings."""

    async def main():
        async with raw_server(handle) as url:
            wire = Wire(url, **options)
            try:
                return await (use(wire) if use else wire.post(CHAT, sent or payload()))
            finally:
                await wire.close()

    return asyncio.run(main())


def test_every_failure_has_a_fate():
    assert set(TABLE) == set(Failure)


def test_a_reply_comes_back_as_it_was_sent():
    with serve() as server:
        reply = post(server.base_url, payload())
    assert reply["choices"][0]["message"]["content"].startswith("Draft 1:")
    assert reply["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("fault", ["429", "500", "502", "503", "504", "408", "409", "425", "reset", "cut"])
@pytest.mark.parametrize("stream", [False, True])
def test_what_passes_is_tried_again(fault, stream):
    with serve(faults=[fault, fault]) as server:

        async def main():
            wire = Wire(server.base_url)

            async def attempt():
                if not stream:
                    return await wire.post_once(CHAT, payload())
                return [event async for event in wire.stream(CHAT, payload(stream=True))]

            try:
                return await wire.persist(attempt)
            finally:
                await wire.close()

        assert asyncio.run(main())
        assert server.stats()["requests"] == 3


@pytest.mark.parametrize("fault", ["malformed", "html", "error200", "nochoices"])
def test_a_useless_body_is_no_reply(fault):
    with serve(faults=[fault]) as server:
        assert post(server.base_url, payload())["choices"]
        assert server.stats()["requests"] == 2
    with serve(faults=[fault + "*"]) as server:
        with pytest.raises(RequestFailed, match=r"\(3 tries\)$"):
            post(server.base_url, payload(), max_retries=2)
        assert server.stats()["requests"] == 3


@pytest.mark.parametrize("fault", ["plain", "nousage", "filtered"])
def test_odd_but_good_replies_are_data(fault):
    with serve(faults=[fault]) as server:
        assert post(server.base_url, payload(), max_retries=0)["choices"]


def test_retries_end_with_what_was_wrong():
    with serve(faults=["503*"]) as server, pytest.raises(RequestFailed, match=r"scripted 503.*\(3 tries\)"):
        post(server.base_url, payload(), max_retries=2)


def test_retry_after_is_obeyed():
    with serve(faults=["429:0.4", "503:0.3"]) as server:
        began = time.monotonic()
        assert post(server.base_url, payload())
        assert time.monotonic() - began >= 0.7


def test_retry_after_is_obeyed_whatever_its_length():
    async def main():
        wire = Wire("http://127.0.0.1:1/v1", max_retries=2)

        async def attempt():
            raise Failed(Failure.BUSY, retry_after=7200.0)

        task = asyncio.create_task(wire.persist(attempt))
        while wire.endpoint is None or not wire.endpoint.waiting:
            await asyncio.sleep(0)
        wakes = wire.endpoint.gate.wake(time.monotonic())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not wire.endpoint.waiting
        return wakes

    assert 7190 < asyncio.run(main()) - time.monotonic() <= 7200.5


def test_backoff_grows_with_full_jitter_and_has_an_end(monkeypatch):
    monkeypatch.setattr(rsr.wire, "BACKOFF", 0.5)
    for tries in (0, 3, 5, 500):
        drawn = [pause(tries) for _ in range(200)]
        most = min(60.0, 0.5 * 2.0 ** min(tries, 9))
        assert max(drawn) <= most and min(drawn) < most / 4 and max(drawn) > most * 3 / 4
    assert all(90 <= pause(5, 90.0) <= 90.5 for _ in range(100))


def test_a_useless_body_is_asked_for_again_at_once_then_slower(monkeypatch):
    waits = []
    monkeypatch.setattr(rsr.wire, "pause", lambda tries, retry_after=None: waits.append(tries) or 0.0)
    with serve(faults=["malformed", "malformed", "malformed"]) as server:
        post(server.base_url, payload())
    assert waits == [1, 2]


def test_a_pooled_connection_that_the_server_closed_is_replaced_at_once(monkeypatch):
    monkeypatch.setattr(rsr.wire, "BACKOFF", 1000.0)

    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(http(GOOD))
        if number == 1:
            await read_request(reader)
            writer.transport.abort()
            return
        await reader.read()

    async def use(wire):
        return [await wire.post(CHAT, payload()) for _ in range(2)]

    assert len(post_to_raw(handle, use=use, timeout=10)) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("after", [0.1, 0.3])
def test_cancelling_closes_the_connection(stream, after):
    with serve(token_delay=0.05) as server:

        async def main():
            wire = Wire(server.base_url)

            async def ask():
                sent = payload("long [words=400]", stream=stream)
                if not stream:
                    return await wire.post(CHAT, sent)
                return [event async for event in wire.stream(CHAT, sent)]

            task = asyncio.create_task(ask())
            await asyncio.sleep(after)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            for _ in range(100):
                if server.stats()["aborted"]:
                    break
                await asyncio.sleep(0.01)
            await wire.close()

        asyncio.run(main())
        stats = server.stats()
        assert (stats["requests"], stats["aborted"], stats["generated"], stats["in_flight"]) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("options", "sent", "error", "says"),
    [
        ({"api_key": "right"}, {}, SamplerStopped, r"sampler\.api_key: .*401.*set OPENAI_API_KEY or sampler\.api_key"),
        ({}, {"model": "gpt-9"}, SamplerStopped, r"sampler\.model: the server does not have 'gpt-9'"),
        ({"refuses": ["seed"]}, {}, ParameterRefused, r"refuses sampler\.seed: .*; set sampler\.send_seed=false"),
        ({"refuses": ["top_k"]}, {"top_k": 3}, ParameterRefused, r"refuses sampler\.extra_params\.top_k"),
        ({"refuses": ["stream_options"]}, {"stream_options": {}}, ParameterRefused, r"set sampler\.stream=false"),
        ({"context": 3}, {}, None, None),
        ({"context": 1}, {}, PromptRefused, r"400: .*maximum context length is 1 tokens"),
        ({"faults": ["policy"]}, {}, PromptRefused, "content policy"),
        ({"faults": ["param:min_p"]}, {}, PromptRefused, "min_p"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(options, sent, error, says):
    with serve(**options) as server:
        if error is None:
            assert post(server.base_url, payload(**sent))
        else:
            with pytest.raises(error, match=says):
                post(server.base_url, payload(**sent))
        assert server.stats()["requests"] == 1


def test_known_models_are_named():
    with serve() as server:

        async def use():
            wire = Wire(server.base_url)
            wire.models = ["one", "two"]
            try:
                await wire.post(CHAT, payload(model="three"))
            finally:
                await wire.close()

        with pytest.raises(SamplerStopped, match="it lists: one, two"):
            asyncio.run(use())


def test_a_wrong_path_names_the_address():
    with serve() as server:
        base = server.base_url.removesuffix("/v1")
        with pytest.raises(SamplerStopped, match=rf"sampler\.base_url: {base} .*should it end in /v1\?"):
            post(base, payload())
        with pytest.raises(SamplerStopped, match=r"judge\.base_url: .*correct it"):
            post(f"{base}/v2/v1", payload(), section="judge")


def test_redirects_are_not_followed():
    async def handle(reader, writer, number):
        await read_request(reader)
        writer.write(http(b"", "307 Temporary Redirect", Location="https://u:p@example.org/v1?token=x"))

    with pytest.raises(SamplerStopped, match=r"it sends us to https://example\.org/v1"):
        post_to_raw(handle)


def test_nothing_there():
    async def main():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        wire = Wire(f"http://user:hunter22@127.0.0.1:{port}/v1", max_retries=0, limits=Limits(max_outage=0.3))
        try:
            with pytest.raises(SamplerStopped) as stopped:
                await wire.get("models")
            asking = [asyncio.create_task(wire.post(CHAT, payload())) for _ in range(3)]
            await asyncio.sleep(0.1)
            state = wire.endpoint.state
            down = await asyncio.gather(*asking, return_exceptions=True)
        finally:
            await wire.close()
        return str(stopped.value), state, down, port

    text, state, down, port = asyncio.run(main())
    fix = "start the server or correct the address"
    assert text == f"sampler.base_url: nothing answers at http://127.0.0.1:{port}/v1 (connection refused); {fix}"
    assert state == "nothing usable comes from the server since 0 s (connection refused), next try in 1 s"
    assert {type(error) for error in down} == {SamplerDown}
    assert str(down[0]) == f"nothing usable has come from http://127.0.0.1:{port}/v1 for 0 s (last: connection refused)"


def test_a_name_that_does_not_resolve():
    async def main():
        wire = Wire("http://no-such-host.invalid/v1")
        try:
            await wire.get("models")
        finally:
            await wire.close()

    with pytest.raises(SamplerStopped, match=r"no-such-host\.invalid can't be resolved"):
        asyncio.run(main())


def test_a_timeout_is_tried_again_once():
    with serve(faults=["hang"]) as server:
        assert post(server.base_url, payload(), timeout=0.2)
        with pytest.raises(RequestFailed, match=r"no reply in time \(sampler\.timeout=0\.2\) \(2 tries\)"):
            post(server.base_url, payload("other [faults=hang*]"), timeout=0.2)
        assert server.stats()["requests"] == 4


def test_no_limit_is_shorter_than_the_generation_may_be():
    wire = Wire("http://h/v1")
    assert wire.time_limit({"max_tokens": 4000}) == 860
    assert wire.time_limit({"max_tokens": 10, "max_completion_tokens": 32_000}) == 6460
    assert wire.time_limit({}) == wire.time_limit({"max_tokens": None}) == 7200
    assert Wire("http://h/v1", timeout=5).time_limit({"max_tokens": 4000}) == 5


NO_ADDRESSES = [
    *("localhost:8000/v1", "ftp://host/v1", "", "http://", "http://127.0.0.1:99999999/v1", "http://host:port/v1"),
    *("http://[::zz/v1", "http://[::1]x/v1", "http://ho..st/v1", f"http://{'a' * 64}/v1", "http://host/v 1"),
    *("me:PASSWORD@host/v1", "http://me:PASS/PASSWORD@host/v1", "http://me:PASSWORD@host:99999999/v1?key=PASSWORD"),
    *("http://me:PASSWORD@[::zz/v1", "http://me: PASSWORD@/v1", "http://host\nhost/v1"),
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_an_address_that_is_none(address):
    with pytest.raises(ConfigError, match=r"sampler\.base_url: .*http://host:8000/v1") as caught:
        Wire(address)
    assert "PASS" not in str(caught.value) and "\n" not in str(caught.value)


def test_no_error_text_holds_a_key():
    key, other, encoded = "sk-very-secret-1234", "tok-5678-abcd", "bWU6aHVudGVyMjI="

    async def handle(reader, writer, number):
        head = await read_request(reader)
        body = msgspec.json.encode({"error": {"message": f"you sent {'x' * 215 * (number == 1)} {head}"}})
        status = ("400 Bad", "401 No", "500 Oh", "200 OK")[number - 1]
        writer.write(http(body, status, Connection="close"))

    async def main():
        texts = []
        async with raw_server(handle) as url:
            headers = {"Authorization": f"Bearer {key}", "X-Api-Key": other}
            wire = Wire(url, headers=headers, max_retries=0)
            with_password = Wire(url.replace("//", "//me:hunter22@"), max_retries=0)
            for each in (wire, wire, wire, with_password):
                with pytest.raises((SamplerStopped, PromptRefused, RequestFailed)) as caught:
                    await each.post(CHAT, payload())
                assert caught.value.__cause__ is None
                texts.append(str(caught.value))
            await wire.close()
            await with_password.close()
        return texts

    for text in asyncio.run(main()):
        assert "you sent" in text
        assert not any(secret[:10] in text for secret in (key, other, encoded)), text


def test_credentials_and_query_of_the_address():
    seen = []

    async def handle(reader, writer, number):
        seen.append(await read_request(reader))
        writer.write(http(GOOD))

    async def main():
        async with raw_server(handle) as url:
            wire = Wire(url.replace("//", "//me:p%40ss@") + "/?api-version=3")
            await wire.post(CHAT, payload())
            await wire.close()

    asyncio.run(main())
    assert seen[0].startswith("POST /v1/chat/completions?api-version=3 ")
    assert "Authorization: Basic bWU6cEBzcw==" in seen[0]


def test_more_than_a_hundred_at_once_and_large_bodies():
    with serve(token_delay=0.01) as server:

        async def main():
            wire = Wire(server.base_url, timeout=30, limits=Limits(150))
            try:
                await asyncio.gather(*(wire.post(CHAT, payload(f"{j} [words=60]")) for j in range(150)))
                await wire.post(CHAT, payload("x" * (2 << 20)))
            finally:
                await wire.close()

        asyncio.run(main())
        stats = server.stats()
        assert stats["max_requests_in_flight"] == 150 and stats["delivered"] == 151


def test_the_client_library_is_imported_when_used():
    code = "import sys, rsr.wire, rsr.samplers.openai_compatible; assert 'aiohttp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
