"""What a simulated server counts, for GET /stats.

requests, requests_in_flight, max_requests_in_flight      chat requests
in_flight, max_in_flight, waiting                         completions that hold a slot, that wait for one
generated, generated_tokens                               completions generated to their end
delivered, tokens, prompt_tokens                          completions written wholly while the client was there
paid_twice                                                deliveries of a (prompt, seed) beyond its first
aborted, aborted_tokens                                   completions whose client left, tokens made of them
utilization                                               slot-seconds in use / slot-seconds since the first job
refused                                                   requests that no server would serve: model, key, parameter
faults                                                    requests by the fault that they met
retry_after_violations                                    requests for a prompt before the time it was told to wait:
                                                          those that were told, and others that can't have been on the
                                                          way already
storm                                                     requests, delivered during it; in_flight when it began
seconds                                                   since the first request
last (where it is remembered), deliveries (asked for with ?deliveries=1)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from rsr.simulation.slots import Slots

_COARSE = 0.001
"""The clock of the loop is that coarse."""
_ON_THE_WAY = 1.0
"""Seconds for which other requests of a prompt may come that were sent before the client could know."""


class Counts:
    """The counters of one server."""

    def __init__(self) -> None:
        self.requests = self.requests_in_flight = self.max_requests_in_flight = 0
        self.generated = self.generated_tokens = self.delivered = self.aborted = self.refused = 0
        self.tokens = self.prompt_tokens = 0
        self.faults: Counter[str] = Counter()
        self.retry_after_violations = 0
        self.storm: dict[str, int] | None = None
        self.storming = False
        self.deliveries: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.last: dict[str, Any] | None = None
        self._told: dict[str, tuple[float, float]] = {}  # prompt: told when, until when
        self._told_it: dict[tuple[str, int], float] = {}

    def arrived(self) -> None:
        """A request came."""
        self.requests += 1
        self.requests_in_flight += 1
        self.max_requests_in_flight = max(self.max_requests_in_flight, self.requests_in_flight)
        if self.storming and self.storm is not None:
            self.storm["requests"] += 1

    def asked(self, label: str, seed: int, now: float) -> None:
        """A request for a prompt came: is it too early?"""
        if label not in self._told:
            return
        told, until = self._told[label]
        now += _COARSE
        if now < self._told_it.pop((label, seed), 0.0) or told + _ON_THE_WAY < now < until:
            self.retry_after_violations += 1
        elif now >= until:
            del self._told[label]

    def told(self, label: str, seed: int, now: float, until: float) -> None:
        """The client was told not to ask for a prompt before then."""
        self._told_it[label, seed] = until
        if until > self._told.get(label, (0.0, 0.0))[1]:
            self._told[label] = now, until

    def delivery(self, label: str, prompt_tokens: int, seeds: list[int], tokens: int) -> None:
        """A reply was written to its end."""
        self.delivered += len(seeds)
        self.tokens += tokens
        self.prompt_tokens += prompt_tokens
        counted = self.deliveries[label]
        for seed in seeds:
            counted[seed] += 1
        if self.storming and self.storm is not None:
            self.storm["delivered"] += len(seeds)

    def storm_begins(self, in_flight: int) -> None:
        """From now on everything is 429."""
        self.storm = {"requests": 0, "delivered": 0, "in_flight": in_flight}
        self.storming = True

    def storm_ends(self) -> None:
        """Requests are served again."""
        self.storming = False

    def shown(self, slots: Slots, seconds: float, deliveries: bool) -> dict[str, Any]:
        """Everything, for JSON."""
        names: tuple[str, ...] = (
            "requests",
            "requests_in_flight",
            "max_requests_in_flight",
            "generated",
            "generated_tokens",
        )
        names += ("delivered", "tokens", "prompt_tokens", "aborted", "refused", "retry_after_violations", "storm")
        shown: dict[str, Any] = {name: getattr(self, name) for name in names}
        shown |= {"in_flight": slots.running, "max_in_flight": slots.most, "waiting": slots.waiting}
        shown |= {"aborted_tokens": slots.aborted_tokens, "utilization": slots.utilization()}
        shown |= {"makespan": slots.makespan, "seconds": seconds}
        shown["faults"] = dict(self.faults)
        shown["paid_twice"] = sum(
            times - 1 for seeds in self.deliveries.values() for times in seeds.values() if times > 1
        )
        if self.last is not None:
            shown["last"] = self.last
        if deliveries:
            shown["deliveries"] = {
                label: {str(seed): times for seed, times in seeds.items()} for label, seeds in self.deliveries.items()
            }
        return shown
