"""The list of models that a server gives, and whether a model is on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def listed_models(body: Any) -> list[dict[str, Any]]:
    """The entries of a reply to /v1/models that have an id, whichever way the list is wrapped."""
    listed = body.get("data") or body.get("models") if isinstance(body, dict) else body
    entries = listed if isinstance(listed, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and entry.get("id")]


def is_listed(model: str, entries: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an entry is the model: by id, alias or origin, or as Ollama, Gemini and OpenRouter write it."""
    spellings = {model, f"{model}:latest", f"models/{model}"}
    if "/" in model:
        spellings.add(model.partition(":")[0])
    return any(not spellings.isdisjoint(_names(entry)) for entry in entries)


def _names(entry: Mapping[str, Any]) -> list[str]:
    aliases = entry.get("aliases")
    names = [entry.get("id"), entry.get("root"), entry.get("parent"), *(aliases if isinstance(aliases, list) else ())]
    return [name for name in names if isinstance(name, str)]
