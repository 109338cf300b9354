"""One channel's publishes to RabbitMQ: numbered as the broker does, and each settled by what it says of it.

The way round docs/notes/amqp.md trap 16, as `publisher` says.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelPreconditionFailed

from runtime.broker.base import Message
from runtime.broker.rabbitmq.contents import Content, publish_of
from runtime.broker.rabbitmq.frames import Encoder
from runtime.broker.rabbitmq.link import ChannelWriter, Lost, why_closed
from runtime.broker.rabbitmq.socket import Socket

UNCONFIRMED_MOST: Final = 1000  # what the broker has to remember, and we to send again
STUCK_SECONDS: Final = 30
_STEP: Final = 250  # messages of one publish sent at once, so that a large batch does not wait for an empty channel

_TAGS_OF_A_SESSION: Final = 1 << 32

Encode = Callable[[Encoder, Message, list[bytes], int], None]


class RefusedSome(Lost):
    """The broker closed the channel because of a message on it; there is no telling of which."""


def loss_of(closing: asyncio.Future[Any]) -> Lost:
    """Why a channel ended; RabbitMQ answers a message it does not take with PRECONDITION_FAILED."""
    refused = closing.done() and not closing.cancelled() and isinstance(closing.exception(), ChannelPreconditionFailed)
    return RefusedSome(why_closed(closing)) if refused else Lost("channel closed")


class Batch:
    """What one publish still waits for."""

    __slots__ = (
        "abandoned", "in_flight", "left", "lost", "messages", "nacked", "posted", "returned", "session", "settled",
    )  # fmt: skip

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.left = len(messages)
        self.posted = 0
        self.in_flight = 0
        self.nacked: set[str] = set()
        self.returned: set[str] = set()
        self.session: Session | None = None
        self.lost: Lost | None = None
        self.abandoned = False
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def open(self) -> frozenset[str]:
        """The ids of those that no confirm came for."""
        unsent = {message.message_id for message in self.messages[self.posted :]}
        in_flight = self.session.in_flight_of(self) if self.session is not None else set()
        return frozenset(unsent | in_flight | self.nacked | self.returned)

    def settle(self) -> None:
        """Nobody has to wait for it any more."""
        if not self.settled.done():
            self.settled.set_result(None)


class Session:
    """One channel's publishes: numbers them as the broker does, and keeps at most UNCONFIRMED_MOST in flight."""

    def __init__(self, channel: AbstractChannel, socket: Socket, *, caught_up: Callable[[], None]) -> None:
        self._caught_up = caught_up
        self._encoder = Encoder(channel.number, frame_max=channel.connection.connection_tune.frame_max)
        self._writer = ChannelWriter(channel, socket)
        self.stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.overdue = 0
        self._overdue_since = 0.0
        # What is sent on this channel has this and its tag as its number: unique per publish, whoever publishes.
        self._number = random.randrange(1, 1 << 30) * _TAGS_OF_A_SESSION  # noqa: S311 - no secret
        self._last_tag = 0
        self._oldest_tag = 1  # all before it are settled
        self._in_flight: dict[int, tuple[Batch, str]] = {}  # by tag, with the message's id
        self._batches: set[Batch] = set()
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._lost: Lost | None = None
        socket.publish(channel, self)

    async def publish(self, batch: Batch, encode: Encode) -> None:
        """Return when the batch is settled.

        Raises:
            Lost: the channel went away before.
        """
        batch.session = self
        self._batches.add(batch)
        try:
            await self._send(batch.messages, encode, batch)
            await batch.settled
        finally:
            self._batches.discard(batch)
            self._abandon(batch)
        if batch.lost is not None:
            raise batch.lost

    def in_flight_of(self, batch: Batch) -> set[str]:
        """The ids of its messages that were sent and not settled; reads all that is in flight."""
        return {message_id for each, message_id in self._in_flight.values() if each is batch}

    async def _send(self, messages: Sequence[Message], encode: Encode, batch: Batch) -> None:
        async with self._turn:  # first come, first served
            for start in range(0, len(messages), _STEP):
                step = messages[start : start + _STEP]
                while len(self._in_flight) + len(step) > UNCONFIRMED_MOST and self._lost is None:
                    self._room.clear()
                    await self._room.wait()
                if self._lost is not None:
                    raise self._lost
                self._post(step, encode, batch)

    def _post(self, messages: Sequence[Message], encode: Encode, batch: Batch) -> None:
        """Number and write in one go: an await between the two would let confirms count for other messages."""
        parts: list[bytes] = []
        for number, message in enumerate(messages, self._number + self._last_tag + 1):
            encode(self._encoder, message, parts, number)
        for tag, message in enumerate(messages, self._last_tag + 1):
            self._in_flight[tag] = (batch, message.message_id)
        self._last_tag += len(messages)
        batch.in_flight += len(messages)
        batch.posted += len(messages)
        self._writer.write(parts)

    def confirmed(self, tag: int, *, multiple: bool) -> None:
        """As `Publishes` promises."""
        for each in self._meant(tag, multiple=multiple):
            self._settle(each)

    def refused(self, tag: int, *, multiple: bool) -> None:
        """As `Publishes` promises; the queue overflows with reject-publish."""
        for each in self._meant(tag, multiple=multiple):
            _, message_id = self._in_flight.get(each, (None, ""))
            if (batch := self._settle(each)) is not None:
                batch.nacked.add(message_id)

    def returned(self, content: Content) -> None:
        """As `Publishes` promises; it settles the message, as the confirm that follows tells nothing (traps 3, 4)."""
        tag = publish_of(content) - self._number
        _, message_id = self._in_flight.get(tag, (None, ""))
        if (batch := self._settle(tag)) is not None:
            batch.returned.add(message_id)

    def _meant(self, tag: int, *, multiple: bool) -> Iterable[int]:
        if not multiple:
            return (tag,)
        tags = range(self._oldest_tag, tag + 1)
        self._oldest_tag = max(self._oldest_tag, tag + 1)
        return tags

    def _settle(self, tag: int) -> Batch | None:
        """Of one message the outcome is known; None if it was before."""
        batch, _ = self._in_flight.pop(tag, (None, ""))
        if batch is None:
            return None
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

    def lose(self, loss: Lost) -> None:
        """The channel is gone: every open publish learns it at once."""
        self._lost = loss
        self._room.set()
        for batch in self._batches:
            batch.lost = loss
            batch.settle()

    def _abandon(self, batch: Batch) -> None:
        """Nobody waits any more for what is in flight of this batch; late confirms still make room (trap 6)."""
        if not batch.in_flight:
            return
        if not self.overdue:
            loop = asyncio.get_running_loop()
            self._overdue_since = loop.time()
            # By a timer: who is not ready for an overdue confirm publishes no more, and would never look again.
            loop.call_later(STUCK_SECONDS, self._see_stuck, self._overdue_since)
        batch.abandoned = True
        self.overdue += batch.in_flight

    def _see_stuck(self, since: float) -> None:
        if self.overdue and self._overdue_since == since and self._lost is None and not self.stuck.done():
            # RabbitMQ 3.10 has lost confirms for good (rabbitmq-server#6081); a new channel frees their room.
            self.stuck.set_result(None)
