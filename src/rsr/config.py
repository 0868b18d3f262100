"""The config of a run: every key with its type, default, class and meaning; loading, overriding, checking, comparing.

A config is YAML, `key=value` overrides and `${oc.env:NAME}`, merged in this order and checked as a whole before
anything starts. Each key is of one class, which says what a change costs when a run goes on:

    identity    another stream of samples: refused, unless `--new-samples`
    limits      only indices that the old limit cut are drawn again
    transport   how samples are fetched: free
    decisions   thresholds, formatters, verifiers, budgets, input: replayed, the difference is paid
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from rsr.errors import ConfigError
from rsr.hashing import MAX_ATTEMPTS, content_hash
from rsr.written import Origin, explained, set_key, unresolved, where


class KeyClass(enum.StrEnum):
    """What a changed key costs."""

    IDENTITY = "identity"
    LIMITS = "limits"
    TRANSPORT = "transport"
    DECISIONS = "decisions"


_IDENTITY: dict[str, Any] = {"class": KeyClass.IDENTITY}
_LIMITS: dict[str, Any] = {"class": KeyClass.LIMITS}
_DECISIONS: dict[str, Any] = {"class": KeyClass.DECISIONS}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _written(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        if value is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return {}  # a section whose keys are all commented out
        if isinstance(value, bool) and annotation in (int, float, int | None, float | None):
            raise ValueError(f"should be a number (it is {str(value).lower()})")
        return value


class PreprocessConfig(_Section):
    """`data.preprocess`."""

    transform: str | None = Field(None, json_schema_extra=_DECISIONS)
    """`./file.py:function`, called with each row; returns a row, None to skip it, or a list of rows."""


class FieldsConfig(_Section):
    """`data.fields`: which column of the input holds what."""

    id: str = Field("id", json_schema_extra=_DECISIONS)
    """Column of the unique id. It may be absent."""
    messages: str = Field("messages", json_schema_extra=_DECISIONS)
    """Column of the OpenAI chat messages."""
    metadata: str = Field("metadata", json_schema_extra=_DECISIONS)
    """Column of the metadata mapping."""
    prompt: str | None = Field(None, json_schema_extra=_DECISIONS)
    """Column of a plain question, for rows without messages. Default: `prompt`, else `question`."""
    answer: str = Field("answer", json_schema_extra=_DECISIONS)
    """Column of the reference, where metadata holds none."""
    choices: str = Field("choices", json_schema_extra=_DECISIONS)
    """Column of the options, where metadata holds none."""


class DataConfig(_Section):
    """`data`: the input."""

    input_path: str | list[str] | None = Field(None, json_schema_extra=_DECISIONS)
    """The prompts: a JSONL (.gz too) or Parquet file, or a list of them."""
    fields: FieldsConfig = FieldsConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    limit: int | None = Field(None, ge=1, json_schema_extra=_DECISIONS)
    """Use the first so many prompts (after shuffling)."""
    shuffle: bool = Field(False, json_schema_extra=_DECISIONS)
    """Put the prompts into an order drawn by `seed`; the training files are in that order."""
    on_error: Literal["stop", "skip"] = Field("stop", json_schema_extra=_DECISIONS)
    """What to do with a row that can't be used: stop before anything is spent, or list it and go on."""


class SamplingConfig(_Section):
    """`sampling`: the budget of each prompt and the schedule."""

    max_rollouts: int = Field(16, ge=1, json_schema_extra=_DECISIONS)
    """Valid responses per prompt at most; truncated, filtered and empty ones don't count."""
    step_size: int = Field(4, ge=1, json_schema_extra=_DECISIONS)
    """Responses per step; step_size * max_steps is the most that are ever drawn for a prompt."""
    max_steps: int = Field(4, ge=1, json_schema_extra=_DECISIONS)
    """Steps per prompt at most."""
    early_stop: bool = Field(True, json_schema_extra=_DECISIONS)
    """Stop a prompt as soon as all formatters are satisfied."""
    schedule: Literal["continuous", "steps"] = Field("continuous", json_schema_extra=_DECISIONS)
    """continuous: stop at the first index that satisfies; steps: draw step_size responses, look, draw again."""
    speculate: float | Literal["auto"] = Field("auto", json_schema_extra={"class": KeyClass.TRANSPORT})
    """How far free slots may run ahead when no prompt is left to start, 0 (never) to 1 (always): an index is drawn
    when it will be needed with a probability of at least 1 - speculate. auto: 0.25, and 0 where unfinished requests are
    billed in full."""

    @field_validator("speculate")
    @classmethod
    def _within(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not 0 <= value <= 1:
            raise ValueError(f"must be between 0 and 1, or auto (it is {value})")
        return value

    @property
    def attempts(self) -> int:
        """The most indices that a prompt can have."""
        return self.step_size * self.max_steps


class SamplerConfig(_Section):
    """`sampler`: the model and how it is reached. Parameters that are not set are not sent."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True, protected_namespaces=())

    type: str = "openai-compatible-api"
    """openai-compatible-api, llama-cpp, scripted, or a plug-in's name."""
    model: str | None = Field(None, json_schema_extra=_IDENTITY)
    """Model name as the server knows it. llama-cpp: smollm2-135m-instruct."""
    base_url: str | None = None
    """Address of the server's API, usually ending in /v1. Default: OpenAI's."""
    api_key: str | None = None
    """Default: the environment variable OPENAI_API_KEY. Never written anywhere."""
    headers: dict[str, str] = {}
    """Further HTTP headers. Their values are never written anywhere, but for harmless ones such as User-Agent."""
    temperature: float | None = Field(None, ge=0, json_schema_extra=_IDENTITY)
    """Sampling temperature. 0 is refused where a prompt may be asked more than once."""
    top_p: float | None = Field(None, gt=0, le=1, json_schema_extra=_IDENTITY)
    """Nucleus sampling."""
    max_tokens: int | None = Field(None, ge=1, json_schema_extra=_LIMITS)
    """Longest response in tokens. Raised later, only responses that it cut are drawn again."""
    stop: list[str] | None = Field(None, json_schema_extra=_IDENTITY)
    """Stop string, or a list of them."""
    extra_params: dict[str, Any] = Field({}, json_schema_extra=_IDENTITY)
    """Further request parameters, sent as they are (top_k, min_p, chat_template_kwargs, ...)."""
    system_prompt: str | None = Field(None, json_schema_extra=_IDENTITY)
    """Put before the messages when sampling; stays out of the training rows (see formatter.messages)."""
    prompt_suffix: str | None = Field(None, json_schema_extra=_IDENTITY)
    """Put after the last user message when sampling; stays out of the training rows."""
    concurrent_requests: int = Field(128, ge=1)
    """Completions in flight at most; a request with n choices counts n."""
    timeout: float = Field(600, gt=0)
    """Seconds that one request may take."""
    max_retries: int = Field(6, ge=0)
    """How often a failed request is sent again before its prompt is put off."""
    stream: bool | Literal["auto"] = "auto"
    """auto: only where a server would go on generating after we hang up."""
    send_seed: bool = True
    """Send a seed of its own with each request; false for servers that refuse the parameter."""
    drop_truncated: bool = True
    """Kept for configs of the reference implementation; truncated responses are never training data."""
    model_path: str | None = None
    """llama-cpp: a GGUF file."""
    n_parallel: int = Field(16, ge=1)
    """llama-cpp: responses generated at once."""
    n_ctx: int = Field(2048, ge=64)
    """llama-cpp: context in tokens of each of them."""
    n_threads: int | None = Field(None, ge=1)
    """llama-cpp: threads; default: cores - 1."""
    n_gpu_layers: int | None = None
    """llama-cpp: layers to put on a GPU."""
    tensor_parallel_size: int | None = None
    """Kept for configs of the reference implementation; not used by this version."""
    data_parallel_size: int | None = None
    """Kept for the same reason; not used by this version."""
    gpu_memory_utilization: float | None = None
    """Kept for the same reason; not used by this version."""
    replies: Any = Field(None, json_schema_extra=_IDENTITY)
    """scripted: a list of replies, prompt id -> list, or ./file.py:function."""

    @field_validator("stop", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("drop_truncated")
    @classmethod
    def _dropped(cls, value: bool) -> bool:
        if not value:
            raise ValueError("false is not supported: a truncated response is never training data; raise max_tokens")
        return value


class VerifierConfig(_Section):
    """`verifier`: the default verifier and its parameters; a row may name its own in `metadata.verifier`."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str = Field("mcq-rlvr", json_schema_extra=_DECISIONS)
    """mcq-rlvr, math-rlvr, exact, ./file.py:function, or a plug-in's name."""


class FormatterConfig(_Section):
    """One entry of `formatter`; the other keys are the formatter's own."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str = Field("sft", json_schema_extra=_DECISIONS)
    """sft, dpo, multi_sft, ./file.py:Class, or a plug-in's name."""


class RunConfig(_Section):
    """A whole config."""

    data: DataConfig = DataConfig()
    sampling: SamplingConfig = SamplingConfig()
    sampler: SamplerConfig = SamplerConfig()
    verifier: VerifierConfig = VerifierConfig()
    formatter: list[FormatterConfig] = Field([FormatterConfig()], json_schema_extra=_DECISIONS)
    """What to write: sft, dpo, multi_sft; each with its own keys. One entry or a list."""
    seed: int = Field(0, json_schema_extra=_IDENTITY)
    """The run's seed: every rollout's seed follows from it."""
    work_dir: str | None = None
    """The run directory. Default: runs/<recipe>-<8 hex>, the same for the same command."""
    stop_grace: float = Field(60, ge=0)
    """Seconds that Ctrl-C waits for what is in flight (SIGTERM: 20 at most)."""
    guards: dict[str, Any] | None = {}
    """Reserved; not used by this version."""

    @field_validator("formatter", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        entries = value if isinstance(value, list) else [value]
        return [{"type": entry} if isinstance(entry, str) else entry for entry in entries]

    @field_validator("formatter")
    @classmethod
    def _not_empty(cls, value: list[FormatterConfig]) -> list[FormatterConfig]:
        if not value:
            raise ValueError("is empty; name at least one of sft, dpo, multi_sft")
        return value

    @model_validator(mode="after")
    def _sensible(self) -> RunConfig:
        if self.sampling.attempts > MAX_ATTEMPTS:
            raise ValueError(f"sampling.step_size * sampling.max_steps: must be at most {MAX_ATTEMPTS}")
        if self.sampler.temperature == 0 and self.sampling.attempts > 1:
            raise ValueError(
                "sampler.temperature: is 0, so every response to a prompt would be the same; "
                "raise it, or set sampling.step_size=1 sampling.max_steps=1"
            )
        return self

    def warnings(self) -> list[str]:
        """What will happen that the user may not expect, a line each."""
        sampling = self.sampling
        if sampling.attempts >= sampling.max_rollouts:
            return []
        product = f"step_size {sampling.step_size} * max_steps {sampling.max_steps} = {sampling.attempts}"
        effect = f"at most {sampling.attempts} responses will be drawn for a prompt"
        return [f"sampling: {product} is less than max_rollouts {sampling.max_rollouts}: {effect}"]


class Loaded(NamedTuple):
    """A checked config, and what it was before interpolation, which is what may be written down."""

    config: RunConfig
    source: dict[str, Any]
    recipe: str
    origin: Origin
    overrides: Sequence[str] = ()

    def where(self, key: str) -> str:
        """` (FILE, line N)` or ` (command line)`, wherever a dotted key was written; empty: nowhere."""
        return where(key.split("."), self.origin, self.overrides)


def load(
    origin: Origin,
    overrides: Sequence[str] = (),
    recipe: str = "run",
    prepare: Callable[[DictConfig], None] = lambda content: None,
) -> Loaded:
    """Merge, interpolate and check.

    Args:
        origin: the YAML.
        overrides: `dotted.key=value`, values as YAML.
        recipe: the name for the default work directory.
        prepare: changes the merged content, before interpolation.

    Raises:
        ConfigError: one line that names the key, where it stands, and the fix.
    """
    content = origin.content.copy()
    for override in overrides:
        set_key(content, override)
    prepare(content)
    source = OmegaConf.to_container(content, resolve=False)
    assert isinstance(source, dict)
    try:
        resolved = OmegaConf.to_container(content, resolve=True)
    except OmegaConfBaseException as cause:
        raise ConfigError(unresolved(cause, origin, overrides)) from None
    try:
        config = RunConfig.model_validate(resolved)
    except ValidationError as cause:
        raise ConfigError(explained(cause, [key for key, _ in key_classes()], origin, overrides)) from None
    return Loaded(config, {str(key): value for key, value in source.items()}, recipe, origin, overrides)


def sampling_identity(config: RunConfig, sampler: Mapping[str, Any]) -> dict[str, Any]:
    """What the sampling key is a hash of; `sampler` is what the sampler adds, e.g. the weights' file."""
    values = config.model_dump(mode="json")
    identity = {key: _get(values, key) for key, kind in key_classes() if kind is KeyClass.IDENTITY}
    return {key: value for key, value in {**identity, **sampler}.items() if value not in (None, {}, [])}


def sampling_key(identity: Mapping[str, Any]) -> bytes:
    """16 bytes that identify a way of sampling."""
    return content_hash(identity)


def key_classes() -> Iterator[tuple[str, KeyClass]]:
    """Every known key, dotted, with its class, in the order of the config."""
    for path, field in _fields(RunConfig):
        extra = field.json_schema_extra
        kind = extra.get("class", KeyClass.TRANSPORT) if isinstance(extra, dict) else KeyClass.TRANSPORT
        yield path, KeyClass(str(kind))


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The dotted keys that differ, with both values (lists count as one value)."""
    before, after = dict(_flat(old)), dict(_flat(new))
    keys = [*before, *(key for key in after if key not in before)]
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def key_class(key: str) -> KeyClass:
    """The class of a dotted key; parameters of verifiers and formatters are decisions."""
    known = dict(key_classes())
    while key:
        if key in known:
            return known[key]
        key = key.rpartition(".")[0]
        if key in ("verifier", "formatter", "data"):
            return KeyClass.DECISIONS
    return KeyClass.TRANSPORT


def describe() -> Iterator[tuple[str, Any, KeyClass, str]]:
    """Every key with default, class and meaning: the source of the reference page and of configs/config.yaml."""
    classes = dict(key_classes())
    for path, field in _fields(RunConfig):
        default = field.get_default(call_default_factory=True)
        yield path, default, classes[path], " ".join((field.description or "").split())


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value and f"{prefix}{key}" not in ("sampler.extra_params", "sampler.headers"):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _get(values: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        values = values[part]
    return values
