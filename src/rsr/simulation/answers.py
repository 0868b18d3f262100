r"""The right answer of a prompt and wrong ones of the same kind, in a form that the verifiers read.

    letters      "B", an index or a text among options      The answer is B.
    numbers      42, "3/4", "#### 42", any mathematics      The answer is \boxed{42}.
    texts        "Paris"                                    The answer is Paris.

`Answers` learns them from the input file itself, so that a real config with real prompts and verifiers can be tried
without a model. It finds a prompt by its messages, with or without a system prompt and a suffix of the sampler's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from rsr.errors import ConfigError
from rsr.hashing import content_hash
from rsr.rows import normalised, read, transformed
from rsr.sections import FieldsConfig
from rsr.types import Message

_OPTION = re.compile(r"^[ \t>*-]{0,6}\(?\[?\*{0,2}([A-Z])\*{0,2}[)\].:]\*{0,2}[ \t]*(\S[^\n]*)$", re.M)
_LETTERS = re.compile(r"[\[(]?([A-Z](?:(?:\s*[,;/&]\s*|\s+and\s+)[A-Z])*)[\])]?\.?")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}", re.S)
_OFF = (-3, -2, -1, 1, 2, 3)
_NO_NUMBER = ("104729", "1299709", "15485863", "32452843")
"""Wrong answers where the right one is mathematics but no number: primes that nobody's reference is."""
_WORDS = ("something else entirely", "none of what was named", "quite another thing")


class Answer(NamedTuple):
    """What replies to a prompt end with."""

    right: str
    """As it is written after "The answer is"."""
    wrong: tuple[str, ...]


@lru_cache(maxsize=4096)
def lettered(right: str, labels: str = "ABCD") -> Answer:
    """A letter among others."""
    return Answer(right, tuple(label for label in labels if label != right) or ("Z",))


def tagged(value: str) -> Answer:
    """The answer of a tag in the prompt: a number, else a letter of A to D."""
    if value.lstrip("-").isdigit():
        return Answer(value, tuple(str(int(value) + off) for off in _OFF))
    return lettered(value)


def answer_of(reference: Any, messages: Sequence[Message] = (), metadata: Mapping[str, Any] | None = None) -> Answer:
    """The answer that a reference asks for, as the prompt's own verifier would read it."""
    metadata = metadata or {}
    verifier = metadata.get("verifier")
    kind = str(verifier.get("type") if isinstance(verifier, Mapping) else verifier or "")
    options = {} if kind.startswith(("math", "exact")) else _options(metadata.get("choices"), _last_text(messages))
    labels = None if kind.startswith(("math", "exact")) else _labels(reference, options)
    if labels is not None:
        others = list(options) or list("ABCD")
        wrong = [(label,) for label in others if (label,) != labels] or [("Z",)]
        return Answer(", ".join(labels), tuple(", ".join(one) for one in wrong))
    first = reference[0] if isinstance(reference, list | tuple) and reference else reference
    text = _solution(str(first))
    mathematics = kind.startswith("math") or (not kind.startswith("exact") and _looks_mathematical(text))
    return _boxed(text) if mathematics else Answer(text, _WORDS)


class Answers:
    """The answers of an input's prompts.

    Args:
        prompts: messages, reference and metadata of each.
    """

    def __init__(self, prompts: Iterable[tuple[Sequence[Message], Any, Mapping[str, Any]]]) -> None:
        self._by_prompt = {
            _place(messages): answer_of(reference, messages, metadata)
            for messages, reference, metadata in prompts
            if reference is not None
        }

    def __len__(self) -> int:
        return len(self._by_prompt)

    def of(self, messages: Sequence[Message]) -> Answer | None:
        """The answer of a prompt as it was sent; None where the input does not have it."""
        before, last = _parts(messages)
        found = self._by_prompt.get(_key(before, last))
        if found is not None:
            return found
        for space in reversed([match.start() for match in re.finditer(r"\s+", last)]):
            # What the sampler put after the last message begins with white space.
            found = self._by_prompt.get(_key(before, last[:space]))
            if found is not None:
                return found
        return None


def answers_from(files: Sequence[Path], fields: FieldsConfig | None = None, transform: str | None = None) -> Answers:
    """The answers of an input (JSONL, .gz too, or Parquet).

    Args:
        files: what `data.input_path` names.
        fields: which column holds what.
        transform: `data.preprocess.transform`, where the config has one.

    Raises:
        ConfigError: there is no such file.
        InputError: it can't be read.
    """
    for file in files:
        if not file.is_file():
            raise ConfigError(f"answers: there is no file {file}; give the one that data.input_path names")

    def prompts() -> Iterator[tuple[Sequence[Message], Any, Mapping[str, Any]]]:
        for _, row in transformed(read(list(files)), transform):
            try:
                _, content = normalised(row, fields or FieldsConfig())
            except ValueError:  # the run says what is wrong with it
                continue
            yield content.messages, content.metadata.get("answer"), content.metadata

    return Answers(prompts())


def _options(choices: Any, text: str) -> dict[str, str]:
    """Label to text, from `metadata.choices` in the usual forms, else from the lines of the prompt."""
    if isinstance(choices, Mapping):
        labels, texts = choices.get("label", choices.get("labels")), choices.get("text", choices.get("texts"))
        if isinstance(labels, list) and isinstance(texts, list):
            return {_label(label): str(text) for label, text in zip(labels, texts, strict=False)}
        return {_label(label): str(text) for label, text in choices.items()}
    if isinstance(choices, list) and choices:
        if all(isinstance(choice, Mapping) for choice in choices):
            named = [(choice.get("label", choice.get("id", "")), choice.get("text", "")) for choice in choices]
            return {_label(label) or chr(65 + at): str(text) for at, (label, text) in enumerate(named)}
        return {chr(65 + at): str(text) for at, text in enumerate(choices[:26])}
    found = {match[1]: match[2].strip() for match in _OPTION.finditer(choices if isinstance(choices, str) else text)}
    return found if len(found) > 1 and "A" in found else {}


def _labels(reference: Any, options: Mapping[str, str]) -> tuple[str, ...] | None:
    """The labels that a reference names; None where it names none."""
    if isinstance(reference, bool) or (not options and not isinstance(reference, str)):
        return None
    if isinstance(reference, list | tuple):
        named = [_labels(part, options) for part in reference]
        return None if not named or None in named else tuple(label for one in named if one for label in one)
    if isinstance(reference, int):
        listed = list(options)
        return (
            (str(reference),)
            if str(reference) in options
            else ((listed[reference],) if 0 <= reference < len(listed) else None)
        )
    text = str(reference).strip()
    boxed = _BOXED.search(text)
    text = boxed[1].strip() if boxed else text
    same = [label for label, option in options.items() if option.strip().casefold() == text.casefold()]
    if len(same) == 1 and len(text) > 1:
        return (same[0],)
    letters = _LETTERS.fullmatch(text.upper() if len(text) == 1 else text)
    if letters and all(letter in options or not options for letter in re.findall(r"\b[A-Z]\b", letters[1])):
        return tuple(re.findall(r"\b[A-Z]\b", letters[1]))
    if options and text.isalpha() and text.isupper() and all(letter in options for letter in text):
        return tuple(text)
    labelled = re.match(r"\(?([A-Z])[).:]\s", text)
    return (labelled[1],) if labelled and (not options or labelled[1] in options) else None


def _boxed(text: str) -> Answer:
    whole = text.replace(",", "").strip().strip("$")
    try:
        number = Decimal(whole)
    except InvalidOperation:
        return Answer(f"\\boxed{{{text}}}", tuple(f"\\boxed{{{other}}}" for other in _NO_NUMBER))
    return Answer(f"\\boxed{{{text}}}", tuple(f"\\boxed{{{number + off}}}" for off in _OFF))


def _solution(text: str) -> str:
    """The final answer of a reference that is a whole solution."""
    if "####" in text:
        return text.rpartition("####")[2].strip()
    boxed = _BOXED.search(text)
    return boxed[1].strip() if boxed and boxed[1].count("{") == boxed[1].count("}") else text.strip()


def _looks_mathematical(text: str) -> bool:
    return bool(re.search(r"\d|\\|[=^+]", text)) and not re.search(r"[a-z]{4,} [a-z]{2,}", text)


def _label(label: Any) -> str:
    return str(label).strip().strip("().:[]").upper()


def text_of(messages: Sequence[Message]) -> str:
    """All text of a conversation."""
    return "\n".join(_text(message) for message in messages)


def _text(message: Message) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) if isinstance(part, Mapping) else str(part) for part in content)


def _last_text(messages: Sequence[Message]) -> str:
    return next((_text(message) for message in reversed(messages) if message.get("role") == "user"), "")


def _parts(messages: Sequence[Message]) -> tuple[list[list[str]], str]:
    """What identifies a prompt: its turns without system messages, and the last user message, which may grow."""
    turns = [[str(message.get("role")), _text(message)] for message in messages]
    turns = [turn for turn in turns if turn[0] not in ("system", "developer")]
    last = next((at for at in reversed(range(len(turns))) if turns[at][0] == "user"), None)
    if last is None:
        return turns, ""
    text = turns[last][1]
    return [*turns[:last], ["user", ""], *turns[last + 1 :]], text


def _key(before: list[list[str]], last: str) -> bytes:
    return content_hash([before, last.rstrip()])


def _place(messages: Sequence[Message]) -> bytes:
    return _key(*_parts(messages))
