"""Retry now: what waits in the delay tiers for one queue goes there at once; nothing is lost, no attempt is forgotten.

The tiers are shared by all queues: what waits for others is looked at and put back as it was. It keeps its time, as
the TTL counts from when a message came; it is late by no more than the look takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from runtime.broker.base import Broker, Consumer, Delivery
from runtime.wire import again
from schemas.topology import RETRY_DELAYS, retry_queue

LOOKED_AT: Final = 20_000  # of others, a tier; their bodies are not kept
_AT_ONCE: Final = 100
_QUIET_SECONDS: Final = 2.0


async def retry_now(broker: Broker, queue: str, ids: Iterator[str]) -> int:
    """How many messages went; each copy is confirmed before its original is acked, and goes twice at the worst.

    Raises:
        Unavailable: the broker is away; what did not go waits on.
    """
    waiting = await broker.depths([retry_queue(delay) for delay in RETRY_DELAYS])
    return sum([await _moved(broker, tier, held, queue, ids) for tier, held in waiting.items() if held])


async def _moved(broker: Broker, tier: str, held: int, queue: str, ids: Iterator[str]) -> int:
    """Looks at what was there at the beginning: what comes meanwhile has failed since."""
    moved = 0
    others: list[Delivery] = []
    async with broker.consume(tier, prefetch=min(held, LOOKED_AT)) as consumer:
        try:
            while moved + len(others) < held and (found := await _next(consumer)):
                ours = [one for one in found if one.routing_key == queue]
                others += [one._replace(body=b"") for one in found if one.routing_key != queue]
                if ours:
                    await broker.publish([again(one, queue=queue, message_id=next(ids)) for one in ours])
                    await consumer.ack(ours)
                    moved += len(ours)
        finally:
            await consumer.release([*others, *await consumer.stop()])
    return moved


async def _next(consumer: Consumer) -> Sequence[Delivery]:
    """Nothing, where the rest has gone to its queue by itself."""
    try:
        async with asyncio.timeout(_QUIET_SECONDS):
            return await consumer.batch(_AT_ONCE)
    except TimeoutError:
        return ()
