"""A downstream queue that is full: who feeds it waits, the rest stays in the feed's own queue, nobody else waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import structlog

from runtime.telemetry.stage import StageMetrics

log = structlog.get_logger()

HOLD_SECONDS: Final = 600.0  # well under the broker's ack timeout of 30 minutes (docs/notes/amqp.md trap 13)


class Room:
    """Whether the queue that a stage feeds has room: told in one line when it has none, and in one when it has."""

    def __init__(self, stage: str, metrics: StageMetrics, pauses: Callable[[], Iterator[float]]) -> None:
        self._stage = stage
        self._metrics = metrics
        self._pauses = pauses
        self._full_since: float | None = None

    @property
    def full(self) -> bool:
        """Whether it had none when it was last tried."""
        return self._full_since is not None

    def wait(self, over: asyncio.Event) -> Wait:
        """For one batch, until `over` or for HOLD_SECONDS."""
        return Wait(self, self._pauses, over)

    def none(self, queue: str) -> None:
        """A message was refused."""
        if self._full_since is None:
            self._full_since = time.monotonic()
            self._metrics.away(1)
            log.error("queue.full", stage=self._stage, queue=queue)

    def some(self, queue: str) -> None:
        """All that a batch holds was taken."""
        if self._full_since is not None:
            seconds = round(time.monotonic() - self._full_since, 1)
            self._full_since = None
            self._metrics.away(0)
            log.info("queue.has_room", stage=self._stage, queue=queue, seconds=seconds)


class Wait:
    """The wait of one batch for room: soon again while some goes in, else ever later."""

    def __init__(self, room: Room, pauses: Callable[[], Iterator[float]], over: asyncio.Event) -> None:
        self.room = room
        self._pauses = pauses
        self._over = over
        self._since = time.monotonic()
        self._left: int | None = None
        self._waiting = pauses()

    async def may_try(self, left: int) -> bool:
        """After a pause, whether what is left may be tried again; else it goes back."""
        if self._left is not None and left < self._left:
            self._waiting = self._pauses()
        self._left = left
        if time.monotonic() - self._since > HOLD_SECONDS:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(next(self._waiting)):
                await self._over.wait()
        return not self._over.is_set()
