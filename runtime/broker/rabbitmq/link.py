"""One connection to RabbitMQ that comes back by itself, and channels on it.

aio-pika's plain connection, opened again by us: its robust one declares everything again on each reconnect, keeps no
reason of a failure, and fails publishes at once while it restores (docs/notes/amqp.md traps 5, 10, 11, 17 and 18).
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, cast

import aio_pika
import structlog
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from aiormq.abc import AbstractChannel
from yarl import URL

from runtime import drain
from runtime.broker.rabbitmq.slot import Slot
from runtime.broker.rabbitmq.socket import Socket

log = structlog.get_logger()

HEARTBEAT_SECONDS: Final = 10  # trap 9: a stuck peer is noticed after (heartbeat + 1) * 3 s
CONNECT_TIMEOUT_SECONDS: Final = 10
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")


class Lost(Exception):
    """The channel or its connection went away, or never came."""


class Distrusted(Lost):
    """The broker's certificate is none that we trust: waiting does not mend that."""


@contextmanager
def gone_is_lost() -> Iterator[None]:
    """Turn each of the ways in which aio-pika and aiormq say "gone" into Lost.

    aiormq rejects waiting calls with whatever closed the connection: an AMQPError, a bare Exception, or
    CancelledError though nobody cancelled us (7.2.4, `FutureStore.reject_all`). A peer that hangs up in the
    handshake is StopAsyncIteration (`FrameReceiver.get_frame`).
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Lost("connection closed") from None
    except (AMQPError, ChannelInvalidStateError, OSError, RuntimeError) as error:
        cause = error.__cause__ or error  # aiormq wraps the system's
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Distrusted(f"its certificate is refused: {cause.verify_message}") from None
        raise Lost(short_text(error)) from None
    except StopAsyncIteration:
        raise Lost("the peer hung up in the handshake") from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise Lost("connection closed") from None


def short_text(error: BaseException) -> str:
    """The broker's or the system's words, for logs and errors; aiormq puts no credentials into its errors."""
    return _ERRNO.sub("", str(error)) or type(error).__name__


class SocketChannel(aio_pika.Channel):
    """A channel of aio-pika that knows the socket below, for what goes past aio-pika."""

    @property
    def socket(self) -> Socket:
        """What carries this channel."""
        return cast("SocketConnection", self._connection).socket


class SocketConnection(aio_pika.Connection):
    """A connection of aio-pika, with the socket that carries it."""

    CHANNEL_CLASS = SocketChannel

    def __init__(self, url: URL, **kwargs: Any) -> None:
        super().__init__(url, **kwargs)
        self.socket = Socket()
        self.kwargs["transport_factory"] = self.socket

    async def connect(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aio-pika's own signature
        """Connect once; a connection that never came needs no further close.

        Raises:
            Lost: the broker said why it does not want us (no such vhost), which aiormq does not tell.
        """
        try:
            await super().connect(timeout)
        except BaseException:
            await self.close()  # else it would be closed by a task that starts when it is collected
            if self.socket.farewell:
                raise Lost(f"the broker refuses us: {self.socket.farewell}") from None
            raise

    @property
    def closing(self) -> asyncio.Future[Any]:
        """Done once the connection is lost or closed, with the reason."""
        if self.transport is None:
            raise Lost("connection closed")
        return self.transport.connection.closing


class Link:
    """A connection that is opened again whenever it is lost; `run` must be running.

    Of several hosts, the nodes of a cluster, it begins with any, so that processes spread over them, and goes on to the
    next as soon as one is gone; it pauses for `pause()` seconds once all were tried.
    """

    def __init__(self, urls: Sequence[URL], *, purpose: str, pause: Callable[[], float]) -> None:
        query = {"heartbeat": str(HEARTBEAT_SECONDS), **urls[0].query, "name": f"callstitch {purpose}"}
        self._urls = random.sample([url.with_query(query) for url in urls], len(urls))
        self._told: dict[str, str] = {}
        self._failed = 0  # in a row
        self._purpose = purpose
        self._pause = pause
        self._current: Slot[SocketConnection] = Slot()
        self._tried = asyncio.Event()
        self._distrusted = 0  # certificates in a row
        self.reason = "not tried yet"
        self.blocked = ""  # why the broker takes no publishes on this connection: an alarm (trap 7)
        self._alarm = asyncio.Event()  # while it is blocked

    @property
    def up(self) -> bool:
        """Whether there is a connection, as far as known now."""
        return self._current.value is not None

    @property
    def vhost(self) -> str:
        """The virtual host of all connections; the default one, `/`, has no name in a URL."""
        return self._urls[0].path[1:] or "/"

    async def connection(self) -> SocketConnection:
        """The connection, as soon as there is one."""
        return await self._current.get()

    async def first(self) -> None:
        """Return once there is a connection.

        Raises:
            Distrusted: the broker's certificate is none that we trust, on no host.
        """
        while not self.up:
            await self._tried.wait()
            self._tried.clear()
            if self._distrusted >= len(self._urls):
                raise Distrusted(self.reason)

    async def run(self) -> None:
        """Connect, wait for the loss, and again, for ever; closes the connection when cancelled."""
        while True:
            for url in self._urls:
                seconds = self._patience_seconds()
                try:
                    await self._connected_once(url, seconds)
                except (Lost, TimeoutError) as error:
                    self._failed += 1
                    self._distrusted = self._distrusted + 1 if isinstance(error, Distrusted) else 0
                    self._tell(url, str(error) or f"no answer within {seconds:.0f} s")
                self._tried.set()
            await asyncio.sleep(self._pause())

    def _patience_seconds(self) -> float:
        """A host that is silent must not keep us from the others; where all are slow, each gets the whole time."""
        return CONNECT_TIMEOUT_SECONDS / (1 if self._failed > len(self._urls) else len(self._urls))

    def _tell(self, url: URL, reason: str) -> None:
        """Once, until it changes or the connection was there again."""
        host = f"{url.host}:{url.port}"
        self.reason = f"{host}: {reason}" if len(self._urls) > 1 else reason
        if reason != self._told.get(host):
            log.warning("broker.unreachable", connection=self._purpose, host=host, reason=reason)
        self._told[host] = reason

    async def _connected_once(self, url: URL, seconds: float) -> None:
        with gone_is_lost():
            async with asyncio.timeout(seconds):
                connection = await aio_pika.connect(url, connection_class=SocketConnection)
        try:
            log.info("broker.connected", connection=self._purpose, host=f"{url.host}:{url.port}")
            self._failed = 0
            self._told.clear()
            self.reason = "connected"
            connection.socket.tell_alarm(self._tell_alarm)
            closing = connection.closing
            with self._current.holding(connection):
                self._tried.set()
                await asyncio.wait([closing])
            raise Lost(why_closed(closing))
        finally:
            seconds = self._goodbye_seconds()
            self._set_blocked("")
            with suppress(Lost, TimeoutError), gone_is_lost():
                async with asyncio.timeout(seconds):
                    await connection.close()

    def _tell_alarm(self, reason: str) -> None:
        self._set_blocked(reason)
        if reason:
            log.error("broker.blocked", connection=self._purpose, reason=reason)
        else:
            log.info("broker.unblocked", connection=self._purpose)

    def _set_blocked(self, reason: str) -> None:
        self.blocked = reason
        (self._alarm.set if reason else self._alarm.clear)()

    def _goodbye_seconds(self) -> float:
        return drain.BLOCKED if self.blocked else drain.CONNECTION

    async def alarm(self) -> None:
        """Return as soon as the broker says that it takes no publishes on this connection."""
        await self._alarm.wait()

    @asynccontextmanager
    async def channel(self, *, confirms: bool = False) -> AsyncIterator[SocketChannel]:
        """A channel of its own, as soon as there is a connection; closed at the end.

        For long use: one for each publish would leak and cost a round trip (trap 17). The one who opens it holds it,
        since the connection does so weakly (trap 18).

        Raises:
            Lost: the connection went away while the channel was opened.
        """
        connection = await self.connection()
        with gone_is_lost():
            channel = cast("SocketChannel", connection.channel(publisher_confirms=confirms))
            await _opened(channel, connection.closing)
        try:
            yield channel
        finally:
            with suppress(Lost, TimeoutError), gone_is_lost():
                async with asyncio.timeout(self._goodbye_seconds()):
                    await channel.close()


async def _opened(channel: SocketChannel, closing: asyncio.Future[Any]) -> None:
    """Open it, or learn that its connection is gone; no timeout, as a call that is given up closes it (trap 20).

    During an alarm aio-pika waits first until the connection is unblocked, and for ever if it is lost before (trap 23).
    """
    opening = asyncio.create_task(channel.initialize())
    try:
        await asyncio.wait({opening, closing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
    if opening.cancelled():
        raise Lost(why_closed(closing))
    opening.result()


def why_closed(closing: asyncio.Future[Any]) -> str:
    """What aiormq knows of the end of a connection or channel."""
    if not closing.done() or closing.cancelled():
        return "connection closed"
    error = closing.exception()
    return short_text(error) if error else "connection closed"


class ChannelWriter:
    """Gathers what is written in one turn of the loop into one write to the socket.

    `write` never waits, so that settling and publishing need no await each. What the socket does not take (an alarm,
    trap 7) waits in its buffer: what the broker has not confirmed yet, or was asked to settle, bounds it.
    """

    def __init__(self, channel: AbstractChannel, socket: Socket) -> None:
        self._channel = channel
        self._socket = socket
        self._parts: list[bytes] = []

    def write(self, parts: list[bytes]) -> None:
        """Send these bytes, whole frames, after all that was written before; nothing once the channel is gone."""
        if not self._parts:
            asyncio.get_running_loop().call_soon(self.flush)
        self._parts += parts

    def flush(self) -> None:
        """Send now what was written."""
        parts, self._parts = self._parts, []
        # On a channel that the broker has closed, a frame would make it close the connection (504).
        if parts and self._channel.connection.channels.get(self._channel.number) is self._channel:
            self._socket.write(b"".join(parts))
