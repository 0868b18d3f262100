"""Whether a row fits: with the model's own tokenizer and chat template, else by an estimate."""

from __future__ import annotations

import importlib
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from rsr.errors import ConfigError
from rsr.lint.report import Reason, Report, Trainer, shown
from rsr.lint.rules import Conversation, Reading

_BYTES_PER_TOKEN = 3.5
_THOUGHTS = ("reasoning_content", "thinking")
_ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


class Check(Protocol):
    """Looks at a row after the rules."""

    def check(self, line: int, row: dict[str, Any], conversation: Conversation) -> None:
        """Report what is wrong with a row."""


class Estimate:
    """Tokens by the number of bytes, where there is no tokenizer."""

    def __init__(self, cutoff: int, reading: Reading, report: Report) -> None:
        self._cutoff, self._reading, self._report = cutoff, reading, report
        report.notes.append(
            f"cut_off is an estimate, one token for {_BYTES_PER_TOKEN} bytes of text; --tokenizer DIR counts"
        )

    def check(self, line: int, row: dict[str, Any], conversation: Conversation) -> None:
        """Report a row that is estimated to be too long."""
        texts = [str(message.get(self._reading.content) or "") for message in conversation.turns]
        turns = sum(len(text.encode(errors="replace")) for text in texts) + len(conversation.prompt or "")
        answers = [] if self._reading.shape.whole else conversation.answers
        size = turns + max((len(answer.encode(errors="replace")) for answer in answers), default=0)
        tokens = round(size / _BYTES_PER_TOKEN)
        if tokens > self._cutoff:
            self._report.add(line, Reason.CUT_OFF, f"about {tokens:,} tokens, the cutoff is {self._cutoff:,}")


class Template:
    """A tokenizer's folder: `tokenizer.json`, and `tokenizer_config.json` or `chat_template.jinja`.

    Args:
        folder: as `save_pretrained` writes it.
        cutoff: in tokens, if lengths are wanted.
        reading: how the rows are read.
        report: told what is found.

    Raises:
        ConfigError: the folder has no tokenizer or no template, or the library is not installed.
    """

    def __init__(self, folder: Path, cutoff: int | None, reading: Reading, report: Report) -> None:
        self._cutoff, self._reading, self._report = cutoff, reading, report
        self._tokenizer = _tokenizer(folder)
        self._template, self._special = _chat_template(folder)
        # LLaMA-Factory has templates of its own, so what this one does to a row says nothing; its lengths are close.
        self._lengths_only = reading.trainer is Trainer.LLAMAFACTORY

    def check(self, line: int, row: dict[str, Any], conversation: Conversation) -> None:
        """Report a row that is too long, or that the template refuses or rewrites."""
        turns = self._messages(conversation)
        shape = self._reading.shape
        prompt = turns[:-1] if shape.whole else turns
        answers = turns[-1:] if shape.whole else self._answers(row, conversation)
        if shape.sides and not answers:
            return  # the rules have said why
        whole: list[dict[str, Any] | None] = [*answers] or [None]
        for answer in whole:
            rendered = self._whole(line, row, prompt, answer)
            if rendered is None:
                return
            tokens = len(self._tokenizer.encode(rendered, add_special_tokens=False).ids) if self._cutoff else 0
            if self._cutoff and tokens > self._cutoff:
                self._report.add(line, Reason.CUT_OFF, f"{tokens:,} tokens, the cutoff is {self._cutoff:,}")

    def _answers(self, row: dict[str, Any], conversation: Conversation) -> list[dict[str, Any]]:
        """The answers of a row as messages, with whatever they have beside their texts."""
        messages = []
        for side, text in zip(self._reading.shape.sides, conversation.answers, strict=False):
            value = row[side][-1] if isinstance(row[side], list) and row[side] else row[side]
            message = value if isinstance(value, dict) else {}
            beside = {key: message[key] for key in (*_THOUGHTS, "tool_calls") if message.get(key)}
            messages.append({"role": "assistant", "content": text, **beside})
        return messages

    def _messages(self, conversation: Conversation) -> list[dict[str, Any]]:
        if conversation.prompt is not None:
            return [{"role": "user", "content": conversation.prompt}]
        reading, messages = self._reading, []
        for message in conversation.turns:
            rest = {key: value for key, value in message.items() if key not in (reading.role, reading.content)}
            named = message.get(reading.role)
            role = _ROLES.get(reading.roles.get(named, "") if isinstance(named, str) else "", "user")
            messages.append({"role": role, "content": message.get(reading.content), **rest})
        return messages

    def _whole(
        self, line: int, row: dict[str, Any], prompt: list[dict[str, Any]], answer: dict[str, Any] | None
    ) -> str | None:
        """The rendered conversation; None where the template refuses it."""
        try:
            opened = self._render(row, prompt, True)
            rendered = opened if answer is None else self._render(row, [*prompt, answer], False)
        except Exception as cause:  # whatever a template raises, and what jinja says of a broken one
            if not self._lengths_only:
                self._report.add(line, Reason.TEMPLATE, f"the template raises: {shown(str(cause), 120)}")
            return None
        if answer is not None and not self._lengths_only:
            problem = _rewritten(answer, opened, rendered)
            if problem:
                self._report.add(line, Reason.TEMPLATE, problem)
        return rendered

    def _render(self, row: dict[str, Any], messages: list[dict[str, Any]], open_turn: bool) -> str:
        tools = row.get("tools")
        given = json.loads(tools) if isinstance(tools, str) and tools else tools
        extra = row.get("chat_template_kwargs") or {}
        rendered = self._template.render(
            messages=messages, tools=given or None, add_generation_prompt=open_turn, **self._special, **extra
        )
        return str(rendered)


def _rewritten(answer: dict[str, Any], opened: str, rendered: str) -> str | None:
    """How a rendered conversation differs from what the file says."""
    content = answer.get("content")
    if isinstance(content, str) and content.strip() not in rendered:
        return f"the template changes the answer {shown(content)}"
    for key in _THOUGHTS:
        if isinstance(answer.get(key), str) and answer[key].strip() not in rendered:
            return f"the template leaves out {key}"
    if not rendered.startswith(opened):
        return "the template renders the prompt in another way when the answer follows it"
    return None


def _tokenizer(folder: Path) -> Any:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(f"--tokenizer {folder}: there is no tokenizer.json in it; save_pretrained writes one")
    try:
        library = importlib.import_module("tokenizers")
    except ImportError:
        raise ConfigError("--tokenizer: needs the package tokenizers; pip install tokenizers") from None
    try:
        return library.Tokenizer.from_file(str(path))
    except Exception as cause:  # the library raises Exception itself
        raise ConfigError(f"--tokenizer {path}: can't be read: {cause}") from None


def _chat_template(folder: Path) -> tuple[Any, dict[str, str]]:
    """The compiled template, sandboxed as transformers does it, and the special tokens that it may name."""
    try:
        sandbox = importlib.import_module("jinja2.sandbox")
    except ImportError:
        raise ConfigError("--tokenizer: needs the package jinja2; pip install jinja2") from None
    config: dict[str, Any] = {}
    if (folder / "tokenizer_config.json").is_file():
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    source = config.get("chat_template")
    if (folder / "chat_template.jinja").is_file():
        source = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    if isinstance(source, list):
        source = next((item["template"] for item in source if item.get("name") == "default"), None)
    if not isinstance(source, str):
        raise ConfigError(f"--tokenizer {folder}: there is no chat template in it (chat_template.jinja)")
    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    for word, plain in (("generation", "if true"), ("endgeneration", "endif")):  # marks what is trained, no more
        source = re.sub(rf"(\{{%-?\s*){word}(\s*-?%\}})", rf"\1{plain}\2", source)
    special = {
        name: value["content"] if isinstance(value, dict) else value
        for name in ("bos_token", "eos_token", "pad_token", "unk_token")
        if isinstance(value := config.get(name), str | dict)
    }
    return environment.from_string(source), special


def _refuse(message: str) -> None:
    raise ValueError(message)
