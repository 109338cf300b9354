"""The consume loop, settling and isolation, over both brokers: what becomes of each envelope of a batch."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count

import pytest

from runtime.broker.base import MESSAGE_BYTES, Broker, Message
from runtime.consume.loop import PACE_SECONDS
from runtime.wire import SUSPICION, bundles, pack
from schemas.envelope import BUNDLE_CONTENT_TYPE, Envelope, Kind
from schemas.errors import Malformed, Paused, Permanent, Transient, Unavailable
from schemas.stage import Failed, Outcome, Stage
from schemas.topology import CALLS, DEAD, QUARANTINE, RECEIVED, UNIQUE, Binding, Topology
from tests.building.facts import T0
from tests.building.loops import (
    IDS,
    a_loop,
    a_stage_that_says,
    an_envelope,
    is_empty,
    number,
    passed_on,
    read,
    running,
    send,
    until,
)


@pytest.fixture
def broker(stages: Broker) -> Broker:
    return stages


async def test_of_a_hundred_one_that_raises_is_retried_and_dead_lettered_and_99_go_on(broker: Broker) -> None:
    tried: Counter[int] = Counter()

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        for envelope in batch:
            tried[number(envelope)] += 1
            if number(envelope) == 42:
                raise ValueError("+8613800000021")
        return [passed_on(envelope) for envelope in batch]

    await send(broker, [an_envelope(n) for n in range(100)])
    async with running(broker, Stage(handle)):
        passed = await read(broker, UNIQUE, expected=99)
        (dead,) = await read(broker, DEAD, expected=1)
    assert sorted(number(envelope) for envelope in passed) == [n for n in range(100) if n != 42]
    assert isinstance(dead.body, dict)
    assert dead.body["reason"].startswith("ValueError at test_consume_loop.py:")
    assert "138" not in dead.body["reason"]
    assert (dead.body["stage"], dead.body["envelope"]["id"], dead.body["envelope"]["attempt"]) == (RECEIVED, "e42", 2)
    assert await is_empty(broker, RECEIVED)


async def test_a_failed_envelope_is_retried_by_schedule_with_its_attempt_counted(broker: Broker) -> None:
    attempts: list[int] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        attempts.extend(envelope.attempt for envelope in batch)
        return [Failed(e, Transient("not yet")) if e.attempt == 1 else passed_on(e) for e in batch]

    await send(broker, [an_envelope(1)])
    async with running(broker, Stage(handle)):
        (passed,) = await read(broker, UNIQUE, expected=1)
    assert (passed.id, attempts) == ("e1", [1, 2])


async def test_permanent_is_dead_at_once_and_malformed_is_quarantined(broker: Broker) -> None:
    errors = {1: Permanent("never"), 2: Malformed("odd")}

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        return [Failed(envelope, errors[number(envelope)]) for envelope in batch]

    await send(broker, [an_envelope(1), an_envelope(2)])
    async with running(broker, Stage(handle)):
        (dead,) = await read(broker, DEAD, expected=1)
        (odd,) = await read(broker, QUARANTINE, expected=1)
    assert isinstance(dead.body, dict)
    assert isinstance(odd.body, dict)
    assert (dead.body["reason"], dead.body["envelope"]["id"]) == ("Permanent: never", "e1")
    assert (odd.body["reason"], odd.body["envelope"]["body"]) == ("odd", {"n": 2})


async def test_an_event_that_no_broker_takes_is_a_dead_letter_and_all_else_goes_on(broker: Broker) -> None:
    """It was sent again and again, and nothing else of the stage left."""
    stage, marked = a_stage_that_says(MESSAGE_BYTES + 2)
    await send(broker, [an_envelope(1)])
    async with running(broker, stage):
        (passed,) = await read(broker, UNIQUE, expected=1)
        (dead,) = await read(broker, DEAD, expected=1)
    assert isinstance(dead.body, dict)
    assert (passed.id, dead.body["reason"], dead.body["stage"]) == ("e1", "too_large", RECEIVED)
    assert (dead.body["id"], dead.body["bytes"]) == ("large", MESSAGE_BYTES + 2)
    assert marked == ["large", "e1"], "correlate goes on: its outbox row has left"
    assert await is_empty(broker, RECEIVED)


async def test_unavailable_holds_the_batch_and_counts_no_attempt(broker: Broker) -> None:
    calls = count(1)
    attempts: list[int] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        if next(calls) <= 4:
            raise Unavailable("the store is away")
        attempts.extend(envelope.attempt for envelope in batch)
        return [passed_on(envelope) for envelope in batch]

    await send(broker, [an_envelope(n) for n in range(5)])
    async with running(broker, Stage(handle)):
        passed = await read(broker, UNIQUE, expected=5)
    assert ([number(e) for e in passed], attempts) == ([0, 1, 2, 3, 4], [1] * 5)
    assert await is_empty(broker, DEAD)


async def test_a_paused_sink_gets_nothing_more_and_nothing_is_lost(broker: Broker) -> None:
    calls: list[int] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        calls.append(len(batch))
        raise Paused("gone")

    await send(broker, [an_envelope(n) for n in range(40)], each_alone=True)
    async with running(broker, Stage(handle)):
        await until(lambda: bool(calls))
        await asyncio.sleep(1.0)
    assert len(calls) == 1
    kept = await read(broker, RECEIVED, expected=40)
    assert sorted(number(envelope) for envelope in kept) == list(range(40))


async def test_published_runs_after_the_confirms_and_before_the_ack(broker: Broker) -> None:
    story: list[object] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        return [passed_on(envelope) for envelope in batch]

    async def published(ids: Sequence[str]) -> None:
        story.append((tuple(ids), await broker.depths([UNIQUE])))

    await send(broker, [an_envelope(1), an_envelope(2)])
    async with running(broker, Stage(handle, published=published)):
        await until(lambda: bool(story))
    assert story == [(("e1", "e2"), {UNIQUE: 1})]


async def test_what_trickles_in_is_worked_on_in_batches(broker: Broker) -> None:
    """Only after a full batch does the next begin at once: so many others fit into the time, however long it is."""
    sizes: list[int] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        sizes.append(len(batch))
        return [passed_on(envelope) for envelope in batch]

    began = time.monotonic()
    async with running(broker, Stage(handle)):
        for n in range(60):
            await send(broker, [an_envelope(n)])
        await read(broker, UNIQUE, expected=60)
    took = time.monotonic() - began
    assert len([size for size in sizes if size < 16]) <= took / PACE_SECONDS + 1


async def test_a_tick_publishes_what_it_returns(broker: Broker) -> None:
    given = iter([[passed_on(an_envelope(7))]])

    async def handle(_: Sequence[Envelope]) -> Outcome:
        return []

    async def tick(_: object) -> Sequence[Envelope]:
        return next(given, [])

    async with running(broker, Stage(handle, tick=tick)):
        (ticked,) = await read(broker, UNIQUE, expected=1)
    assert ticked.id == "e7"


async def test_a_drain_finishes_what_is_buffered(broker: Broker) -> None:
    handled: list[int] = []
    first = asyncio.Event()

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        first.set()
        await asyncio.sleep(0.05)
        handled.extend(number(envelope) for envelope in batch)
        return [passed_on(envelope) for envelope in batch]

    await send(broker, [an_envelope(n) for n in range(10)], each_alone=True)
    async with running(broker, Stage(handle), most=1) as stopping:
        await first.wait()
        stopping.set()
    left = (await broker.depths([RECEIVED]))[RECEIVED]
    assert handled == list(range(len(handled)))
    assert len(handled) + left == 10
    assert len(await read(broker, UNIQUE, expected=len(handled))) == len(handled)


async def test_cancellation_settles_nothing(broker: Broker) -> None:
    started = asyncio.Event()

    async def handle(_: Sequence[Envelope]) -> Outcome:
        started.set()
        await asyncio.sleep(60)
        return []

    await send(broker, [an_envelope(1)])
    loop = a_loop(broker, Stage(handle))
    task = asyncio.create_task(loop.run(asyncio.Event()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (back,) = await read(broker, RECEIVED, expected=1)
    assert back.id == "e1"
    assert await is_empty(broker, DEAD)


async def test_a_message_that_nobody_can_read_is_a_dead_letter_with_its_bytes(broker: Broker) -> None:
    async def handle(batch: Sequence[Envelope]) -> Outcome:
        assert not batch, "no stage knows what to do with it"
        return []

    garbage = Message(
        exchange="", routing_key=RECEIVED, body=b"\xffgarbage", content_type="text/plain", message_id=next(IDS)
    )
    await broker.publish([garbage])
    async with running(broker, Stage(handle)):
        (dead,) = await read(broker, DEAD, expected=1)
    assert isinstance(dead.body, dict)
    assert (dead.body["reason"], dead.body["base64"]) == ("not_a_bundle", "/2dhcmJhZ2U=")


async def test_restarts_during_an_outage_dead_letter_nothing(broker: Broker) -> None:
    """A release counts as a delivery, and this one is suspected already: neither may add up."""
    called = asyncio.Event()

    async def handle(_: Sequence[Envelope]) -> Outcome:
        called.set()
        raise Unavailable("the store is away")

    retried = Message(
        exchange="", routing_key=RECEIVED, body=bundles([an_envelope(1).retried()], "", RECEIVED, IDS)[0].body,
        content_type=BUNDLE_CONTENT_TYPE, message_id=next(IDS), headers={SUSPICION: 2},
    )  # fmt: skip
    await broker.publish([retried])
    for _ in range(8):
        called.clear()
        async with running(broker, Stage(handle)):
            await until(called.is_set)
    (kept,) = await read(broker, RECEIVED, expected=1)
    assert (kept.id, kept.attempt) == ("e1", 2)
    assert await is_empty(broker, DEAD)


async def test_an_event_that_is_put_back_keeps_its_route_and_its_bytes(broker: Broker) -> None:
    called = asyncio.Event()

    async def handle(_: Sequence[Envelope]) -> Outcome:
        called.set()
        raise Unavailable("the sink is away")

    event = Envelope(id="v", kind=Kind.EVENT, source="s", at=T0, body=b'{"id": "v"}', route="call.completed.s")
    (message,) = pack([event], IDS)
    await broker.declare(Topology(bindings=(Binding(exchange=CALLS, queue=RECEIVED, pattern="#"),)))
    await broker.publish([message])
    async with running(broker, Stage(handle)):
        await until(called.is_set)
    (kept,) = await read(broker, RECEIVED, expected=1)
    assert (kept.route, kept.source, kept.body, kept.id) == ("call.completed.s", "s", b'{"id": "v"}', "v")


async def test_a_tick_that_raises_makes_the_stage_unready_until_one_works(broker: Broker) -> None:
    broken = False

    async def handle(_: Sequence[Envelope]) -> Outcome:
        return []

    async def tick(_: object) -> Sequence[Envelope]:
        if broken:
            raise ValueError("bug")
        return []

    loop = a_loop(broker, Stage(handle, tick=tick))
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: loop.ready)
        broken = True
        await until(lambda: not loop.ready)
        broken = False
        await until(lambda: loop.ready)
        stopping.set()
