"""`math-rlvr`: mathematics by a ladder, each rung dearer than the one before.

same text  ──>  exact numbers  ──>  structure, part by part  ──>  algebra, in a worker that can be killed
└───────────────── quick: in the calling thread ─────────────┘
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rsr.types import Reason, Verdict
from rsr.verifiers.math_answer import final_answer
from rsr.verifiers.math_compare import equal, is_number, no_number
from rsr.verifiers.math_results import unevaluated
from rsr.verifiers.math_text import clean, levelled

_LONGEST = 20_000


class Math:
    """Mathematics: reads the final answer out of a response and compares it with the reference, exactly."""

    version = "2"
    reads_metadata = False
    isolated = True

    def quick(
        self, response: str, answer: Any, choices: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Verdict | None:
        """The verdict where it takes no algebra, else None.

        Raises:
            ValueError: the reference is missing.
        """
        golds = _references(answer)
        found = final_answer(response[-_LONGEST:])
        if found is None:
            return Verdict(reason=Reason.NO_ANSWER)
        given = clean(found.text[:_LONGEST])
        loose = not found.firm and not given.isdigit() and given not in golds and all(map(_is_number, golds))
        if loose and unevaluated(given):  # `4 + 5` is no answer where a number is asked for, outside a box
            return Verdict(reason=Reason.NO_ANSWER)
        verdicts = [equal(gold, given) for gold in golds]
        if True in verdicts:
            return Verdict(score=1.0, extracted=given)
        if loose and no_number(given):  # nor is `awesome`
            return Verdict(reason=Reason.NO_ANSWER)
        return None if None in verdicts else Verdict(score=0.0, extracted=given)

    def __call__(
        self, response: str, answer: Any, *, choices: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Verdict:
        """1.0 or 0.0; no score when there is no answer, or it is too large to be compared.

        Raises:
            ValueError: the reference is missing.
        """
        quick = self.quick(response, answer)
        if quick is not None:
            return quick
        from rsr.verifiers import math_symbolic

        found = final_answer(response[-_LONGEST:])
        given = clean(found.text) if found else ""
        golds = _references(answer)
        if math_symbolic.too_large(given) or any(math_symbolic.too_large(gold) for gold in golds):
            return Verdict(reason=Reason.UNVERIFIABLE, extracted=given[:200], detail="too large to be compared")
        try:
            right = any(equal(gold, given, math_symbolic.same) for gold in golds)
        except MemoryError:
            raise
        except Exception as cause:  # sympy raises all kinds, and would so again
            detail = f"the algebra failed: {type(cause).__name__}: {cause}"[:200]
            return Verdict(reason=Reason.UNVERIFIABLE, extracted=given, detail=detail)
        return Verdict(score=float(right), extracted=given)

    def warm(self) -> None:
        """Import the algebra."""
        from rsr.verifiers import math_symbolic

        math_symbolic.warm()


def _references(answer: Any) -> tuple[str, ...]:
    answers = answer if isinstance(answer, list | tuple) else [answer]
    golds = tuple(_reference(str(one)) for one in answers if one is not None)
    if not any(golds):
        raise ValueError("metadata.answer is missing or empty")
    return golds


_SENTENCE = re.compile(r"\banswer(?: is\b|:)", re.I)


@lru_cache(maxsize=4096)
def _reference(answer: str) -> str:
    """A reference as text: in a box, after `####` at the end of a solution, or as it is."""
    if "\\boxed" in answer or "\\fbox" in answer or "####" in answer or _SENTENCE.search(answer):
        found = final_answer(answer)
        answer = found.text if found else answer
    return clean(levelled(answer))


@lru_cache(maxsize=4096)
def _is_number(gold: str) -> bool:
    return not unevaluated(gold) and is_number(gold)
