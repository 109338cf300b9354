"""What every broker promises about publishing, consuming and settling; nothing here is skipped for either."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from runtime.broker.base import Broker, Consumer
from schemas.errors import Unavailable, Unconfirmed, Unroutable
from tests.contracts.brokers import (
    CONFIRM_SECONDS,
    Names,
    Rig,
    a_message,
    all_in,
    depth_is,
    eventually,
    nothing_arrives,
    numbered,
    numbers,
    only,
    receive,
)


async def test_what_is_published_is_delivered_as_it_was(broker: Broker, queue: str) -> None:
    message = a_message(queue, b"\x00 any bytes \xff", headers={"word": "a word", "number": 7})
    await broker.publish([message])
    async with broker.consume(queue, prefetch=1) as consumer:
        (delivery,) = await receive(consumer, 1)
    assert delivery.body == message.body
    assert dict(delivery.headers) == {"word": "a word", "number": 7}
    assert (delivery.content_type, delivery.message_id) == (message.content_type, message.message_id)
    assert (delivery.routing_key, delivery.deliveries) == (queue, 1)
    assert (delivery.reply_to, delivery.correlation_id) == ("", "")


async def test_a_batch_of_500_arrives_whole_and_in_order(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 500))
    async with broker.consume(queue, prefetch=100) as consumer:
        arrived: list[int] = []
        while len(arrived) < 500:
            batch = await consumer.batch(64)
            await consumer.ack(batch)
            arrived += numbers(batch)
    assert arrived == list(range(500))


@pytest.mark.parametrize("size", [0, 4096, 300 * 1024])
async def test_a_body_of_any_size_arrives_byte_for_byte(broker: Broker, queue: str, size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    await broker.publish([a_message(queue, body)])
    async with broker.consume(queue, prefetch=1) as consumer:
        (delivery,) = await receive(consumer, 1)
    assert delivery.body == body


async def test_an_empty_batch_is_published_at_once(broker: Broker, queue: str) -> None:
    await broker.publish([])
    assert await broker.depths([queue]) == {queue: 0}


async def test_the_same_message_may_be_published_again(broker: Broker, queue: str) -> None:
    message = a_message(queue, b"1")
    await broker.publish([message])
    await broker.publish([message])
    assert numbers(await all_in(broker, queue)) == [1, 1]


async def test_an_unroutable_message_is_named_and_the_rest_of_its_batch_is_stored(broker: Broker, queue: str) -> None:
    batch = numbered(queue, 5)
    lost = [a_message(f"{queue}.missing"), a_message(f"{queue}.missing")]
    with pytest.raises(Unroutable) as unroutable:
        await broker.publish([*batch[:2], lost[0], *batch[2:], lost[1]])
    assert unroutable.value.message_ids == {message.message_id for message in lost}
    assert numbers(await all_in(broker, queue)) == [0, 1, 2, 3, 4]


async def test_of_many_publishes_in_flight_exactly_the_returned_ones_fail(broker: Broker, queue: str) -> None:
    messages = [a_message(queue if number % 3 else f"{queue}.missing", b"%d" % number) for number in range(60)]
    outcomes = await asyncio.gather(*(broker.publish([message]) for message in messages), return_exceptions=True)
    failed = {number for number, outcome in enumerate(outcomes) if isinstance(outcome, Unroutable)}
    assert failed == set(range(0, 60, 3))
    assert {number for number, outcome in enumerate(outcomes) if outcome is None} == set(range(60)) - failed
    assert set(numbers(await all_in(broker, queue))) == set(range(60)) - failed


async def test_two_publishes_in_flight_do_not_mix_up_who_was_returned(broker: Broker, queue: str) -> None:
    returned, stored = a_message(f"{queue}.missing"), a_message(queue, b"1")
    first, second = await asyncio.gather(broker.publish([returned]), broker.publish([stored]), return_exceptions=True)
    assert isinstance(first, Unroutable)
    assert first.message_ids == {returned.message_id}
    assert second is None


async def test_a_confirm_that_never_comes_is_unconfirmed_by_the_deadline(rig: Rig, names: Names) -> None:
    queue = names.of("queue")
    async with rig.open_stallable() as stallable:
        await stallable.broker.declare(only(queue))
        batch = numbered(queue, 3)
        async with stallable.stall():
            began = time.monotonic()
            with pytest.raises(Unconfirmed):
                await stallable.broker.publish(batch)
            assert time.monotonic() - began < CONFIRM_SECONDS + 1

        async def confirmed() -> bool:
            try:
                await stallable.broker.publish(batch)
            except Unconfirmed:
                return False
            return True

        assert await eventually(confirmed)
        assert set(numbers(await all_in(stallable.broker, queue))) == {0, 1, 2}


async def test_what_was_confirmed_outlives_the_broker_object(rig: Rig, names: Names) -> None:
    queue = names.of("queue")
    async with rig.open() as broker:
        await broker.declare(only(queue))
        await broker.publish(numbered(queue, 3))
    async with rig.open() as broker:
        await broker.check(only(queue))
        assert numbers(await all_in(broker, queue)) == [0, 1, 2]


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


async def test_what_is_released_comes_back_and_is_counted(broker: Broker, queue: str) -> None:
    await broker.publish(numbered(queue, 3))
    async with broker.consume(queue, prefetch=10) as consumer:
        await consumer.release(await receive(consumer, 3))
        again = await receive(consumer, 3)
        assert numbers(again) == [0, 1, 2]
        assert [delivery.deliveries for delivery in again] == [2, 2, 2]
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

    async def work(consumer: Consumer) -> None:
        while sum(seen.values()) < 100:
            batch = await consumer.batch(5)
            seen.update(numbers(batch))
            await consumer.ack(batch)
        await consumer.stop()

    async with broker.consume(queue, prefetch=5) as first, broker.consume(queue, prefetch=5) as second:
        await asyncio.wait(
            [asyncio.create_task(work(first)), asyncio.create_task(work(second))],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=15,
        )
        await asyncio.gather(first.stop(), second.stop())
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
