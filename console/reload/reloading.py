"""SIGHUP, or a file that changed: what can be taken is taken while the process works on, and the rest is named.

All is made ready first, so that a config of which one part cannot be taken changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import structlog

from console.admission import edges, leftovers
from console.admission.examination import see_admitted, warnings
from console.config_file import load_config
from console.reload.changes import as_far_as_taken, differences, needs_restart
from console.reload.sight import sight_of
from runtime.verdict import reason_of
from schemas.errors import CallstitchError, Unavailable
from workers.config import Config, config_topology
from workers.process import Process

LOOK_SECONDS: Final = 2.0
AGAIN_SECONDS: Final = 30.0  # what could not be taken may be the broker's fault, or a file's that comes later
PATIENCE_SECONDS: Final = 60.0  # to make all ready: a broker in an alarm opens no channel until that ends

log = structlog.get_logger()


class Reloading:
    """Told to look (`ask`), or seeing for itself; `stale` says why what lies in the file was not taken."""

    def __init__(self, path: Path | None, *, patience: float = PATIENCE_SECONDS) -> None:
        self._path = path
        self._patience = patience
        self._asked = asyncio.Event()
        self._first_sight = self._look()  # before anybody reads it
        self._first = Config()
        self.stale = ""

    def load(self) -> Config:
        """What the process starts with.

        Raises:
            Misconfigured: see load_config.
        """
        self._first = load_config(self._path)
        return self._first

    def ask(self) -> None:
        """As SIGHUP does."""
        self._asked.set()

    async def until_asked(self) -> None:
        """Wait for the next word; for whoever only passes it on."""
        await self._asked.wait()
        self._asked.clear()

    async def run(self, process: Process) -> None:
        """For as long as the process runs."""
        running = process.config
        seen = taken = self._first_sight
        next_try = 0.0
        while True:
            asked = await self._asked_within(LOOK_SECONDS)
            before, seen = seen, await asyncio.to_thread(self._look)
            changed = seen != taken and seen == before  # at rest: a file that is being written is no config
            again = bool(self.stale) and time.monotonic() >= next_try
            if not (asked or changed or again):
                continue
            taken, next_try = seen, time.monotonic() + AGAIN_SECONDS
            try:
                running = await self._take(process, running)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the new config, the old one works on
                reason = str(error) if isinstance(error, CallstitchError) else reason_of(error)
                self._tell_stale(process, reason, asked=asked)
            else:
                self.stale = ""
                process.telemetry.config_stale.set(0)

    def _look(self) -> str:
        return "" if self._path is None else sight_of(self._path)

    async def _asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.until_asked()
        except TimeoutError:
            return False
        return True

    def _tell_stale(self, process: Process, reason: str, *, asked: bool) -> None:
        process.telemetry.config_stale.set(1)
        if asked or reason != self.stale:
            log.error("config.not_taken", reason=reason)
        self.stale = reason

    async def _take(self, process: Process, running: Config) -> Config:
        loaded = await asyncio.to_thread(load_config, self._path)
        see_admitted(loaded)
        keys = differences(as_far_as_taken(self._first, running), loaded)
        wanted = as_far_as_taken(running, loaded)
        rebound = config_topology(wanted) != config_topology(running)
        async with AsyncExitStack() as opened:
            try:
                async with asyncio.timeout(self._patience):
                    commits = [await prepare(wanted, opened) for prepare in process.reloads]
                    if process.whole and rebound:
                        await self._declare(process, wanted)
            except TimeoutError:
                raise Unavailable(f"not made ready within {self._patience:.0f} s: who has to help is away") from None
            opened.pop_all()
        for commit in commits:
            await commit()
        self._tell_taken(process, keys, declare=rebound and not process.whole)
        for warning in set(warnings(wanted)) - set(warnings(running)):
            log.warning("config.look", reason=warning)
        return wanted

    async def _declare(self, process: Process, wanted: Config) -> None:
        for sentence in leftovers.told_of(await leftovers.declare(wanted, process.broker)):
            log.warning("topology.left_over", reason=sentence)
        await edges.log_of(wanted, process.broker)

    def _tell_taken(self, process: Process, keys: Sequence[str], *, declare: bool) -> None:
        process.telemetry.config_taken.inc()
        log.info("config.taken", keys=[key for key in keys if not needs_restart(key)])
        if restart := [key for key in keys if needs_restart(key)]:
            log.warning("config.needs_restart", keys=restart)
        if declare:
            log.warning("config.needs_declare", reason="`callstitch declare` binds and unbinds what it wants")
