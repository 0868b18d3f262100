"""A prompt's messages, images and tools in the forms that trainers read.

llamafactory    role, content: texts only; a tool call is a turn `function_call`, its result a turn `tool`
sharegpt        the same as from, value: human, gpt, system, function_call, observation
others          OpenAI messages with `tool_calls`; an image is `<image>` in the text, or a block of the content
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from rsr.types import Message, Prompt

IMAGE = "<image>"

_SHAREGPT = {
    "user": "human",
    "assistant": "gpt",
    "system": "system",
    "tool": "observation",
    "function_call": "function_call",
}
_KEPT = ("name", "tool_calls", "tool_call_id")
_THOUGHTS = ("reasoning_content", "thinking")
_PICTURE = ("image", "image_url", "input_image")


class Pictured(NamedTuple):
    """Messages whose images stand as `{"type": "image"}` blocks, and the images in the order of the blocks."""

    messages: list[Message]
    images: list[str]


def turns(prompt: Prompt) -> tuple[list[Message], list[str]]:
    """LLaMA-Factory's turns (role, content), with `<image>` for each image, and the images.

    Results of several calls that follow each other are one turn, as turns must alternate.
    """
    pictured = _pictured(prompt)
    made: list[Message] = []
    for message in pictured.messages:
        role = "system" if message["role"] == "developer" else message["role"]
        if calls := message.get("tool_calls"):
            made.append({"role": "function_call", "content": _functions(calls)})
        elif role == "tool" and made and made[-1]["role"] == "tool":
            made[-1]["content"] += "\n" + plain_text(message.get("content"))
        else:
            made.append({"role": role, "content": plain_text(message.get("content"))})
    return made, pictured.images


def sharegpt_turns(prompt: Prompt) -> tuple[list[Message], list[str]]:
    """The same turns as `from` and `value`."""
    made, images = turns(prompt)
    return [{"from": _SHAREGPT[turn["role"]], "value": turn["content"]} for turn in made], images


def texts(prompt: Prompt) -> tuple[list[Message], list[str]]:
    """OpenAI messages whose contents are texts, with `<image>` for each image, and the images."""
    pictured = _pictured(prompt)
    return [_message(message, plain_text(message.get("content"))) for message in pictured.messages], pictured.images


def blocks(prompt: Prompt, own: str | None = None) -> tuple[list[Message], list[str]]:
    """OpenAI messages whose contents are texts, or, in a prompt with images, lists of blocks; and the images.

    Args:
        prompt: the prompt.
        own: the key under which an image's block holds its address; None: the blocks are empty.
    """
    pictured = _pictured(prompt)
    if not pictured.images:
        return [_message(message, plain_text(message.get("content"))) for message in pictured.messages], []
    sources = iter(pictured.images)
    return [
        _message(message, [_block(part, sources, own) for part in _parts(message.get("content"))])
        for message in pictured.messages
    ], pictured.images


def as_given(messages: Sequence[Message]) -> list[Message]:
    """OpenAI messages with only the keys that a trainer reads, in the order role, content."""
    return [_message(message, message.get("content") or "", role=message["role"]) for message in messages]


def for_the_api(prompt: Prompt) -> list[Message]:
    """OpenAI messages as a server takes them: an image is a part with its address."""
    if not prompt.images:
        return as_given(prompt.messages)
    messages, _ = blocks(prompt, own="url")
    for message in messages:
        for part in message["content"]:
            if part["type"] == "image":
                url = part.pop("url")
                part.update({"type": "image_url", "image_url": {"url": url}})
    return messages


def plain_text(content: Any) -> str:
    """The text of a message's content, which may be a list of parts; an image is `<image>`."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(IMAGE if _is_picture(part) else _text(part) for part in content)


def tools_text(tools: Sequence[Any]) -> str:
    """Tools as JSON text: one type, whatever their parameters are."""
    return json.dumps(tools, ensure_ascii=False)


def _message(message: Message, content: Any, role: str | None = None) -> Message:
    name = role or ("system" if message["role"] == "developer" else message["role"])
    made = {"role": name, "content": content, **{key: message[key] for key in _KEPT if message.get(key)}}
    return made | {key: message[key] for key in _THOUGHTS if message.get(key)}


def _functions(calls: Sequence[Any]) -> str:
    """Calls as LLaMA-Factory reads them: arguments as an object, one call or a list of them."""
    made = []
    for call in calls:
        function = call.get("function", call)
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            with suppress(ValueError):  # a model's words that are no JSON stay a text
                arguments = json.loads(arguments)
        made.append({"name": function.get("name"), "arguments": {} if arguments is None else arguments})
    return json.dumps(made[0] if len(made) == 1 else made, ensure_ascii=False)


def _pictured(prompt: Prompt) -> Pictured:
    """Where the images of a prompt stand: at parts or `<image>` of its messages, else before its last user message."""
    parts_have_some = any(
        isinstance(message.get("content"), list) and any(map(_is_picture, message["content"]))
        for message in prompt.messages
    )
    if not prompt.images and not parts_have_some:
        return Pictured(prompt.messages, [])
    waiting = [_source(image) for image in prompt.images or ()]
    images: list[str] = []
    messages = []
    for message in prompt.messages:
        parts = []
        for part in _parts(message.get("content"), split=bool(prompt.images)):
            if _is_picture(part):
                images.append(_source(part) or (waiting.pop(0) if waiting else ""))
                part = {"type": "image"}
            parts.append(part)
        messages.append({**message, "content": parts} if parts else message)
    if waiting:
        at = max((j for j, message in enumerate(messages) if message["role"] == "user"), default=len(messages) - 1)
        before = sum(_is_picture(part) for message in messages[:at] for part in _parts(message.get("content")))
        images[before:before] = waiting
        messages[at] = {
            **messages[at],
            "content": [*({"type": "image"} for _ in waiting), *_parts(messages[at].get("content"))],
        }
    return Pictured(messages, images)


def _parts(content: Any, split: bool = False) -> list[Any]:
    """A content as parts; `split`: an `<image>` in its texts is one."""
    if content is None or content == "":
        return []
    parts: list[Any] = []
    for part in [content] if isinstance(content, str) else content:
        text = None if _is_picture(part) else _text(part)
        if text is None:
            parts.append(part)
        elif split:
            parts += [{"type": "image"} if it == IMAGE else {"type": "text", "text": it} for it in _split(text)]
        else:
            parts.append({"type": "text", "text": text})
    return parts


def _split(text: str) -> Iterator[str]:
    return (piece for piece in re.split(f"({IMAGE})", text) if piece)


def _block(part: Any, sources: Iterator[str], own: str | None) -> dict[str, Any]:
    if not _is_picture(part):
        return {"type": "text", "text": _text(part)}
    source = next(sources)
    return {"type": "image", own: source} if own else {"type": "image"}


def _is_picture(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _PICTURE


def _text(part: Any) -> str:
    return str(part.get("text") or "") if isinstance(part, Mapping) else str(part)


def _source(image: Any) -> str:
    """An image's path or address; empty where a part names none."""
    if isinstance(image, str):
        return image
    if isinstance(image, Mapping):
        for key in ("image_url", "url", "path", "image", "base64"):
            if image.get(key):
                return _source(image[key])
        return ""
    return str(image)
