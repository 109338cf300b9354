"""The socket under a connection: what is frequent goes in and out here, past it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from aiormq import AMQPConnectionError, TransportFactory
from aiormq.abc import AbstractChannel
from yarl import URL

from runtime.broker.rabbitmq.reader import FrameReader, Publishes, Take

T = TypeVar("T")


class Socket(TransportFactory):
    """Connects once, by TCP or TLS, and reads through a `FrameReader`."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """What `asyncio.open_connection` does, with our reader.

        Raises:
            AMQPConnectionError: nobody listens there, or its certificate is not trusted.
        """
        loop = asyncio.get_running_loop()
        context = await kwargs["ssl_context_provider"].get_context() if url.scheme == "amqps" else None
        try:
            transport, protocol = await loop.create_connection(
                lambda: asyncio.StreamReaderProtocol(self._reader, loop=loop),
                host=url.host or "",
                port=url.port or 0,
                ssl=context,
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)
        return self._reader, self._writer

    @property
    def farewell(self) -> str:
        """Why the broker closed the connection, in its own words; empty if it did not say."""
        return self._reader.farewell

    def tell_alarm(self, tell: Callable[[str], None]) -> None:
        """Call it with the reason when the broker blocks this connection, and with nothing when it no longer does."""
        self._reader.alarm = tell

    def write(self, data: bytes) -> None:
        """Send whole frames, unless the connection is gone."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)

    def consume(self, channel: AbstractChannel, take: Take) -> None:
        """Hand what this channel delivers to `take` at once, until the channel is closed."""
        _list(self._reader.consumers, channel, take)

    def publish(self, channel: AbstractChannel, publisher: Publishes) -> None:
        """Tell the outcomes of this channel's publishes to `publisher` at once, until the channel is closed."""
        _list(self._reader.publishers, channel, publisher)


def _list(listed: dict[int, T], channel: AbstractChannel, who: T) -> None:
    def forget(_: Any) -> None:
        if listed.get(channel.number) is who:  # else the number has gone to a new channel
            del listed[channel.number]

    listed[channel.number] = who
    channel.closing.add_done_callback(forget)
