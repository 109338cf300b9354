"""Waiting for whatever comes first: a batch, a time, or the end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from runtime.broker.base import Consumer, Delivery


async def next_batch(consumer: Consumer, most: int, *over: asyncio.Event) -> Sequence[Delivery] | None:
    """The next batch, or None once one of the events is set.

    Raises:
        Unavailable: see Consumer.batch.
    """
    if any(event.is_set() for event in over):
        return None
    if consumer.buffered:
        return await consumer.batch(most)
    ends = {asyncio.ensure_future(event.wait()) for event in over}
    batch = asyncio.ensure_future(consumer.batch(most))
    try:
        await asyncio.wait({*ends, batch}, return_when=asyncio.FIRST_COMPLETED)
        return batch.result() if batch.done() else None
    finally:
        for waiting in ends:
            waiting.cancel()
        if not batch.done():
            batch.cancel()


async def stopped_within(stopping: asyncio.Event, seconds: float) -> bool:
    """Whether it was set before the time was over."""
    try:
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            await stopping.wait()
    except TimeoutError:
        return False
    return True


async def first_of(*events: asyncio.Event) -> asyncio.Event:
    """The one of these that is set, or the first that will be; of several the last named."""
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(event.wait()) for event in events]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
    return [event for event in events if event.is_set()][-1]
