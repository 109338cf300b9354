"""The traps of the AMQP client (docs/notes/amqp.md, by number) that a comment alone would not keep us out of, live.

Traps 3, 4 and 5 have more tests in test_rabbitmq.py (publishes in flight, late confirms, an outage) and in
test_rabbitmq_reconnect.py; traps 22, 25 and 26 are in test_rabbitmq_versions.py, trap 24 in test_rabbitmq_refused.py,
trap 21 in tests/e2e/test_drain.py. The other traps are comments where they would bite.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from runtime.broker.base import Broker, Consumer
from runtime.broker.rabbitmq import RabbitMQ, open_rabbitmq
from runtime.wire import bundles
from schemas.envelope import Envelope
from schemas.errors import Unavailable, Unconfirmed, Unroutable
from schemas.stage import Outcome, Stage
from schemas.topology import DEAD, RECEIVED, UNIQUE, topology
from tests.building.loops import IDS, a_loop, an_envelope, is_empty, number, passed_on, read, running, send, until
from tests.contracts.brokers import a_message, all_in, depth_is, numbered, numbers, only, receive
from tests.integration import amqp_peer
from tests.services.proxy import Proxy, open_proxy
from tests.services.rabbitmq import RELEASES
from tests.services.rabbitmq import RabbitMQ as Node
from tests.services.rabbitmq_faults import memory_alarm

pytestmark = pytest.mark.rabbitmq

BASIC_ACK = b"\x00\x3c\x00\x50"  # class 60, method 80
LOSSES = {"cut": Proxy.cut, "reset": Proxy.reset}


@pytest.fixture(params=list(RELEASES.values()), ids=list(RELEASES))
def rabbitmq_release(request: pytest.FixtureRequest) -> str | None:
    release: str | None = request.param
    return release


@pytest.fixture
async def wire(fresh_amqp_url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of a vhost of this test's own."""
    async with open_proxy(fresh_amqp_url) as proxy:
        yield proxy


@pytest.fixture
async def stages(wire: Proxy) -> AsyncIterator[Broker]:
    """Our client through that proxy, with our whole topology declared."""
    async with open_rabbitmq(wire.url, confirm_timeout_seconds=2) as broker:
        await broker.declare(topology([]))
        yield broker


class Handler:
    """Passes on what it is given, once it is let; tells how often it began, finished and was cancelled."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.finished: list[int] = []
        self.cancelled = 0
        self.let = asyncio.Event()

    async def __call__(self, batch: Sequence[Envelope]) -> Outcome:
        self.begun += map(number, batch)
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.finished += map(number, batch)
        return [passed_on(envelope) for envelope in batch]


async def test_a_death_counts_once_however_much_was_worked_on_at_once(
    stages: Broker, wire: Proxy, fresh_amqp_url: str
) -> None:
    """With a channel for each, the broker hands what one held to the next that dies, and counts every time (seen)."""
    handler = Handler()
    await send(stages, [an_envelope(n) for n in range(8)], each_alone=True)
    task = asyncio.create_task(a_loop(stages, Stage(handler), most=1, at_once=4).run(asyncio.Event()))
    await until(lambda: len(handler.begun) == 4)

    wire.refuse()

    async with open_rabbitmq(fresh_amqp_url) as successor, successor.consume(RECEIVED, prefetch=8) as consumer:
        assert [delivery.deliveries for delivery in await receive(consumer, 8)] == [2] * 8
    task.cancel()
    await asyncio.wait([task])


async def test_trap_1_a_cancelled_handler_leaves_its_message_to_the_broker(stages: Broker) -> None:
    handler = Handler()
    await send(stages, [an_envelope(1)])
    task = asyncio.create_task(a_loop(stages, Stage(handler)).run(asyncio.Event()))
    await until(lambda: handler.begun == [1])

    task.cancel()
    await asyncio.wait([task])

    assert handler.cancelled == 1
    assert [number(envelope) for envelope in await read(stages, RECEIVED, expected=1)] == [1]
    assert await is_empty(stages, DEAD)


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
async def test_traps_1_and_2_a_handler_outlives_its_channel_and_its_message_comes_again(
    stages: Broker, wire: Proxy, lose: Callable[[Proxy], None]
) -> None:
    handler = Handler()
    async with running(stages, Stage(handler)):
        await send(stages, [an_envelope(1)])
        await until(lambda: handler.begun == [1])
        lose(wire)
        await asyncio.sleep(0.3)
        handler.let.set()
        await until(lambda: handler.finished == [1, 1])  # what it did for a lost channel, done again: claims absorb it

    assert handler.cancelled == 0
    assert [number(envelope) for envelope in await read(stages, UNIQUE, expected=2)] == [1, 1]
    assert await is_empty(stages, RECEIVED)
    assert await is_empty(stages, DEAD)


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
async def test_trap_2_a_consumer_that_waits_for_messages_goes_on_waiting_on_its_next_channel(
    stages: Broker, wire: Proxy, lose: Callable[[Proxy], None]
) -> None:
    handler = Handler()
    handler.let.set()
    async with running(stages, Stage(handler)):
        await send(stages, [an_envelope(1)])
        await until(lambda: handler.finished == [1])
        await asyncio.sleep(0.1)  # it is acked, and the loop waits for the next one
        lose(wire)
        await until(lambda: not stages.healthy)
        await until(lambda: stages.healthy)
        await send(stages, [an_envelope(2)])
        await until(lambda: 2 in handler.finished)


async def test_trap_3_a_batch_whose_output_finds_no_queue_is_not_acked_until_it_does(
    stages: Broker, fresh_amqp_url: str
) -> None:
    handler = Handler()
    handler.let.set()
    amqp_peer.delete(fresh_amqp_url, UNIQUE)
    async with running(stages, Stage(handler)):
        await send(stages, [an_envelope(1)])
        await until(lambda: handler.finished == [1])
        await asyncio.sleep(0.5)
        await stages.declare(topology([]))

    assert [number(envelope) for envelope in await read(stages, UNIQUE, expected=1)] == [1]
    assert handler.begun == [1]
    assert await is_empty(stages, RECEIVED)


async def test_trap_4_one_envelope_under_way_to_two_queues_is_returned_only_from_the_missing_one(
    broker: RabbitMQ, name: str
) -> None:
    same = an_envelope(1)
    to_nowhere, to_somewhere = (bundles([same], "", queue, IDS) for queue in (f"{name}.nowhere", name))

    nowhere, somewhere = await asyncio.gather(
        broker.publish(to_nowhere), broker.publish(to_somewhere), return_exceptions=True
    )

    assert isinstance(nowhere, Unroutable)
    assert somewhere is None
    assert await depth_is(broker, name, 1)


async def test_trap_6_a_confirm_that_is_lost_for_good_is_told_and_mended_though_nobody_publishes_any_more(
    wire: Proxy, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a further publish judged it: a role that was taken out for it stayed out until the broker hung up."""
    monkeypatch.setattr("runtime.broker.rabbitmq.session.STUCK_SECONDS", 1.0)
    async with open_rabbitmq(wire.url, confirm_timeout_seconds=0.5) as broker:
        await broker.declare(only(name))
        await broker.publish([a_message(name, b"0")])
        wire.lose(BASIC_ACK)
        with pytest.raises(Unconfirmed):
            await broker.publish([a_message(name, b"1")])
        assert wire.lost
        assert broker.trouble == "late: 1 confirm(s) are overdue"
        await until(lambda: broker.healthy)
        await broker.publish([a_message(name, b"2")])
        assert sorted(numbers(await all_in(broker, name))) == [0, 1, 2]


async def test_traps_7_and_8_in_an_alarm_publishes_fail_in_time_and_acks_still_flow(
    rabbitmq_node: Node, name: str
) -> None:
    async with open_rabbitmq(rabbitmq_node.url, confirm_timeout_seconds=1) as broker:
        await broker.declare(only(name))
        await broker.publish(numbered(name, 4))
        async with broker.consume(name, prefetch=1) as consumer:
            held = await receive(consumer, 1)
            with memory_alarm(rabbitmq_node):
                await until(lambda: published_in_vain(broker, name))
                with pytest.raises(Unconfirmed, match="blocks publishers: low on memory"):
                    await broker.publish([a_message(name, b"9")])
                assert not broker.healthy
                await consumer.ack(held)
                assert numbers(await receive(consumer, 1)) == [1]  # it comes only after that ack
            await until(lambda: broker.healthy)
            await broker.publish([a_message(name, b"10")])

        assert set(came := numbers(await all_in(broker, name))) == {1, 2, 3, 9, 10}
        assert came.count(9) > 1


async def published_in_vain(broker: RabbitMQ, name: str) -> bool:
    """RabbitMQ tells a connection of an alarm once it publishes, and may take that publish yet."""
    try:
        await broker.publish([a_message(name, b"9")])
    except Unconfirmed:
        return broker.trouble.startswith("alarm")
    return False


async def test_trap_23_in_an_alarm_queues_are_told_and_a_declaration_ends_with_its_connection(
    broker: RabbitMQ, proxy: Proxy, rabbitmq_node: Node, name: str
) -> None:
    """aio-pika opens no channel on a blocked connection, and waits on for its unblocking when it is lost."""
    with memory_alarm(rabbitmq_node):
        await until(lambda: published_in_vain(broker, name))
        assert await broker.consumers([name]) == {name: 0}  # on the connection that no alarm blocks
        assert (await broker.depths([name])).keys() == {name}
        declaring = asyncio.create_task(broker.declare(only(name)))
        await asyncio.sleep(0.2)
        assert not declaring.done()

        proxy.cut()

        with pytest.raises(Unavailable):
            async with asyncio.timeout(5):
                await declaring


async def test_trap_11_a_queue_that_somebody_declared_with_other_arguments_stops_nobody(
    broker: RabbitMQ, proxy: Proxy, amqp_url: str, name: str
) -> None:
    amqp_peer.redeclare(amqp_url, name, {"x-queue-type": "quorum", "x-max-length": 1000})
    async with broker.consume(name, prefetch=4) as consumer:
        for n in (1, 2):
            proxy.cut()
            await until(lambda: not broker.healthy)
            await until(lambda: broker.healthy)
            await broker.publish([a_message(name, b"%d" % n)])
            await acked_up_to(consumer, n)


async def acked_up_to(consumer: Consumer, n: int) -> None:
    """Take messages until this one comes; one whose ack was cut off comes again."""
    arrived = [-1]
    while n not in arrived:
        deliveries = await receive(consumer, 1)
        await consumer.ack(deliveries)
        arrived = numbers(deliveries)


async def test_trap_21_restarts_count_no_delivery_of_what_was_never_started(stages: Broker) -> None:
    called = asyncio.Event()

    async def handle(_: Sequence[Envelope]) -> Outcome:
        called.set()
        raise Unavailable("the store is away")

    await send(stages, [an_envelope(n) for n in range(10)], each_alone=True)
    for _ in range(4):
        called.clear()
        async with running(stages, Stage(handle), most=1):
            await until(called.is_set)

    async with stages.consume(RECEIVED, prefetch=20) as consumer:
        back = await receive(consumer, 10)
    assert [delivery.deliveries for delivery in back] == [1] * 10
    assert await is_empty(stages, DEAD)
