"""What an event says of itself, as AMQP properties and headers, for whoever tells messages apart without reading them.

Its attributes stand in the head of its bytes, in front of `data`, and only that is read: so what was stored by another
version tells what that version said. The headers are those of the CloudEvents AMQP binding.

A head as we write it is copied without parsing it: what stands in front of its subject and behind its time is the same
in many events, and is kept as fields.
"""

from __future__ import annotations

import struct
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from runtime.broker.base import Message
from runtime.broker.rabbitmq.fields import SHORT_MOST, field_head, field_of, short
from schemas.envelope import EVENT_CONTENT_TYPE

TIMESTAMP, TYPE, APP_ID = 0x0040, 0x0020, 0x0008  # flags of the properties, in the order in which these are written
OTHERS_BEGIN: Final = field_head("cloudEvents_specversion", b"S")  # from here on there is nothing that we read back

_APP_ID: Final = short("callstitch")
_ID, _PREFIX = "cloudEvents_id", "cloudEvents_"
_NOT_HEADERS: Final = frozenset({"id", "datacontenttype"})
_SECONDS: Final = struct.Struct(">Q")
_LONG: Final = struct.Struct(">I")
_KEPT: Final = 1024
_NO_ATTRIBUTES: Final[dict[str, Any]] = {}

_BEGINS: Final = b'{"id":"'
_SUBJECT, _CALLID, _TIME = b'","subject":"', b'","callid":"', b'","time":"'
_DATA: Final = b',"data":'  # in no text, where a quotation mark is escaped
_QUOTE: Final = b'"'
_HEAD_MOST: Final = 4096  # of what is copied
_LONGEST_HEAD: Final = 64 * 1024
_ID_FIELD, _TRACE_FIELD = field_head(_ID, b"S"), field_head("traceparent", b"S")
_SUBJECT_FIELD, _CALLID_FIELD, _TIME_FIELD = (
    field_head(f"{_PREFIX}{name}", b"S") for name in ("subject", "callid", "time")
)


# Fields of the headers, the message id, and the end of the properties, with the flags of what is in it.
Attributes = tuple[bytes, bytes, int, bytes]


def attributes_of(message: Message) -> Attributes | None:
    """What the properties of one event say; None of what is none."""
    headers = message.headers
    event_id = headers.get(_ID)
    if not isinstance(event_id, str):
        return None
    if message.content_type == EVENT_CONTENT_TYPE:
        return _copied(message, event_id.encode()) or _read(message, event_id, _head(message.body))
    said = {name.removeprefix(_PREFIX): value for name, value in headers.items()}  # in binary mode they are there
    return _read(message, event_id, {name: said[name] for name in ("type", "time") if name in said}, fields=False)


def _copied(message: Message, event_id: bytes) -> Attributes | None:
    """By position; None where the head is not written as we do, or JSON escapes its subject."""
    body, headers = message.body, message.headers
    behind_id = len(_BEGINS) + len(event_id)
    front_ends = body.find(_SUBJECT, behind_id, _HEAD_MOST)
    subject_at = front_ends + len(_SUBJECT)
    subject_ends = body.find(_QUOTE, subject_at, _HEAD_MOST)
    subject = body[subject_at:subject_ends]
    again = _CALLID + subject + _TIME
    time_at = subject_ends + len(again)
    time_ends = body.find(_QUOTE, time_at, _HEAD_MOST)
    head_ends = body.find(_DATA, time_ends, _HEAD_MOST)
    trace = headers.get("traceparent")
    if (
        head_ends < 0
        or not body.startswith(again, subject_ends)
        or not body.startswith(event_id, len(_BEGINS))
        or not body.startswith(_BEGINS)
        or b"\\" in subject
        or len(headers) > (1 if trace is None else 2)
    ):
        return None
    said, time = _LONG.pack(len(subject)) + subject, body[time_at:time_ends]
    front, flags, tail = _front(body[behind_id:front_ends])
    fields = (
        _ID_FIELD, _LONG.pack(len(event_id)), event_id, b"" if trace is None else field_of("traceparent", trace),
        front, _SUBJECT_FIELD, said, _CALLID_FIELD, said, _TIME_FIELD, _LONG.pack(len(time)), time,
        _back(body[time_ends:head_ends]),
    )  # fmt: skip
    stamp = _stamp(time)
    name = bytes((len(event_id),)) + event_id
    return b"".join(fields), name, flags | TIMESTAMP if stamp else flags, stamp + tail


@lru_cache(_KEPT)
def _front(text: bytes) -> tuple[bytes, int, bytes]:
    """From behind the id to the subject, as fields; and what the properties end with."""
    said = orjson.loads(b'{"id":"' + text + b'"}')
    return _fields(said), *type_and_app(said.get("type"))


@lru_cache(_KEPT)
def _back(text: bytes) -> bytes:
    """From behind the time to the data, as fields."""
    return _fields(orjson.loads(b'{"id":"' + text + b"}"))


def _read(message: Message, event_id: str, said: dict[str, Any], *, fields: bool = True) -> Attributes:
    flags, tail = type_and_app(said.get("type"))
    stamp = _stamp(str(said.get("time", "")).encode())
    fits = len(event_id.encode()) <= SHORT_MOST  # that of another maker may not
    return (
        b"".join([field_of(*header) for header in message.headers.items()]) + (_fields(said) if fields else b""),
        short(event_id if fits else message.message_id),
        flags | TIMESTAMP if stamp else flags,
        stamp + tail,
    )


def _head(body: bytes) -> dict[str, Any]:
    at = body.find(_DATA, 0, _LONGEST_HEAD)
    try:
        said = orjson.loads(body[:at] + b"}") if at > 0 else _NO_ATTRIBUTES
    except orjson.JSONDecodeError:
        return _NO_ATTRIBUTES
    return said if isinstance(said, dict) else _NO_ATTRIBUTES


def type_and_app(kind: Any) -> tuple[int, bytes]:
    """The end of the properties: a type, if there is one that fits, and us as the application; with its flags."""
    if isinstance(kind, str) and kind and len(kind.encode()) <= SHORT_MOST:
        return TYPE | APP_ID, short(kind) + _APP_ID
    return APP_ID, _APP_ID


def _fields(said: dict[str, Any]) -> bytes:
    return b"".join(
        field_of(f"{_PREFIX}{name}", value)
        for name, value in said.items()
        if name not in _NOT_HEADERS and type(value) in {str, int} and len(name.encode()) + len(_PREFIX) <= SHORT_MOST
    )


@lru_cache(_KEPT)
def _stamp(time: bytes) -> bytes:
    """Whole seconds; nothing where it is no time of ours."""
    try:
        return _SECONDS.pack(int(datetime.fromisoformat(time.decode()).timestamp()))
    except (ValueError, OverflowError, struct.error):
        return b""
