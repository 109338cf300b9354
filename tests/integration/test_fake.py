"""`callstitch fake` on a real RabbitMQ: to one queue alone, with all that a real event carries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import pika
import pytest
from typer.testing import CliRunner, Result

from console.main import app
from runtime.broker.rabbitmq import open_rabbitmq
from schemas.topology import DEAD, Subscription, topology

pytestmark = pytest.mark.rabbitmq
SCENARIO: Final = ("--scenario", "amended")

Held = list[tuple[pika.BasicProperties, Any]]


def fake(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["fake", "--to", url, "--queue", "billing", *arguments])


async def declared(url: str) -> None:
    """As `callstitch declare` does; raises where the queue is there with other arguments."""
    async with open_rabbitmq(url) as broker:
        await broker.declare(topology([Subscription(queue="billing", downstream=True)]))


def held(url: str, queue: str = "billing") -> Held:
    def taken() -> Iterator[tuple[pika.BasicProperties, Any]]:
        with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
            channel = connection.channel()
            while (got := channel.basic_get(queue))[0] is not None:
                assert got[1] is not None
                yield got[1], json.loads(got[2] or b"")

    return [*taken()]


def test_a_queue_that_is_not_there_is_told_and_not_made(fresh_amqp_url: str) -> None:
    result = fake(fresh_amqp_url, *SCENARIO)
    assert (result.exit_code, "--declare" in result.output) == (78, True)
    assert fake(fresh_amqp_url, *SCENARIO).exit_code == 78, "still not there"


def test_it_is_made_as_a_queue_of_the_config_is_and_gets_events_with_all_their_properties(fresh_amqp_url: str) -> None:
    result = fake(fresh_amqp_url, *SCENARIO, "--declare")
    assert (result.exit_code, "3 event(s)" in result.output) == (0, True), result.output
    asyncio.run(declared(fresh_amqp_url))
    messages = held(fresh_amqp_url)
    assert [event["revision"] for _, event in messages] == [1, 2, 3]
    for properties, event in messages:
        assert properties.content_type == "application/cloudevents+json"
        assert (properties.message_id, properties.type) == (event["id"], event["type"])
        assert (properties.app_id, properties.delivery_mode) == ("callstitch", 2)
        headers: Any = properties.headers
        assert headers["cloudEvents_subject"] == event["subject"]
        assert headers["callstitch_route"] == f"{event['type'][11:-3]}.fake"
        assert "callstitch_publish" in headers
    first: Any = messages[0][0].headers  # said as its CDR came; an amendment is due later, of no push
    assert first["traceparent"].startswith("00-")


def test_batches_are_batches_and_a_rejected_event_is_kept(fresh_amqp_url: str) -> None:
    assert fake(fresh_amqp_url, "--scenario", "outcomes", "--batch", "--declare").exit_code == 0
    with closing(pika.BlockingConnection(pika.URLParameters(fresh_amqp_url))) as connection:
        channel = connection.channel()
        method, properties, body = channel.basic_get("billing")
        assert properties is not None
        assert method is not None
        assert properties.content_type == "application/cloudevents-batch+json"
        assert len(json.loads(body or b"")) == 7
        channel.basic_reject(method.delivery_tag or 0, requeue=False)
        for _ in range(100):
            if channel.queue_declare(DEAD, passive=True).method.message_count:
                return
            connection.sleep(0.05)
    raise AssertionError("a rejected event is gone")
