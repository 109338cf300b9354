"""The other side of the wire: a proxy that can cut and mute RabbitMQ, and pika as somebody else's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker
from yarl import URL


class Proxy:
    """A TCP proxy in front of RabbitMQ that passes everything on until told otherwise."""

    def __init__(self, target: URL) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()
        self._heard.set()

    @property
    def url(self) -> str:
        return str(self._target.with_host("127.0.0.1").with_port(self._port))

    async def accept(self) -> None:
        """Listen, on the same port each time."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Cut every connection and listen no more."""
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection; new ones are welcome."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def mute(self) -> None:
        """Hold back whatever the broker says."""
        self._heard.clear()

    def unmute(self) -> None:
        """Pass on what was held back, and everything after it."""
        self._heard.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._target.host, self._target.port or 5672)
        self._writers |= {writer, far_writer}
        self._tasks |= {
            asyncio.create_task(self._pass_on(reader, far_writer)),
            asyncio.create_task(self._pass_on(far_reader, writer, held=True)),
        }

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool = False) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if held:
                    await self._heard.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def close(self) -> None:
        self.refuse()
        self.unmute()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def open_proxy(target: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(URL(target))
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.close()


def accepts(url: str, queue: str, arguments: dict[str, Any]) -> bool:
    """Whether the queue exists with exactly these arguments: the broker refuses to declare it with others."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        try:
            connection.channel().queue_declare(queue, durable=True, arguments=arguments)
        except ChannelClosedByBroker:
            return False
        return True


def redeclare(url: str, queue: str, arguments: dict[str, Any]) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_delete(queue)
        channel.queue_declare(queue, durable=True, arguments=arguments)


def major_version(url: str) -> int:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        properties = connection._impl.server_properties  # type: ignore[attr-defined]
        return int(str(properties["version"]).partition(".")[0])


def delete(url: str, name: str) -> None:
    """Delete the queue and the exchange of that name, if they exist."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        channel.exchange_delete(name)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - readiness is polled in production too
            await asyncio.sleep(0.01)
