"""Whether this user may declare, publish and consume what is named as ours is: tried, and nothing of it stays."""

from __future__ import annotations

from secrets import token_hex
from typing import Final

from aio_pika import Message
from aiormq import ChannelAccessRefused

from runtime.broker.rabbitmq.link import Link, gone_is_lost
from schemas.errors import Misconfigured

NAME: Final = "callstitch.check"
_SECONDS: Final = 5.0


async def try_rights(link: Link) -> str:
    """Declare a queue that is ours alone and ends with us, publish to it, consume from it, and delete it.

    Why that tells nothing, where it does not: a stage needs no right to declare.

    Raises:
        Misconfigured: a right is missing, in the broker's words.
        Lost: the connection went away.
    """
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
