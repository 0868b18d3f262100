"""Verdicts for any file of responses: JSONL in, the same rows with `score`, `extracted` and `reason` out."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rsr.errors import InputError
from rsr.outfile import replacing
from rsr.types import Message, Verdict
from rsr.verifiers.check import Check
from rsr.verifiers.pool import Pool
from rsr.verifiers.remote import Remote

_AHEAD = 256


class Scored(NamedTuple):
    """How a file was scored."""

    rows: int
    scored: int
    passed: int
    """Of a score of at least 1."""
    unscored: Counter[str]
    """Rows without a score, by reason."""


def score_file(source: Path, check: Check, out: Path) -> Scored:
    """Judge each row's `response` against its `answer` (with `choices`, `metadata` and `messages` where it has them).

    Raises:
        InputError: the file is missing, a line is not JSON, or has no response; nothing is written then.
        SamplerStopped: a server that the verifier asks is not there, or refuses the key.
    """
    if not source.is_file():
        raise InputError(f"{source}: there is no such file")
    counts = Scored(0, 0, 0, Counter())
    encode = msgspec.json.Encoder().encode
    with closing(Remote()) as remote, replacing(out) as target, Pool() as pool, target.open("wb") as file:
        for service in check.services:
            remote.submit(service.start).result()
        for row, verdict in _judged(source, check, pool, remote):
            reason = verdict.reason.value if verdict.reason else None
            file.write(encode({**row, "score": verdict.score, "extracted": verdict.extracted, "reason": reason}))
            file.write(b"\n")
            counts = _counted(counts, verdict)
    return counts


def _judged(source: Path, check: Check, pool: Pool, remote: Remote) -> Iterator[tuple[dict[str, Any], Verdict]]:
    pending: deque[tuple[dict[str, Any], Verdict | Future[Verdict]]] = deque()
    for row in _rows(source, check):
        answer, choices = _given(row, "answer"), _given(row, "choices")
        given = (row["response"], answer, choices, row.get("metadata") or {})
        pending.append((row, check.submit(*given, pool=pool, messages=_messages(row), remote=remote)))
        if len(pending) >= _AHEAD:
            yield _settled(pending.popleft())
    while pending:
        yield _settled(pending.popleft())


def _settled(item: tuple[dict[str, Any], Verdict | Future[Verdict]]) -> tuple[dict[str, Any], Verdict]:
    row, verdict = item
    return row, verdict.result() if isinstance(verdict, Future) else verdict


def _rows(source: Path, check: Check) -> Iterator[dict[str, Any]]:
    decode = msgspec.json.Decoder().decode
    for number, line in _lines(source):
        where = f"{source}, line {number}"
        try:
            row = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise InputError(f"{where}: not JSON ({cause}); correct the line") from None
        if not isinstance(row, dict) or not isinstance(row.get("response"), str | Mapping):
            raise InputError(f"{where}: there is no response in it; a row is an object with response and answer")
        if not isinstance(row.get("metadata"), Mapping | None):
            raise InputError(f"{where}: metadata must be an object, is a {type(row['metadata']).__name__}")
        if check.needs_answer and _given(row, "answer") is None:
            raise InputError(f"{where}: there is no answer in it; the verifier {check.name} needs one")
        yield row


def _lines(source: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers."""
    number = 0
    try:
        with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if text.strip():
                    yield number, text
    except (OSError, EOFError, zlib.error) as cause:
        raise InputError(f"{source}, after line {number}: can't be read: {cause}") from cause


def _given(row: Mapping[str, Any], name: str) -> Any:
    """A row's `answer` or `choices`: its own, else its metadata's."""
    own = row.get(name)
    return (row.get("metadata") or {}).get(name) if own is None else own


def _messages(row: Mapping[str, Any]) -> list[Message]:
    """A row's `messages`, or its `question` or `prompt` as one; empty where it has none."""
    messages = row.get("messages")
    if isinstance(messages, list) and all(isinstance(message, dict) for message in messages):
        return messages
    asked = row.get("question", row.get("prompt"))
    return [{"role": "user", "content": asked}] if isinstance(asked, str) else []


def _counted(counts: Scored, verdict: Verdict) -> Scored:
    if verdict.reason is not None:
        counts.unscored[verdict.reason.value] += 1
    score = verdict.score
    return Scored(
        counts.rows + 1,
        counts.scored + (score is not None),
        counts.passed + (score is not None and score >= 1.0),
        counts.unscored,
    )
