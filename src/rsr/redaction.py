"""Keeps secrets out of everything that is written: which keys are secret, and a filter for texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

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
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


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
        secret = (secret or "").strip()  # keys are sent without the line break that `cat` or an editor left
        if len(secret) >= 4 and secret != REDACTED:
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
    return without_credentials(config, _is_address(name)) if isinstance(config, str) else config


def is_secret(name: str) -> bool:
    """Whether a key of this name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def without_credentials(text: str, address: bool = False) -> str:
    """A URL without user, password and query (but for an API's version); any other text as it is.

    Args:
        text: any.
        address: it is meant as a URL, even where it is none: `user:password@host/v1`.
    """
    if not ("@" in text or "?" in text) or not (_URL.match(text) or (address and "${" not in text)):
        return text
    try:
        parts = split_address(text)
    except ValueError:
        scheme, _, rest = _split_by_hand(text)
        return scheme + rest.partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(part for part in parts.query.split("&") if part.partition("=")[0] in _HARMLESS_QUERY)
    return urlunsplit(parts._replace(netloc=host, query=query))


def split_address(url: str) -> SplitResult:
    """The parts of a URL; raises ValueError where it has no host that a connection could be made to."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if not parts.hostname or re.search(r"\](?!$|:\d*$)", host):
        raise ValueError("no host")
    parts.hostname.encode("idna")
    _ = parts.port  # raises
    return parts


def _split_by_hand(text: str) -> tuple[str, str, str]:
    """Scheme, credentials and the rest of what should have been a URL; rather too much in the credentials."""
    found = _SCHEME.match(text)
    scheme = found[0] if found else ""
    user, _, rest = text[len(scheme) :].rpartition("@")
    return scheme, user, rest


def _is_address(name: str) -> bool:
    return name.lower().endswith("url")


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
    elif isinstance(config, str) and (_URL.match(config) or _is_address(name)):
        yield from _secrets_of_url(config)


def _secrets_of_url(url: str) -> Iterator[str]:
    try:
        parts = split_address(url)
        credentials, query = parts.netloc.rpartition("@")[0], parts.query
    except ValueError:
        _, credentials, rest = _split_by_hand(url)
        query = rest.partition("?")[2]
    user, _, password = credentials.partition(":")
    values = [password or user]
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name not in _HARMLESS_QUERY:
            values.append(value)
    for value in values:
        yield value
        yield unquote(value)
