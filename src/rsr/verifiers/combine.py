"""Verifiers made of others: `cascade`, `all`, `any`, `weighted`.

Parts are asked in their order, and none after the result is settled: a rule that can tell costs no request to the judge
behind it. A part that failed leaves the result open (`verifier_error`) unless it could not change it, whatever it says
when it is asked again: so a fault never decides, and never changes what was decided.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from rsr.errors import ConfigError
from rsr.hashing import content_hash
from rsr.types import Reason, Verdict
from rsr.verifiers.check import Check
from rsr.verifiers.remote import Asked

_PASS = 1.0


class Combination(ABC):
    """What all of them have in common.

    Args:
        verifiers: each a name, or a mapping with `type` and its parameters.
    """

    version = "1"

    def __init__(self, verifiers: Sequence[Any]) -> None:
        if not verifiers:
            raise ConfigError("verifier.verifiers: is empty; name at least one")
        self.parts = [_part(number, given) for number, given in enumerate(verifiers)]
        self.services = [service for part in self.parts for service in part.services]
        self.needs_answer = any(part.needs_answer for part in self.parts)

    @abstractmethod
    def decided(self, asked: Asked, verdicts: Sequence[Verdict]) -> Verdict | None:
        """The verdict, given those of the first parts; None: the next part is needed."""

    def settings(self) -> dict[str, Any]:
        """Parameters beside the parts that decide verdicts."""
        return {}

    def identity(self) -> dict[str, Any]:
        """Its parts with their versions, and its own parameters."""
        parts = [[part.name, part.identity, part.version] for part in self.parts]
        return {"verifiers": parts, **self.settings()}

    def reads(self, asked: Asked) -> Any:
        """What its parts make their verdicts against."""
        return [part.reads(asked) for part in self.parts]

    def refuses(self, asked: Asked) -> str | None:
        """Why one of the parts could judge nothing."""
        given = (asked.answer, asked.choices, asked.metadata or {}, asked.messages)
        refused = ((part, part.refuses(*given)) for part in self.parts)
        return next((f"{part.name}: {why}" for part, why in refused if why), None)

    def choices_of(self, text: str) -> Any:
        """The options in a prompt's text, as the first part reads them that can."""
        return next((found for part in self.parts if (found := part.choices_of(text)) is not None), None)

    def quick(self, response: str, answer: Any, choices: Any, metadata: Mapping[str, Any] | None) -> Verdict | None:
        """The verdict where the parts that are asked first settle it in the calling thread."""
        asked = Asked(response, answer, choices, metadata)
        verdicts: list[Verdict] = []
        while (verdict := self.decided(asked, verdicts)) is None:
            found = self.parts[len(verdicts)].at_once(asked)
            if found is None:
                return None
            verdicts.append(found)
        return verdict

    async def ajudge(self, asked: Asked) -> Verdict:
        """The verdict, with every part that it takes."""
        verdicts: list[Verdict] = []
        while (verdict := self.decided(asked, verdicts)) is None:
            verdicts.append(await self.parts[len(verdicts)].judged(asked))
        return verdict


class Cascade(Combination):
    """Asks one verifier after the other, until one can tell: a rule first, a judge for what the rule can't read.

    Args:
        verifiers: in their order; each a name, or a mapping with `type` and its parameters.
        check_passes: share of the passes (scores of 1 or more) that the next verifier looks at too; its verdict counts.
    """

    def __init__(self, *, verifiers: list[Any], check_passes: float = 0.0) -> None:
        super().__init__(verifiers)
        if not 0 <= check_passes <= 1:
            raise ConfigError(f"verifier.check_passes: it is {check_passes:g}; set it to a share from 0 to 1")
        if check_passes and len(self.parts) < 2:
            raise ConfigError("verifier.check_passes: there is no second verifier that could look at passes")
        self._check_passes = check_passes
        ranges = [part.score_range for part in self.parts]
        self.score_range = _hull(ranges)

    def settings(self) -> dict[str, Any]:
        """The share of passes that are checked."""
        return {"check_passes": self._check_passes}

    def decided(self, asked: Asked, verdicts: Sequence[Verdict]) -> Verdict | None:
        """The last verdict, unless it leaves the matter to the next part."""
        if not verdicts:
            return None
        last, part = verdicts[-1], self.parts[len(verdicts) - 1]
        if len(verdicts) == len(self.parts) or last.reason is Reason.VERIFIER_ERROR:
            return _by(part, last)
        if last.score is None:
            return None
        first_score = all(verdict.score is None for verdict in verdicts[:-1])
        if last.score >= _PASS and first_score and self._looked_at_again(asked):
            return None
        return _by(part, last)

    def _looked_at_again(self, asked: Asked) -> bool:
        """By hash: the same responses whenever it is asked."""
        if not self._check_passes:
            return False
        drawn = int.from_bytes(content_hash(["check_passes", asked.response, asked.answer, asked.choices])[:8])
        return drawn < self._check_passes * 2**64


class AllOf(Combination):
    """The lowest score of several verifiers: a response passes where it passes all of them.

    Args:
        verifiers: each a name, or a mapping with `type` and its parameters; the cheap ones first.
    """

    def __init__(self, *, verifiers: list[Any]) -> None:
        super().__init__(verifiers)
        self.score_range = _hull([part.score_range for part in self.parts], lowest=True)

    def decided(self, asked: Asked, verdicts: Sequence[Verdict]) -> Verdict | None:
        """The lowest score; the lowest that is possible settles it at once."""
        floor = None if self.score_range is None else self.score_range[0]
        return _extreme(self.parts, verdicts, floor, lowest=True)


class AnyOf(Combination):
    """The highest score of several verifiers: a response passes where it passes any of them.

    Args:
        verifiers: each a name, or a mapping with `type` and its parameters; the cheap ones first.
    """

    def __init__(self, *, verifiers: list[Any]) -> None:
        super().__init__(verifiers)
        self.score_range = _hull([part.score_range for part in self.parts], lowest=False)

    def decided(self, asked: Asked, verdicts: Sequence[Verdict]) -> Verdict | None:
        """The highest score; the highest that is possible settles it at once."""
        top = None if self.score_range is None else self.score_range[1]
        return _extreme(self.parts, verdicts, top, lowest=False)


class Weighted(Combination):
    """The weighted sum of several verifiers' scores.

    Args:
        verifiers: each a name, or a mapping with `type` and its parameters.
        weights: one for each; they are not scaled. Default: equal, and 1 together.
    """

    def __init__(self, *, verifiers: list[Any], weights: list[float] | None = None) -> None:
        super().__init__(verifiers)
        self._weights = weights or [1 / len(self.parts)] * len(self.parts)
        if len(self._weights) != len(self.parts) or not all(map(math.isfinite, self._weights)):
            raise ConfigError(f"verifier.weights: give {len(self.parts)} numbers, one for each verifier")
        ends = [_stretched(part.score_range, weight) for part, weight in zip(self.parts, self._weights, strict=True)]
        known = [end for end in ends if end is not None]
        sums = (round(sum(low for low, _ in known), 9), round(sum(high for _, high in known), 9))
        self.score_range = sums if len(known) == len(ends) else None

    def settings(self) -> dict[str, Any]:
        """The weights."""
        return {"weights": self._weights}

    def decided(self, asked: Asked, verdicts: Sequence[Verdict]) -> Verdict | None:
        """The sum where every part has a score."""
        if len(verdicts) < len(self.parts):
            return None
        unscored = _unscored(self.parts, verdicts)
        if unscored is not None:
            return unscored
        score = math.fsum(weight * (one.score or 0.0) for weight, one in zip(self._weights, verdicts, strict=True))
        shown = ", ".join(f"{part.name} {one.score:g}" for part, one in zip(self.parts, verdicts, strict=True))
        return Verdict(score=score, extracted=_extracted(verdicts), detail=shown)


Range = tuple[float, float]


def _extreme(parts: Sequence[Check], verdicts: Sequence[Verdict], end: float | None, lowest: bool) -> Verdict | None:
    for part, verdict in zip(parts, verdicts, strict=False):
        if verdict.score is not None and end is not None and (verdict.score <= end if lowest else verdict.score >= end):
            return _by(part, verdict)
    if len(verdicts) < len(parts):
        return None
    unscored = _unscored(parts, verdicts)
    if unscored is not None:
        return unscored
    choose = min if lowest else max
    part, verdict = choose(zip(parts, verdicts, strict=True), key=lambda pair: pair[1].score or 0.0)
    return _by(part, verdict)


def _unscored(parts: Sequence[Check], verdicts: Sequence[Verdict]) -> Verdict | None:
    """What parts without a score come to: an error before anything final, then the first of them."""
    without = [(part, one) for part, one in zip(parts, verdicts, strict=False) if one.score is None]
    without.sort(key=lambda pair: pair[1].reason is not Reason.VERIFIER_ERROR)
    return _by(*without[0]) if without else None


def _by(part: Check, verdict: Verdict) -> Verdict:
    """The verdict, saying whose it is."""
    detail = verdict.detail or ""
    if not detail.startswith(part.name):
        detail = f"{part.name}: {detail}" if detail else part.name
    return Verdict(score=verdict.score, extracted=verdict.extracted, reason=verdict.reason, detail=detail)


def _extracted(verdicts: Sequence[Verdict]) -> str | None:
    return next((verdict.extracted for verdict in verdicts if verdict.extracted is not None), None)


def _hull(ranges: Sequence[Range | None], lowest: bool | None = None) -> Range | None:
    """Which scores can come of parts with these ranges; None: any."""
    known = [one for one in ranges if one is not None]
    if len(known) < len(ranges):
        return None
    lows, highs = [low for low, _ in known], [high for _, high in known]
    if lowest is None:
        return min(lows), max(highs)
    return (min(lows), min(highs)) if lowest else (max(lows), max(highs))


def _stretched(given: Range | None, weight: float) -> Range | None:
    if given is None:
        return None
    low, high = sorted((given[0] * weight, given[1] * weight))
    return low, high


def _part(number: int, given: Any) -> Check:
    where = f"verifier.verifiers.{number}"
    params = dict(given) if isinstance(given, Mapping) else {"type": given}
    name = params.pop("type", None)
    if not isinstance(name, str):
        raise ConfigError(f"{where}: must be a verifier's name, or a mapping with its name as type")
    try:
        return Check(name, params)
    except ConfigError as error:
        raise ConfigError(str(error).replace("verifier.", f"{where}.", 1)) from error.__cause__
