import pytest

from rsr.completions import to_rollout
from rsr.failures import Failed
from rsr.replies import Assembly, _divided, read_choices
from rsr.types import Outcome


def texts(found):
    return [completion.text for completion in found]


def choice(index, content, **more):
    return {"index": index, "message": {"content": content}, "finish_reason": "stop", **more}


def test_choices_are_put_in_order():
    def read(*choices):
        return texts(read_choices({"choices": list(choices)}, False))

    assert read(choice(1, "b"), choice(0, "a")) == ["a", "b"]
    assert read(choice(0, "a"), choice(2, "c"), choice(1, "b")) == ["a", "b", "c"]
    assert read(choice(0, "a"), choice(2, "c")) == ["a"]  # c is the answer to another seed than its place would say
    assert read(choice(0, "a"), choice(0, "b")) == ["a", "b"]
    assert read(choice(None, "a"), choice(None, "b")) == ["a", "b"]


def test_contents_of_parts_and_odd_ends():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, "c"]
    [found] = read_choices({"choices": [choice(0, parts, finish_reason="tool_calls")]}, False)
    assert (found.text, found.finish_reason, found.reasoning) == ("abc", "tool_calls", None)
    [found] = read_choices({"choices": [choice(0, None, finish_reason=None)]}, False)
    assert (found.text, found.finish_reason) == ("", "")


@pytest.mark.parametrize(
    "reply",
    [
        {"choices": [choice(0, "a")], "usage": 3, "model": 4},
        {"choices": [choice([], 7)], "usage": {"prompt_tokens": "x", "completion_tokens": None}},
        {"choices": [choice("0", [3, {"text": "a"}]), choice({}, "b")]},
    ],
)
def test_odd_shapes_are_data_as_far_as_they_go(reply):
    found = read_choices(reply, False)
    assert found[0].completion_tokens is None and found[0].model is None


@pytest.mark.parametrize("reply", [{"choices": [{"index": 0}]}, {"choices": [{"message": "hi"}]}])
def test_a_choice_without_a_message_is_of_no_use(reply):
    with pytest.raises(Failed):
        read_choices(reply, False)


def test_tokens_are_divided_by_length():
    assert _divided(10, [4], False) == [10]
    assert _divided(100, [10, 30, 60], False) == [10, 30, 60]
    assert _divided(7, [1, 1, 1], False) == [2, 3, 2]
    assert _divided(3, [0, 0, 0], False) == [1, 1, 1]
    assert _divided(None, [1, 2], False) == [None, None]
    assert _divided(10, [20, 40], True) == [10, 20]


@pytest.mark.parametrize("choices", [5, [3], "x"])
def test_an_event_without_choices_that_could_be_read(choices):
    with pytest.raises(Failed):
        Assembly().add({"choices": choices})


def assembled(*events):
    parts = Assembly()
    for event in events:
        parts.add(event)
    return [each.completion_tokens for each in read_choices(parts.reply(), True)]


def test_the_usage_of_a_stream():
    def said(index, text, finish=None, **more):
        return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}], **more}

    def usage(tokens, **more):
        return {"usage": {"completion_tokens": tokens}, **more}

    end = {"choices": []}
    # llama.cpp: each choice's own; others: the sum at the end, or in the last piece.
    each = said(1, "b", "stop"), usage(3, **end), said(0, "aaaa", "stop"), usage(9, **end)
    assert assembled(*each) == [9, 3]
    assert assembled(said(0, "aa", "stop"), usage(7, **end)) == [7]
    assert assembled(said(0, "aa", usage={"completion_tokens": 1}), said(0, "a", "stop", **usage(2))) == [2]


def test_a_stream_needs_an_end_of_every_choice():
    parts = Assembly()
    parts.add({"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]})
    parts.add({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})
    with pytest.raises(Failed, match="no finish_reason"):
        parts.reply()
    parts.add({"choices": [{"index": 0, "delta": None, "finish_reason": "length"}], "usage": None})
    assert [each["message"]["content"] for each in parts.reply()["choices"]] == ["a", "b"]


CALLS = {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("message", "finish", "outcome"),
    [
        ({"content": "B"}, "stop", Outcome.OK),
        ({"content": "B"}, None, Outcome.OK),
        ({"content": "B"}, "length", Outcome.TRUNCATED),
        ({"content": None}, "length", Outcome.TRUNCATED),
        ({"content": "B"}, "timeout", Outcome.TRUNCATED),
        ({"content": None}, "stop", Outcome.EMPTY),
        ({"content": " \n"}, "stop", Outcome.EMPTY),
        ({"content": "", "reasoning_content": "hm"}, "stop", Outcome.EMPTY),
        ({"content": "B"}, "content_filter", Outcome.FILTERED),
        ({"content": None}, "content_filter", Outcome.FILTERED),
        # A call of a tool is no answer, with or without words beside it; nor is what ended in a way that nobody knows.
        ({"content": None, **CALLS}, "tool_calls", Outcome.FILTERED),
        ({"content": "Let me look.", **CALLS}, "tool_calls", Outcome.FILTERED),
        ({"content": None, **CALLS}, "stop", Outcome.EMPTY),
        ({"content": "B"}, "repetition", Outcome.FILTERED),
        ({"content": "B"}, 7, Outcome.FILTERED),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_how_a_generation_ended_is_an_outcome_and_kept(message, finish, outcome, streamed):
    reply = {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    if streamed:
        if finish is None:
            return
        parts = Assembly()
        parts.add({"choices": [{"index": 0, "delta": message, "finish_reason": None}]})
        parts.add({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        reply = parts.reply()
    [found] = read_choices(reply, False)
    rollout = to_rollout(found, 0)
    assert (rollout.outcome, rollout.finish_reason) == (outcome, str(finish or ""))


def test_a_text_that_time_cut_says_so():
    parts = Assembly()
    parts.add({"choices": [{"index": 0, "delta": {"content": ""}}]})
    assert not parts.begun
    parts.add({"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]})
    parts.add({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})
    assert parts.begun and not parts.complete(2)
    found = read_choices(parts.cut(), False, redrawn=True)
    assert [(each.text, each.finish_reason, each.redrawn) for each in found] == [
        ("a", "timeout", True),
        ("b", "stop", True),
    ]


def test_whether_all_choices_of_a_stream_have_ended():
    parts = Assembly()
    assert not parts.complete(1)
    parts.add({"choices": [choice(0, "a"), choice(1, "b")]})
    assert parts.complete(2) and not parts.complete(3)


@pytest.mark.parametrize(
    "event", [choice(0, "x" * 5000), choice(1, ""), {"index": 2, "delta": {"reasoning": "x" * 5000}}]
)
def test_a_stream_grows_no_further_than_it_may(event):
    parts = Assembly(most=10_000)
    with pytest.raises(Failed, match="larger than"):
        for number in range(1000):
            parts.add({"choices": [event if event["index"] != 1 else {**event, "index": number}]})
