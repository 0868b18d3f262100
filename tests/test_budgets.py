"""Budgets in virtual runs: requests are never passed, tokens and dollars by what was in flight at most."""

import heapq
import math
import random
import statistics
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsr.budgets import Allowed, Budget, Prices, Spent
from rsr.sections import BudgetConfig, PricesConfig
from rsr.types import NO_LIMIT, Outcome, Rollout


def completion(tokens: int | None, prompt: int | None = 0, outcome: Outcome = Outcome.OK) -> Rollout:
    return Rollout(index=0, outcome=outcome, prompt_tokens=prompt, completion_tokens=tokens)


class Flight(NamedTuple):
    ends: float
    number: int
    lengths: list[int]
    fails: bool


class VirtualRun:
    """Endless work on so many slots; a response takes as long as it has tokens.

    Attributes:
        excess: what was in flight at the last draw beyond the estimate it was drawn at.
    """

    def __init__(self, budget: Budget, slots: int, seed: int, fails: float = 0.0, choices: int = 1) -> None:
        self.budget = budget
        self.now = 0.0
        self.sent = 0
        self.flights: list[Flight] = []
        self.in_flight_at_last_draw = 0
        self._random = random.Random(seed)
        self._slots, self._fails, self._choices = slots, fails, choices

    @property
    def in_flight(self) -> int:
        return sum(len(flight.lengths) for flight in self.flights)

    def run(self, at_most: int = 5_000) -> None:
        """To the end of the budget, or so many requests."""
        while True:
            while self.sent < at_most and self._draw():
                pass
            if not self.flights:
                return
            flight = heapq.heappop(self.flights)
            self.now = max(self.now, flight.ends)
            self.budget.passed(self.now)
            if not flight.fails:
                self.budget.came(completion(tokens, 7 * (at == 0)) for at, tokens in enumerate(flight.lengths))

    def _draw(self) -> bool:
        n = min(self._slots - self.in_flight, self._choices, self.budget.room(self.in_flight))
        if n < 1:
            return False
        lengths = [min(4_000, 1 + int(self._random.lognormvariate(math.log(300), 1))) for _ in range(n)]
        self.budget.asked()
        self.sent += 1
        fails = self._random.random() < self._fails
        heapq.heappush(self.flights, Flight(self.now + max(lengths), self.sent, lengths, fails))
        self.in_flight_at_last_draw = sum(7 + sum(flight.lengths) for flight in self.flights)
        return True


runs = {
    "slots": st.integers(1, 40),
    "seed": st.integers(0, 2**32),
    "fails": st.sampled_from([0.0, 0.2, 0.9]),
    "choices": st.integers(1, 5),
}


@given(requests=st.integers(1, 300), **runs)
def test_requests_are_sent_exactly(requests: int, slots: int, seed: int, fails: float, choices: int) -> None:
    run = VirtualRun(Budget(Allowed(requests=requests)), slots, seed, fails, choices)
    run.run()
    assert run.sent == requests
    assert run.budget.ended == (
        f"budget.requests: {requests:,} of {requests:,} are spent; raise it and rsr run RUN goes on"
    )


@given(tokens=st.integers(1, 200_000), **runs)
def test_tokens_are_overrun_by_what_was_in_flight_at_most(
    tokens: int, slots: int, seed: int, fails: float, choices: int
) -> None:
    run = VirtualRun(Budget(Allowed(tokens=tokens), max_tokens=4_000), slots, seed, fails, choices)
    run.run()
    spent = run.budget.spent
    total = spent.prompt_tokens + spent.completion_tokens
    assert total <= tokens + run.in_flight_at_last_draw
    assert run.budget.ended is not None
    assert tokens - total < total / spent.completions


@given(usd=st.floats(0.0001, 0.2), **runs)
def test_dollars_are_overrun_by_what_was_in_flight_at_most(
    usd: float, slots: int, seed: int, fails: float, choices: int
) -> None:
    prices = Prices(completion=2.0)
    run = VirtualRun(Budget(Allowed(usd=usd), prices=prices, max_tokens=4_000), slots, seed, fails, choices)
    run.run()
    assert run.budget.usd is not None
    assert run.budget.usd <= usd + 2e-6 * run.in_flight_at_last_draw
    assert "budget.usd" in str(run.budget.ended)


@given(starts=st.lists(st.integers(1, 60), min_size=1, max_size=6), **runs)
def test_a_budget_is_that_of_all_starts_of_a_run_together(
    starts: list[int], slots: int, seed: int, fails: float, choices: int
) -> None:
    allowed = Allowed(requests=100, tokens=40_000)
    spent, sent = Spent(), 0
    for at_most in [*starts, 5_000]:
        run = VirtualRun(Budget(allowed, spent), slots, seed, fails, choices)
        run.run(at_most)
        spent, sent = run.budget.spent, sent + run.sent
    assert spent.requests == sent <= 100
    assert run.budget.ended is not None
    raised = Budget(Allowed(requests=200, tokens=4_000_000), spent)
    assert raised.ended is None
    assert raised.room(in_flight=0) >= 1


@given(tokens=st.integers(1, 100_000), lengths=st.lists(st.integers(0, 4_000), max_size=50), more=st.integers(0, 9))
def test_there_is_never_more_room_with_more_in_flight(tokens: int, lengths: list[int], more: int) -> None:
    budget = Budget(Allowed(tokens=tokens), max_tokens=900)
    budget.came(map(completion, lengths))
    rooms = [budget.room(in_flight) for in_flight in range(1 + more)]
    assert rooms == sorted(rooms, reverse=True)
    assert (budget.ended is not None) == (rooms[0] == 0)


def test_before_the_first_reply_a_response_is_taken_to_be_as_long_as_it_may_be() -> None:
    assert Budget(Allowed(tokens=10_000), max_tokens=2_000).room(in_flight=0) == 5
    assert Budget(Allowed(tokens=10_000), max_tokens=2_000).room(in_flight=3) == 2
    assert Budget(Allowed(tokens=10_000)).room(in_flight=0) == 20
    assert Budget(Allowed(tokens=10_000), max_tokens=NO_LIMIT).room(in_flight=0) == 20


def test_a_budget_smaller_than_a_response_may_be_still_buys_one() -> None:
    budget = Budget(Allowed(tokens=1_000), max_tokens=30_000)
    assert budget.ended is None
    assert [budget.room(in_flight=0), budget.room(in_flight=1)] == [1, 0]
    budget.came([completion(400)])
    assert budget.room(in_flight=0) == 1
    budget.came([completion(400)])
    assert budget.ended == (
        "budget.tokens: 800 of 1,000 are spent, too little is left for another response; "
        "raise it and rsr run RUN goes on"
    )


def test_what_is_in_flight_is_taken_to_be_long() -> None:
    budget = Budget(Allowed(tokens=100_000))
    budget.came([completion(100), completion(900)])  # mean 500; weighted by length 820
    assert budget.room(in_flight=100) == (100_000 - 1_000 - 100 * 820) // 500


def test_tokens_of_an_unknown_number_of_completions_say_nothing_about_the_mean() -> None:
    budget = Budget(
        Allowed(tokens=1_000_000), Spent(prompt_tokens=100_000, completion_tokens=400_000), max_tokens=2_000
    )
    assert budget.room(in_flight=0) == 250
    budget.came([completion(900, prompt=100)])
    assert budget.room(in_flight=100) == (500_000 - 1_000 - 100 * 1_000) // 1_000
    known = Budget(Allowed(tokens=1_000_000), Spent(100_000, 400_000, completions=100), max_tokens=2_000)
    assert known.room(in_flight=0) == 100


def test_no_budget_leaves_room_for_everything() -> None:
    budget = Budget(Allowed())
    budget.asked()
    budget.came([completion(10**9)])
    budget.passed(10**9)
    assert budget.room(in_flight=10**6) > 10**6
    assert budget.ended is None
    assert budget.usd is None
    assert budget.seconds_left is None


def test_seconds_are_those_of_all_starts() -> None:
    budget = Budget(Allowed(seconds=3_600), Spent(seconds=3_000))
    assert budget.seconds_left == 600
    budget.passed(599.5)
    assert budget.room(in_flight=8) > 8
    budget.passed(601)
    assert budget.room(in_flight=0) == 0
    assert budget.seconds_left == 0
    assert budget.ended == "budget.seconds: 3,601 of 3,600 are spent; raise it and rsr run RUN goes on"
    assert budget.spent.seconds == 3_601


def test_dollars_are_shown_as_finely_as_the_budget_is() -> None:
    prices = Prices(prompt=1.0, completion=4.0)
    large = Budget(Allowed(usd=5.0), prices=prices)
    large.came([completion(1_500_000, prompt=10_000)])
    assert large.ended == "budget.usd: 6.01 of 5.00 are spent; raise it and rsr run RUN goes on"
    small = Budget(Allowed(usd=0.0005), prices=prices)
    small.came([completion(120, prompt=60)])
    assert "budget.usd: 0.000540 of 0.000500 are spent;" in str(small.ended)


def test_refusals_are_no_completions() -> None:
    budget = Budget(Allowed(tokens=1_000))
    budget.came([completion(None, outcome=Outcome.REFUSED), completion(None, outcome=Outcome.FAILED)])
    assert budget.spent.completions == 0


def test_replies_without_counts_of_tokens_are_taken_at_the_mean_of_the_others() -> None:
    budget = Budget(Allowed(tokens=1_000))
    budget.came([completion(100, prompt=50), completion(300, prompt=50), *[completion(None, prompt=None)] * 2])
    assert budget.room(in_flight=0) == 0
    assert "budget.tokens: about 1,000 of 1,000 are spent;" in str(budget.ended)


def test_a_server_that_counts_no_tokens_still_comes_to_an_end() -> None:
    budget = Budget(Allowed(tokens=5_000), max_tokens=100_000)
    for _ in range(100):
        if not budget.room(in_flight=0):
            break
        budget.came([completion(None, prompt=None)])
    assert budget.spent.completions == 10


def test_free_responses_spend_no_dollars() -> None:
    budget = Budget(Allowed(usd=1.0), prices=Prices(completion=0.0))
    budget.came([completion(10**9)])
    assert budget.usd == 0
    assert budget.room(in_flight=100) > 100


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        (Prices(), None),
        (Prices(prompt=1.0), None),
        (Prices(completion=2.0), 6.0),
        (Prices(prompt=1.5, completion=2.0), 7.5),
    ],
)
def test_what_tokens_cost(prices: Prices, cost: float | None) -> None:
    assert prices.cost(1_000_000, 3_000_000) == cost


def test_the_names_are_those_of_the_config() -> None:
    assert set(Allowed._fields) == set(BudgetConfig.model_fields)
    assert set(Prices._fields) == set(PricesConfig.model_fields)


def _overruns(slots: int, tokens: int) -> Iterator[float]:
    for seed in range(10):
        run = VirtualRun(Budget(Allowed(tokens=tokens), max_tokens=4_000), slots, seed)
        run.run(at_most=10**6)
        yield (run.budget.spent.prompt_tokens + run.budget.spent.completion_tokens) / tokens - 1


def test_the_overrun_that_the_docs_state() -> None:
    assert statistics.median(_overruns(slots=64, tokens=1_000_000)) < 0.03
