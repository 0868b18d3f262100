"""`llm-as-judge`: a model says whether a response is right, or how good it is by a rubric."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rsr.completions import to_rollout
from rsr.errors import ConfigError, VerifierError
from rsr.gate import Ticket
from rsr.hashing import content_hash
from rsr.replies import read_choices
from rsr.types import Completion, Message, Outcome, Reason, Verdict
from rsr.verifiers.judge_prompt import Template, Written
from rsr.verifiers.judge_reply import Form, Unreadable, Vote
from rsr.verifiers.remote import Asked, Remote, current_remote
from rsr.verifiers.service import Access, Service

_PATH = "chat/completions"
_REMEMBERED = 4096  # responses with their verdicts, and such whose votes are not all there
_NEAR = 0.1  # of the scale: votes that are no farther from the middle one agree with it
_SHOWN_AGAIN = 4000  # characters of an unreadable reply that the judge sees again
_CUT = {
    Outcome.TRUNCATED: "the judge's reply was cut; raise verifier.max_tokens",
    Outcome.FILTERED: "the judge's reply was filtered",
    Outcome.EMPTY: "the judge's reply is empty",
}


class _Begun(NamedTuple):
    """Of a response on which a vote could not be had: the votes that were, which are paid for, and what was no vote."""

    votes: dict[int, Vote]
    unread: Counter[int]


class Judge:
    """A model reads question, reference and response, and says whether it is right, or a score by a rubric.

    Args:
        model: the judge, as its server names it.
        base_url: address of the judge's API, usually ending in /v1; default: OpenAI's.
        api_key: default: the environment variable OPENAI_API_KEY. Never written anywhere.
        headers: further HTTP headers.
        template: mcq, short_answer, math, rubric, or a file ./name.jinja.
        rubric: what `template: rubric` grades by; a row's `metadata.rubric` goes before it.
        scale: lowest and highest score that the judge may give, e.g. [1, 10]; scaled to 0..1. Default: [1, 10] for
            `rubric`, else the judge says correct or incorrect.
        votes: how often the judge is asked about a response.
        agreement: share of the votes that must agree (more than half in any case); else the response is `unverifiable`.
        temperature: not sent where it is not set, as are the next three.
        top_p: nucleus sampling.
        max_tokens: longest reply; one that it cuts is an error, never a verdict.
        extra_params: merged into the request.
        send_seed: send each request a seed of its own; false for servers that refuse the parameter.
        concurrent_requests: requests to the judge in flight at most.
        requests_per_minute: sent in any minute at most.
        tokens_per_minute: in any minute at most.
        timeout: seconds for one try of a request.
        max_retries: further tries of a request that failed.
        max_outage: seconds to wait for a judge that is gone; then the run ends.
        budget: `requests` and `tokens` that all starts of a run may spend on the judge.
    """

    version = "1"
    default_template = "short_answer"

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        headers: dict[str, str] | None = None,
        template: str | None = None,
        rubric: str | None = None,
        scale: list[float] | None = None,
        votes: int = 1,
        agreement: float = 0.5,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        extra_params: dict[str, Any] | None = None,
        send_seed: bool = True,
        concurrent_requests: int = 64,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        timeout: float = 600.0,
        max_retries: int = 6,
        max_outage: float = 3600.0,
        budget: dict[str, int | None] | None = None,
    ) -> None:
        name = template or self.default_template
        _refuse_nonsense(votes, agreement, temperature, extra_params or {})
        if name == "rubric":
            scale = scale or [1.0, 10.0]
        elif rubric is not None and name in ("mcq", "short_answer", "math"):
            raise ConfigError(f"verifier.rubric: the template {name} doesn't use it; set verifier.template=rubric")
        self._form = Form(_scale(scale))
        self._template = Template(name, self._form, rubric)
        self.votes, self.agreement = votes, agreement
        given = {"model": model, "temperature": temperature, "top_p": top_p, **(extra_params or {})}
        self._params = {key: value for key, value in given.items() if value is not None}
        self._max_tokens = max_tokens
        self._send_seed = send_seed
        self.needs_answer = name in ("mcq", "short_answer", "math")
        limits = (concurrent_requests, requests_per_minute, tokens_per_minute)
        access = Access(model, base_url, api_key, headers, *limits, timeout, max_retries, max_outage, budget)
        self.service = Service(access)
        self.services = [self.service]
        self.score_range = (0.0, 1.0)
        self._known: OrderedDict[bytes, Verdict] = OrderedDict()
        self._asking: dict[tuple[Remote, bytes], asyncio.Task[Verdict]] = {}
        self._begun: OrderedDict[bytes, _Begun] = OrderedDict()

    def identity(self) -> dict[str, Any]:
        """What decides verdicts beside the row; a higher `max_tokens` only lets the judge finish."""
        form = list(self._form.scale) if self._form.scale else None
        asked = {"template": self._template.text, "scale": form, "votes": self.votes, "agreement": self.agreement}
        return {**asked, "params": self._params}

    def reads(self, asked: Asked) -> Any:
        """What the judge is shown of a row."""
        return self._template.reads(asked)

    def refuses(self, asked: Asked) -> str | None:
        """Why nothing could be judged against a row; no request is made."""
        try:
            self._template.write(asked)
        except ValueError as cause:
            return str(cause)
        return None

    async def ajudge(self, asked: Asked) -> Verdict:
        """The judge's verdict; equal responses to a prompt are judged once.

        Raises:
            VerifierError: a vote could not be had.
        """
        written = self._template.write(asked)
        known = self._known.get(written.digest)
        if known is not None:
            return known
        key = (current_remote(), written.digest)
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._judged(written))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        verdict = await asyncio.shield(asking)
        self._known[written.digest] = verdict
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return verdict

    async def _judged(self, written: Written) -> Verdict:
        """The verdict that the votes come to."""
        begun = self._begun.pop(written.digest, None) or _Begun({}, Counter())
        missing = [number for number in range(self.votes) if number not in begun.votes]
        votes = (self._vote(written, number, begun.unread) for number in missing)
        found = await asyncio.gather(*votes, return_exceptions=True)
        begun.votes.update({number: one for number, one in zip(missing, found, strict=True) if isinstance(one, Vote)})
        failed = [one for one in found if isinstance(one, BaseException)]
        if failed:
            self._begun[written.digest] = begun
            if len(self._begun) > _REMEMBERED:
                self._begun.popitem(last=False)
            raise failed[0]
        return self._decided([begun.votes[number] for number in range(self.votes)])

    async def _vote(self, written: Written, number: int, unread: Counter[int]) -> Vote:
        """One vote. Replies that are none are counted: the same seed would bring them again."""
        messages: list[Message] = [{"role": "user", "content": written.text}]
        why = ""
        for _ in range(2):
            completion = await self._ask(messages, written, number, unread[number])
            rollout = to_rollout(completion, 0)
            if rollout.outcome is not Outcome.OK:
                unread[number] += 1
                raise VerifierError(_CUT.get(rollout.outcome, str(rollout.outcome)))
            try:
                return self._form.read(rollout.response)
            except Unreadable as cause:
                why = str(cause)
                unread[number] += 1
            messages = [messages[0], {"role": "assistant", "content": rollout.response[-_SHOWN_AGAIN:]}]
            messages.append({"role": "user", "content": self._form.again})
        raise VerifierError(f"the judge's reply can't be read, nor the one after it: {why}")

    async def _ask(self, messages: Sequence[Message], written: Written, number: int, unread: int) -> Completion:
        payload: dict[str, Any] = {"messages": messages, **self._params}
        if self._max_tokens is not None:
            payload["max_tokens"] = self._max_tokens
        if self._send_seed:
            payload["seed"] = int.from_bytes(content_hash([written.digest.hex(), number, unread])[:4]) >> 1
        return await self.service.ask(_PATH, payload, written.digest, self._completion, chat=True)

    def _completion(self, reply: Any, ticket: Ticket, remote: Remote) -> Completion:
        found = read_choices(reply, False)[0]
        self.service.used(remote, ticket, found.prompt_tokens, found.completion_tokens)
        return found

    def _decided(self, votes: Sequence[Vote]) -> Verdict:
        scores = [vote.score for vote in votes]
        reason = next((vote.reason for vote in votes if vote.reason), None)
        score, agreeing = Counter(scores).most_common(1)[0]
        if self._form.scale is not None:
            middle = statistics.median_low([one for one in scores if one is not None])
            score, agreeing = middle, sum(one is not None and abs(one - middle) <= _NEAR + 1e-9 for one in scores)
        share = agreeing / len(votes)
        detail = reason if len(votes) == 1 else f"{agreeing} of {len(votes)} votes agree"
        if share < self.agreement or share <= 0.5:
            return Verdict(reason=Reason.UNVERIFIABLE, detail=f"the judge disagrees with itself: {detail}")
        if score is None:
            return Verdict(reason=Reason.NO_ANSWER, detail=detail)
        return Verdict(score=score, detail=detail)


class MCQJudge(Judge):
    """The same under the name of the reference implementation, for multiple choice (`template: mcq`)."""

    default_template = "mcq"


def _refuse_nonsense(votes: int, agreement: float, temperature: float | None, extra: Mapping[str, Any]) -> None:
    for name in ("messages", "n", "stream"):
        if name in extra:
            raise ConfigError(f"verifier.extra_params.{name}: is not for a config to set; leave it out")
    if votes < 1:
        raise ConfigError(f"verifier.votes: it is {votes}; set it to 1 or more")
    if not 0 < agreement <= 1:
        raise ConfigError(f"verifier.agreement: it is {agreement:g}; set it to a share above 0, at most 1")
    if votes > 1 and temperature == 0:
        raise ConfigError("verifier.votes: with temperature 0 all votes are the same; raise verifier.temperature")


def _scale(given: Sequence[float] | None) -> tuple[float, float] | None:
    if given is None:
        return None
    if len(given) != 2 or not given[0] < given[1] or given[1] - given[0] == float("inf"):
        raise ConfigError(
            f"verifier.scale: it is {list(given)}; set it to the lowest and the highest score, e.g. [1, 10]"
        )
    return float(given[0]), float(given[1])
