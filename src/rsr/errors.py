"""Everything that can go wrong, by who can mend it, and the one boundary that attributes failures of plug-ins.

RSRError                  shown as one line, without a traceback
├── ConfigError           a key, a value, an argument            exit 2
├── InputError            a row of the input                     exit 2
├── PluginError           a verifier, formatter or sampler that can't be loaded or breaks its contract   exit 2
├── RunDirError           a run directory that can't be used as asked (in use, newer, another model)     exit 2
├── StoreError            the disk or the database               exit 1
│   ├── StoreFull         there is no room; nothing of the call was committed, call again when there is
│   └── StoreDamaged      bytes on disk are not what was written; opening the store again keeps what can be read
├── BudgetSpent           a budget ended the run                 exit 3
├── GuardTripped          a guard stopped the run                exit 4
└── SamplerError
    ├── SamplerStopped    no request can succeed: key, model, address                                    exit 2
    ├── SamplerDown       the server was gone for too long                                               exit 3
    ├── PromptRefused     the server won't answer this prompt
    └── RequestFailed     nothing usable came back; worth another try
VerifierError             names the verifier that raised; becomes a `verifier_error` verdict, never a score
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager


class RSRError(Exception):
    """Base of all errors that a user can read and act on."""

    exit_code = 1


class ConfigError(RSRError):
    """The config or the command line is wrong; names the key and the fix."""

    exit_code = 2


class InputError(RSRError):
    """The input is wrong; names the file, the line and the fix."""

    exit_code = 2


class PluginError(RSRError):
    """A plug-in can't be loaded or breaks its contract; names it."""

    exit_code = 2


class RunDirError(RSRError):
    """The run directory can't be used as asked."""

    exit_code = 2


class StoreError(RSRError):
    """The disk or the database failed."""


class StoreFull(StoreError):
    """There is no room on the disk. Nothing of the call was committed; it may be made again."""


class StoreDamaged(StoreError):
    """What is on disk is not what was written. Opening the store again for writing keeps what can be read."""


class BudgetSpent(RSRError):
    """A budget ended the run; a larger one goes on."""

    exit_code = 3


class GuardTripped(RSRError):
    """A guard found that the run is going wrong; says which, why, and what to change.

    Args:
        text: one line.
        examples: a line each.
    """

    exit_code = 4

    def __init__(self, text: str, examples: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.examples = examples


class SamplerError(RSRError):
    """A request to a model failed."""


class SamplerStopped(SamplerError):
    """No request can succeed as configured; the run ends."""

    exit_code = 2


class SamplerDown(SamplerError):
    """The server has been gone for longer than the run may wait; the run ends, what is missing stays open."""

    exit_code = 3


class PromptRefused(SamplerError):
    """The server won't answer this prompt (too long, against its policy, invalid)."""


class RequestFailed(SamplerError):
    """Nothing usable came back. The indices stay open.

    Attributes:
        may_have_generated: whether the server may have generated something that was lost: drawing it again favours
            short answers, so it is recorded.
    """

    may_have_generated = False


class VerifierError(RSRError):
    """A verifier raised or broke its contract."""


def boundary(error: type[RSRError], what: str) -> AbstractContextManager[None]:
    """Attribute whatever plug-in code raises to `what`; our own errors pass through unchanged."""
    return _Boundary(error, what)


class _Boundary(AbstractContextManager[None]):
    """A class, for a generator costs three times as much, which is felt on hot paths."""

    __slots__ = ("_error", "_what")

    def __init__(self, error: type[RSRError], what: str) -> None:
        self._error, self._what = error, what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, cause: BaseException | None, where: object) -> None:
        if isinstance(cause, Exception) and not isinstance(cause, RSRError):
            raise self._error(f"{self._what}: {type(cause).__name__}: {cause}") from cause
