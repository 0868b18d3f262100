"""The shapes of rows: OpenAI messages, ShareGPT conversations, and reasoning inside a response.

Row keys are those of RECIPES.md. LLaMA-Factory reads both shapes as `sharegpt` with complete tags; its `openai`
formatting rewrites system prompts, and a tags block without `system_tag` drops rows that have one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rsr.types import Message, Prompt, Rollout, Row

Reasoning = Literal["keep", "drop", "field"]

_SHAREGPT_ROLES = {
    "user": "human",
    "assistant": "gpt",
    "system": "system",
    "developer": "system",
    "tool": "observation",
}

OPENAI_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
"""LLaMA-Factory's tags for rows of OpenAI messages; a block that misses one resets it."""


def openai_messages(messages: Sequence[Message]) -> list[Message]:
    """Messages with only the keys that a trainer reads, in the order role, content."""
    extra = ("name", "tool_calls", "tool_call_id")
    return [
        {
            "role": message["role"],
            "content": message.get("content") or "",
            **{key: message[key] for key in extra if message.get(key)},
        }
        for message in messages
    ]


def sharegpt_turns(messages: Sequence[Message]) -> list[Message]:
    """Messages as ShareGPT turns: `{"from": "human" | "gpt" | "system", "value"}`, system first."""
    return [_sharegpt_turn(message) for message in messages]


def _sharegpt_turn(message: Message) -> Message:
    calls = message.get("tool_calls")
    if calls and not message.get("content"):
        functions = [call.get("function", call) for call in calls]
        return {"from": "function_call", "value": json.dumps(functions[0] if len(functions) == 1 else functions)}
    return {"from": _SHAREGPT_ROLES[message["role"]], "value": plain_text(message.get("content"))}


def plain_text(content: Any) -> str:
    """The text of a message's content, which may be a list of parts; an image part is LLaMA-Factory's `<image>`."""
    if isinstance(content, str) or content is None:
        return content or ""
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        parts.append("<image>" if kind in ("image", "image_url") else str(part.get("text", "")) if kind else str(part))
    return "".join(parts)


def with_reasoning(rollout: Rollout, reasoning: Reasoning) -> str:
    """A response as a trainer shall see it: with its reasoning in `<think>` tags before it, or alone."""
    response = rollout.response.strip()
    thought = rollout.reasoning.strip()
    if reasoning != "keep" or not thought:
        return response
    return f"<think>\n{thought}\n</think>\n\n{response}"


def assistant_message(rollout: Rollout, reasoning: Reasoning) -> Message:
    """A response as an assistant message; `field` puts its reasoning into `reasoning_content`."""
    message: Message = {"role": "assistant", "content": with_reasoning(rollout, reasoning)}
    if reasoning == "field" and rollout.reasoning.strip():
        message["reasoning_content"] = rollout.reasoning.strip()
    return message


def with_images(row: Row, prompt: Prompt) -> Row:
    """The row with the prompt's images and tools, in the columns that trainers read, where it has any."""
    if prompt.images:
        row["images"] = prompt.images
    if prompt.tools:
        row["tools"] = prompt.tools
    return row
