"""What the versions of RabbitMQ do differently, each as docs/notes/amqp.md has it, by the numbers of its traps."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from runtime.broker.rabbitmq import open_rabbitmq
from schemas.topology import Binding, Exchange, Queue, Topology
from tests.contracts.brokers import a_message, numbered, only, receive
from tests.integration import amqp_peer
from tests.services.rabbitmq import RELEASES
from tests.services.rabbitmq import RabbitMQ as Node

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(params=list(RELEASES.values()), ids=list(RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


async def test_a_queue_without_a_delivery_limit_has_none_on_this_version(amqp_url: str, name: str) -> None:
    async with open_rabbitmq(amqp_url) as broker:
        await broker.declare(only(name))

    unlimited = {"x-delivery-limit": -1} if amqp_peer.major_version(amqp_url) >= 4 else {}
    assert amqp_peer.accepts(amqp_url, name, {"x-queue-type": "quorum", **unlimited})


async def test_trap_26_a_queue_of_rabbitmq_3_is_declared_as_it_is_and_told_of(amqp_url: str, name: str) -> None:
    amqp_peer.redeclare(amqp_url, name, {"x-queue-type": "quorum"})
    limited = amqp_peer.major_version(amqp_url) >= 4
    with capture_logs() as logged:
        async with open_rabbitmq(amqp_url) as broker:
            await broker.declare(only(name))
            assert await broker.differing(only(name)) == []

    told = {line["queue"] for line in logged if line["event"] == "broker.queue_of_rabbitmq_3"}
    assert told == ({name} if limited else set())
    assert amqp_peer.accepts(amqp_url, name, {"x-queue-type": "quorum"})


async def test_trap_22_a_release_counts_as_a_failure_until_4_3_and_a_lost_channel_always(
    rabbitmq_node: Node, name: str
) -> None:
    free = rabbitmq_node.major_minor >= (4, 3)
    async with open_rabbitmq(rabbitmq_node.url) as broker:
        await broker.declare(only(name))
        await broker.publish(numbered(name, 1))
        async with broker.consume(name, prefetch=1) as consumer:
            await consumer.release(await receive(consumer, 1))
            (released,) = await receive(consumer, 1)
        async with broker.consume(name, prefetch=1) as consumer:
            (lost,) = await receive(consumer, 1)
    assert (released.deliveries, lost.deliveries) == ((1, 2) if free else (2, 3))


async def test_trap_25_what_the_broker_gives_up_keeps_its_count_on_4(rabbitmq_node: Node, name: str) -> None:
    work, dead = Queue(name=f"{name}.work", dead_letter_exchange=name, delivery_limit=2), Queue(name=name)
    exchange, bound = Exchange(name=name, kind="fanout"), Binding(exchange=name, queue=name)
    async with open_rabbitmq(rabbitmq_node.url) as broker:
        await broker.declare(Topology(exchanges=(exchange,), queues=(work, dead), bindings=(bound,)))
        await broker.publish([a_message(work.name)])
        for _ in range(3):
            async with broker.consume(work.name, prefetch=1) as consumer:
                await receive(consumer, 1)
        async with broker.consume(name, prefetch=1) as consumer:
            (letter,) = await receive(consumer, 1)
            await consumer.ack([letter])
        await broker.delete(work.name)
    assert letter.deliveries == (4 if rabbitmq_node.major_minor >= (4, 0) else 1)
    assert letter.headers["x-first-death-reason"] == "delivery_limit"
