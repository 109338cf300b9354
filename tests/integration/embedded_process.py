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


def a_message(queue: str, message_id: str, body: bytes = b"") -> Message:
    return Message(exchange="", routing_key=queue, body=body, content_type="text/plain", message_id=message_id)


async def publish(broker: Broker, queue: str) -> None:
    """Publish in twenty tasks, and say each message id once it is confirmed."""
    numbers = count()

    async def go_on() -> None:
        for number in numbers:
            await broker.publish([a_message(queue, str(number), b"x" * (number % 5000))])
            say(str(number))

    async with asyncio.TaskGroup() as group:
        for _ in range(_PUBLISHERS):
            group.create_task(go_on())


async def hold(broker: Broker, queue: str) -> None:
    """Lease whatever is in the queue, settle nothing, and say so."""
    async with broker.consume(queue, prefetch=10) as consumer:
        await consumer.batch(10)
        say("holding")
        await asyncio.Event().wait()


async def ack(broker: Broker, queue: str) -> None:
    """Ack the first message, lease the rest, publish one more, and say so."""
    async with broker.consume(queue, prefetch=10) as consumer:
        await consumer.ack(await consumer.batch(1))
        await broker.publish([a_message(queue, "last")])
        say("published")
        await asyncio.Event().wait()


async def main(work: str, path: str, queue: str) -> None:
    async with open_embedded(Path(path)) as broker:
        say("open")
        await {"publish": publish, "hold": hold, "ack": ack}[work](broker, queue)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
