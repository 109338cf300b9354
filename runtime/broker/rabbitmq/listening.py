"""Messages as they pass, by a queue of our own that goes with its connection: nobody else gets more or less for it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Collection
from typing import Any, Final

import structlog
from aio_pika.abc import AbstractQueue
from aiormq import ChannelAccessRefused, ChannelNotFoundEntity

from runtime.broker.rabbitmq.link import Link, Lost, SocketChannel, gone_is_lost
from schemas.errors import Misconfigured

log = structlog.get_logger()

PREFIX: Final = "callstitch.tail."
PREFETCH: Final = 100
# A terminal that stands still costs the broker no more than this, and publishers never wait for it.
_ARGUMENTS: Final = {"x-max-length": 10_000, "x-max-length-bytes": 32 * 1024 * 1024, "x-overflow": "drop-head"}


async def bodies(link: Link, rows: Collection[tuple[str, str]]) -> AsyncGenerator[bytes, None]:
    """The body of each message from now on that one of these bindings (exchange, pattern) takes; it never ends.

    What passes while the connection is away is missed.

    Raises:
        Misconfigured: we have no right to listen, or an exchange is not there.
    """
    while True:
        try:
            async with link.channel() as channel:
                queue = await _declared(channel, rows)
                log.info("broker.listening", queue=queue.name)
                with gone_is_lost():
                    async with queue.iterator() as messages:
                        async for message in messages:
                            yield message.body
                            await message.ack()
        except Lost as lost:
            log.warning("broker.listener_lost", reason=str(lost))


async def _declared(channel: SocketChannel, rows: Collection[tuple[str, str]]) -> AbstractQueue:
    name, arguments = f"{PREFIX}{secrets.token_hex(6)}", dict[str, Any](_ARGUMENTS)
    with gone_is_lost():
        try:
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.declare_queue(name, exclusive=True, auto_delete=True, arguments=arguments)
            for exchange, pattern in rows:
                await queue.bind(exchange, pattern)
        except ChannelAccessRefused as refused:
            raise Misconfigured(f"this user may not listen: {refused}") from None
        except ChannelNotFoundEntity:
            raise Misconfigured("run `callstitch declare` first: its exchanges are not there") from None
        return queue
