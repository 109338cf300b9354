"""The ledger as metrics: what `callstitch reconcile` would say, looked at again and again by the role that parks.

So nobody has to run the command by a clock to be alerted. It compares counts alone and names no fact: that reads what
sessions hold, and the command does it on an operator's word.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry

from console.ledger.equations import Difference
from runtime.telemetry.made import gauge
from runtime.verdict import reason_of
from schemas.envelope import JsonObject

log = structlog.get_logger()

EVERY_SECONDS: Final = 300.0
AGAIN_SECONDS: Final = 15.0  # after a look that came to nothing, as at a start before there is anything to compare
IDLE: Final = 19  # times as long as a look took, at least, until the next: a twentieth of one connection at most
STATES: Final = ("ok", "in_flight", "differs")


class Account(Protocol):
    """As much of the account as is told here."""

    @property
    def rows(self) -> Sequence[JsonObject]:
        """One by source and hour."""
        ...

    @property
    def differences(self) -> Sequence[Difference]:
        """The equations that do not hold."""
        ...


class LedgerWatch:
    """Its gauges, there from the start; `reckon` gives the account as of now."""

    def __init__(
        self, reckon: Callable[[], Awaitable[Account]], *, sources: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._reckon = reckon
        self._sources = sources
        self._hours = gauge("callstitch_ledger_hours", registry)
        self._checked = gauge("callstitch_ledger_checked_timestamp_seconds", registry)
        self._reason = ""
        self._tell(Counter())

    async def run(self) -> None:
        """Look at once, and then every five minutes for as long as it is not cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            pause = EVERY_SECONDS if await self.look() else AGAIN_SECONDS
            await asyncio.sleep(max(pause, IDLE * (loop.time() - began)))

    async def look(self) -> bool:
        """One look; False where the store does not answer: the last one stands, with its time."""
        try:
            account = await self._reckon()
        except Exception as error:  # noqa: BLE001 - what only looks on must not end the stage that it looks from
            reason = reason_of(error)
            if reason != self._reason:  # an outage is one line, however often we look
                log.warning("ledger.unchecked", reason=reason)
            self._reason = reason
            return False
        if self._reason:
            log.info("ledger.checked")
        self._reason = ""
        self._tell(hours_by_state(account))
        self._checked.set(datetime.now(UTC).timestamp())
        return True

    def _tell(self, hours: Counter[tuple[str, str]]) -> None:
        self._hours.clear()
        for source in {*self._sources, *(source for source, _ in hours)}:
            for state in STATES:
                self._hours.labels(source, state).set(hours[source, state])


def hours_by_state(account: Account) -> Counter[tuple[str, str]]:
    """How many hours of each source are in which state."""
    worst: dict[tuple[str, str], str] = {(row["source"], row["hour"]): "ok" for row in account.rows}
    for one in account.differences:
        key = (one.source, one.hour)
        if worst.get(key) != "differs":
            worst[key] = "in_flight" if one.in_flight else "differs"
    return Counter((source, state) for (source, _), state in worst.items())
