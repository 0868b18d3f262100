"""`sampler.type: simulated`: the model and the engine of `rsr simulate serve`, in this process and without HTTP.

To try a config before anything is spent: passing replies give the right answers of the input's prompts, so that the
real verifiers judge them. With `time_scale: 0`, the default, nothing takes any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsr.errors import ConfigError, RequestFailed
from rsr.sections import DataConfig
from rsr.simulation.answers import Answers, answers_from
from rsr.simulation.faults import Chances
from rsr.simulation.model import Lengths, Model, Subject, parse_pass_rate
from rsr.simulation.slots import Batch, Slots, Speed
from rsr.types import Completion, SampleRequest


class Simulated:
    """A simulated model on a simulated engine; replies are a function of its seed, the messages and the seed asked for.

    Args:
        seed: another one gives other texts, lengths and pass rates.
        pass_rate: of every prompt, or LOW:HIGH, between which a prompt's hash chooses.
        median_tokens: median length of a reply (lognormal); a token is a word.
        sigma: of the logarithm of the length.
        max_tokens_cap: no reply is longer.
        answers: the file with the right answers; default: the input.
        fail: share of indices (0 to 1) whose first request fails, chosen by their hash.
        slots: completions generated at once, others wait; 0: no limit.
        tokens_per_second: of one slot.
        prompt_tokens_per_second: how quickly prompts are read; 0: in no time.
        latency: seconds before the first token.
        time_scale: all times are multiplied by it; 1 is real time, 0 no time at all.
        max_choices: the largest `n` of one request.
        model: the model that completions name.
        max_tokens: replies of more tokens are cut there.
        stop: replies end before any of these.
        data_config: the config's `data`, for the answers.

    Attributes:
        slots: the engine, from the start on.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        pass_rate: float | str | list[float] = "0.05:0.95",
        median_tokens: float = 200.0,
        sigma: float = 1.0,
        max_tokens_cap: int = 4000,
        answers: str | None = None,
        fail: float = 0.0,
        slots: int = 64,
        tokens_per_second: float = 50.0,
        prompt_tokens_per_second: float = 0.0,
        latency: float = 0.0,
        time_scale: float = 0.0,
        max_choices: int | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
        stop: list[str] | None = None,
        data_config: DataConfig | None = None,
    ) -> None:
        rates = parse_pass_rate(":".join(map(str, pass_rate)) if isinstance(pass_rate, list) else str(pass_rate))
        self._seed, self._rates = seed, rates
        self._lengths = Lengths(median_tokens, sigma, max_tokens_cap)
        self._answers = answers
        self._data = data_config
        self._failing = Chances(f"500={fail}", seed)
        self._failed: set[tuple[str, int]] = set()
        self._speed = Speed(slots, tokens_per_second, prompt_tokens_per_second, latency, time_scale)
        self._max_choices = max_choices
        self._name = model
        self._max_tokens = max_tokens
        self._stop = stop or []
        self._model: Model | None = None
        self.slots: Slots | None = None

    @property
    def max_in_flight(self) -> int | None:
        """No limit: what has no slot waits."""
        return None

    @property
    def max_choices(self) -> int | None:
        """As configured."""
        return self._max_choices

    def identity(self) -> Mapping[str, Any]:
        """Its seed and parameters: never a model's samples."""
        return {"simulated": {"seed": self._seed, "pass_rate": [*self._rates], "lengths": [*self._lengths]}}

    async def start(self) -> None:
        """Read the answers.

        Raises:
            ConfigError: there is no file of answers, or none in it.
            InputError: it can't be read.
        """
        self._model = Model(self._seed, self._rates, self._lengths, self._learnt())
        self.slots = Slots(self._speed, asyncio.get_running_loop())

    async def close(self) -> None:
        """Nothing to let go of."""

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        """The completions of one request, when the engine is done with them."""
        if self._model is None or self.slots is None:
            await self.start()
        assert self._model is not None and self.slots is not None
        subject = self._model.subject(request.messages)
        n = self._unfailing(subject, request, min(request.n, self._max_choices or request.n))
        replies = [self._model.reply(subject, request.seed + j, self._max_tokens, self._stop) for j in range(n)]
        if not self.slots.instant:
            await self._generated(self.slots, [reply.tokens for reply in replies], subject)
        return [
            Completion(
                text=reply.text,
                finish_reason=reply.finish_reason,
                prompt_tokens=0 if j else subject.prompt_tokens,
                completion_tokens=reply.tokens,
                model=self._name,
            )
            for j, reply in enumerate(replies)
        ]

    async def _generated(self, slots: Slots, lengths: list[int], subject: Subject) -> None:
        over = asyncio.get_running_loop().create_future()

        def done(batch: Batch) -> None:
            if not over.done():
                over.set_result(None)

        batch = slots.submit(lengths, subject.prompt_tokens, done)
        try:
            await over
        except asyncio.CancelledError:
            slots.abort(batch)
            raise

    def _unfailing(self, subject: Subject, request: SampleRequest, n: int) -> int:
        """How many choices come before the first whose request fails this time."""
        for j in range(n):
            seed = request.seed + j
            if self._failing.of(subject.label, seed, 0) and (subject.label, seed) not in self._failed:
                if j:
                    return j
                self._failed.add((subject.label, seed))
                raise RequestFailed(f"simulated: the first request for index {request.index} fails")
        return n

    def _learnt(self) -> Answers | None:
        if self._answers is not None:
            found = answers_from([Path(self._answers).expanduser()])
            if not len(found):
                raise ConfigError(f"sampler.answers: no row of {self._answers} has messages and an answer")
            return found
        if self._data is None or not self._data.input_path:
            return None
        named = self._data.input_path
        files = [Path(name).expanduser() for name in ([named] if isinstance(named, str) else named)]
        if not all(file.is_file() for file in files):  # the run says so, or goes on without its input
            return None
        return answers_from(files, self._data.fields, self._data.preprocess.transform)
