"""docs/contract/asyncapi.json tells of each message what really comes: content type, properties, headers, payload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import fields, replace
from typing import Any, Final, NamedTuple

import pika
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from runtime.broker.rabbitmq import RabbitMQ
from runtime.events.fed import fed_messages
from runtime.events.messages import single_message
from schemas.envelope import Envelope
from schemas.stage import Fed, Form
from schemas.topology import EVENT_TYPES, Queue, Topology
from tests.building.contract import CONTRACT, GOLDEN, SCHEMAS, Golden
from tests.building.loops import IDS

pytestmark = pytest.mark.rabbitmq

ASYNCAPI: Final[Mapping[str, Any]] = json.loads((CONTRACT / "asyncapi.json").read_text())
BROKERS_OWN: Final = {"x-delivery-count"}
TRACE: Final = f"00-{'a' * 32}-{'b' * 16}-01"
FILES: Final = Registry[Any]().with_resources(
    [(f"./schemas/{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()]
)


class Told(NamedTuple):
    """A message as another's client gets it, and how the document names it."""

    name: str
    properties: Any
    body: bytes


def forms(queue: str, golden: Golden) -> Iterator[tuple[str, Any]]:
    """Each form of an event as the message that goes to that queue, by its ending in the document."""
    event = replace(golden.envelope, trace=TRACE)
    fed: dict[str, Form] = {"": "structured", "Batch": "batch", "Binary": "binary"}
    yield "", single_message(event, next(IDS))._replace(exchange="", routing_key=queue)
    for ending, form in fed.items():
        one = Fed(**vars_of(event), of=event, queue=queue, form=form)
        yield ending, fed_messages([one], IDS)[0][0]


@pytest.fixture
async def told(broker: RabbitMQ, amqp_url: str, name: str) -> list[Told]:
    await broker.declare(Topology(queues=(Queue(name=name, downstream=True),)))
    sent = [
        (f"{SCHEMAS[golden.type]['title']}{ending}", message)
        for golden in GOLDEN
        if golden.type in EVENT_TYPES
        for ending, message in forms(name, golden)
    ]
    await broker.publish([message for _, message in sent])
    taken = await asyncio.to_thread(all_of, amqp_url, name, len(sent))
    return [Told(kind, *one) for (kind, _), one in zip(sent, taken, strict=True)]


def vars_of(event: Envelope) -> dict[str, Any]:
    return {one.name: getattr(event, one.name) for one in fields(event)}


def all_of(url: str, queue: str, number: int) -> list[tuple[Any, Any]]:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        taken = [channel.basic_get(queue, auto_ack=True) for _ in range(number)]
        return [(properties, body) for _, properties, body in taken]


async def test_each_message_is_what_the_document_says(told: list[Told]) -> None:
    messages = ASYNCAPI["components"]["messages"]
    assert {one.name for one in told} == set(messages) == set(ASYNCAPI["channels"]["queue"]["messages"])
    for name, properties, body in told:
        message = messages[name]
        assert properties.content_type == message["contentType"]
        assert properties.type == message["bindings"]["amqp"]["messageType"]
        assert {"app_id": properties.app_id, "delivery_mode": str(properties.delivery_mode)}.items() <= message[
            "x-amqp-properties"
        ].items()
        assert (properties.timestamp is not None) == ("timestamp" in message["x-amqp-properties"])
        headers = {one: value for one, value in properties.headers.items() if one not in BROKERS_OWN}
        assert headers.keys() <= message["headers"]["properties"].keys()
        assert problems(message["headers"], headers) == []
        assert problems(message["payload"], json.loads(body)) == []


def problems(schema: Any, value: Any) -> list[str]:
    validator = Draft202012Validator(schema, registry=FILES, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
