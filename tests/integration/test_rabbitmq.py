"""What only RabbitMQ has: arguments of its queues, and each way in which it can go away and come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from runtime.broker.base import Consumer, Delivery, Message
from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from schemas.errors import Misconfigured, Unavailable, Unconfirmed, Unroutable
from schemas.topology import Binding, Exchange, Queue, Topology
from tests.integration import amqp_peer
from tests.integration.amqp_peer import until
from tests.services.proxy import Proxy, open_proxy
from tests.services.rabbitmq import RELEASES
from tests.services.rabbitmq import RabbitMQ as Node

pytestmark = pytest.mark.rabbitmq

TIER = Queue(name="", dead_letter_exchange="", ttl_seconds=1.5, delivery_limit=1)
KEYED = Queue(name="", dead_letter_exchange="", dead_letter_key="k", delivery_limit=3)


@pytest.fixture(params=list(RELEASES.values()), ids=list(RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        (Queue(name="", dead_letter_exchange="dead", delivery_limit=20), {"x-delivery-limit": 20}),
        (TIER, {"x-message-ttl": 1500, "x-delivery-limit": 1}),
        (KEYED, {"x-dead-letter-routing-key": "k", "x-delivery-limit": 3}),
    ],
)
async def test_a_queue_with_dead_letters_is_quorum_and_never_loses_one(
    amqp_url: str, name: str, queue: Queue, expected: dict[str, Any]
) -> None:
    always = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": queue.dead_letter_exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    async with open_rabbitmq(amqp_url) as broker:
        await broker.declare(just(replace(queue, name=name)))

    assert amqp_peer.accepts(amqp_url, name, {**always, **expected})
    assert not amqp_peer.accepts(amqp_url, name, {**always, **expected, "x-overflow": "drop-head"})


async def test_a_queue_that_exists_with_other_arguments_is_named(broker: RabbitMQ, name: str) -> None:
    with pytest.raises(Misconfigured, match=f"queue {name}"):
        await broker.declare(just(Queue(name=name, delivery_limit=5)))


async def test_an_unbound_binding_goes_and_unbinding_it_again_is_no_error(broker: RabbitMQ, name: str) -> None:
    bound = Binding(exchange=name, queue=name, pattern="a.*")
    exchange = Exchange(name=name, kind="topic")
    await broker.declare(Topology(exchanges=(exchange,), bindings=(bound,)))
    await broker.publish([message("a.b", exchange=name)])

    await broker.declare(Topology(exchanges=(exchange,), unbound=(bound,)))
    await broker.declare(Topology(exchanges=(exchange,), unbound=(bound,)))

    with pytest.raises(Unroutable):
        await broker.publish([message("a.b", exchange=name)])


async def test_check_names_everything_that_is_missing_and_creates_nothing(broker: RabbitMQ, name: str) -> None:
    queues = tuple(Queue(name=each) for each in (f"{name}.1", name, f"{name}.2"))
    wanted = Topology(exchanges=(Exchange(name=f"{name}.x", kind="topic"),), queues=queues)
    with pytest.raises(Misconfigured, match=rf"exchange {name}\.x, queue {name}\.1, queue {name}\.2$"):
        await broker.check(wanted)

    assert await broker.depths([name, f"{name}.1"]) == {name: 0}


async def test_of_two_publishes_in_flight_only_the_returned_one_fails(broker: RabbitMQ, name: str) -> None:
    lost, kept = message(f"{name}.nowhere"), message(name)

    outcomes = await asyncio.gather(broker.publish([lost]), broker.publish([kept]), return_exceptions=True)

    assert isinstance(outcomes[0], Unroutable)
    assert outcomes[0].message_ids == {lost.message_id}
    assert outcomes[1] is None
    assert await broker.depths([name]) == {name: 1}


async def test_a_batch_larger_than_the_window_and_larger_than_a_frame_arrives_whole(amqp_url: str, name: str) -> None:
    large = message(name, body=bytes(range(256)) * 1200)
    async with open_rabbitmq(amqp_url, confirm_timeout_seconds=30) as broker:
        await broker.declare(just(Queue(name=name)))
        await broker.publish([large, *(message(name) for _ in range(2500))])

        assert await broker.depths([name]) == {name: 2501}
        async with broker.consume(name, prefetch=10) as consumer:
            first = await consumer.batch(1)
    assert first[0].body == large.body


async def test_a_full_queue_refuses_and_that_is_unconfirmed(broker: RabbitMQ, amqp_url: str, name: str) -> None:
    amqp_peer.redeclare(amqp_url, name, {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-max-length": 1})

    with pytest.raises(Unconfirmed, match="refused"):
        await publish_one_by_one(broker, name)  # a quorum queue counts loosely


async def test_a_missing_confirm_is_unconfirmed_at_the_deadline(broker: RabbitMQ, proxy: Proxy, name: str) -> None:
    proxy.mute()
    started = asyncio.get_running_loop().time()
    with pytest.raises(Unconfirmed, match="within 2 s"):
        await broker.publish([message(name), message(f"{name}.nowhere")])

    assert asyncio.get_running_loop().time() - started > 1.9
    assert not broker.healthy


async def test_a_broker_that_confirms_nothing_is_sent_no_more_than_the_window(
    broker: RabbitMQ, proxy: Proxy, amqp_url: str, name: str
) -> None:
    proxy.mute()
    with pytest.raises(Unconfirmed):
        await broker.publish([message(name) for _ in range(1500)])

    async with open_rabbitmq(amqp_url) as other:
        assert await other.depths([name]) == {name: 1000}


async def test_late_confirms_do_not_count_for_later_publishes(broker: RabbitMQ, proxy: Proxy, name: str) -> None:
    batch = [message(name), message(f"{name}.nowhere")]
    proxy.mute()
    with pytest.raises(Unconfirmed):
        await broker.publish(batch)
    proxy.unmute()

    with pytest.raises(Unroutable) as again:  # the same objects, as after every Unconfirmed
        await broker.publish(batch)

    assert again.value.message_ids == {batch[1].message_id}
    await broker.publish([message(name)])
    await until(lambda: broker.healthy)
    assert await broker.depths([name]) == {name: 3}


async def test_a_publish_in_an_outage_succeeds_when_it_ends_in_time(amqp_url: str, name: str) -> None:
    async with open_proxy(amqp_url) as proxy, open_rabbitmq(proxy.url, confirm_timeout_seconds=8) as broker:
        await broker.declare(just(Queue(name=name)))
        proxy.refuse()
        await until(lambda: not broker.healthy)
        publishing = asyncio.create_task(broker.publish([message(name)]))
        await asyncio.sleep(0.5)
        await proxy.accept()

        await publishing

        assert await broker.depths([name]) == {name: 1}


async def test_a_publish_in_an_outage_fails_at_its_deadline(broker: RabbitMQ, proxy: Proxy, name: str) -> None:
    proxy.refuse()
    await until(lambda: not broker.healthy)

    with pytest.raises(Unconfirmed, match="within 2 s"):
        await broker.publish([message(name)])


async def test_a_publish_in_flight_at_a_loss_is_unconfirmed_at_once(broker: RabbitMQ, proxy: Proxy, name: str) -> None:
    proxy.mute()
    publishing = asyncio.create_task(broker.publish([message(name)]))
    await asyncio.sleep(0.2)
    proxy.cut()

    with pytest.raises(Unconfirmed, match="lost"):  # and not at its deadline
        await publishing


async def test_a_consumer_comes_back_after_its_connection_was_killed(broker: RabbitMQ, proxy: Proxy, name: str) -> None:
    await broker.publish([message(name, body=b"1"), message(name, body=b"2")])
    async with broker.consume(name, prefetch=1) as consumer:
        [before] = await consumer.batch(9)
        proxy.cut()
        await until(lambda: not consumer.consuming)

        [after] = await consumer.batch(9)

        await consumer.ack([before])  # stale: must settle nothing
        assert (after.body, after.deliveries) == (b"1", 2)
        assert after.generation > before.generation
        assert after.tag > before.tag
        await consumer.ack([after])
        assert [d.body for d in await consumer.batch(9)] == [b"2"]


@pytest.mark.parametrize("away_seconds", [0, 2])
async def test_a_consumer_comes_back_after_its_queue_was_deleted_and_declared_again(
    broker: RabbitMQ, amqp_url: str, name: str, away_seconds: float
) -> None:
    async with broker.consume(name, prefetch=4) as consumer:
        assert consumer.consuming
        amqp_peer.delete(amqp_url, name)
        await until(lambda: not consumer.consuming)
        assert not broker.healthy
        await asyncio.sleep(away_seconds)
        await broker.declare(just(Queue(name=name)))
        await broker.publish([message(name)])

        await take(consumer, 1)

        assert broker.healthy


async def test_acks_that_nobody_waited_for_arrive_before_the_consumer_is_closed(broker: RabbitMQ, name: str) -> None:
    await broker.publish([message(name, body=b"%d" % number) for number in range(6)])
    async with broker.consume(name, prefetch=6) as consumer:
        six = await take(consumer, 6)
        await consumer.ack(six[3:5])  # not the oldest: one each
        await consumer.ack(six[:2])  # the oldest: one frame

    async with broker.consume(name, prefetch=6) as consumer:
        left = await take(consumer, 2)
    assert sorted(delivery.body for delivery in left) == [b"2", b"5"]


async def test_everything_resumes_after_the_node_was_killed_and_started_again(own_rabbitmq: Node) -> None:
    async with open_rabbitmq(own_rabbitmq.url) as broker:
        await broker.declare(just(Queue(name="kept")))
        async with broker.consume("kept", prefetch=4) as consumer:
            await broker.publish([message("kept", body=b"before")])
            await take(consumer, 1)
            await asyncio.to_thread(own_rabbitmq.kill)
            with pytest.raises(Unconfirmed):
                await broker.publish([message("kept", body=b"meanwhile")])
            with pytest.raises(Unavailable):
                await broker.depths(["kept"])
            await asyncio.to_thread(own_rabbitmq.start)

            assert [delivery.body for delivery in await take(consumer, 1)] == [b"before"]
            await broker.publish([message("kept", body=b"after")])
            assert [delivery.body for delivery in await take(consumer, 1)] == [b"after"]


async def test_a_broker_that_cannot_be_reached_is_told_without_the_password() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 was not reached within 0\.3 s") as told:
        async with open_rabbitmq("amqp://me:s3cret@127.0.0.1:1/", start_timeout_seconds=0.3):
            pass
    assert "s3cret" not in str(told.value)


def just(queue: Queue) -> Topology:
    return Topology(queues=(queue,))


def message(routing_key: str, *, exchange: str = "", body: bytes = b"body") -> Message:
    return Message(
        exchange=exchange, routing_key=routing_key, body=body, content_type="text/plain", message_id=uuid4().hex
    )


async def publish_one_by_one(broker: RabbitMQ, queue: str) -> None:
    for _ in range(20):
        await broker.publish([message(queue)])


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(60):
        while len(taken) < count:
            taken += await consumer.batch(count - len(taken))
    return taken
