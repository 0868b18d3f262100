"""The sections of a config: every key with its type, default, class and meaning.

Each key is of one class, which says what a change costs when a run goes on:

    identity    another stream of samples: refused, unless `--new-samples`
    limits      only indices that the old limit cut are drawn again
    transport   how samples are fetched: free
    decisions   thresholds, formatters, verifiers, budgets, input: replayed, the difference is paid
"""

from __future__ import annotations

import enum
import types
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from rsr.hashing import MAX_ATTEMPTS


class KeyClass(enum.StrEnum):
    """What a changed key costs."""

    IDENTITY = "identity"
    LIMITS = "limits"
    TRANSPORT = "transport"
    DECISIONS = "decisions"


_IDENTITY: dict[str, Any] = {"class": KeyClass.IDENTITY}
_LIMITS: dict[str, Any] = {"class": KeyClass.LIMITS}
_DECISIONS: dict[str, Any] = {"class": KeyClass.DECISIONS}


class Section(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _written(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        if value is None and isinstance(annotation, type) and issubclass(annotation, Section):
            return {}  # a section whose keys are all commented out
        if isinstance(value, bool) and annotation in (int, float, int | None, float | None):
            raise ValueError(f"should be a number (it is {str(value).lower()})")
        return value


class PreprocessConfig(Section):
    """`data.preprocess`."""

    transform: str | None = Field(None, json_schema_extra=_DECISIONS)
    """`./file.py:function`, called with each row; returns a row, None to skip it, or a list of rows."""


class FieldsConfig(Section):
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


class DataConfig(Section):
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


class SamplingConfig(Section):
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


class PricesConfig(Section):
    """`sampler.prices`: for the cost in the summary, `budget.usd`, and `speculate: auto`."""

    prompt: float | None = Field(None, ge=0)
    """US dollars for a million prompt tokens."""
    completion: float | None = Field(None, ge=0)
    """US dollars for a million completion tokens."""


class SamplerConfig(Section):
    """`sampler`: the model and how it is reached. Parameters that are not set are not sent."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True, protected_namespaces=())

    type: str = "openai-compatible-api"
    """openai-compatible-api, llama-cpp, simulated, scripted, or a plug-in's name."""
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
    timeout: float | None = Field(None, gt=0)
    """Seconds that one request may take. Default: long enough for max_tokens at 5 tokens/s."""
    stall_timeout: float = Field(300, gt=0)
    """Seconds without a byte after which a reply that had begun is given up."""
    requests_per_minute: int | None = Field(None, ge=1)
    """Requests sent in any minute at most, where the provider limits them."""
    tokens_per_minute: int | None = Field(None, ge=1)
    """Prompt and completion tokens in any minute at most, where the provider limits them."""
    max_outage: float = Field(3600, ge=0)
    """Seconds that a run waits for a server that is gone; then it ends, with what is missing left open."""
    prices: PricesConfig = PricesConfig()
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


class VerifierConfig(Section):
    """`verifier`: the default verifier and its parameters; a row may name its own in `metadata.verifier`."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str = Field("mcq-rlvr", json_schema_extra=_DECISIONS)
    """mcq-rlvr, math-rlvr, exact, ./file.py:function, or a plug-in's name."""


class FormatterConfig(Section):
    """One entry of `formatter`; the other keys are the formatter's own."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str = Field("sft", json_schema_extra=_DECISIONS)
    """sft, dpo, multi_sft, kto, reward_pairs, rl_prompts, ./file.py:Class, or a plug-in's name."""


class FiltersConfig(Section):
    """`filters`: what is kept out of the training files. Sampling does not depend on it."""

    evaluation: list[str] = Field([], json_schema_extra=_DECISIONS)
    """Evaluation files (JSONL, .gz too, Parquet, .txt): what shares an n-gram with them is left out."""
    ngram: int = Field(13, ge=6, json_schema_extra=_DECISIONS)
    """Words of an n-gram; a prompt that is a shorter text of such a file (of 6 words or more) is left out too."""
    min_length: int | None = Field(None, ge=1, json_schema_extra=_DECISIONS)
    """Shortest response."""
    max_length: int | None = Field(None, ge=1, json_schema_extra=_DECISIONS)
    """Longest response."""
    length_unit: Literal["characters", "words", "tokens"] = Field("characters", json_schema_extra=_DECISIONS)
    """What lengths are counted in; tokens need `tokenizer`."""
    tokenizer: str | None = Field(None, json_schema_extra=_DECISIONS)
    """A folder with tokenizer.json, as models have."""
    repetition: float | None = Field(None, gt=0, le=1, json_schema_extra=_DECISIONS)
    """Most of a response that may be repetition: the share of its pieces of 24 characters that stand in it before.
    Loops are above 0.5."""
    refuse: list[str] = Field([], json_schema_extra=_DECISIONS)
    """Patterns (RE2): a response in which one of them is found is left out."""
    require: list[str] = Field([], json_schema_extra=_DECISIONS)
    """Patterns (RE2): a response in which one of them is not found is left out."""
    reasoning: bool = Field(True, json_schema_extra=_DECISIONS)
    """Look at the reasoning of a response too, not only at its final answer."""

    @field_validator("evaluation", "refuse", "require", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _sensible(self) -> FiltersConfig:
        if self.min_length and self.max_length and self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} must be at most max_length {self.max_length}")
        return self


class StoreConfig(Section):
    """`store`: how rollouts are put on disk."""

    sync: float | None = Field(1.0, ge=0)
    """A power failure costs at most so many seconds of rollouts. 0: none; null: whatever the system holds back."""
    segment_bytes: int = Field(4 << 30, ge=1 << 16)
    """A file of rollouts that has grown to this size is sealed and a new one begun."""
    local_dir: str | None = None
    """A folder on a local disk for the file being written, where work_dir is on a network."""
    reserve_bytes: int = Field(64 << 20, ge=0)
    """Room kept free for what is in flight when the disk is full."""
    wait_for_room: float = Field(300, ge=0)
    """Seconds that a run waits for room on a full disk; then it ends."""


class BudgetConfig(Section):
    """`budget`: where a run ends although something is owed; `rsr run` with a larger one goes on."""

    tokens: int | None = Field(None, ge=1, json_schema_extra=_DECISIONS)
    """Prompt and completion tokens of all that is stored."""
    requests: int | None = Field(None, ge=1, json_schema_extra=_DECISIONS)
    """Requests, failed ones too; what one is sent again for does not count."""
    seconds: float | None = Field(None, gt=0, json_schema_extra=_DECISIONS)
    """Seconds of sampling, all starts of the run together."""
    usd: float | None = Field(None, gt=0, json_schema_extra=_DECISIONS)
    """US dollars, by sampler.prices."""


class GuardsConfig(Section):
    """`guards`: alarms that end a run which is going wrong, with exit code 4; null turns one off, or all of them."""

    window: int = Field(200, ge=10)
    """How many of the latest rollouts (requests for failed_requests) are looked at."""
    truncated: float | None = Field(0.5, gt=0, le=1)
    """Share that max_tokens cut."""
    failed_requests: float | None = Field(0.5, gt=0, le=1)
    """Share of requests that failed to the end."""
    verifier_errors: float | None = Field(0.2, gt=0, le=1)
    """Share of verdicts that are verifier errors."""
    no_answer: float | None = Field(0.8, gt=0, le=1)
    """Share of verdicts without an answer."""
    identical: float | None = Field(0.8, gt=0, le=1)
    """Share of a prompt's further responses of more than 20 characters that repeat an earlier one of it (a cache, or a
    server that ignores seeds)."""
    pass_rate: int | None = Field(500, ge=10)
    """So many scored rollouts in a row that all pass, or all fail; more where the other is rare anyway."""


class RunConfig(Section):
    """A whole config."""

    data: DataConfig = DataConfig()
    sampling: SamplingConfig = SamplingConfig()
    sampler: SamplerConfig = SamplerConfig()
    verifier: VerifierConfig = VerifierConfig()
    formatter: list[FormatterConfig] = Field([FormatterConfig()], json_schema_extra=_DECISIONS)
    """What to write: sft, dpo, multi_sft, kto, reward_pairs, rl_prompts; each with its own keys. One or a list."""
    filters: FiltersConfig = FiltersConfig()
    seed: int = Field(0, json_schema_extra=_IDENTITY)
    """The run's seed: every rollout's seed follows from it."""
    work_dir: str | None = None
    """The run directory. Default: runs/<recipe>-<8 hex>, the same for the same command."""
    stop_grace: float = Field(60, ge=0)
    """Seconds that Ctrl-C waits for what is in flight (SIGTERM: 20 at most)."""
    store: StoreConfig = StoreConfig()
    budget: BudgetConfig = BudgetConfig()
    guards: GuardsConfig | None = GuardsConfig()

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
        if self.budget.usd is not None and self.sampler.prices.completion is None:
            raise ValueError("budget.usd: needs sampler.prices.completion (US dollars for a million tokens)")
        return self

    def warnings(self) -> list[str]:
        """What will happen that the user may not expect, a line each."""
        sampling = self.sampling
        if sampling.attempts >= sampling.max_rollouts:
            return []
        product = f"step_size {sampling.step_size} * max_steps {sampling.max_steps} = {sampling.attempts}"
        effect = f"at most {sampling.attempts} responses will be drawn for a prompt"
        return [f"sampling: {product} is less than max_rollouts {sampling.max_rollouts}: {effect}"]


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a key is, `Section | None` too; None for a plain key."""
    options = get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((kind for kind in options if isinstance(kind, type) and issubclass(kind, Section)), None)
