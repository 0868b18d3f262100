"""Which files may hold rollouts of a prompt, so that not every file is searched for every prompt.

A table of 16 MB, however much is stored: a byte for the first three bytes of a prompt's key, a bit in it for every
eighth file. It may say yes where the answer is no, never the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence

from rsr.store.segment import Segment

_BYTES = 3
_FILES = 8


class Whereabouts:
    """The table of some files, in their order; files are only ever added at the end.

    Args:
        segments: what they hold is looked up once.
        sampling_key: of the streams that count.
    """

    def __init__(self, segments: Sequence[Segment], sampling_key: bytes) -> None:
        self._table = bytearray(1 << 8 * _BYTES)
        for number, segment in enumerate(segments):
            table, bit = self._table, 1 << number % _FILES
            for (key,) in segment.keys(sampling_key):
                table[int.from_bytes(key[:_BYTES])] |= bit

    def note(self, key: bytes, number: int) -> None:
        """A prompt has been stored in the file of this number."""
        self._table[int.from_bytes(key[:_BYTES])] |= 1 << number % _FILES

    def of(self, keys: Sequence[bytes], number: int) -> list[int]:
        """The positions of those keys that may be in the file of this number."""
        table, bit, size = self._table, 1 << number % _FILES, _BYTES
        return [at for at, key in enumerate(keys) if table[int.from_bytes(key[:size])] & bit]
