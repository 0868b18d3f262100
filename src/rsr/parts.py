"""Builds the parts that a config names: sampler, verifiers, formatters, rules. All is checked, nothing started."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rsr.budgets import Allowed, Budget, Prices, Spent
from rsr.config import Loaded, sampling_identity, sampling_key
from rsr.errors import ConfigError, PluginError
from rsr.filters import Filters
from rsr.formatters import FORMATTERS
from rsr.guards import Guards, Limits
from rsr.messages import sampled_messages
from rsr.oversight import Oversight
from rsr.progress import Progress
from rsr.redaction import Redactor
from rsr.registry import checked, nearest
from rsr.samplers import SAMPLERS
from rsr.schedule import Needs, Rules, combined_needs
from rsr.sections import FormatterConfig, RunConfig, SamplerConfig
from rsr.store.rollouts import RolloutStore
from rsr.types import NO_LIMIT, Formatter, Message, Prompt, Rollout, Sampler
from rsr.verifiers.check import Check
from rsr.verifiers.pool import Pool
from rsr.verifiers.verification import Verification

PYTHON = "python:"
"""Before the name of a verifier or formatter that `rsr.run` was handed, in the config of its run directory."""

AUTO_SPECULATE = 0.25

_OURS = {"may_cancel", "data_config"}
"""Parameters of samplers that are no keys of the config: what they may know of the rest of it."""

_METERED = (
    "api.openai.com",
    "openrouter.ai",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.together.xyz",
    "api.fireworks.ai",
    "api.deepinfra.com",
    "api.groq.com",
    "api.mistral.ai",
    "api.deepseek.com",
    "api.x.ai",
    "dashscope.aliyuncs.com",
    "openai.azure.com",
)
"""Providers that bill an unfinished request in full: `speculate: auto` never runs ahead there."""


class Given(NamedTuple):
    """Parts that a Python caller hands over ready-made, in place of the config's."""

    sampler: Sampler | None = None
    verifier: Callable[..., Any] | None = None
    formatters: Sequence[Formatter] | None = None
    rows: Sequence[Mapping[str, Any]] | None = None


NOTHING = Given()


class Parts(NamedTuple):
    """What a run is made of."""

    config: RunConfig
    sampler: Sampler
    verification: Verification
    formatters: dict[str, Formatter]
    rules: Rules
    needs: Needs
    identity: dict[str, Any]
    sampling_key: bytes
    filters: Filters

    @property
    def limit(self) -> int:
        """`max_tokens` of now."""
        return self.config.sampler.max_tokens or NO_LIMIT

    def messages(self, prompt: Prompt) -> list[Message]:
        """A prompt's messages as they are sent."""
        sampler = self.config.sampler
        return sampled_messages(prompt.messages, sampler.system_prompt, sampler.prompt_suffix)

    @property
    def prices(self) -> Prices:
        """US dollars for a million tokens."""
        return Prices(**self.config.sampler.prices.model_dump())

    @property
    def keys(self) -> list[str]:
        """The keys of answers that formatters look at, by the names in `rsr.alike`."""
        named = {getattr(formatter, "key_function", None) for formatter in self.formatters.values()}
        return sorted(name for name in named if name)

    @property
    def passes(self) -> Callable[[Rollout], bool]:
        """Says whether a rollout passes by the first formatter's threshold."""
        threshold = getattr(next(iter(self.formatters.values())), "pass_threshold", 1.0)
        return lambda rollout: (
            (verdict := rollout.verdict) is not None and (verdict.score is not None and verdict.score >= threshold)
        )

    def oversight(self, progress: Progress, store: RolloutStore, redact: Callable[[str], str]) -> Oversight:
        """Guards, and the budget less what all starts of the run have spent so far."""
        config = self.config
        limits = None if config.guards is None else Limits(**config.guards.model_dump())
        budget = Budget(Allowed(**config.budget.model_dump()))
        if any(budget.allowed):
            counted = store.counters()
            requests, seconds = int(counted.get("requests", 0)), counted.get("seconds", 0.0)
            spent = Spent(*store.totals(), requests=requests, seconds=seconds)
            budget = Budget(budget.allowed, spent, self.prices, config.sampler.max_tokens)
        return Oversight(progress, Guards(limits, self.passes, redact), budget, self.passes)

    def close(self) -> None:
        """Stop the verifiers' processes."""
        self.verification.close()


def build(loaded: Loaded, redactor: Redactor, given: Given = NOTHING) -> Parts:
    """All parts of a config.

    Raises:
        ConfigError: an unknown name or key, or a value of the wrong type; names the key.
        PluginError: a plug-in can't be loaded.
    """
    config = loaded.config
    formatters = _formatters(loaded, given)
    rules = _rules(config)
    _refuse_too_few(formatters, rules)
    redactor.learn(config.model_dump())
    sampler = given.sampler or _sampler(loaded, rules, redactor)
    identity = sampling_identity(config, sampler.identity())
    check = _check(loaded, given)
    return Parts(
        config=config,
        sampler=sampler,
        verification=Verification(check, Pool()),
        formatters=formatters,
        rules=rules,
        needs=combined_needs([it for it in formatters.values() if not getattr(it, "follows", False)]),
        identity=identity,
        sampling_key=sampling_key(identity),
        filters=Filters(config.filters),
    )


def _check(loaded: Loaded, given: Given) -> Check:
    verifier = loaded.config.verifier
    if given.verifier is not None:
        return given.verifier if isinstance(given.verifier, Check) else Check.of_function(given.verifier)
    _refuse_python("verifier", verifier.type)
    with _placed(loaded):
        return Check(verifier.type, verifier.model_extra or {})


def _formatters(loaded: Loaded, given: Given) -> dict[str, Formatter]:
    built: dict[str, Formatter] = {}
    with _placed(loaded):
        seed = loaded.config.seed
        made = given.formatters or [_formatter(at, entry, seed) for at, entry in enumerate(loaded.config.formatter)]
    for number, formatter in enumerate(made):
        names = [(entry.model_extra or {}).get("name") for entry in loaded.config.formatter]
        name = str((names[number] if given.formatters is None else None) or formatter.name)
        beside: dict[str, Formatter] = formatter.companions() if hasattr(formatter, "companions") else {}
        files = {name: formatter, **{f"{name}_{suffix}": companion for suffix, companion in beside.items()}}
        if taken := [file for file in files if file in built]:
            fix = f"give one of them a name of its own, e.g. formatter.{number}.name={name}_2"
            raise ConfigError(f"formatter.{number}: two formatters would write {taken[0]}.jsonl; {fix}")
        if not name.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"formatter.{number}.name: {name!r} can't be a file's name; use letters, digits, _ and -")
        built |= files
    return built


def _refuse_too_few(formatters: Mapping[str, Formatter], rules: Rules) -> None:
    """A formatter that writes nothing below so many rollouts must be able to get them."""
    most = min(rules.max_rollouts, rules.attempts)
    for name, formatter in formatters.items():
        least = getattr(formatter, "least", 0)
        if least > most:
            fix = "lower it, or raise sampling.max_rollouts and sampling.max_steps"
            raise ConfigError(f"formatter {name}: n {least} is more than the {most} responses of a prompt; {fix}")


def _formatter(number: int, entry: FormatterConfig, seed: int) -> Formatter:
    _refuse_python(f"formatter.{number}", entry.type)
    params = {key: value for key, value in (entry.model_extra or {}).items() if key != "name"}
    where = f"formatter.{number}" if number else "formatter"
    if FORMATTERS.takes(entry.type, "seed"):
        params.setdefault("seed", seed)  # where choices are random, they follow the run's
    formatter: Formatter = FORMATTERS.build(entry.type, params, where=where)
    for member in ("name", "needs", "rows"):
        if not hasattr(formatter, member):
            raise PluginError(f"formatter {entry.type!r} has no {member!r}; see docs/extending.md")
    return formatter


def _refuse_python(key: str, type: str) -> None:
    if type.startswith(PYTHON):
        name = type.removeprefix(PYTHON)
        fix = f"put it into a file and set {key}.type=FILE.py:{name.rpartition('.')[2]}, or use rsr.run and rsr.open"
        raise ConfigError(f"{key}.type: {name} was handed over from Python and has no name here; {fix}")


@contextmanager
def _placed(loaded: Loaded) -> Iterator[None]:
    """Say of a wrong key where it was written."""
    try:
        yield
    except ConfigError as error:
        key = str(error).partition(":")[0]
        first = key.replace("formatter.", "formatter.0.", 1)
        where = "" if " " in key else loaded.where(first) or loaded.where(key)
        raise ConfigError(f"{error}{where}") from error.__cause__


def _rules(config: RunConfig) -> Rules:
    sampling = config.sampling
    speculate = sampling.speculate
    if isinstance(speculate, str):
        billed = config.sampler.prices.completion is not None or _metered(config.sampler)
        speculate = 0.0 if billed else AUTO_SPECULATE
    return Rules(
        max_rollouts=sampling.max_rollouts,
        step_size=sampling.step_size,
        max_steps=sampling.max_steps,
        early_stop=sampling.early_stop,
        policy=sampling.schedule,
        speculate=speculate if sampling.schedule == "continuous" and sampling.early_stop else 0.0,
    )


def _metered(sampler: SamplerConfig) -> bool:
    if sampler.type != "openai-compatible-api":
        return False
    try:
        host = urlsplit(sampler.base_url or "https://api.openai.com/v1").hostname or ""
    except ValueError:  # the sampler says what is wrong with it
        return False
    return any(host == known or host.endswith("." + known) for known in _METERED)


def _sampler(loaded: Loaded, rules: Rules, redactor: Redactor) -> Sampler:
    config = loaded.config.sampler
    extra = config.model_extra or {}
    key = config.api_key or os.environ.get("OPENAI_API_KEY")
    redactor.add(key)
    common = {name: getattr(config, name) for name in SamplerConfig.model_fields if name != "type"}
    common |= {"api_key": key, "may_cancel": rules.speculate > 0, "data_config": loaded.config.data}
    factory = SAMPLERS.load(config.type)
    names = set(inspect.signature(factory).parameters)
    for name in extra:
        if name not in names - _OURS:
            where = loaded.where(f"sampler.{name}")
            hint = nearest(name, {*SamplerConfig.model_fields, *names} - _OURS)
            raise ConfigError(f"sampler.{name}: unknown key{where}; {hint}")
    own = checked(factory, extra, "sampler") if extra else {}
    sampler = factory(**{name: value for name, value in common.items() if name in names}, **own)
    if not isinstance(sampler, Sampler):
        raise PluginError(
            f"sampler {config.type!r} lacks one of max_in_flight, max_choices, identity, start, sample, close"
        )
    return sampler
