"""A verifier with its identity: the one thing that the engine and users call.

    response ──split_reasoning──> final answer ──quick──> verdict            the cheap case, in the calling thread
                                               └─isolated──> pool ──judge───> verdict
                                               └─remote ───> loop ──ajudge──> verdict    sends requests, or asks others
                                               └─otherwise──────────judge───> verdict

`Check` never raises on a response: what a verifier raises becomes a `verifier_error`, never a score.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from rsr import hashing, registry
from rsr.errors import ConfigError, PluginError
from rsr.reasoning import split_reasoning
from rsr.types import Message, Reason, Verdict
from rsr.verifiers import VERIFIERS
from rsr.verifiers.pipe import Spec, Task
from rsr.verifiers.pool import Pool, shared_pool
from rsr.verifiers.remote import Asked, Remote, Service, awaited, shared_remote

_POLICIES = ("none", "fail")
_ASKED_WITH = ["answer", "choices", "metadata"]


class Check:
    """A built verifier.

    Args:
        type: a built-in name, an entry point's, or `path.py:name`.
        params: the config's keys beside `type`. `no_answer` is taken by every verifier: `none` (default) leaves a
            response without an answer without a score, `fail` gives it 0.0. So is `cpu_seconds`: the CPU time that
            judging one response may take in a worker of the pool (default: 2).

    Raises:
        ConfigError: no such verifier, or a key that it doesn't take.
        PluginError: it can't be loaded, or can't be called as a verifier.

    Attributes:
        remote: it sends requests, or asks verifiers that may.
        services: the servers that it sends requests to.
        score_range: the lowest and the highest score that it can give; None: any.
    """

    def __init__(self, type: str, params: Mapping[str, Any] | None = None) -> None:
        self.name = type
        self.is_function = False
        self._setup(lambda own: VERIFIERS.build(type, own, where="verifier"), params or {})
        is_file = registry.file_version(type) is not None
        built_in = self._from_rsr()
        self.isolated = bool(getattr(self._verifier, "isolated", not built_in and not self.remote))
        self.score_range = getattr(self._verifier, "score_range", (0.0, 1.0) if built_in and not self.remote else None)
        self.version = str(getattr(self._verifier, "version", None) or registry.file_version(type) or "1")
        self._spec: Spec | None = Spec(_absolute(type) if is_file else type, dict(self.params))

    @classmethod
    def of_function(cls, function: Callable[..., Any], no_answer: str = "none") -> Check:
        """A verifier from a callable; it runs in this process, in the calling thread.

        Raises:
            PluginError: it can't be called as a verifier.
        """
        check = cls.__new__(cls)
        check.name = str(getattr(function, "__qualname__", None) or type(function).__qualname__)
        check.is_function = True
        check._setup(lambda own: function, {"no_answer": no_answer})
        check.isolated = False
        check.score_range = None
        check.version = str(getattr(function, "version", None) or _source_version(function))
        check._spec = None
        return check

    def __call__(
        self,
        response: str | Mapping[str, Any],
        answer: Any,
        choices: Any = None,
        metadata: Mapping[str, Any] | None = None,
        messages: Sequence[Message] = (),
    ) -> Verdict:
        """The verdict on a response; `messages` are the prompt's. Never raises; may be called from any thread."""
        verdict = self.submit(response, answer, choices, metadata, messages=messages)
        return verdict if isinstance(verdict, Verdict) else verdict.result()

    def submit(
        self,
        response: str | Mapping[str, Any],
        answer: Any,
        choices: Any = None,
        metadata: Mapping[str, Any] | None = None,
        pool: Pool | None = None,
        messages: Sequence[Message] = (),
        remote: Remote | None = None,
    ) -> Verdict | Future[Verdict]:
        """The verdict where it is had in the calling thread, else its future.

        The future never holds an exception, but may be cancelled when what makes it is closed.

        Args:
            response: text, or a message with its reasoning in a field.
            answer: the reference.
            choices: the options.
            metadata: of the prompt.
            pool: for what needs a process (default: the shared one).
            messages: of the prompt.
            remote: for what sends requests (default: the shared one).
        """
        try:
            final = split_reasoning(response).response
            if not final:
                return self._finished(Verdict(reason=Reason.NO_ANSWER, detail="no final answer"))
            asked = Asked(final, answer, choices, metadata, messages, pool)
            verdict = self.at_once(asked)
            if verdict is not None:
                return verdict
            if self.remote:
                return (remote or shared_remote()).submit(lambda: self.judged(asked))
            return self._pooled(asked)
        except (Exception, SystemExit) as cause:
            return self._broken(cause)

    def at_once(self, asked: Asked) -> Verdict | None:
        """The verdict on a final answer where it is cheap; None: it takes a process or a request."""
        try:
            if self._quick is not None:
                verdict = self._quick(asked.response, asked.answer, asked.choices, asked.metadata)
                if verdict is not None:
                    return self._finished(_normalised(verdict))
        except (Exception, SystemExit) as cause:
            return self._broken(cause)
        if self.remote or (self.isolated and self._spec is not None):
            return None
        return self.judge(asked.response, asked.answer, asked.choices, asked.metadata)

    async def judged(self, asked: Asked) -> Verdict:
        """The verdict on a final answer, in the loop of a `Remote`. Never raises."""
        verdict = self.at_once(asked)
        if verdict is not None:
            return verdict
        try:
            if self.remote:
                return self._finished(_normalised(await self._verifier.ajudge(asked)))
            return await awaited(self._pooled(asked))
        except (Exception, SystemExit) as cause:
            return self._broken(cause)

    def _pooled(self, asked: Asked) -> Future[Verdict]:
        assert self._spec is not None
        task = Task(asked.response, asked.answer, asked.choices, asked.metadata)
        future = (asked.pool or shared_pool()).submit(self._spec, task)
        if self._learn is not None:
            future.add_done_callback(partial(self._learned, asked.response, asked.answer))
        return future

    def _learned(self, final: str, answer: Any, future: Future[Verdict]) -> None:
        if self._learn is not None and not future.cancelled():
            self._learn(final, answer, future.result())

    def judge(self, response: str, answer: Any, choices: Any, metadata: Mapping[str, Any] | None) -> Verdict:
        """The verdict on a final answer, here and now: what a worker of the pool calls.

        Raises:
            MemoryError: the verifier ran out of memory; nothing else is raised.
        """
        try:
            return self._finished(self._call(response, answer, choices, metadata))
        except MemoryError:
            raise
        except (Exception, SystemExit) as cause:  # own code may call sys.exit()
            return self._broken(cause)

    def refuses(
        self, answer: Any, choices: Any, metadata: Mapping[str, Any], messages: Sequence[Message] = ()
    ) -> str | None:
        """Why no response could be judged against a reference, or None; asked of built-in verifiers of this process.

        One that has `read_reference(answer, choices)` is asked by that. Of the others any response tells, for the
        reference is read before it.
        """
        if self.remote:
            refused: str | None = self._verifier.refuses(Asked("A", answer, choices, metadata, messages))
            return refused
        if self.isolated or not self._from_rsr():
            return None
        try:
            if self._read_reference is not None:
                self._read_reference(answer, choices)
            else:
                self._call("A", answer, choices, metadata)
        except ValueError as cause:
            return str(cause).removeprefix("metadata.answer is ")
        except Exception as cause:
            return f"{type(cause).__name__}: {cause}"
        return None

    def reference(self, messages: Sequence[Message], metadata: Mapping[str, Any]) -> tuple[Any, Any]:
        """The reference answer and the options of a prompt.

        Options are `metadata["choices"]`, or what the verifier reads out of the last user message.
        """
        choices = metadata.get("choices")
        return metadata.get("answer"), self.choices_of(_last_user_text(messages)) if choices is None else choices

    def choices_of(self, text: str) -> Any:
        """The options in the text of a prompt, where the verifier reads them; else None."""
        reader = getattr(self._verifier, "choices_of", None)
        return None if reader is None else reader(text)

    def reads(self, asked: Asked) -> Any:
        """What a verdict is made against, beside the response."""
        if self.remote:
            return self._verifier.reads(asked)
        answer, choices = asked.answer, asked.choices
        return [answer, choices] if not self._reads_metadata else [answer, choices, asked.metadata]

    def key(
        self, answer: Any, choices: Any, metadata: Mapping[str, Any] | None, messages: Sequence[Message] = ()
    ) -> int:
        """63 bits that identify how a verdict is made: by whom, with which parameters, against what."""
        against = self.reads(Asked("", answer, choices, metadata, messages))
        return hashing.verdict_key(self.name, self.identity, self.version, against)

    def warm(self) -> bool:
        """Import what judging needs, so that no response pays for it; False where the verifier has no `warm`."""
        warm = getattr(self._verifier, "warm", None)
        if warm is not None:
            warm()
        return warm is not None

    def _setup(self, build: Callable[[dict[str, Any]], Any], params: Mapping[str, Any]) -> None:
        own = dict(params)
        self._no_answer = own.pop("no_answer", "none")
        if self._no_answer not in _POLICIES:
            raise ConfigError(f"verifier.no_answer: it is {self._no_answer!r}; set it to 'none' or 'fail'")
        limit = {"cpu_seconds": _seconds(own.pop("cpu_seconds"))} if "cpu_seconds" in own else {}
        self.params: dict[str, Any] = {**own, "no_answer": self._no_answer, **limit}
        self._verifier: Any = build(own)
        self.remote = hasattr(self._verifier, "ajudge")
        self.services: list[Service] = list(getattr(self._verifier, "services", ()))
        identity = getattr(self._verifier, "identity", None)
        decisive = {"no_answer": self._no_answer, **limit}
        self.identity: dict[str, Any] = {**identity(), **decisive} if self.remote and identity else self.params
        """Of the parameters those that decide verdicts: not the address of a judge, nor its key."""
        self._takes = _Takes() if self.remote else _arguments(self._verifier, self.name)
        self._by_name = self._takes.keyword == _ASKED_WITH and not self._takes.positional
        """It takes all of them, each by its name, as the built-in verifiers do."""
        needs = getattr(self._verifier, "needs_answer", None)
        self.needs_answer: bool = self._takes.needs_answer if needs is None else bool(needs)
        self._reads_metadata = bool(getattr(self._verifier, "reads_metadata", True))
        self._learn: Callable[[str, Any, Verdict], None] | None = getattr(self._verifier, "learn", None)
        self._quick: Callable[..., Verdict | None] | None = getattr(self._verifier, "quick", None)
        self._read_reference: Callable[[Any, Any], None] | None = getattr(self._verifier, "read_reference", None)

    def _call(self, response: str, answer: Any, choices: Any, metadata: Mapping[str, Any] | None) -> Verdict:
        if self._by_name:
            return _normalised(self._verifier(response, answer=answer, choices=choices, metadata=metadata))
        given = {"answer": answer, "choices": choices, "metadata": metadata}
        positional = [given[name] for name in self._takes.positional]
        return _normalised(self._verifier(response, *positional, **{name: given[name] for name in self._takes.keyword}))

    def _finished(self, verdict: Verdict) -> Verdict:
        if verdict.reason is Reason.NO_ANSWER and self._no_answer == "fail":
            return Verdict(score=0.0, extracted=verdict.extracted, detail=verdict.detail or "no answer")
        return verdict

    def _broken(self, cause: BaseException) -> Verdict:
        return Verdict(reason=Reason.VERIFIER_ERROR, detail=f"{self.name}: {type(cause).__name__}: {cause}")

    def _from_rsr(self) -> bool:
        return type(self._verifier).__module__.startswith("rsr.verifiers.")


def _seconds(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
        raise ConfigError(f"verifier.cpu_seconds: it is {given!r}; set it to a number of seconds above 0")
    return float(given)


class _Takes:
    """Which arguments beside the response a verifier is called with."""

    def __init__(self) -> None:
        self.positional: list[str] = []
        self.keyword: list[str] = []
        self.needs_answer = False


def _arguments(verifier: Any, name: str) -> _Takes:
    takes = _Takes()
    if not callable(verifier):
        raise PluginError(f"verifier {name!r} is a {type(verifier).__name__}, not a function")
    if inspect.iscoroutinefunction(verifier) or inspect.iscoroutinefunction(type(verifier).__call__):
        raise PluginError(f"verifier {name!r} is a coroutine function; make it a plain one")
    try:
        parameters = list(inspect.signature(verifier).parameters.values())
    except (ValueError, TypeError):  # a function written in C without a signature
        takes.positional, takes.needs_answer = ["answer"], True
        return takes
    if not parameters:
        raise PluginError(f"verifier {name!r} takes no arguments; it is called with the response first")
    if parameters[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise PluginError(
            f"verifier {name!r} takes {parameters[0].name!r} by keyword only; the response is passed as the first "
            "positional argument"
        )
    bound = getattr(verifier, "keywords", {})  # what the config has set
    for parameter in parameters[1:]:
        known = parameter.name in _ASKED_WITH
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_KEYWORD:
            takes.keyword += [key for key in _ASKED_WITH if key not in _named(takes)]
        elif parameter.kind is parameter.VAR_POSITIONAL or parameter.name in bound:
            continue
        elif known and parameter.kind is parameter.POSITIONAL_ONLY:
            takes.positional.append(parameter.name)
        elif known:
            takes.keyword.append(parameter.name)
        elif required:
            raise PluginError(
                f"verifier {name!r} wants {parameter.name!r}, which nothing fills; after the response it is called "
                "with answer, choices and metadata, by these names"
            )
        if parameter.name == "answer" and required:
            takes.needs_answer = True
    return takes


def _named(takes: _Takes) -> list[str]:
    return takes.positional + takes.keyword


def _normalised(result: Any) -> Verdict:
    if isinstance(result, Verdict):
        if result.score is None or (type(result.score) is float and result.score in (0.0, 1.0) and not result.reason):
            return result  # as it should be
        return _scored(result, result.score)
    if result is None:
        return Verdict(reason=Reason.NO_ANSWER)
    if isinstance(result, bool | int | float) or type(result).__module__ == "numpy":
        return _scored(Verdict(), result)
    raise TypeError(f"returned a {type(result).__name__}; return a number, a bool, None or a Verdict")


def _scored(verdict: Verdict, score: Any) -> Verdict:
    value = round(float(score), 9)
    if not math.isfinite(value):
        raise ValueError(f"returned the score {value}")
    return Verdict(score=value, extracted=verdict.extracted, detail=verdict.detail)


def _source_version(function: Callable[..., Any]) -> str:
    """A hash of a function's source, so that an edited one judges again; "1" where there is none to be had."""
    try:
        return hashing.content_hash(inspect.getsource(function)).hex()[:16]
    except (OSError, TypeError):
        return "1"


def _absolute(reference: str) -> str:
    """The same file wherever a worker is started."""
    path, _, name = reference.rpartition(":")
    return f"{Path(path).expanduser().resolve()}:{name}"


def _last_user_text(messages: Sequence[Message]) -> str:
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = content if isinstance(content, list) else []
            return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))
    return ""
