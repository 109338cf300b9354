"""Publishing to RabbitMQ: confirmed, mandatory, pipelined, and without an await for each message.

The way round docs/notes/amqp.md trap 16. Here the frames go past aio-pika, to the channel of aiormq under its own:
`Exchange.publish` builds objects, a task and several awaits for each message. The two hot paths past it carry some nine
times its messages a second (docs/bench.md, case relay, broker only).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import structlog

from runtime.broker.base import MESSAGE_BYTES, Message
from runtime.broker.rabbitmq.frames import Encoder
from runtime.broker.rabbitmq.link import Link, Lost, SocketChannel, gone_is_lost, why_closed
from runtime.broker.rabbitmq.session import Batch, Encode, RefusedSome, Session, loss_of
from runtime.broker.rabbitmq.slot import Slot
from runtime.broker.rabbitmq.socket import Socket
from runtime.broker.slices import in_slices
from schemas.errors import Refused, Unconfirmed, Unroutable

log = structlog.get_logger()

_TOO_LARGE: Final = "message size"  # what RabbitMQ says of one above its max_message_size

Prepare = Callable[[SocketChannel], Awaitable[Any]]


async def _nothing(_channel: SocketChannel) -> None:
    return


def _nobody() -> None:
    return


class Publisher:
    """Publishes on a channel of its own, and on the next one when it is lost; `run` must be running.

    `prepare` is awaited on each new channel before the first publish.
    """

    def __init__(
        self, link: Link, *, confirm_timeout_seconds: float, pause: Callable[[], float], prepare: Prepare = _nothing
    ) -> None:
        self._link = link
        self._timeout = confirm_timeout_seconds
        self._pause = pause
        self._prepare = prepare
        self._current: Slot[Session] = Slot()
        self._recovery = asyncio.Event()  # never stays set: it wakes who waits at that moment
        self._connection: Socket | None = None
        self._most = MESSAGE_BYTES

    @property
    def trouble(self) -> str:
        """Why nothing is published now; empty where there is a channel, no alarm, and no confirm is overdue."""
        session = self._current.value
        if self._link.blocked:
            return f"alarm: the broker blocks publishers: {self._link.blocked}"
        if session is None:
            return f"away: {self._link.reason}" if not self._link.up else "away: no channel"
        return f"late: {session.overdue} confirm(s) are overdue" if session.overdue else ""

    async def ready(self) -> None:
        """Return as soon as there is a channel."""
        await self._current.get()

    async def recovered(self) -> None:
        """Return at the next new channel, or when the last overdue confirm has come (the end of an alarm, trap 7)."""
        await self._recovery.wait()

    def _tell_recovery(self) -> None:
        self._recovery.set()
        self._recovery.clear()

    async def run(self) -> None:
        """Open a channel whenever there is none, for ever."""
        while True:
            try:
                await self._publish_on_one_channel()
            except Lost as lost:
                log.info("broker.publisher_lost", reason=str(lost))
            await asyncio.sleep(self._pause())

    async def _publish_on_one_channel(self) -> None:
        async with self._link.channel(confirms=True) as channel:
            below = await channel.get_underlay_channel()
            session = Session(below, channel.socket, caught_up=self._tell_recovery)
            with gone_is_lost():
                await self._prepare(channel)
            if channel.socket is not self._connection:  # its limit may have been raised meanwhile
                self._connection, self._most = channel.socket, MESSAGE_BYTES
            with self._current.holding(session):
                self._tell_recovery()
                closing = below.closing
                await asyncio.wait({closing, session.stuck}, return_when=asyncio.FIRST_COMPLETED)
            session.lose(loss_of(closing))
        raise Lost("no confirms for too long" if session.stuck.done() else why_closed(closing))

    async def publish(self, messages: Sequence[Message], *, encode: Encode = Encoder.encode) -> None:
        """Return when all are confirmed; while there is no channel it waits for the next one, up to the deadline.

        Raises:
            Refused: the broker closed the channel for some of them, also when each was tried alone.
            Unroutable: some were returned, all others are confirmed.
            Unconfirmed: not all were confirmed within the deadline, or some were nacked, or the channel was lost.
        """
        if messages:
            publish = partial(self._publish, encode=encode)
            await in_slices(messages, publish, most=self._most, seconds=self._timeout)

    async def _publish(self, messages: Sequence[Message], seconds: float, *, encode: Encode) -> None:
        batch = Batch(messages)
        try:
            with told_apart(batch, seconds, self._link):
                # Round everything, as a wait for a connection is outside every timeout of the client (traps 5 to 7).
                async with asyncio.timeout(seconds):
                    session = await self._current.get()
                    await session.publish(batch, encode)
        except RefusedSome as refused:
            await self._cornered(batch, seconds, encode=encode, why=str(refused))

    async def _cornered(self, batch: Batch, seconds: float, *, encode: Encode, why: str) -> None:
        """The broker closed the channel for one of many, maybe of another publish: halve ours until it stands alone.

        On channels of their own, so that whatever closes one was on it, and nobody else is disturbed (trap 24).
        """
        still_open = batch.open()
        parts = [[message for message in batch.messages if message.message_id in still_open]]
        refused: set[str] = set()
        unrouted: set[str] = set()
        while parts:
            part = parts.pop(0)
            try:
                await self._aside(part, seconds, encode=encode)
            except RefusedSome as error:
                if len(part) > 1:
                    parts[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
                    continue
                why = str(error)
                refused.add(part[0].message_id)
                if _TOO_LARGE in why:
                    self._most = min(self._most, len(part[0].body) - 1)
            except Unroutable as error:
                unrouted |= error.message_ids
            except Unconfirmed as error:
                rest = {message.message_id for each in parts for message in each}
                raise Unconfirmed(
                    str(error), frozenset(error.message_ids | rest | refused | unrouted), why=error.why
                ) from None
        if refused:
            log.error("broker.refused", messages=len(refused), reason=why)
            raise Refused(frozenset(refused), open_ids=frozenset(unrouted))
        if unrouted:
            raise Unroutable(frozenset(unrouted))

    async def _aside(self, messages: Sequence[Message], seconds: float, *, encode: Encode) -> None:
        batch = Batch(messages)
        with told_apart(batch, seconds, self._link):
            async with asyncio.timeout(seconds), self._link.channel(confirms=True) as channel:
                with gone_is_lost():
                    below = await channel.get_underlay_channel()
                    await self._prepare(channel)
                session = Session(below, channel.socket, caught_up=_nobody)
                below.closing.add_done_callback(lambda closing: session.lose(loss_of(closing)))
                await session.publish(batch, encode)


@contextmanager
def told_apart(batch: Batch, seconds: float, link: Link) -> Iterator[None]:
    """Turn every way in which a publish ends into what it means for its messages.

    Raises:
        RefusedSome: some message on the channel is not taken.
        Unroutable, Unconfirmed: as `Publisher.publish`.
    """
    size = len(batch.messages)
    try:
        yield
    except TimeoutError:
        if link.blocked:
            raise Unconfirmed(f"the broker blocks publishers: {link.blocked}", batch.open(), why="alarm") from None
        if not link.up:
            what = f"no connection within {round(seconds, 1):g} s: {link.reason}"
            raise Unconfirmed(what, batch.open(), why="away") from None
        what = f"not all of {size} message(s) confirmed within {round(seconds, 1):g} s"
        raise Unconfirmed(what, batch.open()) from None
    except RefusedSome:
        raise
    except Lost as lost:
        what = f"connection lost before {size} message(s) were confirmed: {lost}"
        raise Unconfirmed(what, batch.open(), why="away") from None
    if batch.nacked:
        what = f"the broker refused {len(batch.nacked)} of {size} message(s) (a queue that is full?)"
        raise Unconfirmed(what, frozenset(batch.nacked | batch.returned), why="refused")
    if batch.returned:
        raise Unroutable(frozenset(batch.returned))
