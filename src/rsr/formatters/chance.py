"""Random choices that are the same whenever they are made: by a hash of seed, prompt and indices, never by a state."""

from __future__ import annotations

from hashlib import blake2b


def chance(seed: int, prompt: bytes, *indices: int) -> int:
    """64 bits that follow from the seed, the prompt's key and the indices: the least of several is a fair draw."""
    text = f"{seed}/{'/'.join(map(str, indices))}/"
    return int.from_bytes(blake2b(text.encode() + prompt, digest_size=8).digest())
