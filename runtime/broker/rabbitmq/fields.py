"""Fields of AMQP tables and short strings as bytes; what stands in front of a value is kept.

The types `S` (long string) and `l` (signed 64 bit) are those RabbitMQ reads (rabbitmq.com/docs/amqp-0-9-1-errata).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

PUBLISH: Final = "callstitch_publish"  # header: which publish it is, so that one that comes back is known again
SHORT_MOST: Final = 255  # one byte tells the length of a short string
_LONG: Final = struct.Struct(">I")
_SIGNED: Final = struct.Struct(">q")
_HEADS_KEPT: Final = 1024


def short(text: str) -> bytes:
    """A short string.

    Raises:
        ValueError: it is longer than 255 bytes.
    """
    data = text.encode()
    if len(data) > SHORT_MOST:
        raise ValueError(f"too long for an AMQP short string: {len(data)} bytes")
    return bytes((len(data),)) + data


@lru_cache(_HEADS_KEPT)
def field_head(key: str, kind: bytes) -> bytes:
    """What stands in front of a field's value."""
    return short(key) + kind


def field_of(key: str, value: str | int) -> bytes:
    """A field of a table."""
    if isinstance(value, str):
        return field_head(key, b"S") + long(value.encode())
    return field_head(key, b"l") + _SIGNED.pack(value)


def long(data: bytes) -> bytes:
    """A long string."""
    return _LONG.pack(len(data)) + data
