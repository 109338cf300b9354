"""Consuming from RabbitMQ: buffer, hand out batches, settle by hand, subscribe again after any loss.

Deliveries come past aio-pika, from the channel of aiormq under its own, and acks go the same way: aio-pika makes a
message object and a task for each delivery, and an await for each ack. The figure stands in publisher.py. Traps are
those of docs/notes/amqp.md.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage
from aiormq.abc import AbstractChannel
from pamqp import frame
from pamqp.commands import Basic

from runtime.broker.base import Delivery, batch_size
from runtime.broker.rabbitmq.contents import Content, delivery_of
from runtime.broker.rabbitmq.link import ChannelWriter, Link, Lost, SocketChannel, gone_is_lost, why_closed
from schemas.errors import Unavailable

log = structlog.get_logger()


class RabbitConsumer:
    """The `Consumer` of RabbitMQ; `run` must be running. Never loses an unacked message: the broker keeps it."""

    def __init__(
        self, link: Link, queue: str, *, prefetch: int, pause: Callable[[], float], renew_seconds: float
    ) -> None:
        self._link = link
        self.queue = queue
        self._prefetch = prefetch
        self._pause = pause
        self._renew_seconds = renew_seconds
        self._renewing = False
        self._subscription: _Subscription | None = None
        self._arrived = asyncio.Event()
        self._generation = 0
        self._last_tag = 0
        self._stopped = False
        self.attempted = asyncio.Event()

    @property
    def consuming(self) -> bool:
        """Whether the broker currently knows this subscription; a silent peer is noticed after about 33 s (trap 9)."""
        return (self._subscription is not None or self._renewing) and not self._stopped

    @property
    def buffered(self) -> bool:
        """As `Consumer` promises."""
        return self._subscription is not None and bool(self._subscription.buffer)

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped

    async def run(self) -> None:
        """Subscribe, and again after each loss, until told to stop; a subscription that brings nothing is renewed.

        A loss is also an ack that took longer than the broker allows: the channel is closed, and from RabbitMQ 4.3
        on the consumer cancelled (trap 13). Renewed, because RabbitMQ 3.10.8 can forget us silently: when a quorum
        queue is deleted and declared again within some 20 ms, its consumers are still listed and get nothing (tried).
        """
        logged: tuple[int, str] | None = None
        while not self._stopped:
            try:
                await self._subscribed_once()
            except Lost as lost:
                loss = (self._generation, str(lost))
                if loss != logged and not self._stopped:
                    log.warning("broker.consumer_lost", queue=self.queue, reason=str(lost))
                logged = loss
                self._renewing = False
                self.attempted.set()
                await asyncio.sleep(self._pause())

    async def _subscribed_once(self) -> None:
        async with self._link.channel() as channel:
            generation = self._generation + 1
            below = await channel.get_underlay_channel()
            subscription = _Subscription(channel, below, self._arrived, generation=generation, base=self._last_tag)
            await subscription.open(self.queue, prefetch=self._prefetch)
            if self._stopped:
                return
            self._generation = generation
            self._subscription = subscription
            self._arrived.set()  # the first messages come with the answer to our subscribing
            self.attempted.set()
            if not self._renewing:
                log.info("broker.consuming", queue=self.queue, generation=generation)
            try:
                closing = below.closing
                self._renewing = await self._idle(subscription, {closing, subscription.cancelled})
            finally:
                # Nobody can settle these any more; the broker hands them out again.
                self._subscription = None
                self._last_tag = subscription.last_tag
        if not self._renewing:
            raise Lost("cancelled by the broker" if subscription.cancelled.done() else why_closed(closing))

    async def _idle(self, subscription: _Subscription, losses: set[asyncio.Future[Any]]) -> bool:
        """Whether it brought nothing for a while and owes nothing; False once it is lost."""
        arrived = 0
        while not (await asyncio.wait(losses, timeout=self._renew_seconds, return_when=asyncio.FIRST_COMPLETED))[0]:
            if subscription.arrived == arrived and subscription.owes_nothing and not self._stopped:
                return True
            arrived = subscription.arrived
        return False

    async def batch(self, most: int) -> Sequence[Delivery]:
        """As `Consumer` promises; raises only once it was stopped."""
        while not self._stopped:
            if self._subscription is not None and self._subscription.buffer:
                return self._subscription.take(batch_size(self._subscription.buffer, most))
            self._arrived.clear()
            await self._arrived.wait()
        raise Unavailable(f"no longer consuming from {self.queue}")

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """As `Consumer` promises; an ack has no reply, so nothing is waited for."""
        if self._subscription is not None:
            self._subscription.settle(deliveries, _ack)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """As `Consumer` promises."""
        if self._subscription is not None:
            self._subscription.settle(deliveries, _requeue)

    async def stop(self) -> Sequence[Delivery]:
        """As `Consumer` promises; what it returns can be settled until the consumer is closed.

        Unless it is released, closing counts each of them as a failed delivery (trap 21).
        """
        self._stopped = True
        self._arrived.set()
        subscription = self._subscription
        if subscription is None:
            return []
        with suppress(Lost):
            await subscription.cancel()
        if self._subscription is not subscription:
            return []
        return subscription.take(len(subscription.buffer))

    def flush(self) -> None:
        """Send what was settled so far, as far as the channel still lives."""
        if self._subscription is not None:
            self._subscription.writer.flush()


class _Subscription:
    """One generation: what one channel delivered and the broker waits to see settled.

    Our tags go on where the last generation's ended (`base`), while AMQP's start at 1 on each channel.
    """

    def __init__(
        self, channel: SocketChannel, below: AbstractChannel, arrived: asyncio.Event, *, generation: int, base: int
    ) -> None:
        self._channel = channel
        self._below = below
        self._arrived = arrived
        self._generation = generation
        self._base = base
        self._unsettled: dict[int, None] = {}  # handed out, oldest first
        self._cancel: Callable[[], Awaitable[Any]] | None = None
        self.last_tag = base
        self.arrived = 0
        self.buffer: deque[Content] = deque()
        self.writer = ChannelWriter(below, channel.socket)
        self.cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def owes_nothing(self) -> bool:
        """Whether all that arrived is settled."""
        return not self.buffer and not self._unsettled

    async def open(self, queue: str, *, prefetch: int) -> None:
        """Subscribe; without timeouts, as a call that is given up closes the channel (trap 20)."""
        self._below.on_consumer_cancel_callbacks.add(self._on_cancel)
        self._channel.socket.consume(self._below, self._take)
        with gone_is_lost():
            await self._channel.set_qos(prefetch_count=prefetch)  # before consume; 0 would mean all (trap 14)
            consumed = await self._channel.get_queue(queue, ensure=False)
            self._cancel = partial(consumed.cancel, await consumed.consume(_taken_before))

    async def cancel(self) -> None:
        """Unsubscribe; what was delivered before the answer is in the buffer."""
        if self._cancel is not None:
            with gone_is_lost():
                await self._cancel()

    def _take(self, content: Content) -> None:
        """Nothing but buffer: what is done with it must not end with the channel (traps 1 and 2)."""
        self.buffer.append(content)
        self.arrived += 1
        self._arrived.set()

    def _on_cancel(self, _frame: Any) -> None:
        if not self.cancelled.done():
            self.cancelled.set_result(None)

    def take(self, most: int) -> list[Delivery]:
        """Hand out up to `most` of the buffer, in order."""
        taken = [
            delivery_of(self.buffer.popleft(), generation=self._generation, base=self._base)
            for _ in range(min(most, len(self.buffer)))
        ]
        self._unsettled.update((delivery.tag, None) for delivery in taken)
        if taken:
            self.last_tag = taken[-1].tag
        return taken

    def settle(self, deliveries: Sequence[Delivery], verb: Callable[[int, bool], Basic.Ack | Basic.Nack]) -> None:
        """Write one `multiple` frame for the oldest unsettled, else one each; stale ones are skipped (trap 12)."""
        tags = sorted({d.tag for d in deliveries if d.generation == self._generation and d.tag in self._unsettled})
        if not tags:
            return
        if tags == list(islice(self._unsettled, len(tags))):
            frames = [verb(tags[-1] - self._base, True)]
        else:
            frames = [verb(tag - self._base, False) for tag in tags]
        for tag in tags:
            del self._unsettled[tag]
        self.writer.write([frame.marshal(each, self._below.number) for each in frames])


async def _taken_before(_: AbstractIncomingMessage) -> None:
    """What aio-pika would call for a delivery; none reaches it."""


def _ack(tag: int, multiple: bool) -> Basic.Ack:
    return Basic.Ack(delivery_tag=tag, multiple=multiple)


def _requeue(tag: int, multiple: bool) -> Basic.Nack:
    """A nack and not a reject, which RabbitMQ 4.3 counts as a failed delivery (trap 22)."""
    return Basic.Nack(delivery_tag=tag, multiple=multiple, requeue=True)
