"""Messages as AMQP frames, quickly: what is the same for each message of a route is encoded once.

Layout of method, header and body frames: AMQP 0-9-1 specification, sections 2.3.5 and 4.2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pamqp import commands, frame, header

from runtime.broker.base import ROUTE, Message
from runtime.broker.rabbitmq.attributes import attributes_of, type_and_app
from runtime.broker.rabbitmq.fields import PUBLISH, field_head, field_of, short
from schemas.envelope import BATCH_CONTENT_TYPE, BUNDLE_CONTENT_TYPE
from schemas.topology import BATCHES

_FRAME_HEAD: Final = struct.Struct(">BHI")  # type, channel, size of the payload
_CONTENT_HEAD: Final = struct.Struct(">BHIHHQH")  # frame head, class, weight, size of the body, property flags
_LONG: Final = struct.Struct(">I")
_SIGNED: Final = struct.Struct(">q")
_END: Final = b"\xce"
_HEADER, _BODY = 2, 3
_BASIC: Final = 60
_FLAGS: Final = 0x8000 | 0x2000 | 0x1000 | 0x0080  # content type, headers, delivery mode, message id
_PERSISTENT: Final = b"\x02"
_PUBLISH_HEAD: Final = field_head(PUBLISH, b"l")
_PUBLISH_SIZE: Final = len(_PUBLISH_HEAD) + _SIGNED.size
_PUBLISH_ALONE: Final = _LONG.pack(_PUBLISH_SIZE) + _PUBLISH_HEAD
_FRAME_OVERHEAD: Final = 8  # seven bytes of head and the end byte
_NO_FRAME_MAX: Final = 1 << 31  # frame_max 0 means no limit
_MADE: Final[Mapping[str, Callable[[Any], Any]]] = {"timestamp": lambda seconds: datetime.fromtimestamp(seconds, UTC)}
_ROUTES_KEPT: Final = 4096


class _Route(NamedTuple):
    """What all messages of an exchange, a routing key and a content type have in common.

    `tail` ends the properties, with its `flags`; `events`: one of them may be an event, alone.
    """

    method: bytes
    content_type: bytes
    flags: int
    tail: bytes
    events: bool


class Encoder:
    """Encodes messages for one channel: frames carry the channel's number and obey its connection's `frame_max`.

    The number of each publish stands in a header of it.
    """

    def __init__(self, channel: int, *, frame_max: int) -> None:
        self._channel = channel
        self._body_max = (frame_max or _NO_FRAME_MAX) - _FRAME_OVERHEAD
        self._routes: dict[tuple[str, str, str], _Route] = {}

    def encode(self, message: Message, parts: list[bytes], number: int) -> None:
        """Append the frames of a persistent, mandatory publish.

        Raises:
            ValueError: a name or header key is longer than 255 bytes.
        """
        if message.properties is not None:
            return self.encode_special(message, parts, number, properties=message.properties, mandatory=True)
        method, content_type, flags, tail, events = self._route(message)
        attributes = attributes_of(message) if events else None
        if attributes is not None:
            fields, message_id, more, tail = attributes
            flags |= more
        else:
            fields = b"".join([field_of(*header) for header in message.headers.items()]) if message.headers else b""
            if route := message.headers.get(ROUTE):  # a batch for one queue, which its key names
                more, tail = _of_a_batch(str(route))
                flags |= more
            message_id = short(message.message_id)
        size = _PUBLISH_SIZE + len(fields)
        parts += (
            method,
            _CONTENT_HEAD.pack(
                _HEADER,
                self._channel,
                14 + len(content_type) + _LONG.size + size + 1 + len(message_id) + len(tail),
                _BASIC,
                0,
                len(message.body),
                flags,
            ),
            content_type,
            _LONG.pack(size) + _PUBLISH_HEAD if fields else _PUBLISH_ALONE,
            _SIGNED.pack(number),
            fields,
            _PERSISTENT,
            message_id,
            tail,
            _END,
        )
        return self._append_body(message.body, parts)

    def encode_special(
        self, message: Message, parts: list[bytes], number: int, *, properties: Mapping[str, Any], mandatory: bool
    ) -> None:
        """Append the frames of a publish with further properties (`reply_to`, `expiration`, ...), unhurried."""
        publish = commands.Basic.Publish(
            exchange=message.exchange, routing_key=message.routing_key, mandatory=mandatory
        )
        content = commands.Basic.Properties(
            content_type=message.content_type,
            headers={PUBLISH: number, **message.headers},
            delivery_mode=_PERSISTENT[0],
            message_id=message.message_id,
            **{name: _MADE[name](value) if name in _MADE else value for name, value in properties.items()},
        )
        parts.append(frame.marshal(publish, self._channel))
        parts.append(
            frame.marshal(header.ContentHeader(body_size=len(message.body), properties=content), self._channel)
        )
        self._append_body(message.body, parts)

    def _route(self, message: Message) -> _Route:
        key = (message.exchange, message.routing_key, message.content_type)
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) >= _ROUTES_KEPT:
                self._routes.clear()
            route = self._routes[key] = _route_of(*key, channel=self._channel)
        return route

    def _append_body(self, body: bytes, parts: list[bytes]) -> None:
        """One frame if it fits; RabbitMQ closes the connection (501) on a frame above `frame_max`."""
        for start in range(0, len(body), self._body_max):
            piece = body if len(body) <= self._body_max else body[start : start + self._body_max]
            parts += (_FRAME_HEAD.pack(_BODY, self._channel, len(piece)), piece, _END)


def _of_a_batch(route: str) -> tuple[int, bytes]:
    """The type of all its events, and us as the application."""
    return type_and_app(f"callstitch.{route.rpartition('.')[0]}.v1")


def _route_of(exchange: str, routing_key: str, content_type: str, *, channel: int) -> _Route:
    publish = commands.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True)
    flags, tail = 0, b""
    if content_type == BATCH_CONTENT_TYPE:
        flags, tail = _of_a_batch(routing_key) if exchange == BATCHES else type_and_app(None)
    return _Route(
        frame.marshal(publish, channel),
        short(content_type),
        _FLAGS | flags,
        tail,
        content_type not in {BATCH_CONTENT_TYPE, BUNDLE_CONTENT_TYPE},
    )
