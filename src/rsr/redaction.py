"""Keeps secrets out of everything that is written: which keys are secret, and a filter for texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"(^|[_.-])(api_?key|key|token|secret|password|passwd|pwd|auth|authorization|bearer|credentials?|cookie|headers)$",
    re.IGNORECASE,
)
_HARMLESS_HEADERS = {
    "accept",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "http-referer",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "referer",
    "user-agent",
    "x-title",
}
_HARMLESS_QUERY = {"api-version", "version"}
_REFERENCE = re.compile(r"^([A-Za-z]+ )?\$\{oc\.env:\w+\}$")
"""An interpolation without a default, which could be a secret; `Bearer ${oc.env:NAME}` too."""
_URL = re.compile(r"^[a-z][a-z0-9+.-]*://\S+$", re.IGNORECASE)


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


def redacted(config: Any, name: str = "", secret: bool = False) -> Any:
    """A copy of an unresolved config that may be written: secrets replaced, `${oc.env:...}` kept.

    Args:
        config: a mapping, list or value.
        name: the key that it stands under.
        secret: whether everything in it is.
    """
    if isinstance(config, Mapping):
        inside = secret or is_secret(name)
        return {
            key: redacted(value, str(key), inside and not _harmless(name, str(key))) for key, value in config.items()
        }
    if isinstance(config, list):
        return [redacted(value, name, secret) for value in config]
    if config is None or isinstance(config, bool):
        return config
    if secret or is_secret(name):
        return config if isinstance(config, str) and _REFERENCE.match(config) else REDACTED
    return without_credentials(config) if isinstance(config, str) else config


def is_secret(name: str) -> bool:
    """Whether a key of this name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def without_credentials(text: str) -> str:
    """A URL without user, password and query (but for an API's version); any other text as it is."""
    if not _URL.match(text) or not ("@" in text or "?" in text):
        return text
    parts = urlsplit(text)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(part for part in parts.query.split("&") if part.partition("=")[0] in _HARMLESS_QUERY)
    return urlunsplit(parts._replace(netloc=host, query=query))


def _harmless(parent: str, name: str) -> bool:
    return parent.rpartition(".")[2] == "headers" and name.lower() in _HARMLESS_HEADERS


def _secret_values(config: Any, name: str = "", secret: bool = False) -> Iterator[str]:
    if isinstance(config, Mapping):
        inside = secret or is_secret(name)
        for key, value in config.items():
            yield from _secret_values(value, str(key), inside and not _harmless(name, str(key)))
    elif isinstance(config, list):
        for value in config:
            yield from _secret_values(value, name, secret)
    elif config is None or isinstance(config, bool):
        return
    elif secret or is_secret(name):
        yield str(config)
        # `Authorization: Bearer KEY`: the key alone is as secret as the header.
        yield str(config).rpartition(" ")[2]
    elif isinstance(config, str) and _URL.match(config):
        yield from _secrets_of_url(config)


def _secrets_of_url(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    values = [password or user]
    for part in parts.query.split("&"):
        name, _, value = part.partition("=")
        if name not in _HARMLESS_QUERY:
            values.append(value)
    for value in values:
        yield value
        yield unquote(value)
