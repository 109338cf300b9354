"""What the harness itself does on RabbitMQ: declare quorum queues, fill them, look how deep they are, read them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from runtime.broker import open_broker
from runtime.broker.base import Broker, Delivery, Message
from runtime.events.batch import id_in
from runtime.wire import monotonic_message_ids
from schemas.envelope import EVENT_CONTENT_TYPE
from schemas.settings.addresses import broker_address
from schemas.topology import Queue, Topology
from tests.bench.bodies import SESSION

CHUNK: Final = 400
PREFETCH: Final = 800
QUIET_SECONDS: Final = 1.0
JSON: Final = "application/json"


async def declare(url: str, *names: str) -> None:
    """Plain quorum queues."""
    async with open_broker(broker_address(url)) as broker:
        queues = tuple(Queue(name=name) for name in names)
        await broker.declare(Topology(exchanges=(), queues=queues, bindings=(), unbound=()))


async def fill(url: str, queue: str, bodies: Iterable[bytes], *, content_type: str = JSON) -> None:
    """Publish them, confirmed; what is an event under its own id."""
    ids = monotonic_message_ids("fill")
    waiting = iter(bodies)
    async with open_broker(broker_address(url)) as broker:
        while chunk := list(islice(waiting, CHUNK)):
            await broker.publish(
                [
                    Message(
                        exchange="",
                        routing_key=queue,
                        body=body,
                        content_type=content_type,
                        message_id=(message_id := next(ids)),
                        headers={"cloudEvents_id": id_in(body) if content_type == EVENT_CONTENT_TYPE else message_id},
                    )
                    for body in chunk
                ]
            )


async def purge(url: str, queue: str) -> None:
    """Empty it, by reading."""
    async with open_broker(broker_address(url)) as broker:
        if await depth(broker, queue):
            await read(broker, queue, lambda _: None)


async def depth(broker: Broker, queue: str) -> int:
    """Messages ready in it."""
    return (await broker.depths([queue])).get(queue, 0)


async def sessions_in(url: str, queue: str) -> list[str]:
    """Every session that its messages name, one entry for each time, however many a message holds; empties it."""
    found: list[str] = []

    def take(delivery: Delivery) -> None:
        found.extend(f"{run.decode()}x{call.decode()}" for run, call in SESSION.findall(delivery.body))

    async with open_broker(broker_address(url)) as broker:
        await read(broker, queue, take)
    return found


async def read(broker: Broker, queue: str, take: Callable[[Delivery], None]) -> None:
    """Hand over each message and ack it, until the queue has been empty for QUIET_SECONDS."""
    async with broker.consume(queue, prefetch=PREFETCH) as consumer:
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    deliveries: Sequence[Delivery] = await consumer.batch(CHUNK)
            except TimeoutError:
                return
            for delivery in deliveries:
                take(delivery)
            await consumer.ack(deliveries)
