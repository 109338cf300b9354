"""Delay tiers of the embedded broker, over a clock that the tests move."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from runtime.broker.embedded import open_embedded
from schemas.topology import Binding, Exchange, Queue, Topology
from tests.contracts.brokers import a_message, all_in, depth_is, numbers, only
from tests.integration.embedded_words import QUEUE

RETRY: Final = Topology(
    exchanges=(Exchange(name="retry", kind="fanout"),),
    queues=(Queue(name="tier", dead_letter_exchange="", ttl_seconds=3600),),
    bindings=(Binding(exchange="retry", queue="tier"),),
)


class Clock:
    """Wall-clock seconds that only a test moves."""

    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


async def test_a_retry_that_fell_due_while_nobody_ran_returns_at_once(path: Path) -> None:
    clock = Clock()
    async with open_embedded(path, clock=clock) as broker:
        await broker.declare(RETRY)
        await broker.declare(only(QUEUE))
        await broker.publish([a_message(QUEUE, b"1", exchange="retry")])
        clock.now += 3599
        await asyncio.sleep(0.2)
        assert await broker.depths([QUEUE, "tier"]) == {QUEUE: 0, "tier": 1}
    clock.now += 2
    async with open_embedded(path, clock=clock) as broker:
        assert await depth_is(broker, QUEUE, 1)


async def test_only_the_retries_that_fell_due_return(path: Path) -> None:
    clock = Clock()
    async with open_embedded(path, clock=clock) as broker:
        await broker.declare(RETRY)
        await broker.declare(only(QUEUE))
        for number in range(3):
            await broker.publish([a_message(QUEUE, b"%d" % number, exchange="retry")])
            clock.now += 1000
        for expected in (1, 2, 3):
            clock.now += 1000 if expected > 1 else 601
            assert await depth_is(broker, QUEUE, expected)
            assert await broker.depths(["tier"]) == {"tier": 3 - expected}
        assert numbers(await all_in(broker, QUEUE)) == [0, 1, 2]


async def test_a_retry_whose_queue_does_not_exist_waits_once_more(path: Path) -> None:
    clock = Clock()
    async with open_embedded(path, clock=clock) as broker:
        await broker.declare(RETRY)
        await broker.publish([a_message(QUEUE, b"1", exchange="retry")])
        for expected in ({"tier": 1}, {"tier": 1}):
            clock.now += 3601
            await asyncio.sleep(0.2)
            assert await broker.depths(["tier"]) == expected
        await broker.declare(only(QUEUE))
        clock.now += 3601
        assert await depth_is(broker, QUEUE, 1)
