"""The brokers that the contract suite runs over, and the words its tests are written in."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import pika
import pytest

from runtime.broker.base import Broker, Consumer, Delivery, Message
from runtime.broker.embedded import open_embedded
from runtime.broker.rabbitmq import open_rabbitmq
from schemas.topology import Queue, Topology
from tests.services.proxy import open_proxy

CONFIRM_SECONDS: Final = 0.5  # of a stalled broker
_PATIENCE_SECONDS: Final = 60.0
_QUIET_SECONDS: Final = 0.4  # how long nothing must arrive before we believe that nothing comes


@dataclass(frozen=True)
class Stallable:
    """A broker that cannot confirm anything inside `stall()`."""

    broker: Broker
    stall: Callable[[], AbstractAsyncContextManager[None]]


class Rig(Protocol):
    """One kind of broker, with storage of this test's own that outlives each opened broker."""

    def open(self) -> AbstractAsyncContextManager[Broker]: ...

    def open_stallable(self) -> AbstractAsyncContextManager[Stallable]: ...


@dataclass(frozen=True)
class EmbeddedRig:
    path: Path

    def open(self) -> AbstractAsyncContextManager[Broker]:
        return open_embedded(self.path)

    @asynccontextmanager
    async def open_stallable(self) -> AsyncIterator[Stallable]:
        async with open_embedded(self.path, confirm_seconds=CONFIRM_SECONDS) as broker:
            yield Stallable(broker, self._lock)

    @asynccontextmanager
    async def _lock(self) -> AsyncIterator[None]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            yield


@dataclass(frozen=True)
class RabbitMQRig:
    url: str

    def open(self) -> AbstractAsyncContextManager[Broker]:
        return open_rabbitmq(self.url)

    @asynccontextmanager
    async def open_stallable(self) -> AsyncIterator[Stallable]:
        async with (
            open_proxy(self.url) as proxy,
            open_rabbitmq(proxy.url, confirm_timeout_seconds=CONFIRM_SECONDS) as broker,
        ):

            @asynccontextmanager
            async def mute() -> AsyncIterator[None]:
                proxy.mute()
                yield
                proxy.unmute()

            yield Stallable(broker, mute)


@dataclass(frozen=True)
class Names:
    """Names on the broker that no other test has; `of` is remembered for cleaning up."""

    suffix: str = field(default_factory=lambda: uuid4().hex[:10])
    drawn: set[str] = field(default_factory=set)

    def of(self, word: str) -> str:
        name = f"test.{word}.{self.suffix}"
        self.drawn.add(name)
        return name


@contextmanager
def names_deleted_from(url: str) -> Iterator[Names]:
    """Delete queues and exchanges of the names afterwards."""
    names = Names()
    yield names
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        for name in names.drawn:
            channel.queue_delete(name)
            channel.exchange_delete(name)


def a_message(
    routing_key: str, body: bytes = b"{}", *, exchange: str = "", headers: Mapping[str, str | int] | None = None
) -> Message:
    return Message(
        exchange=exchange,
        routing_key=routing_key,
        body=body,
        content_type="application/json",
        message_id=uuid4().hex,
        headers=headers or {},
    )


def numbered(queue: str, count: int) -> list[Message]:
    """Messages with the bodies 0, 1, 2 and so on."""
    return [a_message(queue, str(number).encode()) for number in range(count)]


def numbers(deliveries: Sequence[Delivery]) -> list[int]:
    return [int(delivery.body) for delivery in deliveries]


async def receive(consumer: Consumer, count: int) -> list[Delivery]:
    """Exactly so many deliveries, over as many batches as it takes."""
    deliveries: list[Delivery] = []
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while len(deliveries) < count:
            deliveries += await consumer.batch(count - len(deliveries))
    return deliveries


async def nothing_arrives(consumer: Consumer) -> bool:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(_QUIET_SECONDS):
            await consumer.batch(1)
    return True


async def all_in(broker: Broker, queue: str) -> list[Delivery]:
    """What a new consumer finds in the queue; all of it goes back."""
    found: list[Delivery] = []
    async with broker.consume(queue, prefetch=1000) as consumer:
        more = True
        while more:
            try:
                async with asyncio.timeout(_QUIET_SECONDS):
                    found += await consumer.batch(1000)
            except TimeoutError:
                more = (await broker.depths([queue]))[queue] > 0
        await consumer.release(found)
    return found


async def depth_is(broker: Broker, queue: str, messages: int) -> bool:
    """Wait until so many are ready: releases and acks have no reply to wait for."""

    async def there() -> bool:
        return (await broker.depths([queue]))[queue] == messages

    return await eventually(there)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> bool:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110 - the broker tells nobody when it is done
            await asyncio.sleep(0.02)
    return True


def only(*queues: str) -> Topology:
    """Plain queues and nothing else."""
    return Topology(queues=tuple(Queue(name=queue) for queue in queues))
