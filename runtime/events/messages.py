"""An event as a message, and back: alone under its own routing key, or with others in a batch, as it is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from runtime.broker.base import Delivery, Message
from runtime.events.batch import batches, id_in
from schemas.envelope import EVENT_CONTENT_TYPE, Envelope, Kind
from schemas.topology import BATCHES, CALLS, Forms

OUR_QUEUES: Final = "callstitch."


def event_messages(
    events: Iterable[Envelope], ids: Iterator[str], forms: Forms, *, but: Forms | None = None
) -> list[Message]:
    """Each alone, in a batch or both, less what went out by `but` already; none of those that go back to one queue."""
    alone: list[Message] = []
    together: list[Envelope] = []
    known: dict[str, tuple[bool, bool]] = {}
    for event in events:
        if goes_back(event):
            continue
        wanted = known.get(event.route)
        if wanted is None:
            wanted = known[event.route] = _wanted(event.route, forms, but)
        if wanted[0]:
            alone.append(single_message(event, next(ids)))
        if wanted[1]:
            together.append(event)
    return [*alone, *batches(together, ids, exchange=BATCHES)]


def _wanted(route: str, forms: Forms, but: Forms | None) -> tuple[bool, bool]:
    single, batch = forms.of(route)
    was_single, was_batch = but.of(route) if but else (False, False)
    return single and not was_single, batch and not was_batch


def goes_back(event: Envelope) -> bool:
    """Whether it is replayed to the one sink that failed it, whose queue its route names."""
    return event.route.startswith(OUR_QUEUES)


def single_message(event: Envelope, message_id: str) -> Message:
    """One event, alone, under its own routing key."""
    assert isinstance(event.body, bytes)
    return Message(
        exchange=CALLS,
        routing_key=event.route,
        body=event.body,
        content_type=EVENT_CONTENT_TYPE,
        message_id=message_id,
        headers={"cloudEvents_id": event.id, **({"traceparent": event.trace} if event.trace else {})},
    )


def is_event(delivery: Delivery) -> bool:
    """Whether it says that it is one event, alone."""
    return delivery.content_type == EVENT_CONTENT_TYPE


def single_event(delivery: Delivery, now: datetime) -> Envelope:
    """The event of a message of its own.

    Raises:
        Malformed: it has no id.
    """
    event_id = delivery.headers.get("cloudEvents_id") or id_in(delivery.body)
    return Envelope(
        id=str(event_id),
        kind=Kind.EVENT,
        source=delivery.routing_key.rpartition(".")[2],
        at=now,
        body=delivery.body,
        trace=str(delivery.headers.get("traceparent", "")),
        route=delivery.routing_key,
    )
