"""The shapes of training rows: which columns make one, who reads it, and where its turns and answers are."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rsr.lint.report import Trainer

_FACTORY, _TRL, _VERL = Trainer.LLAMAFACTORY, Trainer.TRL, Trainer.VERL
_RLHF, _AXOLOTL, _OPENAI = Trainer.OPENRLHF, Trainer.AXOLOTL, Trainer.OPENAI

OPENAI_ROLES = {"system": "s", "developer": "s", "user": "u", "assistant": "a", "tool": "t", "function": "t"}
SHAREGPT_ROLES = {"system": "s", "human": "u", "gpt": "a", "observation": "t", "function_call": "a"}
TAGGED_ROLES = {"system": "s", "user": "u", "assistant": "a"}
"""LLaMA-Factory, with the tags that RSR registers."""


class Shape(NamedTuple):
    """What a row looks like."""

    name: str
    keys: tuple[str, ...]
    """Columns that it can't be without."""
    readers: frozenset[Trainer]
    turns: str | None = None
    """The column with the turns."""
    whole: bool = False
    """The turns end with the answer; else they are the prompt."""
    sides: tuple[str, ...] = ()
    """The columns with the answers."""
    sharegpt: bool = False
    """Turns are from/value; else role/content."""


def _shape(name: str, keys: str, readers: Iterable[Trainer], turns: str | None = None, **more: Any) -> Shape:
    return Shape(name, tuple(keys.split()), frozenset(readers), turns, **more)


_PAIR = ("chosen", "rejected")

SHAPES = (
    _shape("multi_sft", "messages responses", (), "messages", sides=("responses",)),
    _shape("verl_rl", "data_source prompt reward_model", (_VERL,), "prompt"),
    _shape("openrlhf_prompts", "input label", (_RLHF,), "input"),
    _shape("openai_pairs", "input preferred_output non_preferred_output", (_OPENAI,),
           sides=("preferred_output", "non_preferred_output")),
    _shape("sharegpt_pairs", "conversations chosen rejected", (_FACTORY, _AXOLOTL), "conversations",
           sides=_PAIR, sharegpt=True),
    _shape("message_pairs", "messages chosen rejected", (_FACTORY, _AXOLOTL), "messages", sides=_PAIR),
    _shape("pairs", "prompt chosen rejected", (_TRL, _RLHF), "prompt", sides=_PAIR),
    _shape("openrlhf_pairs", "input chosen rejected", (_RLHF,), "input", sides=_PAIR),
    _shape("alpaca_pairs", "instruction chosen rejected", (_FACTORY,), sides=_PAIR),
    _shape("whole_pairs", "chosen rejected", (_TRL, _RLHF), sides=_PAIR),
    _shape("kto", "prompt completion label", (_TRL, _AXOLOTL), "prompt", sides=("completion",)),
    _shape("kto_messages", "messages label", (_FACTORY,), "messages", whole=True),
    _shape("kto_sharegpt", "conversations label", (_FACTORY,), "conversations", whole=True, sharegpt=True),
    _shape("prompt_completion", "prompt completion", (_TRL, _RLHF), "prompt", sides=("completion",)),
    _shape("messages", "messages", (_FACTORY, _TRL, _VERL, _RLHF, _AXOLOTL, _OPENAI), "messages", whole=True),
    _shape("sharegpt", "conversations", (_FACTORY, _AXOLOTL), "conversations", whole=True, sharegpt=True),
    _shape("alpaca", "instruction output", (_FACTORY, _AXOLOTL), sides=("output",)),
    _shape("prompts", "prompt", (_TRL, _RLHF), "prompt"),
)  # fmt: skip
"""The first whose columns are all there is the shape of a row."""

UNKNOWN = Shape("unknown", (), frozenset())

READ: dict[Trainer, frozenset[str]] = {
    _TRL: frozenset(("prompt", "completion", "chosen", "rejected", "messages", "tools", "chat_template_kwargs")),
    _RLHF: frozenset(("prompt", "completion", "chosen", "rejected", "messages", "margin", "datasource")),
    _AXOLOTL: frozenset(("messages", "conversations", "chosen", "rejected", "tools", "system")),
    _VERL: frozenset(("messages", "prompt", "tools", "enable_thinking")),
    _FACTORY: frozenset(),
    _OPENAI: frozenset(("messages", "tools", "input", "preferred_output", "non_preferred_output")),
}
"""Columns that a trainer reads wherever it finds them."""

_OPTIONAL = frozenset(("tools", "images", "margin", "datasource", "chat_template_kwargs", "enable_thinking", "system"))
_NAMES = sorted({key for shape in SHAPES for key in shape.keys} | {"answer", "extra_info", "ability"})


def shape_of(row: Mapping[str, Any]) -> Shape:
    """The shape of a row, by its columns."""
    for shape in SHAPES:
        if all(key in row for key in shape.keys):
            return shape
    return UNKNOWN


def file_shape(rows: Iterable[Any], trainer: Trainer | None) -> Shape:
    """The shape of most of these rows; of known ones, if there are any."""
    shapes = Counter(shape_of(row) for row in rows if isinstance(row, dict))
    if trainer is not Trainer.LLAMAFACTORY and trainer is not None:
        shapes = Counter({_without_label(shape): count for shape, count in shapes.items()})
    known = [(count, shape) for shape, count in shapes.items() if shape is not UNKNOWN]
    return max(known, key=lambda found: found[0])[1] if known else UNKNOWN


def _without_label(shape: Shape) -> Shape:
    """Only LLaMA-Factory reads a label beside messages; to the others it is a column like any other."""
    plain = {"kto_messages": "messages", "kto_sharegpt": "sharegpt"}.get(shape.name, shape.name)
    return next((other for other in SHAPES if other.name == plain), shape)


def guessed_trainer(shape: Shape, parquet: bool, unregistered: bool) -> Trainer:
    """Who most likely reads rows of this shape.

    Args:
        shape: of the rows.
        parquet: whether the file is one.
        unregistered: there is a register of LLaMA-Factory beside the file, and it does not name the file.
    """
    if shape.name == "messages" and parquet:
        return _VERL
    order = (
        (_TRL, _VERL, _OPENAI, _AXOLOTL, _RLHF)
        if unregistered and shape.readers
        else (_FACTORY, _VERL, _TRL, _OPENAI, _AXOLOTL, _RLHF)
    )
    if shape.name == "message_pairs":
        return _AXOLOTL
    return next((trainer for trainer in order if trainer in shape.readers), _FACTORY)


def wrong_keys(row: Mapping[str, Any], shape: Shape, trainer: Trainer) -> str | None:
    """What is wrong with a row's columns, for a file of this shape."""
    missing = [key for key in shape.keys if key not in row]
    half = ("chosen" in row) != ("rejected" in row)
    if not missing and not half and shape is not UNKNOWN:
        return _near_miss(row, shape)
    there = ", ".join(map(str, row)) or "nothing"
    if shape is UNKNOWN:
        wanted = "; ".join("+".join(other.keys) for other in SHAPES if trainer in other.readers)
        return f"there are {there}; {trainer.value} reads {wanted}"
    lacking = ", ".join(missing) or ("rejected" if "chosen" in row else "chosen")
    return f"no {lacking}; there are {there}"


def _near_miss(row: Mapping[str, Any], shape: Shape) -> str | None:
    for key in row:
        if key not in shape.keys and key not in _OPTIONAL and key not in _NAMES:
            near = difflib.get_close_matches(key, _NAMES, 1, 0.85)
            if near and near[0] not in row and near[0] in _PARTNERS.get(shape.name, ()):
                return f"{key!r}: did you mean {near[0]!r}?"
    return None


_PARTNERS = {
    "prompts": ("completion", "chosen", "rejected"),
    "messages": ("chosen", "rejected", "responses"),
    "sharegpt": ("chosen", "rejected"),
    "prompt_completion": ("label",),
}
"""Columns that would make another shape of these; a slip in their names is not seen otherwise."""


def strays(row: Mapping[str, Any], shape: Shape, trainer: Trainer) -> list[str]:
    """Columns that are not of the shape but have names that the trainer reads."""
    return [key for key in row if key in READ[trainer] and key not in shape.keys and key not in _OPTIONAL]
