"""Answers in fields: a JSON object, an attribute of a tag, a row of boxes with one ticked.

The contents are data: they are decoded, compared with the options, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rsr.multiple_choice.mentions import Question
from rsr.multiple_choice.options import plain

_WANTED = (
    "answer",
    "final",
    "choice",
    "selected",
    "chosen",
    "prediction",
    "pred",
    "option",
    "label",
    "letter",
    "result",
)
_EXACT = (
    *("final_answer", "correct_answer", "correct_option", "revised_answer"),
    *("answer", "answers", "final", "choice", "selected", "chosen", "correct"),
)
_OTHER = re.compile(
    r"student|user|initial|previous|first|old|eliminat|least|type|example|format|"
    r"reject|alternativ|runner|second|wrong|distract|why|reason|explan|confid|considered"
)
_ATTRIBUTE = re.compile(
    r"<(?:answer|choice|option|selected|response)\s[^<>]{0,60}?\b(?:id|value|letter|label"
    r"|key)\s?=\s?[\"']([A-Za-z0-9])[\"']"
)
_TICKED = re.compile(r"[☑✅✓✔☒]\s?[(*]{0,2}([A-Z])\b")
_EMPTY = re.compile(r"☐\s?[(*]{0,2}[A-Z]\b")
_MANY = re.compile(r"options\b|choices\b|answers\b")
_MOST, _DEEPEST = 20, 4


def field(question: Question, text: str) -> frozenset[str]:
    """The label that the last field of a text gives; empty: there is none, or it can't be read."""
    if "☐" in text and (ticked := _TICKED.findall(text)) and len(_EMPTY.findall(text)) > 1:
        labels = frozenset(ticked) & question.labels
        return labels if len(labels) == 1 or question.several else frozenset()
    if text.endswith((">", "/>")) and (tags := _ATTRIBUTE.findall(text)):
        label = tags[-1].upper()
        return frozenset([label]) if label in question.labels and len(set(tags)) == 1 else frozenset()
    if text.rstrip("` \n").endswith("}") and '"' in text:
        objects = [one for one in _objects(text) if isinstance(one, Mapping)]
        return _given(question, objects[-1], 0) if objects else frozenset()
    return frozenset()


def has_answer_field(text: str) -> bool:
    """Whether a text is a JSON object and nothing else, with a field that is named like an answer, whosoever's."""
    return text[:1] == "{" and text[-1:] == "}" and any(_names_answer(one, 0) for one in _objects(text))


def _names_answer(value: Any, depth: int) -> bool:
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return False
    named = any(wanted in str(key).lower() for key in value for wanted in _WANTED)
    return named or any(_names_answer(one, depth + 1) for one in value.values())


def _objects(text: str) -> Iterator[Any]:
    """The JSON objects of a text, the outermost of each."""
    decoder, at = json.JSONDecoder(), text.find("{")
    for _ in range(_MOST):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
            yield found
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)


def _given(question: Question, fields: Mapping[str, Any], depth: int) -> frozenset[str]:
    """The label in the first field that is named like an answer."""
    named = [(str(key).lower().replace(" ", "_").replace("-", "_"), value) for key, value in fields.items()]
    exact = [value for wanted in _EXACT for key, value in named if key == wanted and not isinstance(value, Mapping)]
    if exact:
        return _labels(question, exact[0])
    for wanted in _WANTED:
        for key, value in named:
            if wanted not in key or _OTHER.search(key) or (_MANY.search(key) and not question.several):
                continue
            if isinstance(value, Mapping) and depth < _DEEPEST:
                if labels := _given(question, value, depth + 1):
                    return labels
            elif labels := _labels(question, value):
                return labels
    return frozenset()


_LETTERS = re.compile(r"[A-Z](?:[\s,;&+]{0,3}[A-Z])*")
_LABELLED = re.compile(r"[(\[]?([A-Za-z0-9])(?:[)\].:]|\Z)\s?(.*)", re.S)


def _labels(question: Question, value: Any) -> frozenset[str]:
    """What a field's value names: labels, or an option's text."""
    if isinstance(value, list):
        found = [_labels(question, one) for one in value]
        labels = frozenset().union(*found)
        return labels if all(found) and (question.several or len(labels) == 1) else frozenset()
    if not isinstance(value, str):
        return frozenset()
    if question.several and _LETTERS.fullmatch(value):
        letters = frozenset(value) & frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return letters if letters <= question.labels else frozenset()
    text = plain(value)
    own = [label for label, option in question.texts.items() if option == text]
    if len(own) == 1:
        return frozenset(own)
    labelled = _LABELLED.fullmatch(value.strip())
    label = labelled[1].upper() if labelled else ""
    if not labelled or label not in question.labels:
        return frozenset()
    others = [text for other, text in question.texts.items() if other != label]
    return frozenset() if plain(labelled[2]) in others else frozenset([label])
