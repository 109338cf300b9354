"""The stage of now: what a loop works with can be exchanged for another while batches are under way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime

import structlog

from runtime.verdict import reason_of
from schemas.envelope import Envelope
from schemas.stage import Outcome, Stage

log = structlog.get_logger()


class _Opened:
    """A stage, what it keeps open, and how many batches are with it."""

    def __init__(self, stage: Stage, resources: AsyncExitStack) -> None:
        self.stage = stage
        self.resources = resources
        self.batches = 0


class Current:
    """A batch ends with the stage that it began with; one that was exchanged is closed after its last batch."""

    def __init__(self, stage: Stage, resources: AsyncExitStack | None = None) -> None:
        self._now = _Opened(stage, resources or AsyncExitStack())
        self.stage = Stage(
            self._handle,
            tick=self._tick if stage.tick else None,
            published=self._published if stage.published else None,
        )

    async def exchange(self, stage: Stage, resources: AsyncExitStack | None = None) -> None:
        """From now on `stage`, of the same shape, whose `resources` are closed with it."""
        old, self._now = self._now, _Opened(stage, resources or AsyncExitStack())
        if not old.batches:
            await _close(old)

    async def close(self) -> None:
        """Once nothing is under way."""
        await self._now.resources.aclose()

    async def _handle(self, batch: Sequence[Envelope]) -> Outcome:
        mine = self._now
        mine.batches += 1
        try:
            return await mine.stage.handle(batch)
        finally:
            mine.batches -= 1
            if mine is not self._now and not mine.batches:
                await _close(mine)

    async def _tick(self, now: datetime) -> Sequence[Envelope]:
        assert self._now.stage.tick is not None
        return await self._now.stage.tick(now)

    async def _published(self, ids: Sequence[str]) -> None:
        assert self._now.stage.published is not None
        await self._now.stage.published(ids)


async def _close(one: _Opened) -> None:
    """One that is not of use any more: what it fails at must fail neither its last batch nor the exchange."""
    try:
        await one.resources.aclose()
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("stage.not_closed", reason=reason_of(error))
