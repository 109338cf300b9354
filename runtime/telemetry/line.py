"""The wide log line of a stage: what it did since the last one, at most one a second however many batches that were."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger()

GATHERED_SECONDS: Final = 1.0


class WideLine:
    """Gathers numbers of one stage; within a second of the first it tells them as `stage.batch`.

    Numbers alone, so nothing of a person can stand in it; two dictionary updates a batch is what it costs.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._numbers: Counter[str] = Counter()
        self._seconds = 0.0
        self._oldest = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, **numbers: int) -> None:
        """So many more of each."""
        self._numbers.update(numbers)
        if self._timer is None:
            with suppress(RuntimeError):  # no loop runs: whoever asks tells
                self._timer = asyncio.get_running_loop().call_later(GATHERED_SECONDS, self.tell)

    def took(self, oldest: float) -> None:
        """A batch whose oldest envelope has this age."""
        self._oldest = max(self._oldest, oldest)

    def handled(self, seconds: float) -> None:
        """The handler took so long for a batch."""
        self._seconds += seconds

    def tell(self) -> None:
        """Now, if there is anything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._numbers:
            log.info("stage.batch", stage=self._stage, **self._numbers, seconds=round(self._seconds, 4),
                     oldest_seconds=round(self._oldest, 3))  # fmt: skip
        self._numbers.clear()
        self._seconds = self._oldest = 0.0
