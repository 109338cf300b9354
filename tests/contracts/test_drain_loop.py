"""A drain over both brokers: what a stage had in hand is seen once it is held, and worked off before the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from console.draining.drain import Drain, NotDrained
from console.draining.ways import ways_of
from console.stations.switchboard import OnBroker
from runtime.broker.base import Broker, Message
from runtime.hold.switch import Switch
from runtime.hold.word import Word
from runtime.tasks import watched
from runtime.wire import monotonic_message_ids
from schemas.topology import HOLDABLE, INGEST, SWITCHES, UNIQUE
from tests.building.loops import until
from workers.config import Config

WORD = Word(by="kim", since=datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC), drain=True)
LONG = "correlate"  # of its queue nothing is ready while it has the one message in hand
SECONDS = 30.0


class Downloading:
    """A stage that takes a while for one message, and gives it back where it is held before that is over."""

    def __init__(self, broker: Broker, seconds: float) -> None:
        self.begun = self.done = 0
        self._broker = broker
        self._seconds = seconds
        self._switch = Switch(broker, LONG, monotonic_message_ids(f"w{id(self)}"))

    async def run(self) -> None:
        while True:
            await self._switch.look()
            if self._switch.word is not None:
                await asyncio.sleep(0.05)
                continue
            async with self._switch.at_work() as held:
                await self._work(held)

    async def _work(self, held: asyncio.Event) -> None:
        async with self._broker.consume(UNIQUE, prefetch=1) as consumer, watched(asyncio.sleep(SECONDS * 2)):
            batch = asyncio.ensure_future(consumer.batch(1))
            over = asyncio.ensure_future(held.wait())
            await asyncio.wait({batch, over}, return_when=asyncio.FIRST_COMPLETED)
            if batch.done():
                self.begun += 1
                try:
                    async with asyncio.timeout(self._seconds):
                        await held.wait()
                except TimeoutError:
                    self.done += 1
                    await consumer.ack(batch.result())
                else:
                    await consumer.release(batch.result())
            batch.cancel()
            await held.wait()
            over.cancel()
            await consumer.release(await consumer.stop())


@asynccontextmanager
async def downloading(broker: Broker, seconds: float) -> AsyncIterator[Downloading]:
    worker = Downloading(broker, seconds)
    ids = monotonic_message_ids("test")
    message = Message(
        exchange="", routing_key=UNIQUE, body=b"{}", content_type="application/json", message_id=next(ids)
    )
    async with watched(worker.run()):
        await broker.publish([message])
        await until(lambda: worker.begun == 1)
        yield worker


def a_drain(board: OnBroker, said: list[str], *, seconds: float = SECONDS) -> Drain:
    return Drain(board, WORD, ways_of(Config(), own=False), quiet=0.5, seconds=seconds, tell=said.append)


async def test_what_was_in_hand_comes_back_is_worked_off_and_only_then_is_it_over(stages: Broker) -> None:
    board, said = OnBroker(stages, monotonic_message_ids("board"), Config()), list[str]()
    async with downloading(stages, 2.0) as worker:
        draining = a_drain(board, said)
        await draining.run()
        assert (worker.done, worker.begun > 1) == (1, True)
        assert draining.held == [INGEST, *HOLDABLE]
        assert all(stand.rests for stand in await board.stands(SWITCHES))
    assert f"came back: {UNIQUE} 1 (nobody consumes it)" in said


async def test_one_that_is_not_over_in_time_says_what_there_still_is(stages: Broker) -> None:
    board, said = OnBroker(stages, monotonic_message_ids("board"), Config()), list[str]()
    ids = monotonic_message_ids("test")
    await stages.publish(
        [Message(exchange="", routing_key=UNIQUE, body=b"{}", content_type="application/json", message_id=next(ids))]
    )
    draining = a_drain(board, said, seconds=0.0)
    with pytest.raises(NotDrained, match=rf"after 0 s there is still: {UNIQUE} 1 \(nobody consumes it\)"):
        await draining.run()
    assert draining.held == [INGEST]
