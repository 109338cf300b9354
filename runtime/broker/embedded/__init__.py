"""The embedded broker: queues in one SQLite file, or in memory, for one process and no server.

It keeps the promises of `Broker` on one machine. What it adds to RabbitMQ's rules: nothing is dropped for want of a
dead-letter exchange, and a message whose dead-letter route leads nowhere stays where it is.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

import structlog

from runtime.broker.base import MESSAGE_BYTES, Consumer, Delivery, Message
from runtime.broker.embedded.consumer import EmbeddedConsumer
from runtime.broker.embedded.file import File, open_file, refusal
from runtime.broker.embedded.queues import Queues
from runtime.broker.embedded.writer import Needs, Writer
from runtime.broker.slices import in_slices
from runtime.clock import system_seconds
from runtime.files import owned, read_only
from runtime.tasks import watched
from schemas.errors import Unavailable, Unconfirmed, Unroutable
from schemas.topology import Topology

CONFIRM_SECONDS: Final = 5.0

T = TypeVar("T")
_log = structlog.get_logger()


class Embedded:
    """The embedded broker, made by `open_embedded`."""

    def __init__(self, writer: Writer, *, confirm_seconds: float, message_bytes: int) -> None:
        self._writer = writer
        self._message_bytes = message_bytes
        self._confirm_seconds = confirm_seconds
        self._reply_to = f"embedded.{uuid4().hex}"
        self._asked: dict[str, asyncio.Future[bytes]] = {}
        self._generations = count(1)

    async def declare(self, topology: Topology) -> None:
        """As `Broker` promises; Unconfirmed (an Unavailable) when the file cannot be written."""
        await self._write(lambda queues: queues.declare(topology), seconds=self._confirm_seconds)

    async def check(self, topology: Topology) -> None:
        """As `Broker` promises."""
        await self._writer.give(lambda queues: queues.check(topology))

    async def differing(self, topology: Topology) -> Sequence[str]:
        """As `Broker` promises."""
        return await self._writer.give(lambda queues: queues.differing(topology))

    async def lossy(self, topology: Topology) -> Mapping[str, str]:  # noqa: ARG002 - it has no downstream queues
        """As `Broker` promises."""
        return {}

    async def try_rights(self) -> str:
        """As `Broker` promises: whoever opened the file may all."""
        return ""

    async def publish(self, batch: Sequence[Message]) -> None:
        """As `Broker` promises."""
        if batch:
            await in_slices(batch, self._publish, most=self._message_bytes, seconds=self._confirm_seconds)

    async def _publish(self, batch: Sequence[Message], seconds: float) -> None:
        try:
            unroutable = await self._write(lambda queues: queues.store(batch), seconds=seconds)
        except Unconfirmed as error:  # one transaction: all of it or nothing
            raise Unconfirmed(str(error), frozenset({message.message_id for message in batch}), why=error.why) from None
        if unroutable:
            raise Unroutable(unroutable)

    async def recovered(self) -> None:
        """As `Broker` promises; never: only another try tells whether the file takes writes again."""
        await asyncio.Event().wait()

    @asynccontextmanager
    async def consume(self, queue: str, *, prefetch: int) -> AsyncIterator[Consumer]:
        """As `Broker` promises.

        Raises:
            Unavailable: the queue does not exist.
        """
        consumer = EmbeddedConsumer(self._writer, reply_to=self._reply_to, generation=next(self._generations))
        try:
            await consumer.subscribe(queue, prefetch=prefetch)
            yield consumer
        finally:
            consumer.close()

    async def ask(self, question: Message, *, timeout_seconds: float) -> bytes | None:
        """As `Broker` promises; a question does not outlive its deadline or this process.

        None at once when nobody can ever see it: no queue takes it, or the file refuses.
        """
        correlation_id = uuid4().hex
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[correlation_id] = answer
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._put_question(question, seconds=timeout_seconds, correlation_id=correlation_id)
                return await answer
        except TimeoutError:
            return None
        except Unavailable as error:
            _log.warning("broker.question_not_asked", reason=str(error))
            return None
        finally:
            del self._asked[correlation_id]
            if answer.cancelled() or not answer.done():
                self._withdraw(correlation_id)

    async def reply(self, question: Delivery, body: bytes) -> None:
        """As `Broker` promises."""
        asked = self._asked.get(question.correlation_id)
        if asked is not None and not asked.done():
            asked.set_result(body)

    async def depths(self, queues: Sequence[str]) -> Mapping[str, int]:
        """As `Broker` promises."""
        return await self._writer.give(lambda all_queues: all_queues.depths(queues))

    async def consumers(self, queues: Sequence[str]) -> Mapping[str, int]:
        """As `Broker` promises."""
        return await self._writer.give(lambda all_queues: all_queues.consumers(queues))

    async def delete(self, queue: str) -> bool:
        """As `Broker` promises; Unconfirmed (an Unavailable) when the file cannot be written."""
        return await self._write(lambda queues: queues.delete(queue), seconds=self._confirm_seconds)

    @property
    def trouble(self) -> str:
        """As `Broker` promises; consumers live as long as the file takes writes."""
        return self._writer.trouble

    @property
    def healthy(self) -> bool:
        """As `Broker` promises."""
        return not self.trouble

    async def _put_question(self, question: Message, *, seconds: float, correlation_id: str) -> None:
        put = partial(Queues.store_question, question=question, seconds=seconds, correlation_id=correlation_id)
        if not await self._writer.give(put, needs=Needs.WRITTEN):
            raise Unroutable(frozenset({question.message_id}))

    def _withdraw(self, correlation_id: str) -> None:
        with suppress(Unavailable):
            gone = self._writer.give(lambda queues: queues.withdraw(correlation_id), needs=Needs.WRITTEN)
            # nobody waits: if the file refuses now, the question is dropped as expired when it would be handed out
            gone.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _write(self, run: Callable[[Queues], T], *, seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await self._writer.give(run, needs=Needs.SYNCED)
        except TimeoutError:
            raise Unconfirmed(f"the broker's file did not confirm within {round(seconds, 1):g} s") from None


@asynccontextmanager
async def open_embedded(
    path: Path | None,
    *,
    confirm_seconds: float = CONFIRM_SECONDS,
    message_bytes: int = MESSAGE_BYTES,
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[Embedded]:
    """Open the broker over a file (created if missing), or in memory; closing it finishes what was given to it.

    `clock` tells the seconds since 1970 and never goes back; without one it is `system_seconds`.

    Raises:
        Misconfigured: another process owns the file, or it is damaged or cannot be written.
        Unavailable: somebody who does not own it keeps it locked.
    """
    clock = clock or system_seconds()
    with owned(path) if path is not None else nullcontext():
        file = str(path or ":memory:")
        writer = Writer(partial(_open_queues, path, busy_seconds=confirm_seconds, clock=clock), file=file)
        await writer.start()
        _log.info("broker.opened", file=file)
        try:
            async with watched(writer.lives()):
                yield Embedded(writer, confirm_seconds=confirm_seconds, message_bytes=message_bytes)
        finally:
            await writer.close()


def depths(path: Path) -> Mapping[str, int]:
    """Messages not yet acked in each queue of that file, read from outside, whether its owner runs or not.

    Nothing where there is no file: then no queue was ever declared.

    Raises:
        Misconfigured: the file cannot be read, or is none of ours.
    """
    if not path.exists():
        return {}
    with read_only(path) as connection:
        file = File(connection)
        held = file.held()
        return {queue.name: held[number].messages if number in held else 0 for number, queue in file.queues().items()}


def _open_queues(path: Path | None, *, busy_seconds: float, clock: Callable[[], float]) -> Queues:
    file = open_file(path, busy_seconds=busy_seconds)
    try:
        return Queues(file, clock=clock)
    except sqlite3.Error as error:
        file.close()
        raise refusal(error, path) from None
