"""Questions over RabbitMQ's direct reply-to: no reply queue is declared, the broker hands replies to the channel.

Consuming `amq.rabbitmq.reply-to` and publishing the question must happen on one channel, without acks
(rabbitmq.com/docs/direct-reply-to).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import uuid4

import structlog
from aio_pika.abc import AbstractIncomingMessage

from runtime.broker.base import Delivery, Message
from runtime.broker.rabbitmq.frames import Encoder
from runtime.broker.rabbitmq.link import Link, SocketChannel
from runtime.broker.rabbitmq.publisher import Publisher
from schemas.errors import Unavailable

log = structlog.get_logger()

REPLY_TO: Final = "amq.rabbitmq.reply-to"


class Asker:
    """Asks on a channel of its own; `run` must be running."""

    def __init__(self, link: Link, *, confirm_timeout_seconds: float, pause: Callable[[], float]) -> None:
        self._publisher = Publisher(
            link, confirm_timeout_seconds=confirm_timeout_seconds, pause=pause, prepare=self._listen
        )
        self._waiting: dict[str, asyncio.Future[bytes | None]] = {}

    async def run(self) -> None:
        """Keep the channel open, for ever."""
        await self._publisher.run()

    async def _listen(self, channel: SocketChannel) -> None:
        replies = await channel.get_queue(REPLY_TO, ensure=False)  # the broker's own: it cannot be declared
        await replies.consume(self._on_reply, no_ack=True)

    async def _on_reply(self, reply: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(reply.correlation_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(reply.body)

    async def ask(self, question: Message, *, timeout_seconds: float) -> bytes | None:
        """The first reply, or None at the deadline; None at once when nobody can ever see the question."""
        correlation_id = uuid4().hex
        reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._waiting[correlation_id] = reply
        properties = {
            "correlation_id": correlation_id,
            "reply_to": REPLY_TO,
            "expiration": str(max(1, round(timeout_seconds * 1000))),
        }
        encode = partial(Encoder.encode_special, properties=properties, mandatory=True)
        # The reply may overtake the confirm, so neither waits for the other.
        publishing = asyncio.create_task(self._publisher.publish([question], encode=encode))
        publishing.add_done_callback(partial(_give_up, reply))
        try:
            async with asyncio.timeout(timeout_seconds):
                return await reply
        except TimeoutError:
            return None
        finally:
            del self._waiting[correlation_id]
            publishing.cancel()

    async def reply(self, question: Delivery, body: bytes) -> None:
        """Answer a question; not mandatory, as RabbitMQ 3.10.8 delivers such a reply and returns it too."""
        answer = Message(
            exchange="",
            routing_key=question.reply_to,
            body=body,
            content_type=question.content_type,
            message_id=uuid4().hex,
        )
        properties = {"correlation_id": question.correlation_id}
        encode = partial(Encoder.encode_special, properties=properties, mandatory=False)
        await self._publisher.publish([answer], encode=encode)


def _give_up(reply: asyncio.Future[bytes | None], publishing: asyncio.Task[None]) -> None:
    error = None if publishing.cancelled() else publishing.exception()
    if error is None or reply.done():
        return
    log.warning("broker.question_not_asked", reason=str(error))
    if isinstance(error, Unavailable):
        reply.set_result(None)
    else:
        reply.set_exception(error)
