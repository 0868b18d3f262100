"""Verifiers: each judges one final answer against a reference. Loaded by name, so importing this is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rsr.registry import Registry

if TYPE_CHECKING:
    from rsr.verifiers.check import Check

VERIFIERS = Registry(
    "verifier",
    {
        "mcq-rlvr": "rsr.verifiers.mcq:MCQ",
        "math-rlvr": "rsr.verifiers.math:Math",
        "exact": "rsr.verifiers.exact:Exact",
        "llm-as-judge": "rsr.verifiers.judge:Judge",
        "mcq-llm-as-judge": "rsr.verifiers.judge:MCQJudge",
        "reward-model": "rsr.verifiers.reward:RewardModel",
        "cascade": "rsr.verifiers.combine:Cascade",
        "all": "rsr.verifiers.combine:AllOf",
        "any": "rsr.verifiers.combine:AnyOf",
        "weighted": "rsr.verifiers.combine:Weighted",
    },
)
"""All verifiers by name."""


def get(name: str, **params: Any) -> Check:
    """A verifier, ready to be called: `get("math-rlvr")(response, answer, choices=None, metadata=None)`.

    One that reads the question, as a judge does, takes it too: `messages=[{"role": "user", "content": ...}]`.

    Args:
        name: a built-in name, one that an installed package registers, or `./file.py:function`.
        **params: what stands beside `type` in the config, e.g. `no_answer="fail"`.

    Raises:
        ConfigError: no such verifier, or a parameter that it doesn't take.
        PluginError: it can't be loaded.
    """
    from rsr.verifiers.check import Check

    return Check(name, params)
