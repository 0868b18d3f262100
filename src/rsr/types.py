"""The records and protocols that every other file speaks of.

A **prompt** is asked for **completions**; one completion of one prompt at one index (0, 1, 2, ...) is a **rollout**.
A verifier gives its answer a **verdict**; formatters say what a prompt still needs and write its training rows.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

Message = dict[str, Any]
"""An OpenAI chat message: `role`, `content`, and whatever else the server takes."""

Row = dict[str, Any]
"""One line of a training file."""

NO_LIMIT = 2**31 - 1
"""The limit of a rollout that was drawn without `max_tokens`."""


class Outcome(enum.StrEnum):
    """What became of an index. All are final and spend an attempt; only `OK` is valid.

    An index without an outcome is open: its request failed, or it was never sent.
    """

    OK = "ok"
    TRUNCATED = "truncated"  # the length limit cut it
    FILTERED = "filtered"  # the server's content filter cut it, or it ended in a way that is not an answer
    EMPTY = "empty"  # it ended by itself with a blank answer
    FAILED = "failed"  # given up on by `--give-up`
    REFUSED = "refused"  # the server refuses the prompt itself; closes the prompt


class Reason(enum.StrEnum):
    """Why a verdict has no score."""

    NO_ANSWER = "no_answer"  # a rule found no answer; final
    UNVERIFIABLE = "unverifiable"  # the verifier's limit of CPU time was reached; final
    VERIFIER_ERROR = "verifier_error"  # not final: the index stays open and is verified again


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One usable input row."""

    order: int
    """Position in the input, from 0."""
    key: bytes
    """16 bytes: hash of id, messages, tools and images (see `rsr.hashing.prompt_key`)."""
    id: str
    messages: list[Message]
    metadata: dict[str, Any] = {}
    """Holds `answer` and whatever a verifier needs."""
    tools: list[Any] | None = None
    images: list[Any] | None = None


class SampleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a sampler: `n` choices; choice j is the answer to `seed + j`."""

    messages: list[Message]
    seed: int
    n: int = 1
    tools: list[Any] | None = None
    images: list[Any] | None = None
    tag: str = ""
    """The prompt's id, for error texts and scripts. Not sent."""
    index: int = 0
    """The rollout index of choice 0, for scripts. Not sent."""


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What a sampler returns for one choice."""

    text: str
    reasoning: str | None = None
    """Reasoning that the server gave in a field of its own."""
    finish_reason: str = "stop"
    """`stop`, `length`, `content_filter`, or whatever the server said; `timeout`: cut by our own limit of time."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None
    """The model that the reply names."""
    redrawn: bool = False
    """An earlier try for it failed after generation may have begun. Redrawing what takes long favours short answers."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A verifier's word on one response."""

    score: float | None = None
    """Rounded to 1e-9. None: neither right nor wrong, see `reason`."""
    extracted: str | None = None
    """The answer that was read out of the response."""
    reason: Reason | None = None
    detail: str | None = None
    """A line for people, e.g. the error of a failed verifier."""

    @property
    def final(self) -> bool:
        """Whether the index is decided by it (a `verifier_error` is tried again)."""
        return self.reason is not Reason.VERIFIER_ERROR


class Rollout(msgspec.Struct, kw_only=True):
    """One completion of one prompt at one index, with its outcome and verdict."""

    index: int
    outcome: Outcome
    verdict: Verdict | None = None
    """The verdict under the config of now; None: not verified (yet)."""
    seed: int = 0
    limit: int = NO_LIMIT
    """`max_tokens` when it was drawn."""
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    answer_key: int = 0
    """Hash of the final answer after trimming white space: equal keys are equal answers."""
    has_reasoning: bool = False
    redrawn: bool = False
    """An earlier request for it failed after generation may have begun."""
    keys: Mapping[str, int] | None = None
    """What formatters asked for beside `answer_key`, by the names in `rsr.alike`; None: nobody did."""
    response: str = ""
    """The final answer. Empty while only decisions are made; filled in when rows are written."""
    reasoning: str = ""

    @property
    def score(self) -> float | None:
        """The verdict's score, if there is one."""
        return None if self.verdict is None else self.verdict.score

    def forget_text(self) -> None:
        """Keep only what decisions need; the text is on disk."""
        self.response = self.reasoning = ""

    @property
    def decided(self) -> bool:
        """Whether nothing more is to be learnt about this index."""
        if self.outcome is not Outcome.OK:
            return True
        return self.verdict is not None and self.verdict.final


@runtime_checkable
class Sampler(Protocol):
    """Turns a request into completions. Cancelling the task that awaits `sample` ends the generation.

    Looked for, and may be left out: `drain()`, called when the run ends (what was not sent yet raises `RequestFailed`),
    and `state`, in a few words what holds everything up.
    """

    @property
    def max_in_flight(self) -> int | None:
        """How many completions it can generate at once; None: no limit of its own."""

    @property
    def max_choices(self) -> int | None:
        """The largest `n` of one request; None: no limit known. May fall while running."""

    def identity(self) -> Mapping[str, Any]:
        """What decides the text beside the common sampling keys, e.g. the weights' file."""

    async def start(self) -> None:
        """Connect and check, before anything is spent. Raises `ConfigError` when it can't work as configured."""

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        """At least 1 and at most `request.n` completions, in choice order.

        Raises:
            RequestFailed: nothing usable came back; the indices stay open and may be asked for again.
            PromptRefused: the server won't answer this prompt, whatever the index.
            SamplerStopped: no request can succeed (key, model, address); the run ends.
        """

    async def close(self) -> None:
        """Let go of connections and memory."""


class Verifier(Protocol):
    """Judges one final answer against a reference. A plain function will do.

    It may return a `Verdict`, a number, a bool, or None for "no answer found"; what it raises becomes a
    `verifier_error`. Attributes that are read where present: `version` (str, raise it when verdicts change),
    `needs_answer` (bool), `isolated` (bool: run it in a process that can be killed), `choices_of` (reads the options
    out of a prompt's text).
    """

    def __call__(
        self,
        response: str,
        answer: Any,
        *,
        choices: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Verdict | float | bool | None: ...


class Formatter(Protocol):
    """Says what a prompt still needs and writes its rows. Sees valid rollouts only, in index order.

    `missing`, `reads` and `dataset_info` may be left out. Looked for where there: `key_function`, a name in `rsr.alike`
    of a key that `needs` looks at; `shape`, the columns of its file (`rsr.row_files`).
    """

    @property
    def name(self) -> str:
        """The training file's stem."""

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """The least number of further valid rollouts that could satisfy it; 0: satisfied.

        Must not rise when rollouts are added, and must look at scores and keys only (texts are not filled in).
        """

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterable[FormattedRow]:
        """The training rows of a prompt, from 0 up."""

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """In one word why there is no row: `no_pass`, `no_fail`, ..."""

    def reads(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        """Those whose texts `rows` looks at; without this method all are fetched."""

    def dataset_info(self) -> Mapping[str, Any] | None:
        """Its entry in LLaMA-Factory's `dataset_info.json` less the file name; None: no trainer reads it."""


class FormattedRow(msgspec.Struct, frozen=True):
    """A training row and the indices of the rollouts it is made of (first the chosen one)."""

    row: Row
    indices: tuple[int, ...]


class StoredPrompt(msgspec.Struct):
    """A prompt with what the store holds of it."""

    prompt: Prompt
    rollouts: list[Rollout]


PromptStream = Iterator[StoredPrompt]
