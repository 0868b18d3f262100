"""Keeps secrets out of everything that is written: which keys are secret, and a filter for texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"(^|[_.-])(api_?key|key|token|secret|password|passwd|authorization|credentials?|cookie)$", re.IGNORECASE
)
_REFERENCE = re.compile(r"^\$\{[^}]+\}$")


class Redactor:
    """Replaces known secret values in any text."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def learn(self, config: Any) -> None:
        """Remember every secret value of a (resolved) config."""
        for value in _secret_values(config):
            self.add(value)

    def add(self, secret: str | None) -> None:
        """Remember one secret."""
        if secret and len(secret) >= 4 and secret != REDACTED:
            self._secrets.add(secret)

    def __call__(self, text: str) -> str:
        """The text without any secret."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return text


def redacted(config: Any, name: str = "") -> Any:
    """A copy of an unresolved config that may be written: secrets replaced, `${oc.env:...}` kept."""
    if isinstance(config, Mapping):
        return {key: redacted(value, str(key)) for key, value in config.items()}
    if isinstance(config, list):
        return [redacted(value, name) for value in config]
    if not isinstance(config, str):
        return config
    if is_secret(name):
        return config if _REFERENCE.match(config) else REDACTED
    return without_credentials(config)


def is_secret(name: str) -> bool:
    """Whether a key of this name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def without_credentials(text: str) -> str:
    """A URL without user, password and query; any other text as it is."""
    if "://" not in text or not ("@" in text or "?" in text):
        return text
    parts = urlsplit(text)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query=""))


def _secret_values(config: Any, name: str = "") -> Iterator[str]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _secret_values(value, str(key))
    elif isinstance(config, list):
        for value in config:
            yield from _secret_values(value, name)
    elif isinstance(config, str):
        if is_secret(name):
            yield config
            # `Authorization: Bearer KEY`: the key alone is as secret as the header.
            yield config.rpartition(" ")[2]
        elif "://" in config:
            parts = urlsplit(config)
            if parts.password:
                yield parts.password
            yield from (value for _, _, value in (part.partition("=") for part in parts.query.split("&")) if value)
