"""A new version waits by itself for the old processes that it must not run beside, and says so meanwhile.

On PostgreSQL any number of versions share the state. A correlate that brings the sessions forward would write what an
old one that still runs cannot read, and a dedupe in front of an old correlate would have it tell wrong ids. Only the
first start of a new version can meet that: once the tables are brought forward, an old program refuses them (78).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Final

import structlog

from runtime.broker.base import Broker
from schemas.errors import Unavailable
from schemas.settings.addresses import StoreAddress
from schemas.topology import STAGES
from workers.stores import older_parts

QUIET_LOOKS: Final = 5  # an old one that has lost its broker for a moment is back by then
LOOK_SECONDS: Final = 1.0

log = structlog.get_logger()


class Turn:
    """Whether these stages may open their stores yet; `reason` says what they wait for, empty once they may."""

    def __init__(self, store: StoreAddress, broker: Broker, stages: Collection[str]) -> None:
        self.reason = ""
        self._store = store
        self._broker = broker
        self._stages = stages
        self._quiet = 0

    async def has_come(self) -> bool:
        """Look once.

        Raises:
            Misconfigured, Unavailable: the store refuses us or does not answer.
        """
        reason = await self._in_the_way()
        if reason != self.reason:
            log.warning("upgrade.waiting", reason=reason) if reason else log.info("upgrade.going_on")
        self.reason = reason
        return not reason

    async def wait(self, stopping: asyncio.Event) -> None:
        """Look once a second, until it has come or we are told to stop."""
        while not stopping.is_set() and not await self.has_come():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stopping.wait()

    async def _in_the_way(self) -> str:
        if not {"correlate", "dedupe"} & set(self._stages) or "sessions" not in await older_parts(self._store):
            return ""
        if "correlate" not in self._stages:
            return "the sessions are an older version's: start this version's correlate, which brings them forward"
        queue = STAGES["correlate"].queue
        try:
            there = (await self._broker.consumers([queue])).get(queue, 0)
        except Unavailable as error:
            there, self._quiet = 0, 0
            return f"whether an older correlate still runs cannot be told: {error}"
        self._quiet = 0 if there else self._quiet + 1
        if there:
            return f"{there} older correlate(s) consume {queue}: stop them, they cannot read what this version writes"
        if self._quiet < QUIET_LOOKS:
            return f"nobody consumes {queue}: in {QUIET_LOOKS} s no older correlate can be there"
        return ""
