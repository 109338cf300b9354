"""When a stage is ready, over both brokers: a stage that fails whatever it is given is not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from runtime.broker.base import Broker
from runtime.telemetry import Telemetry
from schemas.envelope import Envelope, Kind
from schemas.errors import Paused, Transient, Unavailable
from schemas.stage import Failed, Outcome, Stage
from schemas.topology import DEAD, UNIQUE, Subscription, sink_queue, topology
from tests.building.facts import T0
from tests.building.loops import a_loop, an_envelope, number, passed_on, read, send, until


@pytest.fixture
def broker(stages: Broker) -> Broker:
    return stages


async def test_a_stage_whose_every_batch_fails_for_no_foreseen_reason_is_not_ready_until_one_works(
    broker: Broker,
) -> None:
    broken = True

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        if broken or any(number(envelope) == 0 for envelope in batch):
            raise ZeroDivisionError
        return [passed_on(envelope) for envelope in batch]

    loop, stopping = a_loop(broker, Stage(handle)), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: loop.ready)
        await send(broker, [an_envelope(0)])
        await read(broker, DEAD, expected=1)
        assert loop.ready, "one envelope that always fails says nothing of the stage"
        await send(broker, [an_envelope(n) for n in range(1, 4)])
        await read(broker, DEAD, expected=3)
        assert not loop.ready
        broken = False
        await send(broker, [an_envelope(5)])
        await read(broker, UNIQUE, expected=1)
        assert loop.ready
        stopping.set()


async def test_a_stage_where_nothing_failed_lately_is_ready_though_nothing_came_that_could_work(broker: Broker) -> None:
    """Three bad pushes kept `up` out of the balancer, and so the push that would have worked away, for ever."""
    now = T0

    async def handle(_: Sequence[Envelope]) -> Outcome:
        raise ZeroDivisionError

    loop, stopping = a_loop(broker, Stage(handle), clock=lambda: now), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await send(broker, [an_envelope(n) for n in range(3)])
        await read(broker, DEAD, expected=3)
        now += timedelta(seconds=59)
        assert not loop.ready
        await send(broker, [an_envelope(3)])
        await read(broker, DEAD, expected=1)
        now += timedelta(seconds=59)
        assert not loop.ready, "it goes on"
        now += timedelta(seconds=1)
        assert loop.ready
        stopping.set()


async def test_what_a_stage_foresees_says_nothing_of_its_readiness(broker: Broker) -> None:
    """A receiver that is down is the sink's daily work; its queue tells of it."""

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        return [Failed(envelope, Transient("502")) for envelope in batch]

    loop, stopping = a_loop(broker, Stage(handle)), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await send(broker, [an_envelope(n) for n in range(9)])
        await read(broker, DEAD, expected=9)
        assert loop.ready
        stopping.set()


async def test_a_stage_that_publishes_in_vain_is_not_ready_until_it_is_stored(broker: Broker) -> None:
    """A probe with a threshold never saw a readiness that went to and fro between two tries."""

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        return [
            replace(passed_on(envelope), kind=Kind.EVENT, body=b"{}", route=sink_queue("late")) for envelope in batch
        ]

    loop, stopping = a_loop(broker, Stage(handle)), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: loop.ready)
        await send(broker, [an_envelope(1)])
        await until(lambda: not loop.ready)
        seen = set()
        for _ in range(60):
            seen.add(loop.ready)
            await asyncio.sleep(0.05)
        assert seen == {False}
        await broker.declare(topology([Subscription(queue=sink_queue("late"))]))
        await until(lambda: loop.ready)
        stopping.set()


async def test_a_stage_that_rests_for_its_sink_is_ready_and_says_so(broker: Broker) -> None:
    """A customer's endpoint that wants nothing more must not keep pushes from our door, and must not be invisible."""

    async def handle(_: Sequence[Envelope]) -> Outcome:
        raise Paused("410")

    telemetry = Telemetry()
    loop, stopping = a_loop(broker, Stage(handle), telemetry=telemetry), asyncio.Event()
    series = b'callstitch_paused{stage="dedupe"} '
    assert series + b"0.0" in telemetry.text()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: loop.ready)
        assert not loop.paused
        await send(broker, [an_envelope(1)])
        await until(lambda: loop.paused)
        assert loop.ready
        assert series + b"1.0" in telemetry.text()
        stopping.set()
    assert not loop.paused


async def test_what_was_held_and_then_given_back_is_held_no_more(broker: Broker) -> None:
    """A sink that failed, and then asked for a rest, was told as held for as long as it rested."""
    answers = iter([Unavailable("away"), Paused("410")])

    async def handle(_: Sequence[Envelope]) -> Outcome:
        raise next(answers)

    telemetry = Telemetry()
    loop, stopping = a_loop(broker, Stage(handle), telemetry=telemetry), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await send(broker, [an_envelope(1)])
        await until(lambda: loop.paused)
        await until(lambda: loop.ready)
        assert b'callstitch_held{stage="dedupe"} 0.0' in telemetry.text()
        stopping.set()
