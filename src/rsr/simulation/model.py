"""The simulated model: a function of (its seed, messages, request seed) and nothing else. Words are tokens.

Choice j of a request with seed s is choice 0 of seed s + j, and no two seeds of a prompt give the same text:

    Draft 17: <filler>. The answer is B.

What a prompt's text says in tags is obeyed before anything else:

    [p=0.3]           its pass rate
    [answer=B]        a passing reply ends in "The answer is B."; a failing one names another of A-D (a number works
                      too: failing replies are off by 1 to 3)
    [words=200]       the length of every reply in tokens
    [text=Hello you]  every reply is exactly this
    [reasoning]       replies carry `reasoning_content` (the server only)
    [faults=...]      what becomes of its first requests (the server only; see `rsr.simulation.faults`)
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from rsr.errors import ConfigError
from rsr.hashing import canonical_json
from rsr.simulation.answers import Answer, Answers, lettered, tagged, text_of
from rsr.types import Message

_VOCABULARY = """
about after again along among because before between carry check clear close count draw each either enough even every
fact first follow found given hence here hold idea just known large least less light line make maybe mean might more
most much near next often only order other over part place point quite rather reason right same seem shape short show
since small some step still such sure than that then there thing think this though thus time
"""
_FILLER = random.Random(0).choices(_VOCABULARY.split(), k=1 << 14)
_FILLER_TEXT = " ".join([*_FILLER, *_FILLER]) + " "
_STARTS = [0]
for _word in (*_FILLER, *_FILLER):
    _STARTS.append(_STARTS[-1] + len(_word) + 1)

_TAG = re.compile(r"\[(p)=([01]?\.?\d+)\]|\[(words)=(\d+)\]|\[(answer|text|faults)=([^\]]*)\]|\[(reasoning)()\]")
# A tag without its value is plain text, as a real prompt may have it.
_UNIFORMS = Struct("<5I")
_SUBJECTS = 20_000


class Lengths(NamedTuple):
    """How long replies are, in tokens: lognormal."""

    median: float = 200.0
    sigma: float = 1.0
    cap: int = 4000
    """No reply is longer; it ends by itself there."""


class PassRates(NamedTuple):
    """Between these, by a hash of the prompt; equal: the same for all."""

    low: float = 0.05
    high: float = 0.95


def parse_pass_rate(written: str) -> PassRates:
    """Pass rates as they are written: `0.3`, or `0.05:0.95`.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        parts = [float(part) for part in written.split(":")]
    except ValueError:
        parts = []
    if len(parts) not in (1, 2) or not 0 <= parts[0] <= parts[-1] <= 1:
        raise ConfigError(f"pass rate: {written!r} is neither a number from 0 to 1 nor LOW:HIGH")
    return PassRates(parts[0], parts[-1])


class Reply(NamedTuple):
    """What one seed gives."""

    text: str
    tokens: int
    finish_reason: str
    passes: bool


class Subject(NamedTuple):
    """A prompt as the model sees it; made once per prompt."""

    label: str
    """Its name in statistics: a hash of the messages."""
    prompt_tokens: int
    pass_rate: float
    answer: Answer
    length: int | None
    """Tokens of every reply; None: drawn."""
    text: str | None
    """Every reply; None: made up."""
    reasoning: bool
    faults: str | None


_PASS_RATES, _LENGTHS = PassRates(), Lengths()


class Model:
    """The simulated model.

    Args:
        seed: another one gives other texts, lengths and pass rates.
        pass_rates: of prompts without a tag.
        lengths: of replies to prompts without a tag.
        answers: what prompts without a tag should be answered; others are multiple choice, and B is right.
    """

    def __init__(
        self,
        seed: int = 0,
        pass_rates: PassRates = _PASS_RATES,
        lengths: Lengths = _LENGTHS,
        answers: Answers | None = None,
    ) -> None:
        self.seed = seed
        self.pass_rates = pass_rates
        self.lengths = lengths
        self._answers = answers
        self._subjects: dict[str, Subject] = {}

    def subject(self, messages: Sequence[Message]) -> Subject:
        """A prompt as the model sees it."""
        label = label_of(messages)
        found = self._subjects.get(label)
        if found is None:
            if len(self._subjects) >= _SUBJECTS:  # they are quickly made again
                self._subjects.clear()
            found = self._subjects[label] = self._read(messages, label)
        return found

    def reply(self, subject: Subject, seed: int, max_tokens: int | None = None, stop: Sequence[str] = ()) -> Reply:
        """What a seed gives, cut at `max_tokens` or before the first stop string."""
        passing, first, second, where, which = self._uniforms(f"{subject.label}/{seed}")
        passes = passing < subject.pass_rate
        if subject.text is not None:
            text, tokens = subject.text, len(subject.text.split())
        else:
            wrong = subject.answer.wrong
            answer = subject.answer.right if passes else wrong[int(which * len(wrong))]
            around = 6 + answer.count(" ")
            tokens = max(around, subject.length or self._length(first, second))
            text = f"Draft {seed}: {filler(where, tokens - around)}The answer is {answer}."
        finish = "stop"
        for end in stop:
            if end in text:
                text = text[: text.index(end)]
                tokens = text.count(" ") + 1
        if max_tokens is not None and tokens > max_tokens:
            text, tokens, finish = " ".join(text.split(" ", max_tokens)[:max_tokens]), max_tokens, "length"
        return Reply(text, tokens, finish, passes)

    def _read(self, messages: Sequence[Message], label: str) -> Subject:
        prompt = text_of(messages)
        tags = dict(_tags(prompt)) if "[" in prompt else {}
        low, high = self.pass_rates
        rate = min(1.0, float(tags["p"])) if "p" in tags else low + (high - low) * self._uniforms(label)[0]
        learnt = self._answers.of(messages) if self._answers is not None and not tags.get("answer") else None
        return Subject(
            label=label,
            prompt_tokens=len(prompt.split()),
            pass_rate=rate,
            answer=tagged(tags["answer"]) if tags.get("answer") else learnt or lettered("B"),
            length=int(tags["words"]) if "words" in tags else None,
            text=tags.get("text"),
            reasoning="reasoning" in tags,
            faults=tags.get("faults"),
        )

    def _length(self, first: float, second: float) -> int:
        normal = math.sqrt(-2.0 * math.log(1.0 - first)) * math.cos(2.0 * math.pi * second)
        return min(self.lengths.cap, round(self.lengths.median * math.exp(self.lengths.sigma * normal)))

    def _uniforms(self, name: str) -> tuple[float, float, float, float, float]:
        digest = blake2b(f"{self.seed}/{name}".encode(), digest_size=20).digest()
        a, b, c, d, e = _UNIFORMS.unpack(digest)
        unit = 2.0**-32
        return a * unit, b * unit, c * unit, d * unit, e * unit


def _tags(prompt: str) -> Iterator[tuple[str, str]]:
    """Name and value of each tag."""
    for match in _TAG.finditer(prompt):
        name, value = (group for group in match.groups() if group is not None)
        yield name, value


def label_of(messages: Sequence[Message]) -> str:
    """The name of a prompt in statistics."""
    return blake2b(canonical_json(messages), digest_size=8).hexdigest()


def filler(where: float, count: int) -> str:
    """So many words from somewhere (0 to 1) in the filler, with a full stop and a space; "" for none."""
    if count <= 0:
        return ""
    first = int(where * len(_FILLER))
    whole, rest = divmod(count, len(_FILLER))
    around = _FILLER_TEXT[_STARTS[first] : _STARTS[first + len(_FILLER)]]
    return around * whole + _FILLER_TEXT[_STARTS[first] : _STARTS[first + rest] - 1] + ". "
