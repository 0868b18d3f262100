"""`math-rlvr`: mathematics by a ladder, each rung dearer than the one before.

same text  ──>  exact numbers  ──>  structure, part by part  ──>  algebra, in a worker that can be killed
└───────────────── quick: in the calling thread ─────────────┘

Verdicts of the algebra are remembered: many responses to a prompt give the same answer.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from rsr.mathematics import symbolic
from rsr.mathematics.answer import final_answer
from rsr.mathematics.compare import equal, is_number, no_number
from rsr.mathematics.numerals import numerals
from rsr.mathematics.results import unevaluated
from rsr.mathematics.text import clean, closing, levelled
from rsr.types import Reason, Verdict

_LONGEST = 20_000
_REMEMBERED = 50_000


class _Pair(NamedTuple):
    """What is compared: the answer that was read, and the references."""

    given: str
    golds: tuple[str, ...]


class Math:
    """Mathematics: reads the final answer out of a response and compares it with the reference, exactly."""

    version = "6"
    reads_metadata = False
    isolated = True

    def __init__(self) -> None:
        self._known: OrderedDict[_Pair, Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def quick(
        self, response: str, answer: Any, choices: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Verdict | None:
        """The verdict where it takes no algebra, else None.

        Raises:
            ValueError: the reference is missing.
        """
        return self._quick(response, answer)[0]

    def __call__(
        self, response: str, answer: Any, *, choices: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Verdict:
        """1.0 or 0.0; no score when there is no answer, or it is too large to be compared.

        Raises:
            ValueError: the reference is missing.
        """
        verdict, pair = self._quick(response, answer)
        if verdict is None:
            verdict = _by_algebra(pair)
            self._remember(pair, verdict)
        return verdict

    def learn(self, response: str, answer: Any, verdict: Verdict) -> None:
        """Remember what a worker found, for the next response with the same answer."""
        known, pair = self._quick(response, answer)
        if known is None and verdict.final:
            self._remember(pair, verdict)

    def warm(self) -> None:
        """Import the algebra."""
        symbolic.warm()

    def _quick(self, response: str, answer: Any) -> tuple[Verdict | None, _Pair]:
        golds = _references(answer)
        text = _ends(response)
        if text is None:
            return _too_large(""), _Pair("", golds)
        found = final_answer(numerals(text, golds), _kind(golds))
        if found is None:
            return Verdict(reason=Reason.NO_ANSWER), _Pair("", golds)
        pair = _Pair(clean(found.text[:_LONGEST]), golds)
        given = pair.given
        if not given:
            return Verdict(reason=Reason.NO_ANSWER), pair
        loose = not found.firm and not given.isdigit() and given not in golds and all(map(_is_number, golds))
        if loose and unevaluated(given):  # `4 + 5` is no answer where a number is asked for, outside a box
            return Verdict(reason=Reason.NO_ANSWER), pair
        with self._lock:
            known = self._known.get(pair)
            if known is not None:
                self._known.move_to_end(pair)
                return known, pair
        if given not in golds and any(map(symbolic.too_deep, (given, *golds))):
            return _too_large(given), pair
        verdicts = [equal(gold, given) for gold in golds]
        if True in verdicts:
            return Verdict(score=1.0, extracted=given), pair
        if loose and no_number(given):  # nor is `awesome`
            return Verdict(reason=Reason.NO_ANSWER), pair
        return None if None in verdicts else Verdict(score=0.0, extracted=given), pair

    def _remember(self, pair: _Pair, verdict: Verdict) -> None:
        if sum(map(len, pair.golds)) + len(pair.given) > 2 * _LONGEST // 10:
            return
        with self._lock:
            self._known[pair] = verdict
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)


def _ends(response: str) -> str | None:
    """What is read of a response: the last box with what follows it; None where that box is too large."""
    if len(response) <= _LONGEST:
        return response
    at = max(response.rfind(command) for command in ("\\boxed{", "\\fbox{", "<answer>"))
    if at < 0 or at >= len(response) - _LONGEST:
        return response[-_LONGEST:]
    if response.startswith("<", at):
        end = response.find("</", at)
    else:
        end = closing(response[: at + 2 * _LONGEST], response.index("{", at))
    if end < 0 or end - at > _LONGEST // 2:
        return None
    if end >= len(response) - _LONGEST:
        return response[at:][: 2 * _LONGEST]
    return response[max(0, end - _LONGEST // 2) : end + 200] + "\n\n" + response[-_LONGEST // 2 :]


_VERDICTS = frozenset(
    ("dne", "does not exist", "undefined", "diverges", "converges", "infinity", "impossible", "no solution")
)
_PLACE = re.compile(r"[A-Za-z]{3,12} \d{1,4}(?:,? (?:and )?[A-Za-z]{3,12} \d{1,4}){0,3}")
_POLAR = frozenset(("yes", "no", "true", "false"))


@lru_cache(maxsize=4096)
def _kind(golds: tuple[str, ...]) -> str:
    """What is asked for: `polar` (yes or no, true or false), a `word` such as a name, or anything else."""
    words = [re.sub(r"\\text\s?\{([^{}]*)\}", r"\1", gold).strip().removeprefix("the ") for gold in golds]
    if all(word.casefold() in _POLAR for word in words):
        return "polar"
    if all(word.casefold() in _VERDICTS for word in words):
        return ""
    if all(re.fullmatch(r"\(?[A-E]\)?", word) for word in words):
        return "letter"
    if all(_PLACE.fullmatch(word) for word in words) and len(words) == 1:
        return f"place:{words[0]}"
    if all(re.fullmatch(r"(?:mon|tues|wednes|thurs|fri|satur|sun)day", word, re.I) for word in words):
        return "day"
    return "word" if all(re.fullmatch(r"[^\W\d_]{3,20}(?: [^\W\d_]{1,20})?", word) for word in words) else ""


def _by_algebra(pair: _Pair) -> Verdict:
    given, golds = pair
    if any(map(symbolic.too_large, (given, *golds))):
        return _too_large(given)
    try:
        right = any(equal(gold, given, symbolic.same) for gold in golds)
    except MemoryError:
        raise
    except Exception as cause:  # sympy raises all kinds, and would so again
        detail = f"the algebra failed: {type(cause).__name__}: {cause}"[:200]
        return Verdict(reason=Reason.UNVERIFIABLE, extracted=given, detail=detail)
    return Verdict(score=float(right), extracted=given)


def _too_large(given: str) -> Verdict:
    return Verdict(reason=Reason.UNVERIFIABLE, extracted=given[:200], detail="too large to be compared")


def _references(answer: Any) -> tuple[str, ...]:
    answers = answer if isinstance(answer, list | tuple) else [answer]
    golds = tuple(_reference(str(one)) for one in answers if one is not None)
    if not any(golds):
        raise ValueError("metadata.answer is missing or empty")
    return golds


_SENTENCE = re.compile(r"\banswer(?: is\b|:)", re.I)


@lru_cache(maxsize=4096)
def _reference(answer: str) -> str:
    """A reference as text: in a box, after `####` at the end of a solution, in a sentence, or as it is."""
    if "\\boxed" in answer or "\\fbox" in answer or "####" in answer or _SENTENCE.search(answer):
        found = final_answer(answer)
        answer = found.text if found else answer
    return clean(levelled(answer))


@lru_cache(maxsize=4096)
def _is_number(gold: str) -> bool:
    return not unevaluated(gold) and is_number(gold)
