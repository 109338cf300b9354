"""One timer serves all who wait at the door, and nobody waits for a confirm beyond the own deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import pytest

from ingest.group_commit import GroupCommit
from runtime.broker.rabbitmq import open_rabbitmq
from runtime.telemetry import Telemetry
from schemas.errors import Unconfirmed
from schemas.topology import RECEIVED, topology
from tests.building.loops import IDS, an_envelope, number, read
from tests.services.proxy import Proxy, open_proxy

CONFIRM_SECONDS: Final = 60.0  # far beyond what anybody here waits
PATIENCE_SECONDS: Final = 30.0


@pytest.fixture
async def proxy(fresh_amqp_url: str) -> AsyncIterator[Proxy]:
    async with open_proxy(fresh_amqp_url) as opened:
        yield opened


@pytest.fixture
async def commit(proxy: Proxy) -> AsyncIterator[GroupCommit]:
    async with open_rabbitmq(proxy.url, confirm_timeout_seconds=CONFIRM_SECONDS) as broker:
        await broker.declare(topology([], []))
        commit = GroupCommit(broker, IDS, Telemetry().bundles)
        running = asyncio.create_task(commit.run())
        yield commit
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def waited(commit: GroupCommit, n: int, seconds: float) -> float:
    """How long it took until no confirm had come in time."""
    started = time.monotonic()
    with pytest.raises(Unconfirmed):
        await commit.store(an_envelope(n), timeout_seconds=seconds)
    return time.monotonic() - started


@pytest.mark.rabbitmq
async def test_each_deadline_is_kept_under_way_and_gathering(commit: GroupCommit, proxy: Proxy) -> None:
    """The first one is published and not confirmed; the others gather behind it, with deadlines in another order."""
    proxy.mute()
    under_way = asyncio.create_task(waited(commit, 0, 0.5))
    await asyncio.sleep(0.1)
    gathering = [asyncio.create_task(waited(commit, n, seconds)) for n, seconds in ((1, 1.0), (2, 0.3))]
    async with asyncio.timeout(PATIENCE_SECONDS):
        times = await asyncio.gather(under_way, *gathering)
    assert all(took >= deadline for took, deadline in zip(times, (0.5, 1.0, 0.3), strict=True))


@pytest.mark.rabbitmq
async def test_the_next_one_is_stored_when_the_broker_speaks_again(
    commit: GroupCommit, proxy: Proxy, fresh_amqp_url: str
) -> None:
    proxy.mute()
    await waited(commit, 0, 0.2)
    proxy.unmute()
    await commit.store(an_envelope(1), timeout_seconds=10)
    async with open_rabbitmq(fresh_amqp_url) as reader:
        assert 1 in [number(envelope) for envelope in await read(reader, RECEIVED, expected=2)]


@pytest.mark.rabbitmq
async def test_one_that_gave_up_while_it_gathered_is_not_published(
    commit: GroupCommit, proxy: Proxy, fresh_amqp_url: str
) -> None:
    proxy.mute()
    first = asyncio.ensure_future(commit.store(an_envelope(0), timeout_seconds=10))
    await asyncio.sleep(0.1)
    await waited(commit, 1, 0.1)
    last = asyncio.ensure_future(commit.store(an_envelope(2), timeout_seconds=10))
    proxy.unmute()
    await asyncio.gather(first, last)
    async with open_rabbitmq(fresh_amqp_url) as reader:
        assert [number(envelope) for envelope in await read(reader, RECEIVED, expected=2)] == [0, 2]
