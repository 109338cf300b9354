"""What a process looks at every some seconds, beside its work, to tell it as metrics: queues, and its own store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from runtime.broker.base import Broker
from runtime.telemetry import Telemetry
from runtime.verdict import reason_of
from schemas.topology import Queue

log = structlog.get_logger()

LOOK_SECONDS: Final = 10.0

Counts = Callable[[], Awaitable[Mapping[str, int]]]


class Look:
    """Its gauges are there from the start."""

    def __init__(self, telemetry: Telemetry, broker: Broker) -> None:
        self._telemetry = telemetry
        self._broker = broker
        self._messages: dict[str, int] = {}
        self._consumers: dict[str, int] = {}
        self._unattended: dict[str, float | None] = {}  # since when, of those that should have a reader
        self._failing: set[str] = set()
        telemetry.tell("callstitch_broker_up", lambda: float(not broker.trouble))
        telemetry.tell("callstitch_broker_blocked", lambda: float(broker.trouble.startswith("alarm")))
        telemetry.tell_all("callstitch_queue_messages", lambda: self._messages)
        telemetry.tell_all("callstitch_queue_consumers", lambda: self._consumers)
        telemetry.tell_all("callstitch_queue_unattended_seconds", self._unattended_seconds)

    def at(self, queues: Sequence[Queue]) -> None:
        """These are told from now on, and no others."""
        names = [queue.name for queue in queues]
        self._messages = {name: self._messages.get(name, 0) for name in names}
        self._consumers = {name: self._consumers.get(name, 0) for name in names}
        self._unattended = {one.name: self._unattended.get(one.name) for one in queues if one.ttl_seconds is None}

    async def run(self) -> None:
        """At the queues, at once, and then every LOOK_SECONDS; for ever."""
        await self._again("the broker", self._look_at_queues)

    async def at_store(self, stage: str, counts: Counts) -> None:
        """Likewise at the store of a stage, for as long as that is open: it was opened a moment ago."""
        self._telemetry.tell("callstitch_store_up", 1, stage)
        await self._again(stage, partial(self._look_at_store, stage, counts))

    async def _again(self, what: str, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await look()
            except Exception as error:  # noqa: BLE001 - what only looks on must not end what it looks at
                if what not in self._failing:
                    log.warning("metrics.unread", what=what, reason=reason_of(error))
                self._failing.add(what)
            else:
                self._failing.discard(what)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_at_queues(self) -> None:
        messages = await self._broker.depths(list(self._messages))
        consumers = await self._broker.consumers(list(self._messages))
        for name in self._messages:  # those of now: they may be others since
            self._messages[name], self._consumers[name] = messages.get(name, 0), consumers.get(name, 0)
        for name, since in self._unattended.items():
            alone = self._messages[name] > 0 and self._consumers[name] == 0
            self._unattended[name] = (since or time.monotonic()) if alone else None

    def _unattended_seconds(self) -> Mapping[str, float]:
        now = time.monotonic()
        return {name: 0.0 if since is None else now - since for name, since in self._unattended.items()}

    async def _look_at_store(self, stage: str, look: Counts) -> None:
        try:
            counts = await look()
        except Exception:
            self._telemetry.tell("callstitch_store_up", 0, stage)
            raise
        self._telemetry.tell("callstitch_store_up", 1, stage)
        for name, count in counts.items():
            self._telemetry.tell(name, count)
