"""Publishing to RabbitMQ: confirmed, mandatory, pipelined, and without an await for each message (trap 16)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

import structlog
from aiormq import Channel, PublishError

from runtime.broker.base import Message
from runtime.broker.rabbitmq_frames import Encoder
from runtime.broker.rabbitmq_link import ChannelWriter, Link, Lost, Slot, gone_is_lost, running, why_closed
from schemas.errors import Unconfirmed, Unroutable

log = structlog.get_logger()

UNCONFIRMED_MOST: Final = 1000  # trap 15: aiormq walks all of them for each confirm with `multiple`
STUCK_SECONDS: Final = 30
_STEP: Final = 250  # messages of one publish sent at once, so that a large batch does not wait for an empty channel

Prepare = Callable[[Channel], Awaitable[Any]]
Encode = Callable[[Encoder, Message, list[bytes]], None]


async def _nothing(_channel: Channel) -> None:
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
            session = _Session(channel, caught_up=self._tell_recovery)
            with gone_is_lost():
                await self._prepare(channel)
            async with running(session.writer.run()) as writing:
                with self._current.holding(session):
                    self._tell_recovery()
                    closing = channel.closing
                    await asyncio.wait({closing, *writing, session.stuck}, return_when=asyncio.FIRST_COMPLETED)
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


class _Receipt:
    """Stands in aiormq's `confirmations` where it keeps a future for each publish (7.2.4, `_confirm_delivery`).

    It is cheaper than a future, and stays open after a deadline, so that a late confirm is counted like any other.
    """

    __slots__ = ("_batch", "_message_id", "_session", "_tag")

    def __init__(self, session: _Session, batch: _Batch, message_id: str, tag: int) -> None:
        self._session = session
        self._batch = batch
        self._message_id = message_id
        self._tag = tag

    def done(self) -> bool:
        return False

    def set_result(self, _ack: Any) -> None:
        self._settle()

    def set_exception(self, error: Exception) -> None:
        if isinstance(error, PublishError):
            self._batch.returned.add(self._message_id)
        else:
            self._batch.refused += 1  # the queue overflows with reject-publish
        self._settle()

    def _settle(self) -> None:
        self._session.settle(self._batch, self._message_id, self._tag)


class _Session:
    """One channel's publishes: numbers them as the broker does, and keeps at most UNCONFIRMED_MOST in flight."""

    def __init__(self, channel: Channel, *, caught_up: Callable[[], None]) -> None:
        self._channel = channel
        self._caught_up = caught_up
        self._encoder = Encoder(channel.number, frame_max=channel.connection.connection_tune.frame_max)
        self.writer = ChannelWriter(channel)
        self.stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.overdue = 0
        self._overdue_since = 0.0
        self._in_flight = 0
        self._batches: set[_Batch] = set()
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._lost = False

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
                while self._in_flight + len(step) > UNCONFIRMED_MOST and not self._lost:
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
        channel = self._channel
        confirmations = cast("dict[int, Any]", channel.confirmations)
        tag = channel.delivery_tag
        for message in messages:
            tag += 1
            confirmations[tag] = _Receipt(self, batch, message.message_id, tag)
            # Without the id a returned message would count as confirmed (traps 3 and 4). When the same message is
            # published again before the first one is settled, a return is credited to the later: never a false success.
            channel.message_id_delivery_tag[message.message_id] = tag
        channel.delivery_tag = tag
        batch.in_flight += len(messages)
        self._in_flight += len(messages)
        self.writer.write(parts)

    def settle(self, batch: _Batch, message_id: str, tag: int) -> None:
        """One message was confirmed, refused or returned."""
        if self._channel.message_id_delivery_tag.get(message_id) == tag:
            del self._channel.message_id_delivery_tag[message_id]
        self._in_flight -= 1
        self._room.set()
        batch.in_flight -= 1
        batch.left -= 1
        if batch.abandoned:
            self.overdue -= 1
            if not self.overdue:
                self._caught_up()
        elif not batch.left:
            batch.settle()

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
