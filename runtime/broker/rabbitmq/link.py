"""One connection to RabbitMQ that comes back by itself, and channels on it.

This stands on aiormq alone: a robust connection of aio-pika declares everything again on each reconnect, keeps
no reason of a failure, and fails publishes at once while it restores (traps 5, 10, 11, 17 and 18 of the AMQP notes).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Generic, TypeVar, cast

import structlog
from aiormq import AMQPError, Channel, ChannelInvalidStateError, Connection
from yarl import URL

from runtime.broker.rabbitmq.socket import Socket

log = structlog.get_logger()

HEARTBEAT_SECONDS: Final = 10  # trap 9: a stuck peer is noticed after (heartbeat + 1) * 3 s
CONNECT_TIMEOUT_SECONDS: Final = 10
CLOSE_TIMEOUT_SECONDS: Final = 3

T = TypeVar("T")


class Lost(Exception):
    """The channel or its connection went away, or never came."""


@contextmanager
def gone_is_lost() -> Iterator[None]:
    """Turn each of the ways in which aiormq says "gone" into Lost.

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
        raise Lost(reason_of(error)) from None
    except StopAsyncIteration:
        raise Lost("the peer hung up in the handshake") from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise Lost("connection closed") from None


def reason_of(error: BaseException) -> str:
    """A short text for logs and errors; never holds credentials, as aiormq puts none into its errors."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@asynccontextmanager
async def running(*works: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Background tasks for as long as the context is open; they end side by side.

    Not a TaskGroup, which would wrap the caller's own errors into an ExceptionGroup.
    """
    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(_tell_death)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _tell_death(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None and not isinstance(error, Lost):
        log.error("broker.task_died", task=task.get_coro().__qualname__, error=type(error).__name__)  # type: ignore[union-attr]


class Slot(Generic[T]):
    """Holds the current thing while there is one, and lets others wait for it."""

    def __init__(self) -> None:
        self.value: T | None = None
        self._filled = asyncio.Event()

    async def get(self) -> T:
        """The current thing, as soon as there is one."""
        while self.value is None:
            await self._filled.wait()
        return self.value

    @contextmanager
    def holding(self, value: T) -> Iterator[None]:
        """The thing is current for as long as the context is open."""
        self.value = value
        self._filled.set()
        try:
            yield
        finally:
            self.value = None
            self._filled.clear()


class SocketConnection(Connection):
    """A connection of aiormq, with the socket that carries it."""

    def __init__(self, url: URL) -> None:
        self.socket = Socket()
        super().__init__(url, transport_factory=self.socket)


def socket_of(channel: Channel) -> Socket:
    """What carries this channel."""
    return cast("SocketConnection", channel.connection).socket


class Link:
    """A connection that is opened again, after `pause()` seconds, whenever it is lost; `run` must be running."""

    def __init__(self, url: URL, *, purpose: str, pause: Callable[[], float]) -> None:
        query = {"heartbeat": str(HEARTBEAT_SECONDS), **url.query}
        self._url = url.with_query({**query, "name": f"callstitch {purpose}"})
        self._purpose = purpose
        self._pause = pause
        self._current: Slot[Connection] = Slot()
        self.reason = "not tried yet"

    @property
    def up(self) -> bool:
        """Whether there is a connection, as far as known now."""
        return self._current.value is not None

    async def connection(self) -> Connection:
        """The connection, as soon as there is one."""
        return await self._current.get()

    async def run(self) -> None:
        """Connect, wait for the loss, pause, for ever; closes the connection when cancelled."""
        while True:
            try:
                await self._connected_once()
            except (Lost, TimeoutError) as error:
                reason = str(error) or f"no answer within {CONNECT_TIMEOUT_SECONDS} s"
                if reason != self.reason:
                    log.warning("broker.unreachable", connection=self._purpose, reason=reason)
                self.reason = reason
            await asyncio.sleep(self._pause())

    async def _connected_once(self) -> None:
        connection = SocketConnection(self._url)
        try:
            with gone_is_lost():
                async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                    await connection.connect()
            log.info("broker.connected", connection=self._purpose)
            self.reason = "connected"
            with self._current.holding(connection):
                await asyncio.wait([connection.closing])
            raise Lost(why_closed(connection.closing))
        finally:
            await _close(connection)

    @asynccontextmanager
    async def channel(self, *, confirms: bool = False) -> AsyncIterator[Channel]:
        """A channel of its own, as soon as there is a connection; closed at the end.

        For long use: one for each publish would leak and cost a round trip (trap 17). Who opens it holds it, and
        aiormq's connection does too, unlike aio-pika's (trap 18).

        Raises:
            Lost: the connection went away while the channel was opened.
        """
        connection = await self.connection()
        with gone_is_lost():
            # No timeout: a call that is given up closes the channel (trap 20).
            channel = await connection.channel(publisher_confirms=confirms)
        try:
            yield cast("Channel", channel)
        finally:
            with suppress(Lost, TimeoutError), gone_is_lost():
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await channel.close()


async def _close(connection: Connection) -> None:
    if not hasattr(connection, "_writer_task"):
        return  # it never connected; aiormq closed the socket itself, and its close() would fail on the missing task
    with suppress(Lost, TimeoutError), gone_is_lost():
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await connection.close()


def why_closed(closing: asyncio.Future[Any]) -> str:
    """What aiormq knows of the end of a connection or channel."""
    if not closing.done() or closing.cancelled():
        return "connection closed"
    error = closing.exception()
    return reason_of(error) if error else "connection closed"


class ChannelWriter:
    """Gathers what is written in one turn of the loop into one write to the socket.

    `write` never waits, so that settling and publishing need no await each. What the socket does not take (an alarm,
    trap 7) waits in its buffer: what the broker has not confirmed yet, or was asked to settle, bounds it.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._socket = socket_of(channel)
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
