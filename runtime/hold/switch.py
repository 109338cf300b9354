"""One switch: a queue in which an operator's word lies for as long as a stage, or the doors, are to rest.

The broker keeps it and not the state store, because that is what is restored, renamed or moved meanwhile: a hold must
survive that. Whoever is at work is subscribed to the queue, so it hears the word at once, and the queue's consumers
tell how many are at work: none, and it is sure that none of them touches anything. Each that hears the word passes it
on to the next, by a copy, and takes its own away with it; while held it looks once a second whether one is still there.
One queue for all of them could not count who is at work, and one without copies could not be read by two at a time. A
stream could, but not every RabbitMQ that is rented out has streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from runtime.broker.base import Broker, Consumer, Delivery, Message
from runtime.hold.word import Word, decode
from runtime.tasks import watched
from schemas.errors import CallstitchError
from schemas.topology import SWITCH_QUEUES

LOOK_SECONDS: Final = 1.0
READ_SECONDS: Final = 1.0  # for a word that lies there, unless others are just reading it
SURE_SECONDS: Final = 0.5  # for a word that was in another's hands when the queue looked empty

log = structlog.get_logger()


class Switch:
    """As one process sees it; `word` is what an operator said who holds it, None while nobody does."""

    def __init__(self, broker: Broker, name: str, message_ids: Iterator[str]) -> None:
        self.name = name
        self.word: Word | None = None
        self._doubtful = False  # it looked empty after a hold: the one word may be in another's hands
        self._broker = broker
        self._queue = SWITCH_QUEUES[name]
        self._ids = message_ids

    async def look(self) -> None:
        """See whether the word lies there; what it says is read once.

        Raises:
            Unavailable: the broker is away; what was known stands.
        """
        before = self.word
        if not (await self._broker.depths([self._queue])).get(self._queue, 0):
            self._doubtful = self._doubtful or before is not None
            self.word = None
        elif before is None or before.since is None:
            self.word = await read(self._broker, self.name) or before or Word()
        if self.word is not None and before is None:
            log.warning("hold.begins", what=self.name, by=self.word.by)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[asyncio.Event]:
        """Be counted as at work until the context ends; the event is set once an operator holds it.

        Raises:
            Unavailable: the broker has no such queue.
        """
        held = asyncio.Event()
        resting, self._doubtful = self._doubtful, False
        async with self._broker.consume(self._queue, prefetch=1) as consumer, self._hearing(consumer, held):
            if resting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(SURE_SECONDS):
                        await held.wait()
            if resting and not held.is_set():
                log.info("hold.ends", what=self.name)
            yield held

    @asynccontextmanager
    async def _hearing(self, consumer: Consumer, held: asyncio.Event) -> AsyncIterator[None]:
        mine: list[Delivery] = []
        passed_on = asyncio.Event()
        try:
            async with watched(self._hear(consumer, held, mine, passed_on)):
                yield
        finally:
            if passed_on.is_set():  # a copy that came back once the hold is over would begin it again
                await consumer.ack(mine)
            await consumer.release([*mine, *await consumer.stop()])

    async def _hear(
        self, consumer: Consumer, held: asyncio.Event, mine: list[Delivery], passed_on: asyncio.Event
    ) -> None:
        mine += await consumer.batch(1)
        (delivery,) = mine
        self.word = decode(delivery.body)
        log.warning("hold.begins", what=self.name, by=self.word.by)
        held.set()
        with suppress(CallstitchError):  # else the next hears it once we are closed
            await self._broker.publish([word_message(self.name, delivery.body, next(self._ids))])
            passed_on.set()
        await asyncio.Event().wait()


def word_message(name: str, body: bytes, message_id: str) -> Message:
    """The word as it is published."""
    return Message(
        exchange="",
        routing_key=SWITCH_QUEUES[name],
        body=body,
        content_type="application/json",
        message_id=message_id,
    )


async def read(broker: Broker, name: str) -> Word | None:
    """The word that lies in the queue of this switch and stays there; None where none is to be had.

    Raises:
        Unavailable: the broker is away.
    """
    async with broker.consume(SWITCH_QUEUES[name], prefetch=1) as consumer:
        try:
            async with asyncio.timeout(READ_SECONDS):
                (delivery,) = await consumer.batch(1)
        except TimeoutError:
            return None
        finally:
            left = await consumer.stop()
            await consumer.release(left)
        await consumer.release([delivery])
        return decode(delivery.body)


async def take_back(broker: Broker, name: str) -> None:
    """Take every copy of the word out of the queue; whoever has it in hand, and has not passed it on, keeps his.

    Raises:
        Unavailable: the broker is away.
    """
    queue = SWITCH_QUEUES[name]
    async with broker.consume(queue, prefetch=100) as consumer:
        while True:
            try:
                async with asyncio.timeout(SURE_SECONDS):
                    await consumer.ack(await consumer.batch(100))
            except TimeoutError:
                if not (await broker.depths([queue])).get(queue, 0):
                    break
        await consumer.release(await consumer.stop())
