"""Retry now: what waits in the delay tiers for one queue goes there at once; nothing is lost, no attempt is forgotten.

At an operator's word, and by itself when the far end of a sink is back. The tiers are shared by all queues: what waits
for others is looked at and put back as it was. It keeps its time, as the TTL counts from when a message came; it is
late by no more than the look takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import structlog

from runtime.bench import Bench
from runtime.broker.base import Broker, Consumer, Delivery
from runtime.consume.waiting import next_batch, stopped_within
from runtime.wire import again
from schemas.errors import Unavailable
from schemas.topology import RETRY_DELAYS, retry_queue

log = structlog.get_logger()

LOOKED_AT: Final = 20_000  # messages of a tier; the bodies of what is others' are not kept
_AT_ONCE: Final = 100
_QUIET_SECONDS: Final = 2.0
_SHORT_SECONDS: Final = 60.0  # what comes back so soon is left to come by itself
_EVERY_SECONDS: Final = 600.0  # a far end that comes and goes neither wears out the tiers nor uses up attempts


class Recall:
    """Has come at once what one loop put off because of a far end, each time that is back.

    `put_off`: the tiers in which it did, and no others are looked at.
    """

    def __init__(self, bench: Bench, put_off: set[str]) -> None:
        self._bench = bench
        self._put_off = put_off
        self._back = asyncio.Event()

    def begin(self) -> None:
        """The far end is back, or it is time to end."""
        self._back.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`, and then until it is told to begin."""
        while True:
            await self._back.wait()
            if stopping.is_set():
                return
            self._back.clear()
            delays = {delay for delay in self._put_off if RETRY_DELAYS[delay] > _SHORT_SECONDS}
            self._put_off.clear()
            if delays and not await self._recalled(delays, stopping):
                self._put_off.update(delays)
            if delays:
                await stopped_within(stopping, _EVERY_SECONDS)

    async def _recalled(self, delays: set[str], stopping: asyncio.Event) -> bool:
        spec = self._bench.spec
        try:
            ids = self._bench.message_ids
            moved = await retry_now(self._bench.broker, spec.queue, ids, delays=delays, over=stopping)
        except Unavailable as error:
            log.warning("stage.not_recalled", stage=spec.name, reason=str(error))
            return False
        log.info("stage.recalled", stage=spec.name, messages=moved)
        return True


async def retry_now(
    broker: Broker,
    queue: str,
    ids: Iterator[str],
    *,
    delays: Iterable[str] = RETRY_DELAYS,
    over: asyncio.Event | None = None,
) -> int:
    """How many messages of those tiers went; each copy is confirmed before its original is acked.

    So one goes twice at the worst. It ends early once `over` is set.

    Raises:
        Unavailable: the broker is away; what did not go waits on.
    """
    end = over or asyncio.Event()
    waiting = await broker.depths([retry_queue(delay) for delay in delays])
    return sum([await _moved(broker, (tier, held), queue, ids, end) for tier, held in waiting.items() if held])


async def _moved(broker: Broker, tier: tuple[str, int], queue: str, ids: Iterator[str], over: asyncio.Event) -> int:
    """Looks at what a tier held at the beginning: what comes meanwhile has failed since.

    What is put back has been handed out once more before RabbitMQ 4.3 (docs/notes/amqp.md traps 22 and 25), which 4.0
    to 4.2 go on counting in its own queue; a count alone gives up nothing.
    """
    moved, (name, held) = 0, tier
    others: list[Delivery] = []
    async with broker.consume(name, prefetch=min(held, LOOKED_AT)) as consumer:
        try:
            while moved + len(others) < held and (found := await _next(consumer, over)):
                ours = [one for one in found if one.routing_key == queue]
                others += [one._replace(body=b"") for one in found if one.routing_key != queue]
                if ours:
                    await broker.publish([again(one, queue=queue, message_id=next(ids)) for one in ours])
                    await consumer.ack(ours)
                    moved += len(ours)
        finally:
            await consumer.release([*others, *await consumer.stop()])
    return moved


async def _next(consumer: Consumer, over: asyncio.Event) -> Sequence[Delivery]:
    """Nothing, where the rest has gone to its queue by itself."""
    try:
        async with asyncio.timeout(_QUIET_SECONDS):
            return await next_batch(consumer, _AT_ONCE, over) or ()
    except TimeoutError:
        return ()
