"""A process that owns an embedded broker's file and says on stdout what it was promised, until it is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from runtime.broker.base import Broker, Message
from runtime.broker.embedded import open_embedded

_PUBLISHERS = 20


def say(words: str) -> None:
    os.write(1, f"{words}\n".encode())  # one write: a kill cannot leave half a line


async def publish(broker: Broker, queue: str) -> None:
    """Publish in twenty tasks, and say each message id once it is confirmed."""
    numbers = count()

    async def go_on() -> None:
        for number in numbers:
            message = Message(
                exchange="",
                routing_key=queue,
                body=b"x" * (number % 5000),
                content_type="text/plain",
                message_id=str(number),
            )
            await broker.publish([message])
            say(message.message_id)

    async with asyncio.TaskGroup() as group:
        for _ in range(_PUBLISHERS):
            group.create_task(go_on())


async def consume(broker: Broker, queue: str) -> None:
    """Ack the first message, keep the second, and say so."""
    async with broker.consume(queue, prefetch=10) as consumer:
        first, *others = await consumer.batch(2)
        await consumer.ack([first])
        while len(others) < 1:
            others += await consumer.batch(1)
        await broker.publish([])
        await broker.depths([queue])
        say("holding")
        await asyncio.Event().wait()


async def main(work: str, path: str, queue: str) -> None:
    async with open_embedded(Path(path)) as broker:
        say("open")
        await {"publish": publish, "consume": consume}[work](broker, queue)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
