"""A consumer of the embedded broker, on the event loop's side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import orjson

from runtime.broker.base import Delivery, batch_size
from runtime.broker.embedded.file import Row
from runtime.broker.embedded.queues import Queues
from runtime.broker.embedded.stored_queue import Subscription
from runtime.broker.embedded.writer import Writer
from schemas.errors import Unavailable


class EmbeddedConsumer:
    """Buffers what the writer hands out. It cannot lose its broker, so it has one generation, its own."""

    def __init__(self, writer: Writer, *, reply_to: str, generation: int) -> None:
        self._writer = writer
        self._reply_to = reply_to
        self._generation = generation
        self._buffer: deque[Delivery] = deque()
        self._changed = asyncio.Event()
        self._ids: dict[int, int] = {}  # what is unsettled: tag -> message
        self._last_tag = 0
        self._subscription: Subscription | None = None
        self.consuming = False

    async def subscribe(self, queue: str, *, prefetch: int) -> None:
        """Begin to receive.

        Raises:
            Unavailable: the queue does not exist, or the broker is closed.
        """

        def run(queues: Queues) -> None:  # kept at once, so that `close` finds it even when this call is cancelled
            self._subscription = queues.subscribe(queue, prefetch, self._receive)

        await self._writer.give(run)
        self.consuming = True

    @property
    def buffered(self) -> bool:
        """As `Consumer` promises."""
        return bool(self._buffer)

    async def batch(self, most: int) -> Sequence[Delivery]:
        """As `Consumer` promises."""
        while not self._buffer:
            if not self.consuming:
                raise Unavailable("this consumer was stopped")
            self._changed.clear()
            await self._changed.wait()
        return [self._buffer.popleft() for _ in range(batch_size(self._buffer, most))]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """As `Consumer` promises; returns before the file knows, for a lost ack is only a redelivery."""
        self._settle(Queues.ack, deliveries)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """As `Consumer` promises."""
        self._settle(Queues.release, deliveries)

    async def stop(self) -> Sequence[Delivery]:
        """As `Consumer` promises."""
        self.consuming = False
        self._changed.set()
        with suppress(Unavailable):
            await self._writer.give(self._on_subscription(Queues.unsubscribe))
        buffered, self._buffer = self._buffer, deque()
        return tuple(buffered)

    def close(self) -> None:
        """Receive nothing more; what is not settled goes back."""
        self.consuming = False
        self._changed.set()
        self._ids.clear()
        with suppress(Unavailable):
            self._writer.give(self._on_subscription(Queues.close))

    def _on_subscription(self, act: Callable[[Queues, Subscription], None]) -> Callable[[Queues], None]:
        def run(queues: Queues) -> None:
            if self._subscription is not None:
                act(queues, self._subscription)

        return run

    def _settle(
        self, act: Callable[[Queues, Subscription, Iterable[int]], None], deliveries: Sequence[Delivery]
    ) -> None:
        ours = [row.tag for row in deliveries if row.generation == self._generation and row.tag in self._ids]
        ids = [self._ids.pop(tag) for tag in ours]
        with suppress(Unavailable):
            self._writer.give(self._on_subscription(lambda queues, subscription: act(queues, subscription, ids)))

    def _receive(self, rows: Sequence[Row]) -> None:
        self._buffer.extend(map(self._delivery, rows))
        self._changed.set()

    def _delivery(self, row: Row) -> Delivery:
        self._last_tag += 1
        self._ids[self._last_tag] = row.id
        return Delivery(
            tag=self._last_tag,
            generation=self._generation,
            body=row.body,
            content_type=row.content_type,
            message_id=row.message_id,
            routing_key=row.routing_key,
            headers=orjson.loads(row.headers) if row.headers else {},
            deliveries=row.deliveries + 1,
            reply_to=self._reply_to if row.correlation_id else "",
            correlation_id=row.correlation_id,
        )
