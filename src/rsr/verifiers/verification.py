"""Which verifier judges which prompt, against what: the config's default, or the one that a row names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import msgspec

from rsr.errors import ConfigError, PluginError, RSRError
from rsr.hashing import canonical_json, content_hash
from rsr.types import Prompt, Verdict
from rsr.verifiers import VERIFIERS
from rsr.verifiers.check import Check
from rsr.verifiers.pool import Pool
from rsr.verifiers.remote import Remote

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

    Attributes:
        remote: where verifiers that send requests work.
    """

    def __init__(self, default: Check, pool: Pool) -> None:
        self.default = default
        self._pool = pool
        self.remote = Remote()
        self._named: dict[bytes, Check] = {}
        self._last: tuple[Prompt, tuple[Check, Any, Any]] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._counted: dict[str, float] = {}

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
        _, answer, choices = self._read(prompt)
        refused = check.refuses(answer, choices, prompt.metadata, prompt.messages)
        if refused and refused.startswith("verifier."):
            return refused
        if refused:
            other = "set verifier.type to another (rsr list verifiers)"
            return f"metadata.answer: the verifier {check.name} can't use it: {refused}; {other}"
        return None

    def reference(self, prompt: Prompt) -> Reference:
        """Verifier, answer, choices and verdict key of a prompt."""
        check, answer, choices = self._read(prompt)
        return Reference(check, answer, choices, check.key(answer, choices, prompt.metadata, prompt.messages))

    def _read(self, prompt: Prompt) -> tuple[Check, Any, Any]:
        """Verifier, answer and choices of a prompt.

        The last ones are remembered: while the input is read, they are asked for twice in a row.
        """
        if self._last is None or self._last[0] is not prompt:
            check = self.check_for(prompt)
            self._last = prompt, (check, *check.reference(prompt.messages, prompt.metadata))
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
        return content_hash([[check.name, check.identity, check.version] for check in checks]).hex()

    def submit(self, prompt: Prompt, reference: Reference, response: str) -> Verdict | Future[Verdict]:
        """The verdict on a final answer, at once where it is cheap."""
        check = reference.check
        if check.is_function:
            # A caller's function may be slow; the event loop must not wait for it.
            self._threads = self._threads or ThreadPoolExecutor(_THREADS, thread_name_prefix="rsr-verifier")
            return self._threads.submit(check, response, reference.answer, reference.choices, prompt.metadata)
        return check.submit(
            *(response, reference.answer, reference.choices, prompt.metadata),
            pool=self._pool,
            messages=prompt.messages,
            remote=self.remote,
        )

    def start(self) -> None:
        """See whether the servers that verifiers ask are there, before anything is spent.

        Raises:
            SamplerStopped: nothing answers, the key is refused, or there is no such model.
        """
        for service in self.default.services:
            self.remote.submit(service.start).result()

    @property
    def stopped(self) -> RSRError | None:
        """Why no request of a verifier can succeed any more: the run should end; None: all is well."""
        return self.remote.stopped

    @property
    def held_up(self) -> str:
        """What holds up the requests of verifiers, in a few words; empty: nothing."""
        if not self.remote.started:
            return ""
        states = (service.state(self.remote) for service in self.default.services)
        return next((f"the verifier waits: {state}" for state in states if state), "")

    def drain(self) -> None:
        """Send no requests that still wait for their turn: the run ends, and the next one makes these verdicts."""
        for service in self.default.services:
            self.remote.call_soon(partial(service.drain, self.remote))

    def uncounted(self) -> dict[str, float]:
        """What verifiers have spent since this was last asked, for the store to add up over all starts of the run."""
        spent = dict(self.remote.spent)
        new = {name: value - self._counted.get(name, 0) for name, value in spent.items()}
        self._counted = spent
        return {name: value for name, value in new.items() if value}

    def close(self) -> None:
        """Stop threads, processes and requests."""
        self.remote.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.close()


def _from_row(named: Any) -> Check:
    """The verifier that a row names: a name, or a mapping with `type`.

    Files are not taken from data, nor addresses, to which a key would be sent.
    """
    params = dict(named) if isinstance(named, Mapping) else {"type": named}
    name = params.pop("type", None)
    if not isinstance(name, str):
        raise ConfigError("verifier: must be a verifier's name, or an object with its name as type")
    if ".py:" in name:
        raise ConfigError(f"verifier: {name!r} is a file; rows may name registered verifiers only")
    if "verifiers" in params or hasattr(VERIFIERS.load(name), "ajudge"):
        fix = "rows may name verifiers that need nothing but the row"
        raise ConfigError(f"verifier: {name!r} can only be set in the config (verifier.type={name}); {fix}")
    return Check(name, params)
