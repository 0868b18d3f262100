"""Everything that can go wrong, by who can mend it, and the one boundary that attributes failures of plug-ins.

RSRError                  shown as one line, without a traceback
├── ConfigError           a key, a value, an argument            exit 2
├── InputError            a row of the input                     exit 2
├── PluginError           a verifier, formatter or sampler that can't be loaded or breaks its contract   exit 2
├── RunDirError           a run directory that can't be used as asked (in use, newer, another model)     exit 2
├── StoreError            the disk or the database               exit 1
└── SamplerError
    ├── SamplerStopped    no request can succeed: key, model, address                                    exit 2
    ├── PromptRefused     the server won't answer this prompt
    └── RequestFailed     nothing usable came back; worth another try
VerifierError             names the verifier that raised; becomes a `verifier_error` verdict, never a score
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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


class SamplerError(RSRError):
    """A request to a model failed."""


class SamplerStopped(SamplerError):
    """No request can succeed as configured; the run ends."""

    exit_code = 2


class PromptRefused(SamplerError):
    """The server won't answer this prompt (too long, against its policy, invalid)."""


class RequestFailed(SamplerError):
    """Nothing usable came back. The indices stay open."""


class VerifierError(RSRError):
    """A verifier raised or broke its contract."""


@contextmanager
def boundary(error: type[RSRError], what: str) -> Iterator[None]:
    """Attribute whatever plug-in code raises to `what`; our own errors pass through unchanged."""
    try:
        yield
    except RSRError:
        raise
    except Exception as cause:
        raise error(f"{what}: {type(cause).__name__}: {cause}") from cause
