"""What identifies things: canonical JSON and the keys made of it.

    prompt key    = hash of id, messages, tools, images                                    16 bytes
    sampling key  = hash of the keys of class *identity* (see `rsr.config`)                16 bytes
    seed          = base(sampling key, prompt key) + index
    verdict key   = hash of verifier, parameters, version, reference and choices           63 bits
    answer key    = hash of the final answer, trimmed                                      63 bits

Changing anything here changes every key: stored rollouts would no longer be found.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

MAX_ATTEMPTS = 1 << 16
"""The most indices a prompt can have; seeds leave room for as many."""

_SEEDS = 2**31 - 2 - MAX_ATTEMPTS
_encoder = msgspec.json.Encoder(order="sorted")

ANSWER_KEY_FUNCTION = "trimmed/1"
"""Name and version of `answer_key`, stored beside its results."""


def canonical_json(value: Any) -> bytes:
    """Keys sorted, no white space, non-ASCII left as it is."""
    return _encoder.encode(value)


def content_hash(value: Any) -> bytes:
    """16 bytes that identify a JSON value."""
    return blake2b(canonical_json(value), digest_size=16).digest()


def prompt_key(id: str | None, messages: Any, tools: Any = None, images: Any = None, repeat: int = 0) -> bytes:
    """The key of a prompt; rows without an id are told apart by `repeat`, their number among equal ones."""
    return content_hash([id, messages, tools, images, repeat])


def seed_base(sampling_key: bytes, prompt: bytes) -> int:
    """The seed of index 0, in [0, 2^31 - 2 - MAX_ATTEMPTS]: independent of the budget, so that a raised one extends."""
    digest = blake2b(sampling_key + prompt, digest_size=8).digest()
    return int.from_bytes(digest) % (_SEEDS + 1)


def answer_key(answer: str) -> int:
    """63 bits that are equal exactly for answers that are equal after trimming white space."""
    return _int63(answer.strip().encode("utf-8", "surrogatepass"))


def verdict_key(name: str, params: Any, version: str, reference: Any) -> int:
    """63 bits that identify how a verdict was made: by whom, with which parameters, against what."""
    return _int63(canonical_json([name, params, version, reference]))


def _int63(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest()) >> 1
