"""Whether this user may declare, publish and consume what is named as ours is: tried, and nothing of it stays."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import Final

from aio_pika import Message
from aiormq import ChannelAccessRefused

from runtime.broker.rabbitmq.link import Link, gone_is_lost
from runtime.tasks import watched
from schemas.errors import Misconfigured, Unavailable

NAME: Final = "callstitch.check"
_SECONDS: Final = 5.0


async def try_rights(link: Link) -> str:
    """Declare a queue that is ours alone and ends with us, publish to it, consume from it, and delete it.

    Why that tells nothing, where it does not: a stage needs no right to declare. In an alarm the broker takes one
    publish, says so, and reads nothing more from this connection: whoever asks is told that, and not kept waiting.

    Raises:
        Misconfigured: a right is missing, in the broker's words.
        Unavailable: the broker is in an alarm.
        Lost: the connection went away.
    """
    try:
        async with asyncio.timeout(None) as patience, watched(_give_up_in_an_alarm(link, patience)):
            return await _try(link)
    except TimeoutError:
        if link.blocked:
            raise Unavailable(f"RabbitMQ takes no publishes, because of an alarm: {link.blocked}") from None
        raise


async def _give_up_in_an_alarm(link: Link, patience: asyncio.Timeout) -> None:
    await link.alarm()
    patience.reschedule(0)
    await asyncio.Event().wait()


async def _try(link: Link) -> str:
    name = f"{NAME}.{token_hex(8)}"
    async with link.channel(confirms=True) as channel:
        with gone_is_lost():
            try:
                queue = await channel.declare_queue(name, exclusive=True, auto_delete=True)
            except ChannelAccessRefused as error:
                return f"the rights to publish and consume cannot be told, and `declare` needs another user: {error}"
            try:
                await channel.default_exchange.publish(Message(b""), name, timeout=_SECONDS)
                await queue.get(no_ack=True, fail=False, timeout=_SECONDS)
                await queue.delete(if_unused=False, if_empty=False)
            except ChannelAccessRefused as error:
                raise Misconfigured(f"broker: a right is missing: {error}") from None
    return ""
