"""Messages as AMQP frames, quickly: what is the same for each message of a route is encoded once.

Layout of method, header and body frames: AMQP 0-9-1 specification, sections 2.3.5 and 4.2; the field table
types `S` (long string) and `l` (signed 64 bit) are those RabbitMQ reads (rabbitmq.com/docs/amqp-0-9-1-errata).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from pamqp import commands, frame, header

from runtime.broker.base import Message

_FRAME_HEAD: Final = struct.Struct(">BHI")  # type, channel, size of the payload
_CONTENT_HEAD: Final = struct.Struct(">BHIHHQH")  # frame head, class, weight, size of the body, property flags
_LONG: Final = struct.Struct(">I")
_SIGNED: Final = struct.Struct(">q")
_END: Final = b"\xce"
_HEADER, _BODY = 2, 3
_BASIC: Final = 60
_FLAGS: Final = 0x8000 | 0x1000 | 0x0080  # content type, delivery mode, message id
_FLAG_HEADERS: Final = 0x2000
_PERSISTENT: Final = b"\x02"
_FRAME_OVERHEAD: Final = 8  # seven bytes of head and the end byte
_NO_FRAME_MAX: Final = 1 << 31  # frame_max 0 means no limit
_MADE: Final[Mapping[str, Callable[[Any], Any]]] = {"timestamp": lambda seconds: datetime.fromtimestamp(seconds, UTC)}
_ROUTES_KEPT: Final = 4096
_FIELDS_KEPT: Final = 1024


class Encoder:
    """Encodes messages for one channel: frames carry the channel's number and obey its connection's `frame_max`."""

    def __init__(self, channel: int, *, frame_max: int) -> None:
        self._channel = channel
        self._body_max = (frame_max or _NO_FRAME_MAX) - _FRAME_OVERHEAD
        self._routes: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}

    def encode(self, message: Message, parts: list[bytes]) -> None:
        """Append the frames of a persistent, mandatory publish.

        Raises:
            ValueError: a name or header key is longer than 255 bytes.
        """
        if message.properties is not None:
            return self.encode_special(message, parts, properties=message.properties, mandatory=True)
        method, content_type = self._route(message)
        body, headers = message.body, message.headers
        table = _field_table(headers) if headers else b""
        message_id = _short(message.message_id)
        properties = len(content_type) + len(table) + 1 + len(message_id)
        parts += (
            method,
            _CONTENT_HEAD.pack(
                _HEADER,
                self._channel,
                14 + properties,
                _BASIC,
                0,
                len(body),
                _FLAGS | _FLAG_HEADERS if table else _FLAGS,
            ),
            content_type,
            table,
            _PERSISTENT,
            message_id,
            _END,
        )
        return self._append_body(body, parts)

    def encode_special(
        self, message: Message, parts: list[bytes], *, properties: Mapping[str, Any], mandatory: bool
    ) -> None:
        """Append the frames of a publish with further properties (`reply_to`, `expiration`, ...), unhurried."""
        publish = commands.Basic.Publish(
            exchange=message.exchange, routing_key=message.routing_key, mandatory=mandatory
        )
        content = commands.Basic.Properties(
            content_type=message.content_type,
            headers=dict(message.headers) or None,
            delivery_mode=_PERSISTENT[0],
            message_id=message.message_id,
            **{name: _MADE[name](value) if name in _MADE else value for name, value in properties.items()},
        )
        parts.append(frame.marshal(publish, self._channel))
        parts.append(
            frame.marshal(header.ContentHeader(body_size=len(message.body), properties=content), self._channel)
        )
        self._append_body(message.body, parts)

    def _route(self, message: Message) -> tuple[bytes, bytes]:
        key = (message.exchange, message.routing_key, message.content_type)
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) >= _ROUTES_KEPT:
                self._routes.clear()
            publish = commands.Basic.Publish(exchange=key[0], routing_key=key[1], mandatory=True)
            route = self._routes[key] = (frame.marshal(publish, self._channel), _short(key[2]))
        return route

    def _append_body(self, body: bytes, parts: list[bytes]) -> None:
        """One frame if it fits; RabbitMQ closes the connection (501) on a frame above `frame_max`."""
        for start in range(0, len(body), self._body_max):
            piece = body if len(body) <= self._body_max else body[start : start + self._body_max]
            parts += (_FRAME_HEAD.pack(_BODY, self._channel, len(piece)), piece, _END)


def _short(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:  # noqa: PLR2004 - one byte tells the length of a short string
        raise ValueError(f"too long for an AMQP short string: {len(data)} bytes")
    return bytes((len(data),)) + data


def _field_table(headers: Mapping[str, str | int]) -> bytes:
    fields: list[bytes] = []
    for key, value in headers.items():
        if isinstance(value, str):
            data = value.encode()
            fields += (_field_head(key, b"S"), _LONG.pack(len(data)), data)
        else:
            fields += (_field_head(key, b"l"), _SIGNED.pack(value))
    table = b"".join(fields)
    return _LONG.pack(len(table)) + table


@lru_cache(_FIELDS_KEPT)
def _field_head(key: str, kind: bytes) -> bytes:
    return _short(key) + kind
