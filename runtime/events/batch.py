"""Several events of one routing in one message: CloudEvents 1.0, JSON batch format, one event a line.

No event holds a line break, as JSON writes none in a text and we write none between tokens: so the bytes of each are
found again by its line, as they were made, and nothing has to be parsed. What another wrote is read as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import orjson

from runtime.broker.base import EVENTS_HELD, ROUTE, Delivery, Message
from schemas.envelope import BATCH_CONTENT_TYPE, BUNDLE_BYTES, Envelope, Kind
from schemas.errors import Malformed

BATCH_EVENTS: Final = 64
TRACES: Final = "traceparents"  # header: that of each event, with commas between
_FIRST, _BETWEEN, _LAST = b"[\n", b",\n", b"\n]"
_BEGINS: Final = b'{"id":"'
_ID_AT, _ID_ENDS = len(_BEGINS), len(_BEGINS) + 36


def batches(
    events: Iterable[Envelope], ids: Iterator[str], *, exchange: str, most: int = BATCH_EVENTS
) -> list[Message]:
    """Events of any routes: up to `most` of one route and BUNDLE_BYTES a message, in order; a larger one alone."""
    by_route: dict[str, list[Envelope]] = {}
    for event in events:
        by_route.setdefault(event.route, []).append(event)
    return [_message(some, next(ids), exchange=exchange) for group in by_route.values() for some in _parts(group, most)]


def _parts(events: Sequence[Envelope], most: int) -> Iterator[list[Envelope]]:
    part: list[Envelope] = []
    size = 0
    for event in events:
        assert isinstance(event.body, bytes)
        alone = b"\n" in event.body  # which nobody here writes
        if part and (len(part) >= most or size + len(event.body) > BUNDLE_BYTES or alone):
            yield part
            part, size = [], 0
        part.append(event)
        size += BUNDLE_BYTES if alone else len(event.body)
    if part:
        yield part


def _message(events: Sequence[Envelope], message_id: str, *, exchange: str) -> Message:
    headers: dict[str, str | int] = {EVENTS_HELD: len(events)}
    if any(event.trace for event in events):
        headers[TRACES] = ",".join([event.trace for event in events])
    body = _FIRST + _BETWEEN.join([_bytes(event) for event in events]) + _LAST
    return Message(exchange, events[0].route, body, BATCH_CONTENT_TYPE, message_id, headers)


def _bytes(event: Envelope) -> bytes:
    assert isinstance(event.body, bytes)
    return event.body


def is_batch(message: Message | Delivery) -> bool:
    """Whether it says so."""
    return message.content_type == BATCH_CONTENT_TYPE


def events_held(message: Message) -> int:
    """How many events it holds; 1 where it does not say."""
    held = message.headers.get(EVENTS_HELD, 1)
    return held if isinstance(held, int) else 1


def events_of(message: Message | Delivery, now: datetime) -> list[Envelope]:
    """Each event with its own bytes and id.

    Raises:
        Malformed: it is no list of events.
    """
    route = str(message.headers.get(ROUTE) or message.routing_key)
    source = route.rpartition(".")[2]
    bodies = _bodies(message)
    traces = str(message.headers.get(TRACES, "")).split(",")
    if len(traces) != len(bodies):
        traces = [""] * len(bodies)
    return [
        Envelope(id_in(body), Kind.EVENT, source, now, body, 1, trace, route)
        for body, trace in zip(bodies, traces, strict=True)
    ]


def _bodies(message: Message | Delivery) -> list[bytes]:
    body, held = message.body, message.headers.get(EVENTS_HELD)
    if body.startswith(_FIRST) and body.endswith(_LAST):
        inside = body[len(_FIRST) : -len(_LAST)]
        lines = [inside] if held == 1 else inside.split(_BETWEEN)
        if len(lines) == held:
            return lines
    try:
        rows = orjson.loads(body)
    except orjson.JSONDecodeError:
        rows = None
    if not isinstance(rows, list) or not rows:
        raise Malformed("not_a_batch")
    return [orjson.dumps(row) for row in rows]


def id_in(body: bytes) -> str:
    """The id of an event; ours stands first.

    Raises:
        Malformed: it has none, and others without one would be taken for the same.
    """
    if body.startswith(_BEGINS) and body[_ID_ENDS : _ID_ENDS + 2] == b'",':
        return body[_ID_AT:_ID_ENDS].decode()
    try:
        event_id = orjson.loads(body)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        event_id = None
    if not isinstance(event_id, str) or not event_id:
        raise Malformed("not_an_event")
    return event_id
