"""What every broker promises about exchanges, dead letters, delays and questions; nothing is skipped for either."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from runtime.broker.base import Broker, Delivery
from schemas.errors import Misconfigured, Unroutable
from schemas.topology import Binding, Exchange, Queue, Topology
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


def events_topology(names: Names) -> Topology:
    """An exchange like `calls`: one sink bound, an alternate exchange that keeps every type but progress."""
    calls, alternate, sink, unrouted = (names.of(word) for word in ("calls", "alternate", "sink", "unrouted"))
    return Topology(
        exchanges=(Exchange(name=alternate, kind="topic"), Exchange(name=calls, kind="topic", alternate=alternate)),
        queues=(Queue(name=sink), Queue(name=unrouted)),
        bindings=(
            Binding(exchange=calls, queue=sink, pattern="call.completed.*"),
            Binding(exchange=calls, queue=sink, pattern="#.huawei-bj"),
            Binding(exchange=alternate, queue=unrouted, pattern="call.completed.#"),
            Binding(exchange=alternate, queue=unrouted, pattern="call.amended.#"),
        ),
    )


async def test_declaring_twice_changes_nothing(broker: Broker, names: Names) -> None:
    topology = events_topology(names)
    sink = names.of("sink")
    await broker.declare(topology)
    await broker.publish(numbered(sink, 2))
    await broker.declare(topology)
    assert numbers(await all_in(broker, sink)) == [0, 1]


async def test_a_queue_with_other_arguments_is_misconfigured(rig: Rig, names: Names) -> None:
    queue = Queue(name=names.of("queue"))
    changed = replace(queue, dead_letter_exchange="", delivery_limit=3)
    async with rig.open() as broker:
        await broker.declare(Topology(queues=(queue,)))
        with pytest.raises(Misconfigured):
            await broker.declare(Topology(queues=(changed,)))
    async with rig.open() as broker:
        with pytest.raises(Misconfigured):
            await broker.declare(Topology(queues=(changed,)))
        await broker.publish(numbered(queue.name, 1))


async def test_what_exists_with_other_arguments_is_told_and_what_is_missing_is_not_made(
    broker: Broker, names: Names
) -> None:
    queue, exchange = Queue(name=names.of("queue")), Exchange(name=names.of("exchange"), kind="topic")
    absent = Queue(name=names.of("absent"))
    await broker.declare(Topology(queues=(queue,), exchanges=(exchange,)))
    assert await broker.differing(Topology(queues=(queue, absent), exchanges=(exchange,))) == []
    changed = Topology(queues=(replace(queue, delivery_limit=3),), exchanges=(replace(exchange, kind="fanout"),))
    faults = await broker.differing(changed)
    assert sorted(fault.partition(" exists")[0] for fault in faults) == [exchange.name, queue.name]
    assert list(await broker.depths([queue.name, absent.name])) == [queue.name]


async def test_an_exchange_of_another_kind_is_misconfigured(broker: Broker, names: Names) -> None:
    exchange = Exchange(name=names.of("exchange"), kind="topic")
    await broker.declare(Topology(exchanges=(exchange,)))
    with pytest.raises(Misconfigured):
        await broker.declare(Topology(exchanges=(replace(exchange, kind="fanout"),)))


async def test_check_passes_when_everything_exists(broker: Broker, names: Names) -> None:
    topology = events_topology(names)
    await broker.declare(topology)
    await broker.check(topology)


@pytest.mark.parametrize(
    "missing", [Topology(queues=(Queue(name="q"),)), Topology(exchanges=(Exchange(name="x", kind="topic"),))]
)
async def test_check_names_what_is_missing_and_makes_nothing(broker: Broker, names: Names, missing: Topology) -> None:
    absent = Topology(
        queues=tuple(replace(queue, name=names.of("absent")) for queue in missing.queues),
        exchanges=tuple(replace(exchange, name=names.of("absent")) for exchange in missing.exchanges),
    )
    for _ in range(2):
        with pytest.raises(Misconfigured, match=names.of("absent")):
            await broker.check(absent)


async def test_an_event_goes_once_to_each_queue_that_wants_it(broker: Broker, names: Names) -> None:
    topology = events_topology(names)
    other = names.of("other")
    calls = names.of("calls")
    also = Topology(queues=(Queue(name=other),), bindings=(Binding(exchange=calls, queue=other, pattern="call.#"),))
    await broker.declare(topology)
    await broker.declare(also)
    await broker.publish([a_message("call.completed.huawei-bj", b"1", exchange=calls)])
    assert numbers(await all_in(broker, names.of("sink"))) == [1]
    assert numbers(await all_in(broker, other)) == [1]
    assert await all_in(broker, names.of("unrouted")) == []


async def test_an_unbound_event_is_kept_and_unbound_progress_is_returned(broker: Broker, names: Names) -> None:
    await broker.declare(events_topology(names))
    amended, progress = (
        a_message(f"call.{word}.jiuyun", b"1", exchange=names.of("calls")) for word in ("amended", "progress")
    )
    with pytest.raises(Unroutable) as unroutable:
        await broker.publish([amended, progress])
    assert unroutable.value.message_ids == {progress.message_id}
    (kept,) = await all_in(broker, names.of("unrouted"))
    assert (kept.message_id, kept.routing_key) == (amended.message_id, "call.amended.jiuyun")
    assert await all_in(broker, names.of("sink")) == []


async def test_what_is_unbound_no_longer_arrives(broker: Broker, names: Names) -> None:
    topology = events_topology(names)
    await broker.declare(topology)
    unwanted = (topology.bindings[0], Binding(exchange=names.of("calls"), queue=names.of("sink"), pattern="never.was"))
    await broker.declare(replace(topology, bindings=topology.bindings[1:], unbound=unwanted))
    await broker.publish([a_message("call.completed.jiuyun", b"1", exchange=names.of("calls"))])
    assert await all_in(broker, names.of("sink")) == []
    assert numbers(await all_in(broker, names.of("unrouted"))) == [1]


async def test_a_message_that_is_never_settled_ends_in_the_dead_letters(broker: Broker, names: Names) -> None:
    work, dead, exchange = names.of("work"), names.of("dead"), names.of("dead-letters")
    await broker.declare(
        Topology(
            exchanges=(Exchange(name=exchange, kind="fanout"),),
            queues=(Queue(name=work, dead_letter_exchange=exchange, delivery_limit=2), Queue(name=dead)),
            bindings=(Binding(exchange=exchange, queue=dead),),
        )
    )
    poison = a_message(work, b"1", headers={"word": "a word"})
    await broker.publish([poison])
    for deliveries in (1, 2, 3):
        async with broker.consume(work, prefetch=10) as consumer:
            (delivery,) = await receive(consumer, 1)
            assert delivery.deliveries == deliveries
    async with broker.consume(work, prefetch=10) as consumer, broker.consume(dead, prefetch=10) as undertaker:
        assert await nothing_arrives(consumer)
        (letter,) = await receive(undertaker, 1)
    assert (letter.body, letter.message_id, letter.routing_key) == (poison.body, poison.message_id, work)
    assert letter.headers["word"] == "a word"
    assert letter.headers["x-first-death-queue"] == work
    assert letter.headers["x-first-death-reason"] == "delivery_limit"


async def test_a_delay_tier_returns_each_message_to_the_queue_of_its_routing_key(broker: Broker, names: Names) -> None:
    tier, exchange, work, other = (names.of(word) for word in ("tier", "retry", "work", "other"))
    await broker.declare(
        Topology(
            exchanges=(Exchange(name=exchange, kind="fanout"),),
            queues=(Queue(name=tier, dead_letter_exchange="", ttl_seconds=0.4), *only(work, other).queues),
            bindings=(Binding(exchange=exchange, queue=tier),),
        )
    )
    async with broker.consume(work, prefetch=10) as consumer:
        began = time.monotonic()
        await broker.publish([a_message(key, b"1", exchange=exchange) for key in (work, other)])
        (delivery,) = await receive(consumer, 1)
        assert time.monotonic() - began > 0.35
    assert (delivery.routing_key, delivery.body, delivery.deliveries) == (work, b"1", 1)
    assert delivery.headers["x-first-death-reason"] == "expired"
    assert await depth_is(broker, other, 1)
    assert await depth_is(broker, tier, 0)


async def answer_one(broker: Broker, queue: str, *, after_seconds: float = 0) -> Delivery:
    """Play a service that answers one question with its own body, in capitals."""
    async with broker.consume(queue, prefetch=1) as consumer:
        (question,) = await receive(consumer, 1)
        await asyncio.sleep(after_seconds)
        await broker.reply(question, question.body.upper())
        await consumer.ack([question])
    return question


async def test_a_question_gets_its_answer(broker: Broker, queue: str) -> None:
    question = a_message(queue, b"who?", headers={"word": "a word"})
    answering = asyncio.create_task(answer_one(broker, queue))
    assert await broker.ask(question, timeout_seconds=5) == b"WHO?"
    asked = await answering
    assert asked.reply_to
    assert asked.correlation_id
    assert (asked.message_id, dict(asked.headers)) == (question.message_id, {"word": "a word"})
    assert await all_in(broker, queue) == []


async def test_questions_asked_at_once_get_their_own_answers(broker: Broker, queue: str) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(answer_one(broker, queue))
        questions = [b"a%d" % number for number in range(4)]
        asking = [group.create_task(broker.ask(a_message(queue, body), timeout_seconds=5)) for body in questions]
    assert [task.result() for task in asking] == [b"A0", b"A1", b"A2", b"A3"]


async def test_a_question_that_nobody_answers_is_none_and_disappears(broker: Broker, queue: str) -> None:
    began = time.monotonic()
    assert await broker.ask(a_message(queue), timeout_seconds=0.2) is None
    assert time.monotonic() - began > 0.15
    await asyncio.sleep(0.3)  # a broker counts from the arrival, which on a busy machine is late
    assert await all_in(broker, queue) == []
    assert await depth_is(broker, queue, 0)


async def test_a_question_that_no_queue_takes_is_none(broker: Broker, queue: str) -> None:
    assert await broker.ask(a_message(f"{queue}.missing"), timeout_seconds=0.2) is None


async def test_an_answer_that_comes_too_late_is_harmless(broker: Broker, queue: str) -> None:
    answering = asyncio.create_task(answer_one(broker, queue, after_seconds=0.4))
    assert await broker.ask(a_message(queue, b"first"), timeout_seconds=0.2) is None
    await answering
    answering = asyncio.create_task(answer_one(broker, queue))
    assert await broker.ask(a_message(queue, b"second"), timeout_seconds=5) == b"SECOND"
    await answering
