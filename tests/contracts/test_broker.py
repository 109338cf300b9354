"""What every broker promises about publishing; nothing here is skipped for either."""

from __future__ import annotations

import asyncio

import pytest

from runtime.broker.base import MESSAGE_BYTES, Broker
from runtime.broker.slices import SLICE_BYTES
from schemas.errors import Refused, Unconfirmed, Unroutable
from tests.contracts.brokers import (
    Names,
    Rig,
    a_message,
    all_in,
    eventually,
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


async def test_a_large_batch_is_stored_whole_and_in_order(broker: Broker, queue: str) -> None:
    sizes = [1000, SLICE_BYTES - 1000, 1000, SLICE_BYTES + 1, 1000]
    await broker.publish([a_message(queue, b"x" * size) for size in sizes])
    async with broker.consume(queue, prefetch=10) as consumer:
        assert [len(delivery.body) for delivery in await receive(consumer, len(sizes))] == sizes


async def test_a_message_that_no_broker_takes_is_named_and_the_rest_of_its_batch_is_stored(
    broker: Broker, queue: str
) -> None:
    too_large, lost = a_message(queue, b"x" * (MESSAGE_BYTES + 1)), a_message(f"{queue}.missing")
    batch = numbered(queue, 3)
    with pytest.raises(Refused) as refused:
        await broker.publish([*batch[:2], too_large, lost, batch[2]])
    assert refused.value.message_ids == {too_large.message_id}
    assert refused.value.open_ids == {lost.message_id}
    assert numbers(await all_in(broker, queue)) == [0, 1, 2]
    await broker.publish(numbered(queue, 1))
    assert broker.healthy


async def test_a_confirm_that_never_comes_is_unconfirmed_by_the_deadline(rig: Rig, names: Names) -> None:
    queue = names.of("queue")
    async with rig.open_stallable() as stallable:
        await stallable.broker.declare(only(queue))
        batch = numbered(queue, 3)
        async with stallable.stall():
            with pytest.raises(Unconfirmed) as unconfirmed:
                await stallable.broker.publish(batch)
            assert unconfirmed.value.message_ids == {message.message_id for message in batch}

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
