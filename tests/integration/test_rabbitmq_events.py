"""Events on RabbitMQ as another's client sees them, and as they come back where nobody wants them."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pika
import pytest
from cloudevents.core.bindings.amqp import AMQPMessage, from_amqp_event

from runtime.broker.rabbitmq import RabbitMQ
from runtime.events.fed import fed_messages
from runtime.events.messages import event_messages
from schemas.envelope import Envelope
from schemas.errors import Unroutable
from schemas.events.versions import DATASCHEMAS
from schemas.stage import Form
from schemas.topology import SINGLY, Binding, Exchange, Topology
from tests.building.contract import GOLDEN
from tests.building.facts import T0
from tests.building.loops import IDS
from workers.calls.events import Event, event_envelope

pytestmark = pytest.mark.rabbitmq

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


def an_event() -> Envelope:
    event = Event(type="call.completed", source="hw", subject="hw:s1", time=T0, data={"k": "v"}, revision=1)
    return event_envelope(event, at=T0, trace=TRACE)


async def test_trap_4_one_event_published_twice_at_once_finds_no_queue_twice(broker: RabbitMQ, name: str) -> None:
    """Its message id is the same each time, so that cannot tell which came back (docs/notes/amqp.md trap 4)."""
    await broker.declare(Topology(exchanges=(Exchange(name=name, kind="topic"),)))
    event = an_event()
    one, other = (message._replace(exchange=name) for message in event_messages([event, event], IDS, SINGLY))

    outcomes = await asyncio.gather(
        *(broker.publish(messages) for messages in ([one, other], [one], [one])), return_exceptions=True
    )

    assert all(isinstance(outcome, Unroutable) for outcome in outcomes)
    named: list[Any] = [getattr(outcome, "message_ids", set()) for outcome in outcomes]
    assert named == [{one.message_id, other.message_id}, {one.message_id}, {one.message_id}]


async def test_another_s_client_tells_events_apart_without_reading_them(
    broker: RabbitMQ, amqp_url: str, name: str
) -> None:
    exchange = Exchange(name=name, kind="topic")
    await broker.declare(Topology(exchanges=(exchange,), bindings=(Binding(exchange=name, queue=name, pattern="#"),)))
    event = an_event()
    for message in event_messages([event, event], IDS, SINGLY):
        await broker.publish([message._replace(exchange=name)])

    first, second = [await asyncio.to_thread(taken, amqp_url, name) for _ in range(2)]

    assert (first.message_id, first.type, first.app_id) == (event.id, "callstitch.call.completed.v1", "callstitch")
    assert datetime.fromtimestamp(first.timestamp, UTC) == T0.replace(microsecond=0)
    number = first.headers.pop("callstitch_publish")
    assert number != second.headers.pop("callstitch_publish")
    first.headers.pop("x-delivery-count", None)  # the broker's own, for who takes one by `get`
    assert first.headers == {
        "traceparent": TRACE,
        "cloudEvents_id": event.id,
        "cloudEvents_specversion": "1.0",
        "cloudEvents_type": "callstitch.call.completed.v1",
        "cloudEvents_source": "/callstitch/hw",
        "cloudEvents_subject": "hw:s1",
        "cloudEvents_callid": "hw:s1",
        "cloudEvents_time": "2026-11-21T08:00:00Z",
        "cloudEvents_dataschema": DATASCHEMAS["call.completed"],
        "cloudEvents_revision": 1,
    }


@pytest.mark.parametrize("form", ["structured", "binary"])
async def test_the_sdk_of_cloudevents_reads_each_golden_event(
    form: Form, broker: RabbitMQ, amqp_url: str, name: str
) -> None:
    await broker.declare(Topology(bindings=(Binding(exchange="amq.topic", queue=name, pattern="none"),)))
    messages = fed_messages([golden.fed(name, form) for golden in GOLDEN], IDS)
    await broker.publish([message for message, _ in messages])

    read = {event.get_id(): event for event in await asyncio.to_thread(as_the_sdk_reads_them, amqp_url, name)}

    assert {told: event.get_data() for told, event in read.items()} == {
        golden.event["id"]: golden.event["data"] for golden in GOLDEN
    }
    for golden in GOLDEN:
        told = dict(read[golden.event["id"]].get_attributes())
        assert {**told, "time": told["time"].isoformat().replace("+00:00", "Z")} == golden.attributes


def as_the_sdk_reads_them(url: str, queue: str) -> list[Any]:
    """Each golden event, from the next messages."""
    taken_now = [whole(url, queue) for _ in GOLDEN]
    return [
        from_amqp_event(AMQPMessage({"content-type": properties.content_type}, dict(properties.headers), body))
        for properties, body in taken_now
    ]


def taken(url: str, queue: str) -> Any:
    """The properties of the next message."""
    return whole(url, queue)[0]


def whole(url: str, queue: str) -> tuple[Any, bytes]:
    """The properties and the body of the next message."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        method, properties, body = connection.channel().basic_get(queue, auto_ack=True)
        assert method is not None
        return properties, body or b""
