"""aiohttp and one aio-pika publish per request, as everybody writes it: answered after its own confirm.

Its pages "Publisher Confirms" (on by default, `publish` returns with the confirm; one task each, which aiohttp's
requests are, is its fastest strategy), "Work Queues" (persistent messages) and the example fastapi-pubsub
(`connect_robust`, the channel opened once). Arguments: port, AMQP URL, queue, number of channels.
"""

# What it imports is installed in the peers' environment only.
# mypy: ignore-errors

from __future__ import annotations

import asyncio
import sys
from itertools import cycle

import aio_pika
import uvloop
from aiohttp import web


async def main(port: int, url: str, queue: str, channels: int) -> None:
    connection = await aio_pika.connect_robust(url)
    opened = [await connection.channel(publisher_confirms=True, on_return_raises=True) for _ in range(channels)]
    exchanges = cycle([channel.default_exchange for channel in opened])

    async def post(request: web.Request) -> web.Response:
        message = aio_pika.Message(
            await request.read(), content_type=request.content_type, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        await next(exchanges).publish(message, routing_key=queue)
        return web.Response()

    application = web.Application()
    application.router.add_post("/{path:.*}", post)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
