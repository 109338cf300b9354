"""The ticks of a stage: once a second it may bring envelopes of its own accord (deadlines, unsent outbox rows)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from runtime.bench import Bench
from runtime.consume.waiting import stopped_within
from runtime.settle import Settler
from runtime.verdict import reason_of
from schemas.envelope import Envelope
from schemas.errors import Unavailable

log = structlog.get_logger()

TICK_SECONDS: Final = 1.0
FULL_TICK: Final = 500
FULL_BYTES: Final = 4 * 1024 * 1024  # of events; a store sweeps so many rows, or 8 MiB


class Ticks:
    """Runs the tick of a stage; `working` tells whether the last one worked."""

    def __init__(self, bench: Bench, settler: Settler) -> None:
        self._bench = bench
        self._settler = settler
        self.working = True

    async def run(self, stopping: asyncio.Event) -> None:
        """Once a second, and at once again while a tick brings as much as it may (a sweep that is behind)."""
        while True:
            was_full = await self._tick()
            if await stopped_within(stopping, 0 if was_full else TICK_SECONDS):
                return

    async def _tick(self) -> bool:
        assert self._bench.stage.tick is not None
        try:
            envelopes = await self._bench.stage.tick(self._bench.clock())
            if envelopes:
                self._bench.crash("after_handle", envelopes)
                with self._bench.tracing.telling(self._bench.spec.name, envelopes) as told:
                    await self._settler.send(told, work=told)
        except Unavailable as error:
            log.warning("stage.tick_held", stage=self._bench.spec.name, reason=reason_of(error))
        except Exception as error:  # noqa: BLE001 - a tick that fails must not end the stage; the next one comes
            self._bench.metrics.tick_failed()
            log.error("stage.tick_failed", stage=self._bench.spec.name, reason=reason_of(error))
        else:
            self.working = True
            return len(envelopes) >= FULL_TICK or _bytes(envelopes) >= FULL_BYTES
        self.working = False
        return False


def _bytes(envelopes: Sequence[Envelope]) -> int:
    return sum([len(envelope.body) for envelope in envelopes if isinstance(envelope.body, bytes)])
