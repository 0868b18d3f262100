"""`reward-model`: the score that a reward model or classifier on a server gives a response.

    endpoint    path                  sent                             read
    score       /score                text_1, text_2                   data[0].score
    classify    /classify             messages, or input (and text)    data[0].probs, or embedding (SGLang's own)
    pooling     /pooling              messages, or input               data[0].data
    chat        /v1/chat/completions  messages                         a number, `reward: N` or {"score": N} as content

The first three stand beside /v1. A reply that holds no finite number is an error, never a score.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from rsr.errors import ConfigError, VerifierError
from rsr.failures import Failed, Failure
from rsr.gate import Ticket
from rsr.hashing import content_hash
from rsr.replies import read_choices
from rsr.types import Verdict
from rsr.verifiers.judge_prompt import question_of
from rsr.verifiers.remote import Asked, Remote
from rsr.verifiers.service import Access, Service

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_SAID = re.compile(rf"\s*(?:(?:reward|score)\s*[:=]\s*)?({_NUMBER})\s*", re.IGNORECASE)


class RewardModel:
    """A reward model or classifier on a vLLM or SGLang server gives a real number; no reference is needed.

    Args:
        model: as the server names it.
        base_url: address of the server's API, with /v1 at its end or without.
        api_key: default: the environment variable OPENAI_API_KEY. Never written anywhere.
        headers: further HTTP headers.
        endpoint: score, classify, pooling, or chat.
        path: default: that of the endpoint; /v1/classify for SGLang's classifiers.
        send: classify and pooling: messages (the server applies the chat template) or text.
        text: for `send: text`: what is sent, with {question} and {response} in it; default: both in turn.
        label: which of several numbers is the score: its position from 0, -1 for the last, or a class's name.
        extra_params: merged into the request; a key whose value is null is left out of it.
        concurrent_requests: requests in flight at most.
        requests_per_minute: sent in any minute at most.
        timeout: seconds for one try of a request.
        max_retries: further tries of a request that failed.
        max_outage: seconds to wait for a server that is gone; then the run ends.
        budget: `requests` and `tokens` that all starts of a run may spend on it.
    """

    version = "1"
    needs_answer = False

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        api_key: str | None = None,
        headers: dict[str, str] | None = None,
        endpoint: Literal["score", "classify", "pooling", "chat"] = "classify",
        path: str | None = None,
        send: Literal["messages", "text"] = "messages",
        text: str | None = None,
        label: int | str | None = None,
        extra_params: dict[str, Any] | None = None,
        concurrent_requests: int = 64,
        requests_per_minute: int | None = None,
        timeout: float = 600.0,
        max_retries: int = 6,
        max_outage: float = 3600.0,
        budget: dict[str, int | None] | None = None,
    ) -> None:
        text = "{question}\n\n{response}" if text is None else text
        if "{response}" not in text:
            raise ConfigError("verifier.text: it doesn't hold the response; put {response} into it")
        self._endpoint = endpoint
        self._path = (path or ("v1/chat/completions" if endpoint == "chat" else endpoint)).strip("/")
        self._send, self._text, self._label = send, text, label
        self._model = model
        self._extra = extra_params or {}
        limits = (concurrent_requests, requests_per_minute, None)
        access = Access(model, base_url, api_key, headers, *limits, timeout, max_retries, max_outage, budget)
        self.service = Service(access, at_root=True)
        self.services = [self.service]

    def identity(self) -> dict[str, Any]:
        """What decides scores beside the row."""
        sent = {"send": self._send, "text": self._text} if self._send == "text" else {"send": self._send}
        asked = {"model": self._model, "endpoint": self._endpoint, "path": self._path, "label": self._label}
        return {**asked, **sent, "params": self._extra}

    def reads(self, asked: Asked) -> Any:
        """The prompt is all that a score is made against."""
        return {"messages": list(asked.messages)}

    def refuses(self, asked: Asked) -> str | None:
        """Nothing: any prompt will do."""
        return None

    async def ajudge(self, asked: Asked) -> Verdict:
        """The score of a response.

        Raises:
            VerifierError: it is not finite.
        """
        payload = {key: value for key, value in self._payload(asked).items() if value is not None}
        key = content_hash([list(asked.messages), asked.response])
        chat = self._endpoint == "chat"
        score = await self.service.ask(self._path, payload, key, self._score, chat)
        if not math.isfinite(score):
            raise VerifierError(f"the reward model gave the score {score}")
        return Verdict(score=score)

    def _payload(self, asked: Asked) -> dict[str, Any]:
        messages = [*asked.messages, {"role": "assistant", "content": asked.response}]
        question = question_of(asked.messages)
        sent: dict[str, Any] = {"messages": messages}
        if self._endpoint == "score":
            sent = {"text_1": question, "text_2": asked.response}
        elif self._send == "text" and self._endpoint != "chat":
            parts = [part.replace("{question}", question) for part in self._text.split("{response}")]
            text = asked.response.join(parts)
            sent = {"input": text, "text": text} if self._endpoint == "classify" else {"input": text}
        return {"model": self._model, **sent, **self._extra}

    def _score(self, reply: Any, ticket: Ticket, remote: Remote) -> float:
        """The score in a reply; raises `Failed` where there is none."""
        usage = reply.get("usage") if isinstance(reply, dict) else None
        usage = usage if isinstance(usage, dict) else {}
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        self.service.used(remote, ticket, *(count if isinstance(count, int) else None for count in counts))
        if self._endpoint == "chat":
            return _said(read_choices(reply, False)[0].text)
        rows = reply.get("data", reply) if isinstance(reply, dict) else reply  # SGLang's own: the result itself
        row = rows[0] if isinstance(rows, list) and len(rows) == 1 else rows
        if not isinstance(row, dict):
            raise _useless("it doesn't hold one result")
        for name in ("score", "probs", "data", "embedding"):
            if row.get(name) is not None:
                return self._chosen(row[name], row.get("labels"))
        raise _useless("the result has neither score, probs, data nor embedding")

    def _chosen(self, found: Any, labels: Any) -> float:
        """The number that `label` means among those that a result holds."""
        numbers = [_only(one) for one in found] if isinstance(found, list) else [_only(found)]
        label = self._label
        if isinstance(label, str):
            if not isinstance(labels, list) or label not in labels or len(labels) != len(numbers):
                raise VerifierError(f"verifier.label: the reply has no class {label!r}; give its position")
            return numbers[labels.index(label)]
        if label is None and len(numbers) != 1:
            raise VerifierError(f"the reply holds {len(numbers)} numbers; set verifier.label to the position of one")
        if not -len(numbers) <= (label or 0) < len(numbers):
            raise VerifierError(f"verifier.label: it is {label}, but the reply holds {len(numbers)} numbers")
        return numbers[label or 0]


def _only(value: Any) -> float:
    """A number, also where it is alone in a list."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _useless("a score is no number")
    return float(value)


def _said(text: str) -> float:
    """The number that a chat reply consists of."""
    found = _SAID.fullmatch(text)
    if found:
        return float(found[1])
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    numbers = [said[name] for name in ("score", "reward") if name in said] if isinstance(said, Mapping) else []
    if len(numbers) != 1:
        raise _useless("what it says is no number")
    return _only(numbers[0])


def _useless(why: str) -> Failed:
    return Failed(Failure.BODY, f"{Failure.BODY}: {why}")
