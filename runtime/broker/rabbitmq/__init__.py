"""RabbitMQ as the broker: two connections that come back by themselves, one to publish and one to consume.

Two, because during a memory or disk alarm RabbitMQ blocks a connection that publishes, and acks must still flow
(docs/notes/amqp.md trap 8).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Final

from aiormq.connection import DEFAULT_PORTS
from yarl import URL

from runtime.broker.base import Consumer, Delivery, Message
from runtime.broker.rabbitmq import topology as rabbitmq_topology
from runtime.broker.rabbitmq.asker import Asker
from runtime.broker.rabbitmq.consumer import RabbitConsumer
from runtime.broker.rabbitmq.link import Distrusted, Link, Lost
from runtime.broker.rabbitmq.listening import bodies
from runtime.broker.rabbitmq.publisher import Publisher
from runtime.broker.rabbitmq.quiet import hush
from runtime.broker.rabbitmq.rights import try_rights
from runtime.tasks import watched
from schemas.errors import Misconfigured, Unavailable
from schemas.settings.addresses import each_host
from schemas.topology import Topology

RECONNECT_SECONDS: Final = 1.0
REOPEN_SECONDS: Final = 0.2
RENEW_SECONDS: Final = 30.0
_FILES: Final = ("cafile", "certfile", "keyfile")


def _reconnect_pause() -> float:
    """Around RECONNECT_SECONDS, spread so that not all processes knock at once (trap 10)."""
    return RECONNECT_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311 - a spread, not a secret


def _reopen_pause() -> float:
    return REOPEN_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311 - a spread, not a secret


class RabbitMQ:
    """The `Broker` of RabbitMQ; `open_rabbitmq` makes one and keeps its parts running."""

    def __init__(
        self, publishing: Link, consuming: Link, *, confirm_timeout_seconds: float, renew_seconds: float
    ) -> None:
        self._publishing = publishing
        self._consuming = consuming
        self._timeout = confirm_timeout_seconds
        self._renew_seconds = renew_seconds
        self.publisher = Publisher(publishing, confirm_timeout_seconds=confirm_timeout_seconds, pause=_reopen_pause)
        self.asker = Asker(publishing, confirm_timeout_seconds=confirm_timeout_seconds, pause=_reopen_pause)
        self._consumers: set[RabbitConsumer] = set()

    async def declare(self, topology: Topology) -> None:
        """As `Broker` promises."""
        with self._lost_is_unavailable():
            await self._connected()
            await rabbitmq_topology.declare(self._publishing, topology)

    async def check(self, topology: Topology) -> None:
        """As `Broker` promises.

        Raises:
            Unavailable: the broker is away.
        """
        with self._lost_is_unavailable():
            await self._connected()
            missing = await rabbitmq_topology.missing(self._publishing, topology)
        if missing:
            raise Misconfigured(f"run `callstitch declare` first: not declared: {', '.join(missing)}")

    async def differing(self, topology: Topology) -> Sequence[str]:
        """As `Broker` promises; nothing where we have no right to declare, which a stage does not need.

        Raises:
            Unavailable: the broker is away.
        """
        with self._lost_is_unavailable():
            await self._connected()
            return await rabbitmq_topology.differing(self._publishing, topology)

    async def lossy(self, topology: Topology) -> Mapping[str, str]:
        """As `Broker` promises.

        Raises:
            Unavailable: the broker is away.
        """
        with self._lost_is_unavailable():
            await self._connected()
            return await rabbitmq_topology.lossy(self._publishing, topology)

    async def try_rights(self) -> str:
        """As `Broker` promises.

        Raises:
            Unavailable: the broker is away.
        """
        with self._lost_is_unavailable():
            await self._connected()
            return await try_rights(self._publishing)

    async def publish(self, batch: Sequence[Message]) -> None:
        """As `Broker` promises; waits out a reconnect, up to the confirm timeout."""
        await self.publisher.publish(batch)

    async def recovered(self) -> None:
        """As `Broker` promises: a new channel after a loss, or the last confirm that was overdue."""
        await self.publisher.recovered()

    @asynccontextmanager
    async def consume(self, queue: str, *, prefetch: int) -> AsyncIterator[Consumer]:
        """As `Broker` promises; a queue that does not exist yet is subscribed to once it does."""
        consumer = RabbitConsumer(
            self._consuming, queue, prefetch=prefetch, pause=_reconnect_pause, renew_seconds=self._renew_seconds
        )
        self._consumers.add(consumer)
        try:
            async with watched(_consumes(consumer)):
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._timeout):
                        await consumer.attempted.wait()
                try:
                    yield consumer
                finally:
                    consumer.flush()
        finally:
            self._consumers.discard(consumer)

    async def ask(self, question: Message, *, timeout_seconds: float) -> bytes | None:
        """As `Broker` promises; None also when the broker is away or the queue does not exist."""
        return await self.asker.ask(question, timeout_seconds=timeout_seconds)

    async def reply(self, question: Delivery, body: bytes) -> None:
        """As `Broker` promises.

        Raises:
            Unconfirmed: the broker did not take the reply in time.
        """
        await self.asker.reply(question, body)

    async def depths(self, queues: Sequence[str]) -> Mapping[str, int]:
        """As `Broker` promises.

        Raises:
            Unavailable: the broker is away.
        """
        with self._lost_is_unavailable():
            await self._connected(self._consuming)  # during an alarm no channel opens on the other one (trap 23)
            return await rabbitmq_topology.depths(self._consuming, queues)

    async def consumers(self, queues: Sequence[str]) -> Mapping[str, int]:
        """As `Broker` promises.

        Raises:
            Unavailable: the broker is away.
        """
        with self._lost_is_unavailable():
            await self._connected(self._consuming)  # during an alarm no channel opens on the other one (trap 23)
            return await rabbitmq_topology.consumers(self._consuming, queues)

    async def delete(self, queue: str) -> bool:
        """As `Broker` promises.

        Raises:
            Misconfigured: we have no right to delete it.
            Unavailable: the broker is away.
        """
        with self._lost_is_unavailable():
            await self._connected()
            return await rabbitmq_topology.delete(self._publishing, queue)

    @property
    def trouble(self) -> str:
        """As `Broker` promises."""
        if trouble := self.publisher.trouble:
            return trouble
        if not self._consuming.up:
            return f"away: {self._consuming.reason}"
        silent = [one.queue for one in self._consumers if not (one.consuming or one.stopped)]
        return f"away: not subscribed to {', '.join(silent)}" if silent else ""

    @property
    def healthy(self) -> bool:
        """As `Broker` promises."""
        return not self.trouble

    async def _connected(self, link: Link | None = None) -> None:
        async with asyncio.timeout(self._timeout):
            await (link or self._publishing).connection()

    @contextmanager
    def _lost_is_unavailable(self) -> Iterator[None]:
        try:
            yield
        except (Lost, TimeoutError) as error:
            raise Unavailable(f"RabbitMQ is away: {str(error) or self._publishing.reason}") from None


async def _consumes(consumer: RabbitConsumer) -> None:
    await consumer.run()
    if consumer.stopped:  # as it was told to: it is closed in a moment
        await asyncio.Event().wait()


@asynccontextmanager
async def open_rabbitmq(
    url: str,
    *,
    start_timeout_seconds: float = 30,
    confirm_timeout_seconds: float = 3.0,
    renew_seconds: float = RENEW_SECONDS,
) -> AsyncIterator[RabbitMQ]:
    """A connected broker, one node or a cluster of several hosts (`amqp://user@h1,h2:5673,h3/vhost`).

    It keeps trying for `start_timeout_seconds` first, as the broker may start after us.
    A consumer that got nothing for once or twice `renew_seconds` subscribes again (see `RabbitConsumer.run`).

    Raises:
        Misconfigured: this is no AMQP address, or there is one whose certificate we do not trust.
        Unavailable: the broker could not be reached in time.
    """
    hush()
    addresses = [_address(each) for each in each_host(url)]
    publishing = Link(addresses, purpose="publish", pause=_reconnect_pause)
    consuming = Link(addresses, purpose="consume", pause=_reconnect_pause)
    places = ", ".join(f"{address.host}:{address.port}" for address in addresses)
    broker = RabbitMQ(
        publishing, consuming, confirm_timeout_seconds=confirm_timeout_seconds, renew_seconds=renew_seconds
    )
    async with watched(publishing.run(), consuming.run(), broker.publisher.run(), broker.asker.run()):
        try:
            async with asyncio.timeout(start_timeout_seconds):
                await publishing.first()
                await consuming.first()
                await broker.publisher.ready()
        except Distrusted as error:
            raise Misconfigured(f"RabbitMQ at {places}: {error}") from None
        except TimeoutError:
            reason = next((link.reason for link in (publishing, consuming) if not link.up), "no channel")
            raise Unavailable(
                f"RabbitMQ at {places} was not reached within {start_timeout_seconds} s: {reason}"
            ) from None
        yield broker


@asynccontextmanager
async def open_rabbitmq_listener(
    url: str, rows: Collection[tuple[str, str]], *, start_timeout_seconds: float = 10
) -> AsyncIterator[AsyncIterator[bytes]]:
    """What passes from now on: see `listening.bodies`.

    Raises:
        Misconfigured, Unavailable: as `open_rabbitmq`.
    """
    hush()
    addresses = [_address(each) for each in each_host(url)]
    link = Link(addresses, purpose="tail", pause=_reconnect_pause)
    async with watched(link.run()):
        try:
            async with asyncio.timeout(start_timeout_seconds):
                await link.first()
        except Distrusted as error:
            raise Misconfigured(f"RabbitMQ: {error}") from None
        except TimeoutError:
            raise Unavailable(f"RabbitMQ was not reached: {link.reason}") from None
        async with aclosing(bodies(link, rows)) as passing:
            yield passing


def _address(url: str) -> URL:
    """The address with its port; no error tells the url, which holds the password."""
    try:
        address = URL(url)
    except ValueError:
        raise Misconfigured("the broker's address is not a url") from None
    if address.scheme not in DEFAULT_PORTS or not address.host:
        raise Misconfigured("the broker's address must be amqp://user:password@host[:port]/[vhost] or amqps://")
    for name in _FILES:
        if name in address.query and not os.access(address.query[name], os.R_OK):
            raise Misconfigured(f"broker: {name}: cannot read {address.query[name]}")
    return address if address.port else address.with_port(DEFAULT_PORTS[address.scheme])
