"""What becomes of events at sinks, kept as the delivery log: gathered in memory, and written once a second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import structlog

from runtime.clock import Clock
from runtime.verdict import DeadLetter, Policy, reason_of, verdict
from schemas.envelope import Envelope
from schemas.errors import Away, CallstitchError, Unavailable
from workers.retention import now_and_then
from workers.stores.deliveries import Attempt, DeliveryStore, End, rows_of

MOST: Final = 200_000  # events that wait to be written, as while the store is away
ANSWER_CHARACTERS: Final = 80

Log = Callable[[Sequence[Envelope], Sequence[Exception | None]], None]

log = structlog.get_logger()


class DeliveryLog:
    """Gathers what sinks say; what was not written when a process is killed is of its last second."""

    def __init__(self, store: DeliveryStore, clock: Clock, policy: Policy, kept: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._gathered: defaultdict[Attempt, list[str]] = defaultdict(list)
        self._waiting = 0
        self._lost = 0
        self._forget = now_and_then(self._expire)
        self._kept = kept

    def of(self, sink: str, taken: str) -> Log:
        """What hears how each event of a batch of that sink ended; `taken` is how it answers what it took."""

        def hear(batch: Sequence[Envelope], results: Sequence[Exception | None]) -> None:
            at = self._clock().replace(microsecond=0)
            if self._waiting > MOST:
                self._lost += len(batch)
                return
            self._waiting += len(batch)
            went: defaultdict[int, list[str]] = defaultdict(list)
            for envelope, error in zip(batch, results, strict=True):
                if error is None:
                    went[envelope.attempt].append(envelope.id)
                else:
                    self._failed(sink, at, envelope, error)
            for attempt, ids in went.items():
                self._gathered[Attempt(sink, at, attempt, taken, "acked")] += ids

        return hear

    def _failed(self, sink: str, at: datetime, envelope: Envelope, error: Exception) -> None:
        answer = str(error) if isinstance(error, CallstitchError) else reason_of(error)
        ended: End = "held" if isinstance(error, Away) else "retry"
        if isinstance(verdict(error, envelope.attempt, self._policy), DeadLetter):
            ended = "dead"
        attempt = Attempt(sink, at, envelope.attempt, answer[:ANSWER_CHARACTERS], ended)
        self._gathered[attempt].append(envelope.id)

    async def write(self) -> None:
        """Write what was gathered, and forget what is old.

        Raises:
            Unavailable: the store is away; then it is written the next time, as far as there is room for it.
        """
        gathered, self._gathered = self._gathered, defaultdict(list)
        try:
            if gathered:
                await self._store.keep(rows_of(gathered))
        except BaseException:
            for attempt, ids in gathered.items():
                self._gathered[attempt] += ids
            raise
        self._waiting -= sum(map(len, gathered.values()))
        if self._lost:
            log.warning("sink.log_incomplete", events=self._lost)
            self._lost = 0
        await self._forget(self._clock())

    async def close(self) -> None:
        """Write what is left, if it can be."""
        with suppress(Unavailable):
            await self.write()

    async def _expire(self, now: datetime, _most: int) -> int:
        await self._store.forget(now - self._kept)
        return 0
