"""Which two responses of a prompt make a pair: the strategies, and what a pair must not be.

    best_worst       the best pass and the worst fail                      first by index where equal
    random           any pass and any fail, by the seed
    nearest_length   a pass and a fail of the nearest lengths
    hard_negative    the best pass and a fail with the most common wrong answer
    margin           the pair whose scores differ least, but by `min_margin` at least
    shortest_vs_longest_correct    the shortest pass and the longest pass

A pair's answers differ, are not nearly the same, and have reasoning on both sides or on none. A pair that is not so is
passed over for the next one; `needs` counts what can be told without texts. Which texts decide is asked for step by
step (`reads`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, islice
from typing import Any, Literal, NamedTuple

from rsr.alike import similarity
from rsr.formatters.chance import chance
from rsr.formatters.matching import augmented, missing_of_one, missing_of_two
from rsr.formatters.thresholds import check_count, check_share, check_thresholds
from rsr.types import Rollout

Strategy = Literal["best_worst", "random", "nearest_length", "hard_negative", "margin", "shortest_vs_longest_correct"]

Pair = tuple[Rollout, Rollout]
"""Chosen and rejected."""

_BY_LENGTH = ("nearest_length", "shortest_vs_longest_correct")


class Sides(NamedTuple):
    """Who can be chosen and who can be rejected; the same where both are correct."""

    chosen: list[Rollout]
    rejected: list[Rollout]


class Pairing(NamedTuple):
    """How a prompt's pairs are made; see `DPO` for what the fields mean."""

    pass_threshold: float
    fail_threshold: float
    strategy: Strategy
    per_prompt: int
    reuse: bool
    min_margin: float
    max_similarity: float
    same_reasoning: bool
    seed: int

    def check(self) -> None:
        """Raise ValueError, naming the key, where a value makes no sense."""
        check_thresholds(self.pass_threshold, self.fail_threshold)
        check_count("pairs_per_prompt", self.per_prompt)
        check_share("max_similarity", self.max_similarity)
        if not (math.isfinite(self.min_margin) and self.min_margin >= 0):
            raise ValueError(f"min_margin: must be a number of at least 0, is {self.min_margin}")
        if self.min_margin and self._both_correct:
            raise ValueError(f"min_margin: strategy {self.strategy} pairs correct responses; leave it out")

    @property
    def _both_correct(self) -> bool:
        return self.strategy == "shortest_vs_longest_correct"

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """The least number of further rollouts for `per_prompt` pairs of different answers."""
        if self._both_correct:
            groups: tuple[list[int], list[int]] = ([], [])
            for rollout in self.sides(rollouts).chosen:
                groups[self.same_reasoning and rollout.has_reasoning].append(rollout.answer_key)
            return self._more_of_one(groups) if self.reuse else missing_of_one(groups, self.per_prompt)
        passes, fails = self.sides(rollouts)
        if self.per_prompt == 1:
            if not passes or not fails:
                return (not passes) + (not fails)
            return 0 if any(self._basic(good, bad) for good in passes for bad in fails) else 1
        if self.reuse:
            return self._more_of_two(passes, fails)

        def allowed(i: int, j: int) -> bool:
            return self._basic(passes[i], fails[j])

        most = len(augmented(len(passes), len(fails), allowed, (), self.per_prompt))
        return missing_of_two(len(passes), len(fails), most, self.per_prompt)

    def sides(self, rollouts: Sequence[Rollout]) -> Sides:
        """Who can be chosen, who rejected; each in index order."""
        passes, fails = [], []
        good, bad = self.pass_threshold, self.fail_threshold
        for rollout in rollouts:  # asked after each rollout, of a million
            verdict = rollout.verdict
            if verdict is not None and (score := verdict.score) is not None:
                if score >= good:
                    passes.append(rollout)
                elif score <= bad:
                    fails.append(rollout)
        return Sides(passes, passes if self._both_correct else fails)

    def reads(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        """Those whose texts decide; asked again once they are there, until nothing more is named."""
        sides = self.sides(rollouts)
        if self.strategy in _BY_LENGTH or self.strategy == "random":
            return [*{one.index: one for one in (*sides.chosen, *sides.rejected)}.values()]
        return [rollout for pair in self.pairs(b"", rollouts) for rollout in pair]

    def pairs(self, key: bytes, rollouts: Sequence[Rollout]) -> list[Pair]:
        """The pairs of a prompt, best first by the strategy.

        Args:
            key: the prompt's.
            rollouts: the valid ones of its decided prefix. Of those without a text nothing is held against a pair.
        """
        sides = self.sides(rollouts)
        ranked = self._ranked(key, sides)
        if self.reuse:
            return list(islice((pair for pair in ranked if self.problem(*pair) is None), self.per_prompt))
        taken: list[Pair] = []
        used: set[int] = set()
        for chosen, rejected in ranked:
            if len(taken) == self.per_prompt:
                return taken
            if used.isdisjoint((chosen.index, rejected.index)) and self.problem(chosen, rejected) is None:
                taken.append((chosen, rejected))
                used |= {chosen.index, rejected.index}
        if len(taken) < min(self.per_prompt, *map(len, sides)) and not self._both_correct:
            return self._exchanged(sides, taken)
        return taken

    def problem(self, chosen: Rollout, rejected: Rollout) -> str | None:
        """In one word why two responses are no pair."""
        if chosen.answer_key == rejected.answer_key:
            return "no_difference"
        if not self._both_correct and _apart(chosen, rejected) < self.min_margin:
            return "small_margin"
        if self.same_reasoning and chosen.has_reasoning != rejected.has_reasoning:
            return "reasoning_on_one_side"
        if not (chosen.response and rejected.response):
            return None
        if self._both_correct and self._length(chosen) >= self._length(rejected):
            return "no_difference"
        if self.max_similarity < 1 and similarity(chosen.response, rejected.response) > self.max_similarity:
            return "near_identical"
        return None

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """In one word why there is no pair: of all possible ones, the reason of the one that came furthest."""
        sides = self.sides(rollouts)
        if not sides.chosen or not sides.rejected:
            return "no_pass" if not sides.chosen else "no_fail"
        if self._both_correct and len(sides.chosen) < 2:
            return "one_pass"
        found = {self.problem(*pair) for pair in self._all(sides)}
        order = ("near_identical", "reasoning_on_one_side", "small_margin", "no_difference")
        return next(reason for reason in order if reason in found)

    def _all(self, sides: Sides) -> Iterator[Pair]:
        if not self._both_correct:
            return ((good, bad) for good in sides.chosen for bad in sides.rejected)
        ordered = sorted(sides.chosen, key=lambda one: (self._length(one), one.index))
        return combinations(ordered, 2)

    def _ranked(self, key: bytes, sides: Sides) -> Iterator[Pair]:
        """All pairs, the wanted ones first."""
        if self.strategy == "best_worst":  # the best of a sort needs no sort of all pairs
            best = sorted(sides.chosen, key=_best)
            worst = sorted(sides.rejected, key=lambda one: (one.score or 0.0, one.index))
            return _by_rank(best, worst)
        return iter(sorted(self._all(sides), key=self._rank(key, sides)))

    def _rank(self, key: bytes, sides: Sides) -> Callable[[Pair], Any]:
        length = self._length
        if self.strategy == "random":
            return lambda pair: chance(self.seed, key, pair[0].index, pair[1].index)
        if self.strategy == "nearest_length":
            return lambda pair: (abs(length(pair[0]) - length(pair[1])), *_order(pair))
        if self.strategy == "margin":
            return lambda pair: (_apart(*pair), *_order(pair))
        if self.strategy == "hard_negative":
            common = _commonness(sides.rejected)
            return lambda pair: (common[pair[1].index], *_order(pair))
        return lambda pair: (-abs(length(pair[0]) - length(pair[1])), *_order(pair))

    def _exchanged(self, sides: Sides, taken: list[Pair]) -> list[Pair]:
        """As many pairs as can be, where taking the best ones first left some without a partner."""
        chosen, rejected = sides
        at = {rollout.index: place for side in sides for place, rollout in enumerate(side)}
        start = [(at[good.index], at[bad.index]) for good, bad in taken]

        def allowed(i: int, j: int) -> bool:
            return self.problem(chosen[i], rejected[j]) is None

        made = augmented(len(chosen), len(rejected), allowed, start, self.per_prompt)
        return taken if len(made) == len(taken) else [(chosen[i], rejected[j]) for i, j in made]

    def _length(self, rollout: Rollout) -> int:
        return len(rollout.response) + (len(rollout.reasoning) if self.same_reasoning else 0)

    def _basic(self, good: Rollout, bad: Rollout) -> bool:
        """Whether two make a pair by what is known without texts."""
        if good.answer_key == bad.answer_key or (self.min_margin and _apart(good, bad) < self.min_margin):
            return False
        return not self.same_reasoning or good.has_reasoning == bad.has_reasoning

    def _more_of_two(self, passes: list[Rollout], fails: list[Rollout]) -> int:
        made = sum(self._basic(good, bad) for good in passes for bad in fails)
        groups = [
            tuple(sum(not self.same_reasoning or one.has_reasoning is has for one in side) for side in (passes, fails))
            for has in (False, True)
        ]
        # All further ones in one group make the most pairs: x passes and y fails add x * fails + y * passes + x * y.
        return next(
            more
            for more in range(self.per_prompt + 2)
            if any(
                made + x * bad + (more - x) * good + x * (more - x) >= self.per_prompt
                for good, bad in groups
                for x in range(more + 1)
            )
        )

    def _more_of_one(self, groups: Sequence[Sequence[int]]) -> int:
        made = sum(math.comb(len(keys), 2) for keys in groups)
        made -= sum(math.comb(count, 2) for keys in groups for count in Counter(keys).values())
        largest = max(map(len, groups))  # a further one makes the most pairs there
        return next(
            more
            for more in range(self.per_prompt + 2)
            if made + math.comb(largest + more, 2) - math.comb(largest, 2) >= self.per_prompt
        )


def _best(rollout: Rollout) -> tuple[float, int]:
    return (-(rollout.score or 0.0), rollout.index)


def _apart(chosen: Rollout, rejected: Rollout) -> float:
    """By how much their scores differ; rounded as scores are."""
    return round((chosen.score or 0.0) - (rejected.score or 0.0), 9)


def _order(pair: Pair) -> tuple[float, float, int, int]:
    """Best pass and worst fail, ties by lowest index."""
    chosen, rejected = pair
    return (-(chosen.score or 0.0), rejected.score or 0.0, chosen.index, rejected.index)


def _by_rank(best: list[Rollout], worst: list[Rollout]) -> Iterator[Pair]:
    """Pairs by the chosen's score, then the rejected's, then their indices."""
    start = 0
    while start < len(best):
        end = start
        while end < len(best) and best[end].score == best[start].score:
            end += 1
        low = 0
        while low < len(worst):
            high = low
            while high < len(worst) and worst[high].score == worst[low].score:
                high += 1
            for good in best[start:end]:
                for bad in worst[low:high]:
                    yield good, bad
            low = high
        start = end


def _commonness(fails: Sequence[Rollout]) -> dict[int, tuple[int, int]]:
    """By index: how rare its wrong answer is among all, and where that answer came first. No answer is the rarest."""
    answers = {one.index: one.verdict.extracted if one.verdict else None for one in fails}
    counts = Counter(answer for answer in answers.values() if answer is not None)
    first: dict[str, int] = {}
    for index, answer in answers.items():
        if answer is not None:
            first.setdefault(answer, index)
    return {index: (0, 0) if answer is None else (-counts[answer], first[answer]) for index, answer in answers.items()}
