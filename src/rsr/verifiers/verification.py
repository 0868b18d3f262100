"""Which verifier judges which prompt, against what: the config's default, or the one that a row names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec

from rsr.errors import ConfigError, PluginError
from rsr.hashing import canonical_json, content_hash
from rsr.types import Prompt, Verdict
from rsr.verifiers.check import Check
from rsr.verifiers.pool import Pool

_THREADS = 4


class Reference(NamedTuple):
    """What a prompt's responses are judged by."""

    check: Check
    answer: Any
    choices: Any
    key: int
    """The verdict key: which verdicts count under the config of now."""


class Verification:
    """The verifiers of a run.

    Args:
        default: judges every prompt that doesn't name another.
        pool: where isolated verifiers run.
    """

    def __init__(self, default: Check, pool: Pool) -> None:
        self.default = default
        self._pool = pool
        self._named: dict[bytes, Check] = {}
        self._last: tuple[Prompt, Reference] | None = None
        self._threads: ThreadPoolExecutor | None = None

    def check_for(self, prompt: Prompt) -> Check:
        """The prompt's verifier.

        Raises:
            ConfigError: `metadata.verifier` names none, or gives it wrong parameters.
        """
        named = prompt.metadata.get("verifier")
        if named is None:
            return self.default
        key = canonical_json(named)
        if key not in self._named:
            self._named[key] = _from_row(named)
        return self._named[key]

    def problem(self, prompt: Prompt) -> str | None:
        """What keeps a prompt's responses from being judged, or None."""
        try:
            check = self.check_for(prompt)
        except (ConfigError, PluginError) as cause:
            return f"metadata.{cause}"
        answer = prompt.metadata.get("answer")
        if check.needs_answer and (answer is None or (isinstance(answer, str) and not answer.strip())):
            return f"metadata.answer: missing; the verifier {check.name} needs one"
        reference = self.reference(prompt)
        refused = check.refuses(reference.answer, reference.choices, prompt.metadata)
        if refused:
            other = "set verifier.type to another (rsr list verifiers)"
            return f"metadata.answer: the verifier {check.name} can't use it: {refused}; {other}"
        return None

    def reference(self, prompt: Prompt) -> Reference:
        """Verifier, answer, choices and verdict key of a prompt.

        The last one is remembered: while the input is read, it is asked for twice in a row.
        """
        if self._last is None or self._last[0] is not prompt:
            check = self.check_for(prompt)
            answer, choices = check.reference(prompt.messages, prompt.metadata)
            self._last = prompt, Reference(check, answer, choices, check.key(answer, choices, prompt.metadata))
        return self._last[1]

    def verdict_key(self, prompt: Prompt) -> int:
        """Which verdicts on a prompt's rollouts count."""
        return self.reference(prompt).key

    @property
    def named(self) -> list[bytes]:
        """The verifiers that rows have named so far, as canonical JSON."""
        return sorted(self._named)

    def signature(self, named: Iterable[bytes]) -> str:
        """What all verdict keys depend on beside the rows: the default verifier and those that rows name.

        Raises:
            ConfigError: a verifier that is named isn't there any more.
        """
        for key in named:
            if key not in self._named:
                self._named[key] = _from_row(msgspec.json.decode(key))
        checks = [self.default, *(self._named[key] for key in sorted(named))]
        return content_hash([[check.name, check.params, check.version] for check in checks]).hex()

    def submit(self, prompt: Prompt, reference: Reference, response: str) -> Verdict | Future[Verdict]:
        """The verdict on a final answer, at once where it is cheap."""
        check = reference.check
        if check.is_function:
            # A caller's function may be slow; the event loop must not wait for it.
            self._threads = self._threads or ThreadPoolExecutor(_THREADS, thread_name_prefix="rsr-verifier")
            return self._threads.submit(check, response, reference.answer, reference.choices, prompt.metadata)
        return check.submit(response, reference.answer, reference.choices, prompt.metadata, self._pool)

    def close(self) -> None:
        """Stop threads and processes."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.close()


def _from_row(named: Any) -> Check:
    """The verifier that a row names: a name, or a mapping with `type`. Files are not taken from data."""
    params = dict(named) if isinstance(named, Mapping) else {"type": named}
    name = params.pop("type", None)
    if not isinstance(name, str):
        raise ConfigError("verifier: must be a verifier's name, or an object with its name as type")
    if ".py:" in name:
        raise ConfigError(f"verifier: {name!r} is a file; rows may name registered verifiers only")
    return Check(name, params)
