"""A server that a verifier asks: its address and key, its gate, its budget, and whether it is there at all."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import msgspec

from rsr.bodies import max_tokens
from rsr.endpoint import Limits
from rsr.errors import BudgetSpent, ConfigError, RequestFailed, SamplerDown, SamplerStopped, VerifierError
from rsr.failures import Failure, listing
from rsr.gate import Ticket
from rsr.hashing import content_hash
from rsr.listed_models import is_listed, listed_models
from rsr.verifiers.remote import Remote, current_remote
from rsr.wire import Wire, sendable

T = TypeVar("T")

OPENAI = "https://api.openai.com/v1"
_SECTION = "verifier"
_CHARACTERS_PER_TOKEN = 4

log = logging.getLogger("rsr")


class Access(NamedTuple):
    """How a server is reached; the config's keys of the same names."""

    model: str
    base_url: str | None
    api_key: str | None
    headers: Mapping[str, str] | None
    concurrent_requests: int
    requests_per_minute: int | None
    tokens_per_minute: int | None
    timeout: float
    max_retries: int
    max_outage: float
    budget: Mapping[str, int | None] | None
    """`requests` and `tokens` that all starts of a run may spend together."""


class Service:
    """A server; each event loop has a connection of its own to it.

    Args:
        access: how it is reached.
        at_root: paths are beside /v1, not under it.

    Raises:
        ConfigError: an address or a header that can't be used, an unknown budget.
    """

    def __init__(self, access: Access, at_root: bool = False) -> None:
        self._access = access
        base_url = (access.base_url or OPENAI).strip().rstrip("/")
        self._models = "models"
        if at_root:
            base_url = base_url.removesuffix("/v1")
            self._models = "v1/models"
        self._base_url = base_url
        headers = dict(access.headers or {})
        key = os.environ.get("OPENAI_API_KEY") if access.api_key is None else access.api_key
        key = sendable(key or "", f"{_SECTION}.api_key")
        if key and "authorization" not in {name.lower() for name in headers}:
            headers["Authorization"] = f"Bearer {key}"
        self._headers = headers
        self._budget = _budget(access.budget)
        self._wires: WeakKeyDictionary[Remote, Wire] = WeakKeyDictionary()
        self._starting: WeakKeyDictionary[Remote, asyncio.Lock] = WeakKeyDictionary()
        self._started: WeakKeyDictionary[Remote, bool] = WeakKeyDictionary()
        self._new_wire()  # which says what is wrong with the address
        self.whose = content_hash([urlsplit(base_url).netloc.rpartition("@")[2], access.model]).hex()[:8]
        """Tells its counters from those of other servers."""

    async def start(self) -> None:
        """Ask the server which models it has, unless that was done.

        Raises:
            SamplerStopped: nothing answers, the key is refused, or it lists other models.
        """
        remote = current_remote()
        async with self._starting.setdefault(remote, asyncio.Lock()):
            if not self._started.get(remote):
                await self._start(self._wire(remote))
                self._started[remote] = True

    async def ask(
        self, path: str, payload: Mapping[str, Any], key: object, read: Callable[[Any, Ticket, Remote], T], chat: bool
    ) -> T:
        """What `read` makes of the reply, tried again as the table of failures says.

        Args:
            path: below the address.
            payload: of the request.
            key: requests about one response share it.
            read: takes the reply; raises `Failed` where it is of no use.
            chat: a chat request, whose reply has choices.

        Raises:
            RequestFailed, PromptRefused: nothing came.
            SamplerStopped, SamplerDown, BudgetSpent: nothing will come any more.
            VerifierError: that was so before.
        """
        remote = current_remote()
        if remote.stopped is not None:
            raise VerifierError(f"not asked: {remote.stopped}")
        try:
            await self.start()
            self._spend(remote)
            wire = self._wire(remote)
            ticket = self._ticket(key, payload)

            async def attempt() -> T:
                reply = await (wire.post_once(path, payload) if chat else wire.post_any(path, payload))
                return read(reply, ticket, remote)

            return await wire.persist(attempt, ticket)
        except SamplerDown as down:
            error = SamplerDown(f"{_SECTION}: {down}")
            remote.stop(error)
            raise error from None
        except (SamplerStopped, BudgetSpent) as stopped:
            remote.stop(stopped)
            raise

    def used(self, remote: Remote, ticket: Ticket, prompt_tokens: int | None, completion_tokens: int | None) -> None:
        """Tokens of a reply, by its usage."""
        prompt, completion = prompt_tokens or 0, completion_tokens or 0
        ticket.used = prompt + completion
        remote.count(self.whose, prompt_tokens=prompt, completion_tokens=completion)

    def state(self, remote: Remote) -> str:
        """What holds its requests up, in a few words; empty: nothing."""
        wire = self._wires.get(remote)
        endpoint = None if wire is None else wire.endpoint
        return endpoint.state if endpoint is not None else ""

    def drain(self, remote: Remote) -> None:
        """Send nothing new; to be called in the remote's thread."""
        wire = self._wires.get(remote)
        if wire is not None and wire.endpoint is not None:
            wire.endpoint.drain()

    def _ticket(self, key: object, payload: Mapping[str, Any]) -> Ticket:
        if not self._access.tokens_per_minute:
            return Ticket(key)
        return Ticket(key, 1, len(msgspec.json.encode(payload)) // _CHARACTERS_PER_TOKEN, max_tokens(payload))

    def _spend(self, remote: Remote) -> None:
        for name, allowed in self._budget.items():
            counters = ("requests",) if name == "requests" else ("prompt_tokens", "completion_tokens")
            spent = sum(remote.total(self.whose, counter) for counter in counters)
            if allowed is not None and spent >= allowed:
                figures = f"{int(spent):,} of {allowed:,} are spent"
                raise BudgetSpent(f"{_SECTION}.budget.{name}: {figures}; raise it and rsr run RUN goes on")
        remote.count(self.whose, requests=1)

    def _wire(self, remote: Remote) -> Wire:
        wire = self._wires.get(remote)
        if wire is None:
            wire = self._wires[remote] = self._new_wire()
            remote.at_close(wire.close)
        return wire

    def _new_wire(self) -> Wire:
        access = self._access
        limits = Limits(
            access.concurrent_requests, access.requests_per_minute, access.tokens_per_minute, access.max_outage
        )
        return Wire(
            self._base_url,
            headers=self._headers,
            timeout=access.timeout,
            max_retries=access.max_retries,
            limits=limits,
            section=_SECTION,
        )

    async def _start(self, wire: Wire) -> None:
        try:
            reply = await wire.get(self._models)
        except RequestFailed as cause:
            log.warning("%s; going on without its list of models", cause)
            return
        model = self._access.model
        failed = wire.failure(reply.status, reply.body, {"model": model}, reply.headers)
        if failed is not None and failed.failure is Failure.KEY:
            raise SamplerStopped(str(failed))
        listed = listed_models(reply.body) if reply.status == 200 else []
        wire.models = [str(entry["id"]) for entry in listed]
        if listed and not is_listed(model, listed):
            has = f"it lists: {listing(wire.models)}"
            raise SamplerStopped(f"{_SECTION}.model: the server does not have {model!r}; {has}")


def _budget(given: Mapping[str, int | None] | None) -> dict[str, int | None]:
    for name, allowed in (given or {}).items():
        if name not in ("requests", "tokens"):
            raise ConfigError(f"{_SECTION}.budget.{name}: unknown key; known: requests, tokens")
        if allowed is not None and allowed < 1:
            raise ConfigError(f"{_SECTION}.budget.{name}: it is {allowed}; set it to 1 or more")
    return dict(given or {})
