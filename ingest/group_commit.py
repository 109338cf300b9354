"""Group commit at the door: while a publish waits for its confirm, new requests gather; the next one carries them all.

At low load a bundle holds one envelope and adds no wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import structlog
from prometheus_client import Counter

from runtime.broker.base import Broker
from runtime.verdict import reason_of
from runtime.wire import pack
from schemas.envelope import Envelope
from schemas.errors import Unavailable, Unconfirmed

log = structlog.get_logger()


class GroupCommit:
    """Stores envelopes on the queue of their kind; `run` is its loop and has to be running."""

    def __init__(self, broker: Broker, message_ids: Iterator[str], published: Counter) -> None:
        self._broker = broker
        self._ids = message_ids
        self._published = published
        self._waiting: list[tuple[Envelope, asyncio.Future[None]]] = []
        self._some = asyncio.Event()

    async def store(self, envelope: Envelope, *, timeout_seconds: float) -> None:
        """Return once the broker has confirmed the bundle that carries this envelope.

        Raises:
            Unavailable: not confirmed in time; it may have been stored all the same.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((envelope, stored))
        self._some.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                await stored
        except TimeoutError:
            raise Unconfirmed("no confirm before the door's deadline") from None

    async def run(self) -> None:
        """Publish whatever has gathered, over and over, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            batch = [(envelope, stored) for envelope, stored in self._waiting if not stored.done()]
            self._waiting = []
            if batch:
                await self._publish(batch)

    async def _publish(self, batch: list[tuple[Envelope, asyncio.Future[None]]]) -> None:
        messages = pack([envelope for envelope, _ in batch], self._ids)
        failure: Exception | None = None
        try:
            await self._broker.publish(messages)
            self._published.inc(len(messages))
        except Unavailable as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a bug in one bundle must not close the door for good
            log.error("door.commit_failed", reason=reason_of(error))
            failure = Unconfirmed("the bundle could not be published")
        for _, stored in batch:
            with suppress(asyncio.InvalidStateError):  # the request ran into its own deadline
                stored.set_exception(failure) if failure is not None else stored.set_result(None)
