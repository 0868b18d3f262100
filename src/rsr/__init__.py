"""RSR: prompts in, verified training data out.

`run` and `open` are the command line's work as functions; `verifiers.get` gives a verifier to call; `split_reasoning`
splits reasoning from the final answer. What a plug-in is made of (`Prompt`, `Rollout`, `Verdict`, ...) is here too.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Completion": "rsr.types",
    "FormattedRow": "rsr.types",
    "Options": "rsr.session",
    "Outcome": "rsr.types",
    "Prompt": "rsr.types",
    "RSRError": "rsr.errors",
    "Reason": "rsr.types",
    "Rollout": "rsr.types",
    "Run": "rsr.api",
    "SampleRequest": "rsr.types",
    "Verdict": "rsr.types",
    "open": "rsr.api",
    "run": "rsr.api",
    "split_reasoning": "rsr.reasoning",
    "verifiers": "",
}

__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from rsr import verifiers as verifiers
    from rsr.api import Run as Run
    from rsr.api import open as open
    from rsr.api import run as run
    from rsr.errors import RSRError as RSRError
    from rsr.reasoning import split_reasoning as split_reasoning
    from rsr.session import Options as Options
    from rsr.types import Completion as Completion
    from rsr.types import FormattedRow as FormattedRow
    from rsr.types import Outcome as Outcome
    from rsr.types import Prompt as Prompt
    from rsr.types import Reason as Reason
    from rsr.types import Rollout as Rollout
    from rsr.types import SampleRequest as SampleRequest
    from rsr.types import Verdict as Verdict


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `import rsr` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'rsr' has no attribute {name!r}")
    module = importlib.import_module(_HOME[name] or f"rsr.{name}")
    return getattr(module, name) if _HOME[name] else module
