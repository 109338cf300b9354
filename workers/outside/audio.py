"""What kind of audio a file is, and how long it plays, from its own bytes: a server's word is not trusted."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

HEAD_BYTES: Final = 12

_CHUNK_HEADER: Final = struct.Struct("<4sI")
# An MPEG frame starts with eleven set bits; then version, and 01 for Layer III. FF FE, a byte order mark, would be
# Layer I, which no platform sends.
_FRAME_MASK: Final = 0xFFE6
_LAYER_III_FRAME: Final = 0xFFE2
_UNKNOWN_LENGTHS: Final = frozenset({0, 0xFFFF_FFFF, 0x7FFF_FFFF})  # what writers of live streams leave in the header
_MOST_CHUNKS: Final = 64


def sniff(head: bytes) -> str | None:
    """`wav`, `mp3`, `amr` or `ogg` by the first HEAD_BYTES, None for anything else (HTML, JSON, nothing)."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:5] == b"#!AMR":
        return "amr"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:3] == b"ID3" or _is_mp3_frame(head):
        return "mp3"
    return None


def wav_seconds(file: Path) -> tuple[float | None, bool]:
    """Playing time (data length / byte rate), and whether all the data that the header promises is there.

    Time is None for a header without a rate or a true length. It never exceeds what the file holds.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        rate, start, length = _rate_and_data(stream)
    if not rate or length in _UNKNOWN_LENGTHS:
        return None, True
    return round(min(length, size - start) / rate, 3), start + length <= size


def _is_mp3_frame(head: bytes) -> bool:
    return len(head) > 1 and int.from_bytes(head[:2]) & _FRAME_MASK == _LAYER_III_FRAME


def _rate_and_data(stream: BinaryIO) -> tuple[int, int, int]:
    """Bytes a second, where the data starts, and its declared length; zeros where the header is broken."""
    stream.seek(HEAD_BYTES)
    rate = 0
    for _ in range(_MOST_CHUNKS):
        header = stream.read(_CHUNK_HEADER.size)
        if len(header) < _CHUNK_HEADER.size:
            break
        name, length = _CHUNK_HEADER.unpack(header)
        if name == b"data":
            return rate, stream.tell(), length
        start = stream.tell()
        if name == b"fmt ":
            rate = int.from_bytes(stream.read(12)[8:12], "little")
        stream.seek(start + length + length % 2)
    return 0, 0, 0
