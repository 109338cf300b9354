"""aio-pika queue to queue: one await for each publish (its confirm), one for each ack; `prefetch` callbacks at once.

Its pages "Work Queues" (`set_qos`, `ack` after the work, persistent messages) and "Publisher Confirms" (on by default).
Not `message.process()`, which rejects on cancellation; `ack` after the confirm instead.
Arguments: AMQP URL, from, to, prefetch.
"""

# What it imports is installed in the peers' environment only.
# mypy: ignore-errors

from __future__ import annotations

import asyncio
import sys

import aio_pika
import uvloop


async def main(url: str, source: str, target: str, prefetch: int) -> None:
    consuming, publishing = await aio_pika.connect_robust(url), await aio_pika.connect_robust(url)
    channel = await consuming.channel()
    await channel.set_qos(prefetch_count=prefetch)
    out = (await publishing.channel(publisher_confirms=True, on_return_raises=True)).default_exchange

    async def relay(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        copy = aio_pika.Message(
            message.body, content_type=message.content_type, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        await out.publish(copy, routing_key=target)
        await message.ack()

    queue = await channel.get_queue(source, ensure=False)
    await queue.consume(relay)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
