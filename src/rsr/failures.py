"""What can go wrong with a request to a model, and what becomes of each kind: the one table of failures.

A reply is put into its kind by `classify`, from the status and the words of its body. Whether a 400 is about a
parameter (nothing will work until the config changes) or about the prompt (the next one may be fine) is read from the
parameter that the error names; what names none that we sent is about the prompt.
"""

from __future__ import annotations

import email.utils
import enum
import errno
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rsr.errors import SamplerStopped
from rsr.gate import Sign
from rsr.redaction import without_credentials

if TYPE_CHECKING:
    import aiohttp


class Failure(enum.StrEnum):
    """What can go wrong with a request."""

    STALE = "the server closed the connection before it replied"
    BODY = "the reply is of no use"
    CONNECTION = "no connection"
    BROKEN = "the reply broke off"
    BUSY = "the server is busy"
    SERVER = "server error"
    TIMEOUT = "no reply in time"
    STALLED = "the reply stood still"
    PROMPT = "the server refuses the prompt"
    KEY = "the server refuses the key"
    MONEY = "the account has no credit left"
    MODEL = "the server does not have the model"
    ADDRESS = "nothing is served at this path"
    PARAMETER = "the server refuses a parameter"


class Fate(enum.StrEnum):
    """What is done about it."""

    RETRY_NOW = "asked again at once, later with pauses"
    RETRY_LATER = "asked again after a pause"
    RETRY_ONCE = "asked again once"
    REFUSED = "the prompt is closed: `refused`"
    STOP = "the run ends: exit code 2"


class Treatment(NamedTuple):
    """A row of the table of failures."""

    seen: str
    """How it shows itself."""
    fate: Fate
    """A request that may not be asked again raises RequestFailed: its indices stay open, its prompt is put off."""
    sign: Sign
    """What it says about the endpoint, for the gate."""
    redrawn: bool = False
    """Whether a completion may have been begun and lost: what is drawn in its place is recorded as redrawn."""


TABLE: Mapping[Failure, Treatment] = {
    Failure.STALE: Treatment("closed or reset before the first byte", Fate.RETRY_NOW, Sign.ILL, redrawn=True),
    Failure.BODY: Treatment(
        "an error in a 200, HTML, not JSON, no choices, a stream without an end, a reply that is far too large",
        Fate.RETRY_NOW,
        Sign.NONE,
        redrawn=True,
    ),
    Failure.CONNECTION: Treatment(
        "refused, unreachable, a name that does not resolve, no connection within 10 s", Fate.RETRY_LATER, Sign.GONE
    ),
    Failure.BROKEN: Treatment("closed or reset in the middle of the reply", Fate.RETRY_LATER, Sign.ILL, redrawn=True),
    Failure.BUSY: Treatment("408, 409, 425, 429, 499, 503, 529", Fate.RETRY_LATER, Sign.BUSY),
    Failure.SERVER: Treatment("any other 5xx", Fate.RETRY_LATER, Sign.ILL, redrawn=True),
    Failure.TIMEOUT: Treatment("`sampler.timeout` is over", Fate.RETRY_ONCE, Sign.SLOW, redrawn=True),
    Failure.STALLED: Treatment("no byte for `sampler.stall_timeout`", Fate.RETRY_ONCE, Sign.SLOW, redrawn=True),
    Failure.PROMPT: Treatment(
        "any other 4xx: too long, against a policy, a bad image; 429 that says it is too large", Fate.REFUSED, Sign.NONE
    ),
    Failure.KEY: Treatment("401, 403, a 400 that says so", Fate.STOP, Sign.NONE),
    Failure.MONEY: Treatment("402, 429 `insufficient_quota`", Fate.STOP, Sign.NONE),
    Failure.MODEL: Treatment("a 404 or 400 that says so", Fate.STOP, Sign.NONE),
    Failure.ADDRESS: Treatment("any other 404, 405, 410, a redirect", Fate.STOP, Sign.NONE),
    Failure.PARAMETER: Treatment("a 4xx that names one that we sent", Fate.STOP, Sign.NONE),
}
"""The table of failures. A reply that says how its generation ended is an outcome instead, see `rsr.completions`."""


class Failed(Exception):
    """One try failed. Whoever sent it asks `TABLE` what follows."""

    def __init__(
        self, failure: Failure, text: str = "", retry_after: float | None = None, parameter: str | None = None
    ) -> None:
        super().__init__(text or failure.value)
        self.failure = failure
        self.retry_after = retry_after
        self.parameter = parameter


class ParameterRefused(SamplerStopped):
    """The server refuses a parameter that we sent, whatever the prompt."""

    def __init__(self, text: str, parameter: str) -> None:
        super().__init__(text)
        self.parameter = parameter


_BUSY = frozenset({408, 409, 425, 429, 499, 503, 529})
_NOT_PARAMETERS = frozenset({"messages", "model", "tools", "tool_choice"})  # the prompt's, or with a row of their own
_TOO_LARGE = re.compile(r"request (is )?too large", re.IGNORECASE)  # for the limit of a minute: it will never pass
_POLICY = re.compile(r"moderation|flagged|polic(y|ies)", re.IGNORECASE)
_BAD_KEY = re.compile(
    r"(invalid|incorrect|missing|expired|no) api.?key|api.?key (is )?(not valid|invalid|missing)", re.I
)
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,120}?(not found|does(n.t| not) exist|\bnot exist)|(unknown|invalid|no such) model", re.IGNORECASE
)
_CONTEXT = re.compile(
    r"context (?:length|size|window)|max_model_len|input is too long|prompt is too long", re.IGNORECASE
)
_CONTEXT_LIMIT = re.compile(r"(?:context (?:length|size|window)|max_model_len)[^0-9]{0,40}(\d+)", re.IGNORECASE)


def classify(status: int, body: Any = None, sent: Mapping[str, Any] | None = None) -> Failure | None:
    """The kind of failure that a reply is; None for a good status.

    Args:
        status: of the HTTP reply.
        body: parsed JSON, or text.
        sent: the request's payload: an error is about a parameter only if it names one of these.
    """
    if 200 <= status < 300:
        return None
    if status in _BUSY:
        if _detail(body, "code") == "insufficient_quota":
            return Failure.MONEY
        return Failure.PROMPT if status == 429 and _TOO_LARGE.search(said(body)) else Failure.BUSY
    if status >= 500:
        return Failure.SERVER
    if status == 402:
        return Failure.MONEY
    words = said(body)
    if status == 403 and _POLICY.search(words):
        return Failure.PROMPT
    if status in (401, 403) or (status == 400 and _BAD_KEY.search(words)):
        return Failure.KEY
    if _is_about_model(status, body, words):
        return Failure.MODEL
    if status < 400 or status in (404, 405, 410):
        return Failure.ADDRESS
    return Failure.PARAMETER if refused_parameter(body, sent or {}) else Failure.PROMPT


def refused_parameter(body: Any, sent: Mapping[str, Any]) -> str | None:
    """The first of the parameters in `sent` that an error names; None where it is about something else."""
    names = sent.keys() - _NOT_PARAMETERS
    words = said(body)
    if _CONTEXT.search(words):
        # A prompt that is too long, unless the limit that we sent would not fit even without a prompt.
        limit = _CONTEXT_LIMIT.search(words)
        for name in ("max_tokens", "max_completion_tokens"):
            if limit and isinstance(sent.get(name), int) and sent[name] >= int(limit[1]):
                return name
        return None
    for place in (_detail(body, "param"), *_locations(body)):
        for part in re.split(r"[.\[\]]+", place) if isinstance(place, str) else ():
            if part in names:
                return part
    found = [(match.start(), name) for name in names if (match := _naming(name).search(words))]
    return min(found)[1] if found else None


def said(body: Any) -> str:
    """The message of an error, in one line of at most 300 characters."""
    for _ in range(3):  # {"error": {"message": "..."}}, {"message": {"detail": ...}}, [{"error": ...}]
        if isinstance(body, list) and body:
            body = body[0]
        if isinstance(body, dict):
            body = next((body[key] for key in ("error", "message", "detail", "msg") if body.get(key)), body)
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    elif not isinstance(body, str):
        body = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    body = body.encode(errors="replace").decode()  # a lone surrogate could not be written anywhere
    line = " ".join(re.sub(r"(?s)<(script|style).*?</\1>|<[^>]*>", " ", body).split())
    return line if len(line) <= 300 else line[:299] + "…"


def explain(
    failure: Failure, status: int, body: Any, sent: Mapping[str, Any], *, section: str, address: str, models: list[str]
) -> str:
    """One line for the user that says what is wrong, and which key to change where one can be changed."""
    message = said(body)
    if failure is Failure.KEY:
        fix = f"set OPENAI_API_KEY or {section}.api_key"
        return f"{section}.api_key: the server refuses it ({status}: {message}); {fix}"
    if failure is Failure.MODEL:
        have = f"; it lists: {listing(models)}" if models else ""
        return f"{section}.model: the server does not have {sent.get('model')!r} ({message}){have}"
    if failure is Failure.ADDRESS:
        fix = "correct it" if address.rstrip("/").endswith("/v1") else "should it end in /v1?"
        return f"{section}.base_url: {address} does not serve chat completions ({status}: {message}); {fix}"
    if failure is Failure.PARAMETER:
        name = refused_parameter(body, sent) or ""
        key = _KEYS.get(name, f"extra_params.{name}")
        fix = _FIXES.get(name, "change it or leave it out").format(section)
        return f"the server refuses {section}.{key}: {message}; {fix}"
    return f"{status}: {message}" if failure is Failure.PROMPT else f"{failure} ({status}: {message})"


_KEYS = {name: name for name in ("temperature", "top_p", "max_tokens", "stop", "seed", "stream", "n")} | {
    "stream_options": "stream"
}
_FIXES = {
    "seed": "set {}.send_seed=false",
    "stream": "set {}.stream=false",
    "stream_options": "set {}.stream=false",
    "max_tokens": "change it, or leave it out and set {}.extra_params.max_completion_tokens where it asks for that",
}


def listing(names: list[str]) -> str:
    """The first few of them."""
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def why_unconnected(cause: aiohttp.ClientConnectorError) -> str:
    """Why there is no connection, in a few words."""
    import aiohttp

    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return f"the name {cause.host} can't be resolved"
    if isinstance(cause, aiohttp.ClientSSLError):
        return f"TLS: {said(str(cause.os_error) if cause.os_error else type(cause).__name__)}"
    number = cause.os_error.errno
    if number == errno.ECONNREFUSED:
        return "connection refused"
    return os.strerror(number).lower() if number else said(str(cause.os_error))


def moved(location: str) -> str:
    """What to say of a redirect."""
    return f"it sends us to {without_credentials(location)}; if that is right, make it the address"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks us to wait: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date."""
    for name, unit in (("Retry-After-Ms", 1000.0), ("Retry-After", 1.0)):
        value = headers.get(name, "")
        try:
            seconds = float(value) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    when = _timestamp(headers.get("Retry-After", ""))
    if when is None:
        return None
    # By the server's clock where it shows it: ours may be wrong.
    now = _timestamp(headers.get("Date", ""))
    return max(0.0, when - (time.time() if now is None else now))


def _timestamp(date: str) -> float | None:
    parsed = email.utils.parsedate_tz(date) if date else None
    return None if parsed is None else float(email.utils.mktime_tz(parsed))


def _is_about_model(status: int, body: Any, words: str) -> bool:
    if _detail(body, "code") == "model_not_found" or _detail(body, "param") == "model":
        return True
    return bool(_NO_MODEL.search(words)) or (status == 404 and re.search(r"\bmodel\b", words) is not None)


def _detail(body: Any, name: str) -> Any:
    """A field of the error object."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else None
    return error.get(name) if isinstance(error, dict) else None


def _locations(body: Any) -> Iterator[str]:
    """The fields that a validation error points at, as pydantic's `loc` gives them: ["body", "seed"]."""
    if isinstance(body, list):
        for part in body:
            yield from _locations(part)
    elif isinstance(body, dict):
        place = body.get("loc")
        if isinstance(place, list):
            yield str(next((part for part in place if part != "body"), ""))
        for part in body.values():
            yield from _locations(part)


def _naming(name: str) -> re.Pattern[str]:
    """Matches a message that names a parameter; short names that are also words (`n`, `stop`) need more than that."""
    quoted = rf"['\"`]{re.escape(name)}['\"`]"
    if "_" in name:
        return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    introduced = (
        rf"\b(?:parameters?|arguments?|fields?|propert(?:y|ies)|options?|supplied|keys?)\b[\s:]+{re.escape(name)}\b"
    )
    judged = (
        rf"(?<![\w-]){re.escape(name)}\s*(?:[=<>]|(?:values? )?(?:must|can(?:not|.t| only)|should|out of|"
        r"(?:is|are) (?:not|too|only|unsupported|invalid)|isn.t|does(?:n.t| not)|has to)\b)"
    )
    return re.compile(f"{quoted}|{introduced}|{judged}")
