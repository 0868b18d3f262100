"""What turns prompts into completions, by name. Importing this loads none of them."""

from __future__ import annotations

from rsr.registry import Registry

SAMPLERS = Registry(
    "sampler",
    {
        "openai-compatible-api": "rsr.samplers.openai_compatible:OpenAICompatible",
        "llama-cpp": "rsr.samplers.llama_cpp:LlamaCpp",
        "scripted": "rsr.samplers.scripted:Scripted",
        "simulated": "rsr.samplers.simulated:Simulated",
    },
)
