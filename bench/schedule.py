"""Tokens and makespan of the schedule against their bounds, in virtual time: no model, no clock.

    python bench/schedule.py [--prompts 1000] [--slots 64] [--speculate 0.3] [--seeds 5]

Lengths are lognormal (sigma 1), pass rates 0.05 to 0.95, at most 16 samples, sft; a token takes one unit of time.
The floor is the completion tokens of the decided prefixes; the bound of the makespan is the larger of floor / slots
and the longest sample.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
from typing import NamedTuple

from rsr.formatters.sft import SFT
from rsr.schedule import Draw, Rules, Schedule
from rsr.types import Outcome, Rollout, Verdict


class Result(NamedTuple):
    tokens: float
    makespan: float


def simulate(prompts: int, slots: int, rules: Rules, seed: int) -> Result:
    """Completion tokens over the floor, makespan over the bound."""
    rates = [random.Random(f"{seed}-{order}").uniform(0.05, 0.95) for order in range(prompts)]

    def sample(order: int, index: int) -> tuple[bool, float]:
        chance = random.Random(f"{seed}-{order}-{index}")
        return chance.random() < rates[order], min(4000.0, chance.lognormvariate(5.0, 1.0))

    schedule = Schedule(rules, SFT().needs, max_open=4 * slots)
    now = spent = floor = longest = 0.0
    flying: list[tuple[float, Draw, float]] = []
    cancelled: set[Draw] = set()
    started = iter(range(prompts))
    busy = 0
    while True:
        while busy < slots:
            draw = schedule.next(slots - busy, max_choices=1)
            if draw is None:
                if not schedule.has_room:
                    break
                order = next(started, None)
                if order is None:
                    schedule.input_ended = True
                else:
                    schedule.open(order)
                continue
            busy += 1
            heapq.heappush(flying, (now + sample(draw.order, draw.start)[1], draw, now))
        if not flying:
            break
        end, draw, _ = heapq.heappop(flying)
        if draw in cancelled:
            cancelled.discard(draw)
            continue
        now = end
        busy -= 1
        passed, length = sample(draw.order, draw.start)
        spent += length
        stream = schedule.open_streams[draw.order]
        rollout = Rollout(index=draw.start, outcome=Outcome.OK, verdict=Verdict(score=float(passed)))
        update = schedule.drawn(draw, [rollout])
        for lost in update.cancel:
            busy -= 1
            cancelled.add(lost)
            spent += next(now - begun for _, flown, begun in flying if flown == lost)
        if update.closed:
            used = [sample(draw.order, index)[1] for index in range(stream.prefix)]
            floor += sum(used)
            longest = max(longest, *used)
    return Result(spent / floor, now / max(floor / slots, longest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--speculate", type=float, nargs="+", default=[0.0, 0.3, 0.7, 1.0])
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    print(f"{'prompts':>8} {'slots':>6} {'speculate':>9} {'tokens/floor':>13} {'makespan/bound':>15}")
    for prompts in given.prompts:
        for speculate in given.speculate:
            rules = Rules(max_rollouts=16, step_size=4, max_steps=4, speculate=speculate)
            results = [simulate(prompts, given.slots, rules, seed) for seed in range(given.seeds)]
            tokens = statistics.median(result.tokens for result in results)
            makespan = statistics.median(result.makespan for result in results)
            print(f"{prompts:>8} {given.slots:>6} {speculate:>9} {tokens:>13.3f} {makespan:>15.3f}")


if __name__ == "__main__":
    main()
