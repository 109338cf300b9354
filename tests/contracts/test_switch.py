"""The switch of a role, over both brokers and on both RabbitMQ: all hear the word, none stays, and an end is an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from console.stations.resting import held_until_at_rest, let_go
from console.stations.switchboard import OnBroker, Stand
from runtime.broker.base import Broker
from runtime.hold.switch import Switch
from runtime.hold.word import Word
from runtime.tasks import watched
from runtime.wire import monotonic_message_ids
from schemas.topology import SWITCH_QUEUES
from tests.building.loops import until
from workers.config import Config

NAME = "correlate"
WORD = Word(by="kim", since=datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC))
DRAIN_SECONDS = 1.5


class Worker:
    """Like a stage: at work until it hears the word, then for as long as it takes to close; then it looks on."""

    def __init__(self, broker: Broker, seconds: float = 0.0) -> None:
        self.at_work = False
        self.opened = 0
        self.heard: list[Word] = []
        self._seconds = seconds
        self._switch = Switch(broker, NAME, monotonic_message_ids(f"w{id(self)}"))

    async def run(self) -> None:
        while True:
            await self._switch.look()
            if self._switch.word is not None:
                await asyncio.sleep(0.05)
                continue
            async with self._switch.at_work() as held:
                self.at_work = not held.is_set()
                self.opened += self.at_work
                await held.wait()
                assert self._switch.word is not None
                self.heard.append(self._switch.word)
                await asyncio.sleep(self._seconds)
                self.at_work = False


@asynccontextmanager
async def working(broker: Broker, *seconds: float) -> AsyncIterator[Sequence[Worker]]:
    workers = [Worker(broker, each) for each in seconds]
    async with watched(*(worker.run() for worker in workers)):
        await until(lambda: all(worker.at_work for worker in workers))
        yield workers


async def stand(board: OnBroker) -> Stand:
    (found,) = await board.stands([NAME])
    return found


async def test_all_hear_the_word_and_close_and_who_comes_later_reads_it(stages: Broker) -> None:
    board = OnBroker(stages, monotonic_message_ids("board"), Config())
    assert not (await stand(board)).rests
    async with working(stages, 0.0, 0.0, 0.0) as workers:
        assert await board.hold(NAME, WORD) is True
        assert await held_until_at_rest(board, [NAME], 20, tell=print) == []
        assert [worker.at_work for worker in workers] == [False] * 3
        assert [(worker.opened, worker.heard[0]) for worker in workers] == [(1, WORD)] * 3
        assert await board.hold(NAME, Word(by="lee")) is False
        assert await stand(board) == Stand(name=NAME, word=WORD, at_work=0)
        late = Switch(stages, NAME, monotonic_message_ids("late"))
        await late.look()
        assert late.word == WORD
        await let_go(board, [NAME], tell=print)
        await until(lambda: all(worker.at_work for worker in workers))
        assert (await stand(board)).word is None


async def test_a_hold_that_ends_while_one_still_closes_does_not_come_back(stages: Broker) -> None:
    board = OnBroker(stages, monotonic_message_ids("board"), Config())
    async with working(stages, 0.0, DRAIN_SECONDS) as workers:
        await board.hold(NAME, WORD)
        await until(lambda: all(worker.heard for worker in workers))
        await let_go(board, [NAME], tell=print)
        await until(lambda: all(worker.at_work for worker in workers))
        await asyncio.sleep(0.5)
        assert all(worker.at_work for worker in workers)
        assert [worker.opened for worker in workers] == [2, 2]
        queue = SWITCH_QUEUES[NAME]
        assert await stages.depths([queue]) == {queue: 0}


async def test_a_message_that_is_no_word_holds_all_the_same(stages: Broker) -> None:
    board = OnBroker(stages, monotonic_message_ids("board"), Config())
    await board.hold(NAME, Word(by="kim"))  # without a time, which no reader takes
    found = await stand(board)
    assert found.word == Word()
    assert str(found.word) == "by an operator"
    await board.release(NAME)
