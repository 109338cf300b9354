"""What the door tells the ledger: how many pushes of a source it answered 200, by hour."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from ingest.group_commit import GroupCommit
from runtime import drain
from runtime.broker.base import Broker
from schemas.envelope import Envelope, Kind, new_id
from schemas.errors import Unavailable

log = structlog.get_logger()

TALLY_SECONDS: Final = 60.0
PROBE_SECONDS: Final = 1.0
HOUR_SECONDS: Final = 3600


class Tallies:
    """Tells the ledger what was answered 200.

    A tally that was not confirmed may be stored all the same, so it is sent again as it is: the store knows its id.
    """

    def __init__(self, answered: Counter[tuple[str, int]], commit: GroupCommit, clock: Callable[[], datetime]) -> None:
        self._answered = answered
        self._commit = commit
        self._clock = clock
        self._unconfirmed: list[Envelope] = []
        self._told = ""  # why the last one was kept; the same is not told each second of an outage

    async def send_each_minute(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TALLY_SECONDS)
            await self.send()

    async def probe(self, broker: Broker, sources: Callable[[], Sequence[str]]) -> None:
        """Until cancelled: while the door could store nothing, try it with a tally, be it of no answer at all.

        So a door that was taken out for that, and hears no push any more, comes back by itself.
        """
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            known = sources()
            if not known or not self._commit.trouble or broker.trouble:
                continue
            if not self.waiting:
                hour = int(self._clock().timestamp()) // HOUR_SECONDS
                self._unconfirmed.append(self._tally(known[0], hour, 0))
            await self.send()

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return bool(self._unconfirmed or self._answered)

    async def send(self) -> None:
        """What is still unconfirmed, and what was answered since; what cannot be sent now waits for the next time."""
        self._unconfirmed += [self._tally(source, hour, count) for (source, hour), count in self._answered.items()]
        self._answered.clear()
        waiting, self._unconfirmed = self._unconfirmed, []
        for tally in waiting:
            try:
                await self._commit.store(tally, timeout_seconds=drain.TALLY)
            except Unavailable as error:
                if str(error) != self._told:
                    log.warning("tally.kept", source=tally.source, reason=str(error))
                self._told = str(error)
                self._unconfirmed.append(tally)
            except asyncio.CancelledError:
                self._unconfirmed += waiting[waiting.index(tally) :]
                raise
            else:
                self._told = ""

    def _tally(self, source: str, hour: int, answered: int) -> Envelope:
        now = self._clock()
        body = {"hour": f"{datetime.fromtimestamp(hour * HOUR_SECONDS, UTC):%Y-%m-%dT%H}", "answered": answered}
        return Envelope(id=new_id(now), kind=Kind.TALLY, source=source, at=now, body=body)
