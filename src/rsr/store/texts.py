"""What a model said, as bytes that can tell whether they are whole.

zstd frame with a checksum          of msgpack [text, reasoning field]; old frames have no checksum
0x01, CRC-32 (4 bytes), msgpack     short ones; old ones are msgpack alone (its first byte is 0x92)
"""

from __future__ import annotations

from zlib import crc32

import msgspec
import zstandard

_SMALL = 128  # bytes; below this zstd gains nothing
_SHORT = 4096  # bytes; below this a higher level costs more and saves nothing
_CHECKED = b"\x01"


class Damaged(Exception):
    """Bytes that are not what was written."""


class Texts:
    """Packs and unpacks texts; not for two threads at once."""

    def __init__(self) -> None:
        self._compress = zstandard.ZstdCompressor(level=3, write_checksum=True).compress
        self._compress_short = zstandard.ZstdCompressor(level=1, write_checksum=True).compress
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(tuple[str, str | None]).decode

    def pack(self, text: str, reasoning: str | None) -> bytes:
        """The bytes of a text and of what the server gave as its reasoning; both must be encodable."""
        raw = self._encode((text, reasoning))
        if len(raw) < _SMALL:
            return _CHECKED + crc32(raw).to_bytes(4, "little") + raw
        return self._compress_short(raw) if len(raw) < _SHORT else self._compress(raw)

    def unpack(self, content: bytes) -> tuple[str, str | None]:
        """Text and reasoning field.

        Raises:
            Damaged: these are not the bytes that were written.
        """
        try:
            if content[:4] == zstandard.FRAME_HEADER:
                return self._decode(self._decompress(content))
            if content[:1] != _CHECKED:
                return self._decode(content)
            if crc32(content[5:]).to_bytes(4, "little") != content[1:5]:
                raise Damaged
            return self._decode(content[5:])
        except (zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError, TypeError, MemoryError) as cause:
            raise Damaged from cause
