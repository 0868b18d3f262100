"""`mcq-rlvr`: multiple choice by rule; how a response is read is in `rsr.multiple_choice`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from rsr.multiple_choice.choice import choose
from rsr.multiple_choice.mentions import Question, prepare
from rsr.multiple_choice.options import Options, options_of, parse_options, reference_labels
from rsr.types import Reason, Verdict

_UNKNOWN = frozenset("ABCDEFGHJ")
_HEAD, _TAIL = 2_000, 12_000


class MCQ:
    """Multiple choice: reads the chosen letter or letters out of a response and compares them with the reference."""

    version = "7"
    reads_metadata = False

    def __call__(
        self, response: str, answer: Any, *, choices: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Verdict:
        """1.0 or 0.0, with the letters that were read; no score when the response commits to none.

        Raises:
            ValueError: the reference is missing or names no option.
        """
        return _judged(_frozen(answer), _frozen(choices), response)

    def read_reference(self, answer: Any, choices: Any) -> None:
        """Read a reference, as judging would.

        Raises:
            ValueError: it is missing or names no option.
        """
        _question(_frozen(answer), _frozen(choices))

    def choices_of(self, text: str) -> Options | None:
        """The options in a prompt's text, or None."""
        return parse_options(text) or None


def _judged(answer: bytes, choices: bytes, response: str) -> Verdict:
    question = _question(answer, choices)
    read = _read_once if len(response) <= _KEPT else _read
    chosen = read(_as_read(answer, choices), choices, response)
    if not chosen:
        return _NO_ANSWER
    return Verdict(score=float(chosen == question.reference), extracted="".join(sorted(chosen)))


def _read(answer: bytes, choices: bytes, response: str) -> frozenset[str]:
    return choose(_question(answer, choices), _normalised(response))


_KEPT = 2_000
_read_once = lru_cache(maxsize=2048)(_read)
"""Answers to one question are often the same, and one may be compared with several references."""
_NO_ANSWER = Verdict(reason=Reason.NO_ANSWER)


_BOX_ALONE = re.compile(r"\\boxed\s{1,2}\(?([A-Za-z0-9])\b\)?")
_TAGS = re.compile(
    r"</?(?:b|strong|em|i|u|span|p|br|mark)\s?/?>|~~[^~\n]{1,80}~~|<(?:s|del)>[^<\n]{1,80}</(?:s|del)>", re.I
)
_EMOJI = re.compile("[\\U0001f300-\\U0001f446\\U0001f448-\\U0001faff\\u2600-\\u260f\\u2612-\\u26ff]+")
_CIRCLED = {0x1F150 + at: 65 + at for at in range(26)} | {0x1F170 + at: 65 + at for at in range(26)}
_PICTURES = re.compile("[\\u2600-\\u26ff\\U0001f150-\\U0001faff]")
"""Most texts have none."""


def _normalised(response: str) -> str:
    if len(response) > _HEAD + _TAIL:  # the choice is given at the beginning or at the end
        response = response[:_HEAD] + "\n\n" + response[-_TAIL:]
    text = response
    if not text.isascii():
        text = text.replace("’", "'").replace("\ufe0f", "")
        pictured = _PICTURES.search(text) is not None
        text = unicodedata.normalize("NFKC", text.translate(_CIRCLED) if pictured else text)
        text = _EMOJI.sub(" ", text) if pictured else text
    text = _BOX_ALONE.sub(r"\\boxed{\1}", text) if "\\boxed " in text else text
    return (_TAGS.sub("", text) if "<" in text or "~~" in text else text).strip()


def _frozen(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


@lru_cache(maxsize=4096)
def _as_read(answer: bytes, choices: bytes) -> bytes:
    """The reference with which a response is read: any will do where it says nothing of the labels to expect."""
    question, options = _question(answer, choices), options_of(msgspec.msgpack.decode(choices))
    if question.several or not options or question.options != options:
        return answer
    any_other = _frozen(next(iter(options)))
    try:
        return any_other if _question(any_other, choices).options == options else answer
    except ValueError:
        return answer  # a label that is no reference


@lru_cache(maxsize=4096)
def _question(answer: bytes, choices: bytes) -> Question:
    """The question, prepared once per prompt."""
    if answer == _frozen(None):
        raise ValueError("metadata.answer is missing")
    given, among = msgspec.msgpack.decode(answer), msgspec.msgpack.decode(choices)
    reference, options = reference_labels(given, options_of(among))
    small = isinstance(among, dict) and all(isinstance(label, str) and label.islower() for label in among)
    return prepare(reference, options, _UNKNOWN, small)
