"""What the rows of each kind look like for each trainer: the table of layouts, their columns, their reasoning.

    kind        llamafactory                     trl                          others
    responses   messages                         prompt, completion           messages
    pairs       conversations, chosen, rejected  prompt, chosen, rejected     openrlhf, axolotl, openai their own
    labelled    messages, label                  prompt, completion, label
    prompts                                      prompt, answer               verl, openrlhf their own

LLaMA-Factory reads its rows as `sharegpt` with complete tags; its `openai` formatting rewrites system prompts, and a
tags block without `system_tag` drops rows that have one. TRL trains on the prompt too where a row has `messages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from rsr.formatters import chat
from rsr.row_files import FileFormat, Shape
from rsr.types import Message, Prompt, Rollout, Row

Layout = Literal["llamafactory", "trl", "openrlhf", "verl", "axolotl", "openai"]
Reasoning = Literal["keep", "inline", "field", "drop"]
ReasoningField = Literal["reasoning_content", "thinking"]
Kind = Literal["responses", "pairs", "rewards", "labelled", "prompts"]

WORKING: Mapping[Kind, tuple[Layout, ...]] = {
    "responses": ("llamafactory", "trl", "openrlhf", "verl", "axolotl", "openai"),
    "pairs": ("llamafactory", "trl", "openrlhf", "axolotl", "openai"),
    "rewards": ("llamafactory", "trl", "openrlhf"),
    "labelled": ("llamafactory", "trl"),
    "prompts": ("verl", "trl", "openrlhf"),
}
"""The layouts for which a trainer takes rows of a kind."""

_WORDS: Mapping[Kind, str] = {
    "responses": "responses",
    "pairs": "DPO pairs",
    "rewards": "pairs for reward models",
    "labelled": "KTO rows",
    "prompts": "RL prompts",
}

MESSAGES_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}
"""LLaMA-Factory's tags for rows of messages; a block that misses one resets it."""

CONVERSATIONS_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
"""The same for conversations."""

_FIELD: tuple[Layout, ...] = ("trl", "axolotl")
"""Layouts whose trainers take reasoning in a field of its own: the chat template places it."""

_TURN = {"from": "text", "value": "text"}
_COLUMNS: Mapping[tuple[Kind, Layout], Mapping[str, Any]] = {
    ("responses", "trl"): {"prompt": "messages", "completion": "messages"},
    ("pairs", "llamafactory"): {"conversations": [_TURN], "chosen": _TURN, "rejected": _TURN},
    ("pairs", "openrlhf"): {"input": "messages", "chosen": "messages", "rejected": "messages"},
    ("pairs", "axolotl"): {"messages": "messages", "chosen": "message", "rejected": "message"},
    ("pairs", "openai"): {
        "input": {"messages": "messages"},
        "preferred_output": "messages",
        "non_preferred_output": "messages",
    },
    ("labelled", "llamafactory"): {"messages": "messages", "label": "flag"},
    ("labelled", "trl"): {"prompt": "messages", "completion": "messages", "label": "flag"},
}
_PAIR_COLUMNS = {"prompt": "messages", "chosen": "messages", "rejected": "messages"}


class Style(NamedTuple):
    """How a formatter writes: its kind of rows, for whom, in which file, with what reasoning."""

    kind: Kind
    layout: Layout
    file_format: FileFormat
    reasoning: Literal["inline", "drop", "reasoning_content", "thinking"]

    @classmethod
    def checked(
        cls,
        kind: Kind,
        layout: Layout,
        file_format: FileFormat | None,
        reasoning: Reasoning = "drop",
        field: ReasoningField = "reasoning_content",
    ) -> Style:
        """The style that a config asks for.

        Raises:
            ValueError: no trainer takes it; names the key and what works.
        """
        if layout not in WORKING[kind]:
            what = _WORDS[kind]
            raise ValueError(f"layout: {layout} is no layout of {what}; use one of {', '.join(WORKING[kind])}")
        if layout == "verl" and kind == "responses" and file_format == "jsonl":
            raise ValueError("file_format: verl reads parquet only; leave it out, or set parquet")
        fields = (*_FIELD, "openrlhf", "verl", *(["llamafactory"] if kind == "responses" else []))
        if reasoning == "field" and layout not in fields:
            raise ValueError(f"reasoning: field is not read by layout {layout}; use keep or drop")
        how: Any = {"keep": field if layout in _FIELD else "inline", "field": field}.get(reasoning, reasoning)
        return cls(kind, layout, file_format or ("parquet" if layout == "verl" else "jsonl"), how)

    @property
    def drops(self) -> bool:
        """Whether reasoning is left out."""
        return self.reasoning == "drop"

    def shape(self, **more: Any) -> Shape:
        """The columns of the file; `more` of them after the layout's own."""
        kind: Kind = "pairs" if self.kind == "rewards" else self.kind
        default = _PAIR_COLUMNS if kind == "pairs" else {"messages": "messages"}
        columns = {**_COLUMNS.get((kind, self.layout), default), **more}
        as_list = self.layout in ("axolotl", "verl", "openai")
        if self.layout == "openai":
            if "input" in columns:
                columns["input"] = {**columns["input"], "tools": "json"}
            else:
                columns["tools"] = "json"
            return Shape(columns, {}, self.file_format, one_content=self.file_format == "parquet")
        fills: dict[str, Any] = {"images": []}
        fills["tools"] = [] if as_list else "" if self.layout == "llamafactory" else "[]"
        columns |= {"tools": "json" if as_list else "text", "images": "images" if self.layout == "verl" else "texts"}
        thoughts = self.reasoning if self.reasoning in ("reasoning_content", "thinking") else None
        one_content = self.layout in ("trl", "axolotl")
        return Shape(columns, fills, self.file_format, one_content, thoughts)

    def response(self, prompt: Prompt, rollout: Rollout) -> Row:
        """A row that teaches one response."""
        messages, row = self._asked(prompt)
        answer = self._answer(rollout)
        if self.layout == "trl":
            return {"prompt": messages, "completion": [answer], **row}
        return {"messages": [*messages, answer], **row}

    def pair(self, prompt: Prompt, chosen: Rollout, rejected: Rollout) -> Row:
        """A row that prefers one response to another."""
        if self.layout == "llamafactory":
            conversation, images = chat.sharegpt_turns(prompt)
            sides = {
                "chosen": {"from": "gpt", "value": self.text(chosen)},
                "rejected": {"from": "gpt", "value": self.text(rejected)},
            }
            return {"conversations": conversation, **sides, **self._beside(prompt, images)}
        messages, row = self._asked(prompt)
        good, bad = self._answer(chosen), self._answer(rejected)
        if self.layout == "openai":
            asked = {"input": {"messages": messages, **row}}
            return {**asked, "preferred_output": [good], "non_preferred_output": [bad]}
        if self.layout == "axolotl":
            return {"messages": messages, "chosen": good, "rejected": bad, **row}
        # OpenRLHF writes a text into a column "prompt", which would keep the type of ours: a list, letter by letter.
        asked_in = "input" if self.layout == "openrlhf" else "prompt"
        return {asked_in: messages, "chosen": [good], "rejected": [bad], **row}

    def labelled(self, prompt: Prompt, rollout: Rollout, label: bool) -> Row:
        """A row that says of one response whether it is good."""
        row = self.response(prompt, rollout)
        last: Row = {name: row.pop(name) for name in ("images", "tools") if name in row}
        return {**row, "label": label, **last}

    def asked(self, prompt: Prompt) -> tuple[list[Message], Row]:
        """The messages of a prompt alone, and the columns beside them."""
        return self._asked(prompt)

    def text(self, rollout: Rollout) -> str:
        """A response as it is trained on: with its reasoning in `<think>` tags before it, or alone."""
        response, thought = rollout.response.strip(), rollout.reasoning.strip()
        if self.reasoning != "inline" or not thought:
            return response
        return f"<think>\n{thought}\n</think>\n\n{response}"

    def dataset_info(self) -> Mapping[str, Any] | None:
        """LLaMA-Factory's entry, where the file is for it."""
        if self.layout != "llamafactory":
            return None
        if self.kind in ("pairs", "rewards"):
            columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
            return {"formatting": "sharegpt", "ranking": True, "columns": columns, "tags": CONVERSATIONS_TAGS}
        columns = {"messages": "messages", **({"kto_tag": "label"} if self.kind == "labelled" else {})}
        return {"formatting": "sharegpt", "columns": columns, "tags": MESSAGES_TAGS}

    def _answer(self, rollout: Rollout) -> Message:
        message: Message = {"role": "assistant", "content": self.text(rollout)}
        if self.reasoning in ("reasoning_content", "thinking") and rollout.reasoning.strip():
            message[self.reasoning] = rollout.reasoning.strip()
        return message

    def _asked(self, prompt: Prompt) -> tuple[list[Message], Row]:
        if self.layout == "openai":
            return chat.for_the_api(prompt), self._beside(prompt, [])
        if self.layout == "axolotl":
            messages, _ = chat.blocks(prompt, own="path")
            return messages, self._beside(prompt, [])
        if self.layout == "llamafactory":
            messages, images = chat.turns(prompt)
        else:
            messages, images = chat.blocks(prompt) if self.layout == "trl" else chat.texts(prompt)
        return messages, self._beside(prompt, images)

    def _beside(self, prompt: Prompt, images: list[str]) -> Row:
        """The columns for images and tools, where a prompt has any."""
        row: Row = {}
        if images:
            row["images"] = [{"image": image} for image in images] if self.layout == "verl" else images
        if prompt.tools:
            text = self.layout in ("llamafactory", "trl", "openrlhf")
            row["tools"] = chat.tools_text(prompt.tools) if text else self._tools(prompt.tools)
        return row

    def _tools(self, tools: list[Any]) -> list[Any]:
        """Tools as a list; Axolotl takes parameters as JSON text, which all have one type."""
        if self.layout != "axolotl":
            return tools
        made = []
        for tool in tools:
            function = tool.get("function") if isinstance(tool, Mapping) else None
            if isinstance(function, Mapping) and isinstance(function.get("parameters"), Mapping):
                tool = {**tool, "function": {**function, "parameters": chat.tools_text(function["parameters"])}}
            made.append(tool)
        return made
