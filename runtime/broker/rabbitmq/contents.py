"""What a message from RabbitMQ says, read quickly from its frames: pamqp is asked only about unusual headers.

Layout: AMQP 0-9-1, sections 1.8.3.9 (basic.deliver), 2.3.5.2 (content header) and 4.2.5 (field tables).
Text that is not UTF-8 is read with replacement characters: it must not cost the connection.
What an event's headers repeat of its body is not read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from pamqp import decode
from pamqp.header import ContentHeader

from runtime.broker.base import DIED_IN, EVENTS_HELD, LAST_DEATH, LAST_DIED_IN, NO_HEADERS, Delivery
from runtime.broker.rabbitmq.attributes import OTHERS_BEGIN
from runtime.broker.rabbitmq.fields import PUBLISH, field_head

_TAG: Final = struct.Struct(">Q")
_FLAGS: Final = struct.Struct(">H")
_LONG: Final = struct.Struct(">I")
_SIGNED: Final = struct.Struct(">q")
_IDS: Final = 4  # the bytes of class and method in front of a method's arguments
_FLAGS_AT, _PROPERTIES_AT = 12, 14  # behind class, weight and size of the body
_CONTENT_TYPE, _ENCODING, _HEADERS, _DELIVERY_MODE, _PRIORITY = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800
_CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID = 0x0400, 0x0200, 0x0100, 0x0080
_TEXT, _NUMBER = b"Sl"
_HELD: Final = EVENTS_HELD.encode() + b"l"
_DEATHS: Final = "x-death"
_OTHERS: Final = ("content_encoding", "priority", "timestamp", "message_type", "app_id")
_DELIVERY_COUNT, _ACQUIRED_COUNT = "x-delivery-count", "x-acquired-count"  # the broker's own, not sent by anybody
_BY_THE_BROKER: Final = b"x-"  # how the headers begin that it adds, anywhere in the table
_UUID, _TRACEPARENT = 36, 55  # characters of a UUID and of a W3C traceparent
_EVENT_ID: Final = field_head("cloudEvents_id", b"S") + _LONG.pack(_UUID)
_TRACE: Final = field_head("traceparent", b"S") + _LONG.pack(_TRACEPARENT)
_PUBLISH: Final = field_head(PUBLISH, b"l")
_PUBLISH_ALONE: Final = _LONG.pack(len(_PUBLISH) + _SIGNED.size) + _PUBLISH


class Content(NamedTuple):
    """The frames of one message as they came: the method (deliver or return), the header, and the whole body."""

    method: bytes
    header: bytes
    body: bytes

    @property
    def events(self) -> int:
        """As `Delivery.events`, before its header is read as a whole."""
        at = self.header.find(_HELD)
        if at < 0 or len(self.header) < at + len(_HELD) + _SIGNED.size:
            return 1
        held: int = _SIGNED.unpack_from(self.header, at + len(_HELD))[0]
        return max(held, 1)


class _Properties(NamedTuple):
    content_type: str
    headers: dict[str, str | int]
    correlation_id: str
    reply_to: str
    message_id: str


def delivery_of(content: Content, *, generation: int, base: int) -> Delivery:
    """What a basic.deliver hands over; its tag on this channel is added to `base`."""
    method = content.method
    at = _IDS + 1 + method[_IDS]  # behind the consumer tag
    (tag,) = _TAG.unpack_from(method, at)
    at += _TAG.size + 1  # and `redelivered`
    routing_key, _ = _short(method, at + 1 + method[at])  # behind the exchange
    properties = _properties(content.header)
    headers = properties.headers
    count: str | int = 0
    if headers:
        count = headers.pop(_DELIVERY_COUNT, 0)
        headers.pop(_ACQUIRED_COUNT, None)
        headers.pop(PUBLISH, None)
    return Delivery(
        base + tag,
        generation,
        content.body,
        properties.content_type,
        properties.message_id,
        routing_key,
        headers,
        1 + (count if isinstance(count, int) else 0),
        properties.reply_to,
        properties.correlation_id,
        _others(content.header) if DIED_IN in headers else NO_HEADERS,
    )


def publish_of(content: Content) -> int:
    """The number that its publisher gave it; 0 if it has none. It stands first among the headers."""
    header = content.header
    at = _PROPERTIES_AT + 1 + header[_PROPERTIES_AT] + _LONG.size  # behind the content type and the table's size
    number: int = _SIGNED.unpack_from(header, at + len(_PUBLISH))[0] if header.startswith(_PUBLISH, at) else 0
    return number


def _properties(header: bytes) -> _Properties:
    (flags,) = _FLAGS.unpack_from(header, _FLAGS_AT)
    at = _PROPERTIES_AT
    content_type = correlation_id = reply_to = message_id = ""
    headers: dict[str, str | int] = {}
    if flags & _CONTENT_TYPE:
        content_type, at = _short(header, at)
    if flags & _ENCODING:
        _, at = _short(header, at)
    if flags & _HEADERS:
        if header.startswith(_PUBLISH_ALONE, at):  # as in most messages
            at += len(_PUBLISH_ALONE) + _SIGNED.size
        else:
            headers, at = _headers(header, at)
    at += bool(flags & _DELIVERY_MODE) + bool(flags & _PRIORITY)
    if flags & _CORRELATION_ID:
        correlation_id, at = _short(header, at)
    if flags & _REPLY_TO:
        reply_to, at = _short(header, at)
    if flags & _EXPIRATION:
        _, at = _short(header, at)
    if flags & _MESSAGE_ID:
        message_id, at = _short(header, at)
    return _Properties(content_type, headers, correlation_id, reply_to, message_id)


def _others(header: bytes) -> Mapping[str, str | int]:
    """The other properties of a dead letter, of which there are few: pamqp may take its time."""
    whole = ContentHeader()
    whole.unmarshal(header)
    found = {name: getattr(whole.properties, name) for name in _OTHERS}
    return {
        name: int(value.timestamp()) if isinstance(value, datetime) else value for name, value in found.items() if value
    }


def _short(data: bytes, at: int) -> tuple[str, int]:
    start = at + 1
    end = start + data[at]
    return str(data[start:end], "utf-8", "replace"), end


def _headers(data: bytes, at: int) -> tuple[dict[str, str | int], int]:
    """The headers whose value is text or a whole number, and where they end."""
    (size,) = _LONG.unpack_from(data, at)
    position = at + _LONG.size
    end = position + size
    headers: dict[str, str | int] = {}
    if data.startswith(_PUBLISH, position):
        position += len(_PUBLISH) + _SIGNED.size
    if data.startswith(_EVENT_ID, position) and data.find(_BY_THE_BROKER, position, end) < 0:
        position += len(_EVENT_ID)
        headers["cloudEvents_id"] = str(data[position : position + _UUID], "utf-8", "replace")
        position += _UUID
        if data.startswith(_TRACE, position):
            position += len(_TRACE)
            headers["traceparent"] = str(data[position : position + _TRACEPARENT], "utf-8", "replace")
            position += _TRACEPARENT
        if data.startswith(OTHERS_BEGIN, position):
            return headers, end
    while position < end:
        key, position = _short(data, position)
        start = position + 1  # behind the value's type
        if data[position] == _TEXT:
            (length,) = _LONG.unpack_from(data, start)
            start += _LONG.size
            position = start + length
            headers[key] = str(data[start:position], "utf-8", "replace")
        elif data[position] == _NUMBER:
            (headers[key],) = _SIGNED.unpack_from(data, start)
            position = start + _SIGNED.size
        else:
            return _unusual_headers(data[at:end]), end
    return headers, end


def _unusual_headers(table: bytes) -> dict[str, str | int]:
    fields: Mapping[str, Any]
    _, fields = decode.field_table(table)
    headers = {key: value for key, value in fields.items() if isinstance(value, str | int)}
    deaths = fields.get(_DEATHS)
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):  # the last one stands first
        headers.setdefault(LAST_DIED_IN, str(deaths[0].get("queue", "")))  # RabbitMQ 3.10 says it here alone
        headers.setdefault(LAST_DEATH, str(deaths[0].get("reason", "")))
    return headers
