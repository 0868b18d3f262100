"""Rows given to the trainer's own code, where it is installed beside RSR: its converter, its template, its strategy.

    llamafactory    the converter of the dataset's entry, then the count of turns that its processors ask for
    trl             apply_chat_template of its data_utils
    openrlhf        preprocess_data of its dataset classes
    axolotl         the chat_template strategies, for DPO too
    verl            the tokenizer's template on the prompt, as its filter calls it

Row by row, so that what is dropped has a line. All but LLaMA-Factory's need the model's tokenizer.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rsr.errors import ConfigError
from rsr.lint.report import Reason, Report, Trainer, shown
from rsr.lint.rules import Conversation, Reading

_PACKAGES = {Trainer.LLAMAFACTORY: "llamafactory", Trainer.TRL: "trl", Trainer.VERL: "verl"}
_PACKAGES |= {Trainer.OPENRLHF: "openrlhf", Trainer.AXOLOTL: "axolotl"}

_AXOLOTL_DUMMY = "[[dummy_message]]"
"""Stands before the answer in what Axolotl looks it up in."""

Problem = str | None
Reader = Callable[[dict[str, Any], Conversation], Problem]


class Real:
    """Gives each row to the trainer.

    Args:
        reading: how the rows are read.
        report: told what the trainer says.
        entry: LLaMA-Factory's of this file, if there is one.
        folder: the model's tokenizer.

    Raises:
        ConfigError: the trainer is not installed, has no loader that takes rows, or wants a tokenizer.
    """

    def __init__(self, reading: Reading, report: Report, entry: Mapping[str, Any] | None, folder: Path | None) -> None:
        self._report = report
        self._read = _reader(reading, entry, folder)

    def check(self, line: int, row: dict[str, Any], conversation: Conversation) -> None:
        """Report a row that the trainer drops, changes or fails on."""
        try:
            problem = self._read(row, conversation)
        except Exception as cause:  # whatever the trainer raises on a row is what it would do with it
            problem = f"{type(cause).__name__}: {shown(str(cause), 120)}"
        if problem is not None:
            self._report.add(line, Reason.TRAINER, problem)


def _reader(reading: Reading, entry: Mapping[str, Any] | None, folder: Path | None) -> Reader:
    trainer = reading.trainer
    package = _PACKAGES.get(trainer)
    if package is None:
        raise ConfigError(f"--real: {trainer.value} has no loader that could be asked")
    if trainer is Trainer.LLAMAFACTORY:
        return _llamafactory(reading, entry)
    if folder is None:
        raise ConfigError(f"--real: {trainer.value} renders rows by the model's template; add --tokenizer DIR")
    _imported(package, package)
    tokenizer = _imported("transformers", package).AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    makers = {Trainer.TRL: _trl, Trainer.OPENRLHF: _openrlhf, Trainer.AXOLOTL: _axolotl, Trainer.VERL: _verl}
    return makers[trainer](reading, tokenizer)


def _imported(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        raise ConfigError(f"--real: {package} can't be imported here ({cause}); install RSR beside it") from None


def _llamafactory(reading: Reading, entry: Mapping[str, Any] | None) -> Reader:
    if entry is None:
        raise ConfigError("--real: llamafactory needs the file's entry in a dataset_info.json beside it")
    parser = _imported("llamafactory.data.parser", "llamafactory")
    converters = _imported("llamafactory.data.converter", "llamafactory")
    logging.getLogger("llamafactory").setLevel(logging.ERROR)  # it would print every row that it drops
    attributes = parser.DatasetAttr("file", "lint")
    attributes.join(entry)
    convert = converters.get_dataset_converter(attributes.formatting, attributes, SimpleNamespace(media_dir=""))
    responses = 2 if attributes.ranking or attributes.kto_tag else 1

    def read(row: dict[str, Any], conversation: Conversation) -> Problem:
        aligned = convert(row)
        if len(aligned["_prompt"]) % 2 != 1 or len(aligned["_response"]) != responses:
            return "it drops the row"
        first = next((text for text in conversation.answers), None)
        texts = [turn["content"] for turn in aligned["_response"]]
        return None if first is None or first in texts else f"it takes {shown(texts)} for the answer"

    return read


def _trl(reading: Reading, tokenizer: Any) -> Reader:
    apply = _imported("trl.data_utils", "trl").maybe_apply_chat_template

    def read(row: dict[str, Any], conversation: Conversation) -> Problem:
        made = apply(dict(row), tokenizer)
        return _without(conversation, " ".join(text for text in made.values() if isinstance(text, str)))

    return read


def _openrlhf(reading: Reading, tokenizer: Any) -> Reader:
    render, shape = tokenizer.apply_chat_template, reading.shape
    name = {"messages": "sft", "prompt_completion": "sft"}.get(shape.name, "reward" if shape.sides else "prompts")
    preprocess = _imported(f"openrlhf.datasets.{name}_dataset", "openrlhf").preprocess_data

    def read(row: dict[str, Any], conversation: Conversation) -> Problem:
        if name == "sft":
            output = "completion" if shape.sides else None
            _, made = preprocess(row, None, shape.turns, output, render)
            return _without(conversation, made)
        if name == "reward":
            _, chosen, rejected, _ = preprocess(row, None, shape.turns, *shape.sides, render, True)
            return _without(conversation, chosen + rejected)
        preprocess(row, None, shape.turns, "label" if "label" in shape.keys else None, render)
        return None

    return read


def _axolotl(reading: Reading, tokenizer: Any) -> Reader:
    settings = _imported("axolotl.utils.dict", "axolotl").DictDefault
    turns = reading.shape.turns or "messages"
    entry: dict[str, Any] = {"field_messages": turns}
    if reading.shape.sharegpt:
        roles = {"user": ["human"], "assistant": ["gpt"], "system": ["system"], "tool": ["observation"]}
        entry |= {"message_property_mappings": {"role": "from", "content": "value"}, "roles": roles}
    config = settings({"datasets": [settings(entry)], "sequence_len": 1 << 20, "train_on_inputs": False})
    if reading.shape.sides:
        module = _imported("axolotl.prompt_strategies.dpo.chat_template", "axolotl")
        transform, _ = module.default(config, dataset_idx=0)

        def pair(row: dict[str, Any], conversation: Conversation) -> Problem:
            made = transform(row, tokenizer=tokenizer)
            there = [made[side] for side in reading.shape.sides]
            pairs = zip(conversation.answers, there, strict=True)
            wrong = [text for text, side in pairs if not side.startswith(text) or _AXOLOTL_DUMMY in side]
            return f"it does not find the answer {shown(wrong[0])} again" if wrong else None

        return pair
    strategy = _imported("axolotl.prompt_strategies.chat_template", "axolotl").load(
        tokenizer, config, config["datasets"][0]
    )

    def whole(row: dict[str, Any], conversation: Conversation) -> Problem:
        labels = [label for label in strategy.tokenize_prompt(row)["labels"] if label >= 0]
        return _without(conversation, tokenizer.decode(labels, clean_up_tokenization_spaces=False))

    return whole


def _verl(reading: Reading, tokenizer: Any) -> Reader:
    turns = reading.shape.turns or "messages"

    def read(row: dict[str, Any], conversation: Conversation) -> Problem:
        made = tokenizer.apply_chat_template(row[turns], tokenize=False, add_generation_prompt=not reading.shape.whole)
        return _without(conversation, made)

    return read


def _without(conversation: Conversation, rendered: str) -> Problem:
    """An answer that is not in what the trainer made of the row."""
    missing = [answer for answer in conversation.answers if answer.strip() not in rendered]
    return f"it changes the answer {shown(missing[0])}" if missing else None
