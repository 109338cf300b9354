"""Publishing to RabbitMQ: confirmed, mandatory, pipelined, and without an await for each message.

The way round docs/notes/amqp.md trap 16. Here the frames go past aio-pika, to the channel of aiormq under its own:
`Exchange.publish` builds objects, a task and several awaits for each message. The two hot paths past it carry some nine
times its messages a second (docs/bench.md, case relay, broker only).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import structlog
from aiormq.abc import AbstractChannel

from runtime.broker.base import Message
from runtime.broker.rabbitmq.contents import Content, message_id_of
from runtime.broker.rabbitmq.frames import Encoder
from runtime.broker.rabbitmq.link import ChannelWriter, Link, Lost, Slot, SocketChannel, gone_is_lost, why_closed
from runtime.broker.rabbitmq.socket import Socket
from schemas.errors import Unconfirmed, Unroutable

log = structlog.get_logger()

UNCONFIRMED_MOST: Final = 1000  # what the broker has to remember, and we to send again
STUCK_SECONDS: Final = 30
_STEP: Final = 250  # messages of one publish sent at once, so that a large batch does not wait for an empty channel

Prepare = Callable[[SocketChannel], Awaitable[Any]]
Encode = Callable[[Encoder, Message, list[bytes]], None]


async def _nothing(_channel: SocketChannel) -> None:
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
        self._current: Slot[_Session] = Slot()
        self._recovery = asyncio.Event()  # never stays set: it wakes who waits at that moment

    @property
    def healthy(self) -> bool:
        """Whether there is a channel, and no publish on it was given up that the broker still owes a confirm."""
        session = self._current.value
        return session is not None and not session.overdue

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
            session = _Session(below, channel.socket, caught_up=self._tell_recovery)
            with gone_is_lost():
                await self._prepare(channel)
            with self._current.holding(session):
                self._tell_recovery()
                closing = below.closing
                await asyncio.wait({closing, session.stuck}, return_when=asyncio.FIRST_COMPLETED)
            session.lose()
        raise Lost("no confirms for too long" if session.stuck.done() else why_closed(closing))

    async def publish(self, messages: Sequence[Message], *, encode: Encode = Encoder.encode) -> None:
        """Return when all are confirmed; while there is no channel it waits for the next one, up to the deadline.

        Raises:
            Unroutable: some were returned, all others are confirmed.
            Unconfirmed: not all were confirmed within the deadline, or some were refused, or the channel was lost.
        """
        if not messages:
            return
        try:
            # Round everything, as a wait for a connection is outside every timeout of the client (traps 5 to 7).
            async with asyncio.timeout(self._timeout):
                session = await self._current.get()
                batch = await session.publish(messages, encode)
        except TimeoutError:
            raise Unconfirmed(f"not all of {len(messages)} message(s) confirmed within {self._timeout} s") from None
        except Lost as lost:
            raise Unconfirmed(f"connection lost before {len(messages)} message(s) were confirmed: {lost}") from None
        if batch.refused:
            raise Unconfirmed(f"the broker refused {batch.refused} of {len(messages)} message(s)")
        if batch.returned:
            raise Unroutable(frozenset(batch.returned))


class _Batch:
    """What one publish still waits for."""

    __slots__ = ("abandoned", "in_flight", "left", "lost", "refused", "returned", "settled")

    def __init__(self, size: int) -> None:
        self.left = size
        self.in_flight = 0
        self.refused = 0
        self.returned: set[str] = set()
        self.lost = False
        self.abandoned = False
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)


class _Session:
    """One channel's publishes: numbers them as the broker does, and keeps at most UNCONFIRMED_MOST in flight."""

    def __init__(self, channel: AbstractChannel, socket: Socket, *, caught_up: Callable[[], None]) -> None:
        self._caught_up = caught_up
        self._encoder = Encoder(channel.number, frame_max=channel.connection.connection_tune.frame_max)
        self._writer = ChannelWriter(channel, socket)
        self.stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.overdue = 0
        self._overdue_since = 0.0
        self._last_tag = 0
        self._oldest_tag = 1  # all before it are settled
        self._in_flight: dict[int, tuple[_Batch, str]] = {}  # by tag, with the message's id
        self._tags: dict[str, int] = {}  # by message id
        self._batches: set[_Batch] = set()
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._lost = False
        socket.publish(channel, self)

    async def publish(self, messages: Sequence[Message], encode: Encode) -> _Batch:
        """The settled batch.

        Raises:
            Lost: the channel went away before.
        """
        batch = _Batch(len(messages))
        self._batches.add(batch)
        try:
            await self._send(messages, encode, batch)
            await batch.settled
        finally:
            self._batches.discard(batch)
            self._abandon(batch)
        if batch.lost:
            raise Lost("channel closed")
        return batch

    async def _send(self, messages: Sequence[Message], encode: Encode, batch: _Batch) -> None:
        async with self._turn:  # first come, first served
            for start in range(0, len(messages), _STEP):
                step = messages[start : start + _STEP]
                while len(self._in_flight) + len(step) > UNCONFIRMED_MOST and not self._lost:
                    self._room.clear()
                    await self._room.wait()
                if self._lost:
                    raise Lost("channel closed")
                self._post(step, encode, batch)

    def _post(self, messages: Sequence[Message], encode: Encode, batch: _Batch) -> None:
        """Number and write in one go: an await between the two would let confirms count for other messages."""
        parts: list[bytes] = []
        for message in messages:
            encode(self._encoder, message, parts)
        for tag, message in enumerate(messages, self._last_tag + 1):
            self._in_flight[tag] = (batch, message.message_id)
            # When the same message is published again before the first one is settled, a return is credited to the
            # later one: never a false success.
            self._tags[message.message_id] = tag
        self._last_tag += len(messages)
        batch.in_flight += len(messages)
        self._writer.write(parts)

    def confirmed(self, tag: int, *, multiple: bool) -> None:
        """As `Publishes` promises."""
        for each in self._meant(tag, multiple=multiple):
            self._settle(each)

    def refused(self, tag: int, *, multiple: bool) -> None:
        """As `Publishes` promises; the queue overflows with reject-publish."""
        for each in self._meant(tag, multiple=multiple):
            if (batch := self._settle(each)) is not None:
                batch.refused += 1

    def returned(self, content: Content) -> None:
        """As `Publishes` promises; it settles the message, as the confirm that follows tells nothing (traps 3, 4)."""
        message_id = message_id_of(content)
        batch = self._settle(self._tags.get(message_id, 0))
        if batch is not None:
            batch.returned.add(message_id)

    def _meant(self, tag: int, *, multiple: bool) -> Iterable[int]:
        if not multiple:
            return (tag,)
        tags = range(self._oldest_tag, tag + 1)
        self._oldest_tag = max(self._oldest_tag, tag + 1)
        return tags

    def _settle(self, tag: int) -> _Batch | None:
        """Of one message the outcome is known; None if it was before."""
        batch, message_id = self._in_flight.pop(tag, (None, ""))
        if batch is None:
            return None
        if self._tags.get(message_id) == tag:
            del self._tags[message_id]
        self._room.set()
        batch.in_flight -= 1
        batch.left -= 1
        if batch.abandoned:
            self.overdue -= 1
            if not self.overdue:
                self._caught_up()
        elif not batch.left:
            batch.settle()
        return batch

    def lose(self) -> None:
        """The channel is gone: every open publish learns it at once."""
        self._lost = True
        self._room.set()
        for batch in self._batches:
            batch.lost = True
            batch.settle()

    def _abandon(self, batch: _Batch) -> None:
        """Nobody waits any more for what is in flight of this batch; late confirms still make room (trap 6)."""
        if not batch.in_flight:
            return
        now = asyncio.get_running_loop().time()
        if not self.overdue:
            self._overdue_since = now
        batch.abandoned = True
        self.overdue += batch.in_flight
        if now - self._overdue_since > STUCK_SECONDS and not self.stuck.done():
            # RabbitMQ 3.10 has lost confirms for good (rabbitmq-server#6081); a new channel frees their room.
            self.stuck.set_result(None)
