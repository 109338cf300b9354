"""What every broker promises about consuming and settling; nothing here is skipped for either."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest

from runtime.broker.base import BATCH_BYTES, Broker, Consumer
from schemas.errors import Unavailable
from tests.contracts.brokers import (
    Names,
    Rig,
    a_message,
    all_in,
    depth_is,
    nothing_arrives,
    numbered,
    numbers,
    only,
    receive,
)


async def test_what_is_acked_is_gone_for_good(rig: Rig, names: Names) -> None:
    queue = names.of("queue")
    async with rig.open() as broker:
        await broker.declare(only(queue))
        await broker.publish(numbered(queue, 5))
        async with broker.consume(queue, prefetch=10) as consumer:
            await consumer.ack(await receive(consumer, 5))
        assert await all_in(broker, queue) == []
    async with rig.open() as broker:
        assert await all_in(broker, queue) == []


async def test_a_consumer_tells_whether_a_batch_is_there_at_once(broker: Broker, queue: str) -> None:
    async with broker.consume(queue, prefetch=10) as consumer:
        assert not consumer.buffered
        await broker.publish(numbered(queue, 3))
        async with asyncio.timeout(60):
            while not consumer.buffered:  # noqa: ASYNC110 - what the consume loop looks at too
                await asyncio.sleep(0.01)
        await consumer.ack(await receive(consumer, 3))
        assert not consumer.buffered


async def test_a_batch_of_large_messages_stays_small(broker: Broker, queue: str) -> None:
    half = b"5" * (BATCH_BYTES // 2)
    large = b"7" * (BATCH_BYTES + 1)
    bodies = [half, half, b"0", large, b"1", b"2"]
    await broker.publish([a_message(queue, body) for body in bodies])
    batches: list[list[bytes]] = []
    async with asyncio.timeout(60), broker.consume(queue, prefetch=10) as consumer:
        while sum(map(len, batches)) < len(bodies):
            batch = await consumer.batch(10)
            batches.append([delivery.body for delivery in batch])
            await consumer.ack(batch)
    assert [body for batch in batches for body in batch] == bodies
    assert [large] in batches
    assert all(sum(map(len, batch)) <= BATCH_BYTES for batch in batches if batch != [large])


async def test_the_oldest_ones_are_acked_together(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 5))
    async with broker.consume(queue, prefetch=10) as consumer:
        deliveries = await receive(consumer, 5)
        await consumer.ack(deliveries[:3])
    assert numbers(await all_in(broker, queue)) == [3, 4]


async def test_acking_one_in_the_middle_leaves_its_neighbours(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 5))
    async with broker.consume(queue, prefetch=10) as consumer:
        deliveries = await receive(consumer, 5)
        await consumer.ack([deliveries[2]])
    assert numbers(await all_in(broker, queue)) == [0, 1, 3, 4]


async def test_acking_twice_or_nothing_is_harmless(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 3))
    async with broker.consume(queue, prefetch=10) as consumer:
        deliveries = await receive(consumer, 3)
        await consumer.ack(deliveries[:1])
        await consumer.ack(deliveries[:1])
        await consumer.ack([])
        await consumer.release([])
        await consumer.release(deliveries[:1])
    assert numbers(await all_in(broker, queue)) == [1, 2]


async def test_what_is_released_comes_back_in_order(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 3))
    async with broker.consume(queue, prefetch=10) as consumer:
        await consumer.release(await receive(consumer, 3))
        again = await receive(consumer, 3)
        assert numbers(again) == [0, 1, 2]
        await consumer.ack(again)
    assert await all_in(broker, queue) == []


async def test_what_is_released_may_go_to_another_consumer(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 2))
    async with broker.consume(queue, prefetch=10) as first:
        deliveries = await receive(first, 2)
        await first.stop()
        async with broker.consume(queue, prefetch=10) as second:
            assert await nothing_arrives(second)
            await first.release(deliveries)
            assert numbers(await receive(second, 2)) == [0, 1]


async def test_a_consumer_that_closes_without_settling_gives_everything_back(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 3))
    for attempt in (1, 2, 3):
        async with broker.consume(queue, prefetch=10) as consumer:
            deliveries = await receive(consumer, 3)
            assert numbers(deliveries) == [0, 1, 2]
            assert {delivery.deliveries for delivery in deliveries} == {attempt}


async def test_no_more_than_prefetch_messages_are_unsettled(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 10))
    async with broker.consume(queue, prefetch=3) as consumer:
        deliveries = await receive(consumer, 3)
        assert await nothing_arrives(consumer)
        assert await depth_is(broker, queue, 7)
        await consumer.ack(deliveries[:2])
        assert numbers(await receive(consumer, 2)) == [3, 4]
        assert await nothing_arrives(consumer)


async def test_a_batch_honours_most_and_keeps_the_order(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 20))
    async with broker.consume(queue, prefetch=20) as consumer:
        batches = [await consumer.batch(4) for _ in range(5)]
        assert all(1 <= len(batch) <= 4 for batch in batches)
        arrived = [delivery for batch in batches for delivery in batch]
        assert numbers(arrived) == list(range(len(arrived)))
        tags = [delivery.tag for delivery in arrived]
        assert tags == sorted(set(tags))


async def test_a_batch_waits_for_the_first_message(broker: Broker, queue: str) -> None:
    async with broker.consume(queue, prefetch=10) as consumer, asyncio.TaskGroup() as group:
        waiting = group.create_task(receive(consumer, 1))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await broker.publish(numbered(queue, 1))
        assert numbers(await waiting) == [0]


async def test_two_consumers_share_a_queue_and_each_message_goes_to_one(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 100))
    seen: Counter[int] = Counter()

    async def work(consumer: Consumer, other: Consumer) -> None:
        with suppress(Unavailable):
            while sum(seen.values()) < 100:
                batch = await consumer.batch(5)
                seen.update(numbers(batch))
                await consumer.ack(batch)
            await other.stop()

    async with (
        broker.consume(queue, prefetch=5) as first,
        broker.consume(queue, prefetch=5) as second,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(work(first, second))
        group.create_task(work(second, first))
    assert seen == Counter(range(100))
    assert await all_in(broker, queue) == []


async def test_settling_after_the_consumer_lost_its_messages_is_harmless(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 2))
    async with broker.consume(queue, prefetch=10) as first:
        stale = await receive(first, 2)
    async with broker.consume(queue, prefetch=10) as second:
        held = await receive(second, 2)
        await first.ack(stale)
        await first.release(stale)
        assert await nothing_arrives(second)
        await second.ack(held[:1])
    assert numbers(await all_in(broker, queue)) == [1]
    assert broker.healthy


async def test_stop_returns_what_is_buffered_still_to_be_settled(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 6))
    async with broker.consume(queue, prefetch=5) as consumer:
        taken = await receive(consumer, 2)
        assert await depth_is(broker, queue, 1)
        buffered = await consumer.stop()
        assert numbers([*taken, *buffered]) == [0, 1, 2, 3, 4]
        await consumer.ack([*taken, *buffered[:1]])
        await consumer.release(buffered[1:2])
        with pytest.raises(Unavailable):
            await consumer.batch(1)
    assert sorted(numbers(await all_in(broker, queue))) == [3, 4, 5]


async def test_after_a_stop_acks_make_no_room_for_further_messages(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 5))
    async with broker.consume(queue, prefetch=3) as consumer:
        taken = await receive(consumer, 3)
        await consumer.stop()
        await consumer.ack(taken)
        await asyncio.sleep(0.3)
    left = await all_in(broker, queue)
    assert [(int(delivery.body), delivery.deliveries) for delivery in left] == [(3, 1), (4, 1)]


async def test_stop_wakes_who_waits_for_a_batch(broker: Broker, queue: str) -> None:
    async with broker.consume(queue, prefetch=5) as consumer:
        waiting = asyncio.ensure_future(consumer.batch(1))
        await asyncio.sleep(0.05)
        assert await consumer.stop() in ([], ())
        with pytest.raises(Unavailable):
            await waiting


async def test_readiness_tells_who_consumes(broker: Broker, queue: str) -> None:
    assert broker.healthy
    async with broker.consume(queue, prefetch=5) as consumer:
        assert consumer.consuming
        assert broker.healthy
        await consumer.stop()
        assert not consumer.consuming
    assert broker.healthy


async def test_depths_count_what_is_ready_and_leave_out_unknown_queues(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 4))
    assert await depth_is(broker, queue, 4)
    assert await broker.depths([queue, f"{queue}.missing"]) == {queue: 4}
