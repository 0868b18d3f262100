"""What is looked at in every row: turns, answers, pairs, labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from rsr.lint import texts
from rsr.lint.columns import Columns
from rsr.lint.report import Reason, Report, Trainer, shown
from rsr.lint.shapes import Shape

_AXOLOTL_BEFORE = "<|im_start|>user\n[[dummy_message]]<|im_end|>\n<|im_start|>assistant\n"
"""What Axolotl's DPO loader renders before an answer, in the commonest template."""


class Reading(NamedTuple):
    """How the rows of a file are read."""

    shape: Shape
    trainer: Trainer
    roles: Mapping[str, str]
    """Role names to s(ystem), u(ser), a(ssistant), t(ool)."""
    role: str
    content: str
    label: str | None = None
    """The column with the label of KTO."""


class Conversation(NamedTuple):
    """What of a row was sound enough to be read."""

    turns: list[dict[str, Any]]
    """Messages as they are."""
    prompt: str | None
    """A prompt that is a text."""
    answers: list[str]
    """The trained texts: of a whole conversation the last one, of a pair both."""


class Rules:
    """Checks rows one by one.

    Args:
        reading: how the rows are read.
        report: told what is found.
        columns: told what messages have beside role and text.
    """

    def __init__(self, reading: Reading, report: Report, columns: Columns) -> None:
        self._reading = reading
        self._report = report
        self._columns = columns
        self._line = 0
        openrlhf_pairs = reading.trainer is Trainer.OPENRLHF and "chosen" in reading.shape.keys
        self._one_type = {"prompt", "chosen"} if openrlhf_pairs and report.path.suffix != ".parquet" else set()
        self._keys: dict[str, frozenset[str]] = {}
        self._strict = reading.trainer is Trainer.LLAMAFACTORY and reading.shape.name != "multi_sft"

    def check(self, line: int, row: dict[str, Any]) -> Conversation:
        """Check a row that has the columns of the file's shape."""
        self._line = line
        shape = self._reading.shape
        turns: list[dict[str, Any]] = []
        prompt, answers = None, []
        if shape.turns is not None:
            value = row[shape.turns]
            if isinstance(value, str) and not shape.whole:
                prompt = value
                self._string_prompt(value)
            else:
                turns, last = self._turns(shape.turns, value, shape.whole)
                answers = [] if last is None else [last]
        elif "instruction" in row:
            prompt = f"{row['instruction']}\n{row.get('input') or ''}\n{row.get('history') or ''}"
        elif "input" in row and isinstance(row["input"], dict):
            turns, _ = self._turns("input.messages", row["input"].get("messages"), False)
        if shape.name == "multi_sft":
            answers = self._responses(row["responses"])
        elif shape.sides:
            answers = self._sides(row, prompt is not None)
        if self._reading.label is not None and not isinstance(row.get(self._reading.label), bool):
            self._found(Reason.WRONG_LABEL, f"{self._reading.label}: {shown(row.get(self._reading.label))}")
        if shape.name == "verl_rl":
            self._verl(row)
        self._images(row, turns)
        self._tools(row)
        return Conversation(turns, prompt, answers)

    def _found(self, reason: Reason, detail: str) -> None:
        self._report.add(self._line, reason, detail)

    # Turns

    def _turns(self, name: str, value: Any, whole: bool) -> tuple[list[dict[str, Any]], str | None]:
        """The turns, and the last answer of a whole conversation."""
        if not isinstance(value, list) or not value:
            reason = Reason.WRONG_CONTENT if value != [] else Reason.NO_ANSWER if whole else Reason.EMPTY_PROMPT
            self._found(reason, f"{name}: {shown(value)}, must be a list of messages")
            return [], None
        reading, letters, last = self._reading, "", None
        for number, message in enumerate(value):
            letter = "?"
            if not isinstance(message, dict):
                self._found(Reason.BAD_MESSAGE, f"{name}[{number}]: {shown(message)}")
                letters += letter
                continue
            role = message.get(reading.role)
            letter = reading.roles.get(role, "?") if isinstance(role, str) else "?"
            if letter == "?":
                self._unknown_role(f"{name}[{number}]", message)
            last = self._content(f"{name}[{number}]", message, trained=whole and letter == "a")
            self._beside(name, message)
            letters += letter
        self._order(name, letters, whole)
        sound = [message for message in value if isinstance(message, dict)]
        return sound, last if whole and letters[-1] == "a" else None

    def _beside(self, name: str, message: dict[str, Any]) -> None:
        """What a message has beside its role and text."""
        if len(message) > 2:
            self._columns.message(self._line, name, message)
        if name in self._one_type:
            first = self._keys.setdefault(name, frozenset(message))
            if message.keys() != first:
                differ = ", ".join(sorted(message.keys() ^ first))
                self._found(Reason.UNEVEN_KEYS, f"{name}: some messages have {differ}, others have not")

    def _unknown_role(self, where: str, message: dict[str, Any]) -> None:
        reading = self._reading
        if reading.role in message:
            known = ", ".join(reading.roles)
            detail = f"{where}.{reading.role}: {shown(message[reading.role])}; known are {known}"
            self._found(Reason.UNKNOWN_ROLE, detail)
        else:
            wanted = f"{reading.role} and {reading.content}"
            self._found(Reason.BAD_MESSAGE, f"{where}: has {', '.join(map(str, message))}, must have {wanted}")

    def _content(self, where: str, message: dict[str, Any], trained: bool) -> str | None:
        """Check the text of a message; returns it where it is one."""
        content = message.get(self._reading.content)
        if isinstance(content, str):
            if not content.strip():
                if not message.get("tool_calls"):
                    reason = Reason.EMPTY_ANSWER if trained else Reason.EMPTY_PROMPT
                    self._found(reason, f"{where}: {shown(content)}")
                return content
            for reason, detail in texts.problems(content) if trained else texts.control_tokens(content):
                self._found(reason, f"{where}: {detail}")
            return content
        if isinstance(content, list) and content and self._reading.trainer is not Trainer.LLAMAFACTORY:
            return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
        if content is None and message.get("tool_calls"):
            return ""
        there = f"{self._reading.content} is {shown(content)}" if self._reading.content in message else "no content"
        self._found(Reason.WRONG_CONTENT, f"{where}: {there}, must be a text")
        return None

    def _order(self, name: str, letters: str, whole: bool) -> None:
        """System first, then user and assistant in turn; the last one is who is due."""
        rest = letters.removeprefix("s")
        due, other = ("a", "an assistant's") if whole else ("u", "a user's")
        if "a" not in rest and whole:
            self._found(Reason.NO_ANSWER, f"{name}: no turn of the assistant")
        elif rest.replace("t", "u")[-1:] != due:
            reason = Reason.NO_ANSWER if whole else Reason.ROLE_ORDER
            self._found(reason, f"{name}: the last turn is not {other}")
        elif "?" not in rest and not self._alternates(rest):
            self._found(Reason.ROLE_ORDER, f"{name}: {' '.join(_WORDS[letter] for letter in letters)[:80]}")

    def _alternates(self, rest: str) -> bool:
        turns = rest if self._strict else _without_repeated_tools(rest)
        return all(letter == ("a" if number % 2 else "u") for number, letter in enumerate(turns.replace("t", "u")))

    def _string_prompt(self, prompt: str) -> None:
        if self._reading.trainer is Trainer.VERL:
            self._found(Reason.STRING_PROMPT, f"prompt: {shown(prompt)}")
        if not prompt.strip():
            self._found(Reason.EMPTY_PROMPT, f"prompt: {shown(prompt)}")

    # Answers

    def _sides(self, row: dict[str, Any], plain: bool) -> list[str]:
        """The texts of the answers; of a pair both, or none."""
        found = [(name, self._side(name, row[name], plain)) for name in self._reading.shape.sides]
        sides = [text for _, text in found if text is not None]
        for name, text in found:
            if text is not None and text.strip():
                self._columns.text(self._line, f"{name}'s text", text)
                for reason, detail in texts.problems(text):
                    self._found(reason, f"{name}: {detail}")
        if len(found) == 2 and len(sides) == 2:
            self._pair(row, *sides)
        if self._reading.trainer is Trainer.AXOLOTL and len(found) == 2:
            for name, text in found:
                self._found_again(name, text or "")
        return sides

    def _responses(self, value: Any) -> list[str]:
        """The texts of a Multi-SFT row."""
        if not isinstance(value, list) or not value:
            self._found(Reason.NO_ANSWER, f"responses: {shown(value)}, must be a list of texts")
            return []
        for number, text in enumerate(value):
            if self._text_side(f"responses[{number}]", text) and text.strip():
                for reason, detail in texts.problems(text):
                    self._found(reason, f"responses[{number}]: {detail}")
        answers = [text for text in value if isinstance(text, str)]
        if len(set(answers)) < len(answers):
            self._found(Reason.DUPLICATE, "responses: the same text twice")
        return answers

    def _pair(self, row: dict[str, Any], chosen: str, rejected: str) -> None:
        left, right = (row[name] for name in self._reading.shape.sides)
        thoughts = [texts.has_thinking(chosen) or _field(left), texts.has_thinking(rejected) or _field(right)]
        if chosen.strip() == rejected.strip() and (left == right or not any(thoughts)):
            self._found(Reason.EQUAL_PAIR, f"both are {shown(chosen)}")
        if thoughts[0] != thoughts[1]:
            self._found(Reason.THINKING_ONE_SIDE, f"{self._reading.shape.sides[thoughts.index(True)]} has one")

    def _side(self, name: str, value: Any, plain: bool) -> str | None:
        """The text of one answer, in the form that the trainer reads."""
        shape, trainer = self._reading.shape, self._reading.trainer
        if shape.name in ("alpaca", "alpaca_pairs") or plain or (trainer is Trainer.AXOLOTL and isinstance(value, str)):
            return self._text_side(name, value)
        objects = shape.name in ("sharegpt_pairs", "message_pairs")
        if objects and (trainer is Trainer.LLAMAFACTORY or isinstance(value, dict)):
            if not isinstance(value, dict) or not value:
                wanted = f"an object with {self._reading.role} and {self._reading.content}"
                self._found(Reason.WRONG_SIDE, f"{name}: {shown(value)}, must be {wanted}")
                return None
            return self._message_side(name, value)
        if not isinstance(value, list) or not value:
            self._found(Reason.WRONG_SIDE, f"{name}: {shown(value)}, must be a list with the assistant's message")
            return None
        if shape.name == "whole_pairs":
            return self._turns(name, value, True)[1]
        for number, message in enumerate(value[:-1]):
            if not isinstance(message, dict):
                self._found(Reason.BAD_MESSAGE, f"{name}[{number}]: {shown(message)}")
        return self._message_side(f"{name}[{len(value) - 1}]" if len(value) > 1 else name, value[-1])

    def _text_side(self, name: str, value: Any) -> str | None:
        if not isinstance(value, str):
            self._found(Reason.WRONG_SIDE, f"{name}: {shown(value)}, must be a text")
            return None
        if not value.strip():
            self._found(Reason.EMPTY_ANSWER, f"{name}: {shown(value)}")
        return value

    def _message_side(self, name: str, message: Any) -> str | None:
        reading = self._reading
        if not isinstance(message, dict):
            self._found(Reason.WRONG_SIDE, f"{name}: {shown(message)}, must be a message")
            return None
        role = message.get(reading.role)
        letter = reading.roles.get(role, "?") if isinstance(role, str) else "?"
        if reading.role not in message:
            self._unknown_role(name, message)
        elif letter != "a":
            self._found(Reason.WRONG_SIDE, f"{name}.{reading.role}: {shown(role)}, must be the assistant's")
        self._beside(name, message)
        content = message.get(reading.content)
        if isinstance(content, str) and not content.strip() and not message.get("tool_calls"):
            self._found(Reason.EMPTY_ANSWER, f"{name}: {shown(content)}")
            return content
        if isinstance(content, str):
            return content
        return self._content(name, message, trained=False)

    def _found_again(self, name: str, text: str) -> None:
        """Axolotl takes the first place where an answer occurs, and the last character where it finds none."""
        if text and text in _AXOLOTL_BEFORE:
            self._found(Reason.NOT_FOUND_AGAIN, f"{name}: {shown(text)} occurs in the template's own text")
        elif text != text.strip():
            self._found(Reason.NOT_FOUND_AGAIN, f"{name}: white space at its ends, which most templates trim")

    # The rest of a row

    def _verl(self, row: dict[str, Any]) -> None:
        model = row["reward_model"]
        if not isinstance(model, dict) or "ground_truth" not in model:
            self._found(Reason.WRONG_KEYS, f"reward_model: {shown(model)}, must have ground_truth")

    def _images(self, row: dict[str, Any], turns: list[dict[str, Any]]) -> None:
        images = row.get("images")
        if not isinstance(images, list) and self._reading.trainer is not Trainer.OPENRLHF:
            return
        there = len(images) if isinstance(images, list) else 0
        placeholders = sum(_placeholders(message.get(self._reading.content)) for message in turns)
        if placeholders != there and not _image_parts(turns):
            self._found(Reason.IMAGES, f"{placeholders} <image> and {there} images")

    def _tools(self, row: dict[str, Any]) -> None:
        tools = row.get("tools")
        if not tools:
            return
        if self._strict and not isinstance(tools, str):
            self._found(Reason.TOOLS, f"tools: a {type(tools).__name__}; LLaMA-Factory reads a text with JSON in it")
        elif isinstance(tools, str):
            try:
                decoded = msgspec.json.decode(tools)
            except (msgspec.DecodeError, UnicodeDecodeError):
                decoded = None
            if not isinstance(decoded, list):
                self._found(Reason.TOOLS, f"tools: {shown(tools)} is not a JSON list")
        elif not isinstance(tools, list):
            self._found(Reason.TOOLS, f"tools: a {type(tools).__name__}, must be a list")


_WORDS = {"s": "system", "u": "user", "a": "assistant", "t": "tool", "?": "?"}


def _without_repeated_tools(letters: str) -> str:
    """One call may have several results, one after another."""
    while "tt" in letters:
        letters = letters.replace("tt", "t")
    return letters


def _field(value: Any) -> bool:
    """Whether an answer has its thinking in a field of its own."""
    message = value[-1] if isinstance(value, list) and value else value
    return isinstance(message, dict) and bool(message.get("reasoning_content") or message.get("thinking"))


def _placeholders(content: Any) -> int:
    return content.count("<image>") if isinstance(content, str) else 0


def _image_parts(turns: list[dict[str, Any]]) -> bool:
    return any(isinstance(message.get("content"), list) for message in turns)
