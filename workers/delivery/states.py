"""What an operator said of each sink, looked at once a second, and what became of its batches, told in return."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import structlog

from runtime.clock import Clock
from runtime.consume.loop import StageLoop
from runtime.verdict import reason_of
from schemas.errors import Unavailable
from workers.delivery.log import DeliveryLog
from workers.stores.sinks import SinkState, SinkStore

LOOK_SECONDS: Final = 1.0
TELL_SECONDS: Final = 30.0  # an outcome like the last one is not told more often
_NOTHING: Final = SinkState()

log = structlog.get_logger()


class SinkStates:
    """Pauses and resumes the loops of sinks; while the store is away they stay as they are."""

    def __init__(self, store: SinkStore, clock: Clock, log: DeliveryLog) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._known: Mapping[str, SinkState] = {}
        self._heard: dict[str, tuple[str, datetime]] = {}
        self._told: dict[str, tuple[str, datetime]] = {}
        self._reason = ""
        self._away: dict[str, bool] = {}

    async def first_look(self) -> None:
        """Before anything goes out, since a pause outlives its process.

        Raises:
            Unavailable: the store does not answer.
        """
        self._known = await self._store.sinks()

    def begin(self, name: str, loop: StageLoop) -> None:
        """Have a new loop rest where its sink is paused, and go slowly where that has just gone on."""
        known = self._known.get(name, _NOTHING)
        if known.paused_at is not None:
            log.info("sink.paused", sink=name, by=known.paused_by)
            loop.pause()
        elif known.resumed_at is not None:
            loop.resumed(max((self._clock() - known.resumed_at).total_seconds(), 0.0))

    def hearing(self, name: str) -> Callable[[str], None]:
        """What is told how each batch of that sink ended."""

        def hear(outcome: str) -> None:
            self._heard[name] = outcome, self._clock()

        return hear

    async def run(self, loops: Callable[[], Mapping[str, StageLoop]]) -> None:
        """Look, and tell, for as long as the process runs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look(loops)
                await self._tell(loops())
                await self._log.write()
            except Exception as error:  # noqa: BLE001 - what only looks on must not end what it looks at
                reason = str(error) if isinstance(error, Unavailable) else reason_of(error)
                if reason != self._reason:
                    log.warning("sink.state_unknown", reason=reason)
                self._reason = reason
            else:
                self._reason = ""

    async def _look(self, loops: Callable[[], Mapping[str, StageLoop]]) -> None:
        known = await self._store.sinks()
        before, self._known = self._known, known
        for name, loop in loops().items():  # those of now: one that came meanwhile began by what was known before
            was, now = before.get(name, _NOTHING), self._known.get(name, _NOTHING)
            if now.paused_at is not None and was.paused_at is None:
                log.info("sink.paused", sink=name, by=now.paused_by)
                loop.pause()
            elif now.paused_at is None and (was.paused_at is not None or now.resumed_at != was.resumed_at):
                log.info("sink.resumed", sink=name)
                loop.resume()

    async def _tell(self, loops: Mapping[str, StageLoop]) -> None:
        for name, loop in loops.items():
            told = self._away.get(name, self._known.get(name, _NOTHING).away_at is not None)
            if loop.away != told:
                await self._store.away(name, self._clock() if loop.away else None)
            self._away[name] = loop.away
        for name in loops.keys() & self._heard.keys():
            outcome, at = self._heard[name]
            text, last = self._told.get(name, ("", None))
            if outcome != text or (last is not None and at != last and (at - last).total_seconds() >= TELL_SECONDS):
                await self._store.tell(name, outcome, now=at)
                self._told[name] = outcome, at
