"""Group commit at the door: while a publish waits for its confirm, new requests gather; the next one carries them all.

At low load a bundle holds one envelope and adds no wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from runtime.broker.base import Message
from runtime.telemetry.door import Commits
from runtime.tracing.base import Tracing
from runtime.tracing.off import NO_TRACING
from runtime.verdict import reason_of
from runtime.wire import pack
from schemas.envelope import Envelope, decode_bundle
from schemas.errors import Refused, Unavailable, Unconfirmed, Unroutable, Why

log = structlog.get_logger()

SWEEP_SECONDS: Final = 0.025  # a deadline may be noticed this late; one timer for all costs less than one for each

_TOLD: Final[Mapping[str, Why]] = {"alarm": "alarm", "away": "away"}  # troubles of a broker that are why none came


class Stored(Protocol):
    """Who waits for the confirm of an envelope, as a future does; it raises nothing."""

    def done(self) -> bool:
        """Whether it waits no more."""
        ...

    def set_result(self, result: None, /) -> None:
        """The envelope is stored."""
        ...

    def set_exception(self, exception: Unavailable, /) -> None:
        """It is not, or not known to be."""
        ...


class _Waiting(NamedTuple):
    envelope: Envelope
    stored: Stored
    deadline: float  # on the loop's clock


class Publishing(Protocol):
    """What the door needs of a broker."""

    @property
    def trouble(self) -> str:
        """See `runtime.broker.base.Broker.trouble`."""
        ...

    async def publish(self, batch: Sequence[Message]) -> None:
        """See `runtime.broker.base.Broker.publish`."""
        ...


class GroupCommit:
    """Stores envelopes on the queue of their kind; `run` is its loop and has to be running.

    `trouble` tells why the last bundle was not stored, and is empty once one is; one that is too large is no trouble.
    """

    def __init__(
        self, broker: Publishing, message_ids: Iterator[str], published: Commits, tracing: Tracing = NO_TRACING
    ) -> None:
        self._broker = broker
        self._ids = message_ids
        self._published = published
        self._tracing = tracing
        self._gathered: list[_Waiting] = []
        self._under_way: list[_Waiting] = []
        self._some = asyncio.Event()
        self._loop = asyncio.get_running_loop()  # to ask for it is a system call on Python 3.11
        self._sweep: asyncio.TimerHandle | None = None
        self.trouble = ""

    def store(self, envelope: Envelope, *, timeout_seconds: float) -> asyncio.Future[None]:
        """Done once the broker has confirmed the bundle that carries this envelope; to be awaited.

        Raises:
            Unavailable: (awaited) not confirmed in time; it may have been stored all the same.
        """
        stored: asyncio.Future[None] = self._loop.create_future()
        self.gather(envelope, stored, timeout_seconds)
        return stored

    def gather(self, envelope: Envelope, stored: Stored, timeout_seconds: float) -> None:
        """Tell `stored` what `store` tells who awaits it."""
        self._gathered.append(_Waiting(envelope, stored, self._loop.time() + timeout_seconds))
        self._some.set()
        if self._sweep is None:
            self._sweep = self._loop.call_later(SWEEP_SECONDS, self._sweep_out)

    async def run(self) -> None:
        """Publish whatever has gathered, over and over, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            self._under_way, self._gathered = [one for one in self._gathered if not one.stored.done()], []
            if self._under_way:
                await self._publish(self._under_way)

    async def _publish(self, batch: list[_Waiting]) -> None:
        messages = self._packed(batch)
        if not messages:
            return
        started = time.perf_counter()
        with self._tracing.storing(one.envelope for one in batch):
            failure, stored = await self._stored(messages)
        if failure is None:
            seconds = time.perf_counter() - started
            self._published.confirmed(envelopes=len(batch), bundles=len(messages), seconds=seconds)
        self._under_way = []  # their deadlines are over
        self._loop.call_soon(_tell, batch, failure, stored)  # the next publish waits for no answer

    async def _stored(self, messages: Sequence[Message]) -> tuple[Unavailable | None, Container[str]]:
        """Why not all of them were stored, and the ids of what was stored all the same."""
        failure: Unavailable
        stored: Container[str] = ()
        trouble = True
        try:
            await self._broker.publish(messages)
        except Refused as error:
            failure = Unconfirmed("the broker takes no message as large as this", why="refused")
            stored, trouble = _ids_in(messages, but=error.message_ids | error.open_ids), bool(error.open_ids)
            log.error("door.too_large", messages=len(error.message_ids), bytes=max(len(m.body) for m in messages))
        except Unconfirmed as error:
            failure = error
            if error.message_ids:
                stored = _ids_in(messages, but=error.message_ids)
        except Unroutable as error:
            failure = Unroutable(error.message_ids, _routes(messages, error.message_ids))
            stored = _ids_in(messages, but=error.message_ids)
        except Unavailable as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a bug in one bundle must not close the door for good
            log.error("door.commit_failed", reason=reason_of(error))
            failure = Unconfirmed(f"the bundle could not be published: {reason_of(error)}", why="refused")
        else:
            self.trouble = ""
            return None, ()
        self.trouble = f"{failure.why}: {failure}" if trouble else ""
        return failure, stored

    def _packed(self, batch: list[_Waiting]) -> list[Message]:
        """What all of them make; whoever cannot be packed is told, and keeps nobody else from it."""
        try:
            return pack([one.envelope for one in batch], self._ids)
        except Exception as error:  # noqa: BLE001 - it would end the loop, and the door with it
            if len(batch) > 1:
                return [message for one in batch for message in self._packed([one])]
            log.error("door.unpackable", source=batch[0].envelope.source, reason=reason_of(error))
            if not batch[0].stored.done():
                batch[0].stored.set_exception(Unconfirmed("it cannot be packed", why="refused"))
            return []

    def _sweep_out(self) -> None:
        """Tell everybody whose deadline has passed, and come again while others wait."""
        now = self._loop.time()
        left = [one for one in (*self._under_way, *self._gathered) if not one.stored.done()]
        for one in left:
            if one.deadline <= now:
                one.stored.set_exception(self._late())
        self._sweep = self._loop.call_later(SWEEP_SECONDS, self._sweep_out) if left else None

    def _late(self) -> Unconfirmed:
        word, _, what = self._broker.trouble.partition(": ")
        if why := _TOLD.get(word):
            return Unconfirmed(what, why=why)
        return Unconfirmed("no confirm before the door's deadline")


def _tell(batch: Sequence[_Waiting], failure: Unavailable | None, stored: Container[str]) -> None:
    """Tell each of them how it went; all of them are told in one turn of the loop."""
    for one in batch:
        if one.stored.done():  # it ran into its own deadline
            continue
        if failure is None or one.envelope.id in stored:
            one.stored.set_result(None)
        else:
            one.stored.set_exception(failure)


def _routes(messages: Sequence[Message], ids: frozenset[str]) -> list[str]:
    return sorted({message.routing_key or message.exchange for message in messages if message.message_id in ids})


def _ids_in(bundles: Iterable[Message], *, but: Container[str]) -> frozenset[str]:
    """What the bundles carry, but for those of these message ids."""
    return frozenset(one.id for each in bundles if each.message_id not in but for one in decode_bundle(each.body))
