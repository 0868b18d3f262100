"""Connections to one server: kept open, opened as they are needed, and cheap to send on.

This is the only file that asks aiohttp for a request. How many there may be at once, and for how long, is decided
elsewhere (`rsr.gate`, `rsr.wire`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlunsplit

import msgspec

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT = 10.0
# Servers on uvicorn and llama.cpp's close idle connections after 5 s: let go of them a little earlier.
KEEP_ALIVE = 4.0
# aiohttp warns above this size of a body given as bytes (it would hold up the loop), but not of a file.
_LARGE_BODY = 1 << 20


class Connections:
    """A session of aiohttp's, opened by the first request.

    Args:
        base: the address that paths are appended to, without credentials.
        headers: of every request.
    """

    def __init__(self, base: SplitResult, headers: Mapping[str, str]) -> None:
        self._base = base
        self._headers = headers
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, Any] = {}

    async def request(self, method: str, path: str, payload: Any) -> aiohttp.ClientResponse:
        """Send it; returns when the head of the reply has come."""
        session = self._session or self._open()
        data: Any = None
        if payload is not None:
            body = msgspec.json.encode(payload)
            data = io.BytesIO(body) if len(body) >= _LARGE_BODY else self._as_body(body)
        # Redirects are not followed: a POST would become a GET, and the key would go to whoever is named.
        return await session.request(method, self._url(path), data=data, allow_redirects=False)

    async def close(self) -> None:
        """Close all of them."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        self._as_body = aiohttp.BytesPayload  # what aiohttp would find out for each
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
            headers=self._headers,
            # The wire has limits of its own: aiohttp's cost more than they are worth, two context managers a request.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self._base.scheme, self._base.hostname or ""),
            request_class=_prepared_request(),
        )
        return self._session

    def _url(self, path: str) -> Any:
        if path not in self._urls:
            from yarl import URL

            whole = urlunsplit(self._base._replace(path=f"{self._base.path}/{path.lstrip('/')}"))
            self._urls[path] = URL(whole, encoded=True)
        return self._urls[path]


def transport_errors() -> tuple[type[Exception], ...]:
    """What is raised when a request or its reply fails on the way."""
    import aiohttp

    return aiohttp.ClientError, OSError  # TimeoutError is an OSError


def _prepared_request() -> type[aiohttp.ClientRequest]:
    """All requests of a session have the same headers: made once, they cost an eighth less."""
    import aiohttp

    class Prepared(aiohttp.ClientRequest):
        _common: Any = None

        def update_headers(self, headers: Any) -> None:
            if Prepared._common is None:
                super().update_headers(headers)
                super().update_auto_headers(None)
                Prepared._common = self.headers.copy()
            else:
                self.headers = Prepared._common.copy()

        def update_auto_headers(self, skip_auto_headers: Any) -> None:
            pass

    return Prepared


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for a host. Read once: aiohttp's `trust_env` does it for every request."""
    if host in ("localhost", "::1") or host.startswith("127."):
        return None
    from urllib.request import getproxies, proxy_bypass

    return None if proxy_bypass(host) else getproxies().get(scheme)
