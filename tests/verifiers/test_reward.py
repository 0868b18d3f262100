"""`reward-model`: what each endpoint is sent, what its replies may look like, and what is an error."""

import json

import pytest

from commands import process, read_rows
from judge_server import Reply, judge_server
from processes import simulated, write_questions
from rsr.errors import ConfigError
from rsr.types import Reason
from rsr.verifiers import get
from rsr.verifiers.check import Check

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi?"}]
TALK = [*MESSAGES, {"role": "assistant", "content": "Hello."}]

VLLM_SCORE = {"object": "list", "data": [{"index": 0, "object": "score", "score": -1.5}], "usage": {"prompt_tokens": 7}}
VLLM_CLASSIFY = {"object": "list", "data": [{"index": 0, "label": "LABEL_0", "probs": [0.25], "num_classes": 1}]}
VLLM_POOLING = {"object": "list", "data": [{"index": 0, "object": "pooling", "data": [3.5]}]}
TWO_CLASSES = {"data": [{"index": 0, "label": "bad", "probs": [0.75, 0.25], "num_classes": 2}]}
STEPS = {"data": [{"index": 0, "data": [[0.5], [0.25], [0.125]]}]}
SGLANG = [{"embedding": [-24.125], "meta_info": {"id": "1"}}]


def reward(server, **params):
    return Check("reward-model", {"model": "judge", "base_url": server.base_url, "max_retries": 0, **params})


def said(text):
    return Reply(text)


@pytest.mark.parametrize(
    ("params", "reply", "path", "sent", "score"),
    [
        ({"endpoint": "score"}, VLLM_SCORE, "/score", {"text_1": "Hi?", "text_2": "Hello."}, -1.5),
        ({}, VLLM_CLASSIFY, "/classify", {"messages": TALK}, 0.25),
        ({"label": 1}, TWO_CLASSES, "/classify", {"messages": TALK}, 0.25),
        ({"label": -2}, TWO_CLASSES, "/classify", {"messages": TALK}, 0.75),
        ({"endpoint": "pooling"}, VLLM_POOLING, "/pooling", {"messages": TALK}, 3.5),
        ({"endpoint": "pooling", "label": -1}, STEPS, "/pooling", {"messages": TALK}, 0.125),
        (
            {"send": "text"},
            SGLANG,
            "/classify",
            {"input": "Hi?\n\nHello.", "text": "Hi?\n\nHello."},
            -24.125,
        ),
        (
            {
                "send": "text",
                "path": "/v1/classify",
                "text": "Q {question} A {response}",
                "extra_params": {"text": None},
            },
            VLLM_CLASSIFY,
            "/v1/classify",
            {"input": "Q Hi? A Hello."},
            0.25,
        ),
        (
            {"send": "text", "text": "{response}"},
            SGLANG[0],
            "/classify",
            {"input": "Hello.", "text": "Hello."},
            -24.125,
        ),
        ({"endpoint": "chat"}, "reward:-12.5", "/v1/chat/completions", {"messages": TALK}, -12.5),
        ({"endpoint": "chat"}, " 0.75\n", "/v1/chat/completions", {"messages": TALK}, 0.75),
        ({"endpoint": "chat"}, '{"score": 3}', "/v1/chat/completions", {"messages": TALK}, 3.0),
    ],
)
def test_each_endpoint_is_sent_its_own(params, reply, path, sent, score):
    with judge_server(lambda *_: Reply(reply)) as server:
        assert reward(server, **params)("Hello.", None, messages=MESSAGES).score == score
        assert server.requests == [(path, {"model": "judge", **sent})]


def test_the_address_may_end_in_v1_or_not():
    with judge_server(lambda *_: Reply(VLLM_SCORE)) as server:
        for address in (server.base_url, server.base_url.removesuffix("/v1") + "/"):
            check = reward(server, endpoint="score", base_url=address)
            assert check("Hello.", None, messages=MESSAGES).score == -1.5


@pytest.mark.parametrize(
    ("params", "reply"),
    [
        ({}, {"data": []}),
        ({}, {"data": [{"index": 0}]}),
        ({}, {"data": [{"probs": [None]}]}),
        ({}, {"data": [{"probs": ["0.5"]}]}),
        ({}, {"data": [{"probs": [True]}]}),
        ({}, {"data": [{"probs": []}]}),
        ({}, {"data": [{"score": float("nan")}]}),
        ({}, {"data": [{"score": float("inf")}]}),
        ({}, {"data": [{"score": 1}, {"score": 2}]}),
        ({}, TWO_CLASSES),
        ({"label": 2}, TWO_CLASSES),
        ({"label": "good"}, TWO_CLASSES),
        ({}, {"scores": [1]}),
        ({}, []),
        ({}, [1]),
        ({}, 1),
        ({}, None),
        ({"endpoint": "chat"}, "I'd give it a 7."),
        ({"endpoint": "chat"}, "nan"),
        ({"endpoint": "chat"}, "1e999"),
        ({"endpoint": "chat"}, '{"score": 1, "reward": 2}'),
        ({"endpoint": "chat"}, ""),
    ],
    ids=str,
)
def test_what_holds_no_finite_number_is_an_error_and_never_a_score(params, reply):
    with judge_server(lambda *_: Reply(reply)) as server:
        verdict = reward(server, **params)("Hello.", None, messages=MESSAGES)
    assert verdict.reason is Reason.VERIFIER_ERROR
    assert verdict.score is None


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"model": "m"}, r"verifier\.base_url: missing; set it"),
        (
            {"model": "m", "base_url": "http://h", "endpoint": "rank"},
            r"verifier\.endpoint: should be 'score', 'classify'",
        ),
        ({"model": "m", "base_url": "http://h", "text": "x"}, r"verifier\.text: it doesn't hold the response"),
    ],
)
def test_a_wrong_config_is_refused(params, text):
    with pytest.raises(ConfigError, match=text):
        get("reward-model", **params)


def test_its_verdicts_belong_to_the_prompt_and_not_to_the_address():
    def key(messages=MESSAGES, **params):
        given = {"model": "m", "base_url": "http://h", **params}
        return Check("reward-model", given).key("B", None, {}, messages)

    assert key() == key(base_url="http://other/v1") == key(api_key="sk-1")
    assert len({key(), key(messages=[]), key(model="n"), key(endpoint="score"), key(label=1)}) == 5


@pytest.mark.slow
def test_the_best_of_several_is_written(tmp_path):
    prompts = write_questions(tmp_path / "prompts.jsonl", 10)

    def longest(path, payload):
        return Reply({"data": [{"score": float(len(payload["text_2"]))}]})

    with simulated(prompts) as sampler, judge_server(longest) as server:
        where = [f"data.input_path={prompts}", f"work_dir={tmp_path / 'run'}", f"sampler.base_url={sampler.base_url}"]
        verifier = ["verifier.type=reward-model", "verifier.endpoint=score", "verifier.model=judge"]
        formatter = "formatter=[{type: sft, best_of: 4, pass_threshold: 0}]"
        address = f"verifier.base_url={server.base_url}"
        ended = process("run", "sft", *where, "sampler.model=any", *verifier, address, formatter)
        assert ended.code == 0, ended.err
    process("export", tmp_path / "run", "-o", tmp_path / "all.jsonl")
    lengths = {}
    for row in read_rows(tmp_path / "all.jsonl"):
        lengths.setdefault(row["prompt_id"], []).append(len(row["text"]))
    ids = {json.dumps(row["messages"]): row["id"] for row in read_rows(prompts)}
    written = read_rows(tmp_path / "run/train/sft.jsonl")
    assert len(written) == 10
    for row in written:
        found = lengths[ids[json.dumps(row["messages"][:-1])]]
        assert len(found) >= 4
        assert len(row["messages"][-1]["content"]) == max(found[:4])
