"""How a request ends at the door: what is counted and logged of it, whichever way it was answered."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from typing import Final

import structlog
from aiohttp import web

from ingest.entrance import Entrance
from ingest.state import DoorState
from ingest.tallies import HOUR_SECONDS
from runtime.telemetry import Telemetry
from runtime.telemetry.door import UNKNOWN
from schemas.errors import Rejected, Unavailable

log = structlog.get_logger()

RETRY_AFTER_SECONDS: Final = 5


class Outcomes:
    """`answered` counts the 200s by source and hour (since 1970) until a tally takes them."""

    def __init__(self, telemetry: Telemetry, state: DoorState) -> None:
        self._unknown = telemetry.door(UNKNOWN)
        self._unstored = telemetry.unstored
        self._state = state
        self.answered: Counter[tuple[str, int]] = Counter()

    @property
    def leaving(self) -> bool:
        """Whether each answer is the last one on its connection."""
        return self._state.leaving

    @property
    def closed(self) -> bool:
        """Whether an operator has closed the door."""
        return bool(self._state.closed)

    def stored(self, entrance: Entrance, at: datetime) -> None:
        """A push that came at that time is stored."""
        entrance.metrics.accepted += 1
        self.answered[entrance.name, int(at.timestamp()) // HOUR_SECONDS] += 1

    def not_stored(self, error: Unavailable) -> Rejected:
        """A push could not be stored: what it is answered for that."""
        self._unstored.labels(error.why).inc()
        return Rejected(f"not stored, {error.why}: {error}", status=503)

    def refused(self, error: Rejected, entrance: Entrance | None, remote: str | None) -> web.StreamResponse:
        """The answer to a request that is refused."""
        name = entrance.name if entrance is not None else UNKNOWN
        log.warning("door.refused", source=name, status=error.status, reason=str(error), remote=remote)
        return _refusal(error)

    def ended(self, answer: web.StreamResponse, entrance: Entrance | None, started: float) -> web.StreamResponse:
        """The answer as it goes out, to a request that began at `started` (perf_counter)."""
        if self._state.leaving:
            answer.force_close()
        metrics = entrance.metrics if entrance is not None else self._unknown
        metrics.answered(answer.status, time.perf_counter() - started)
        return answer


def _refusal(error: Rejected) -> web.Response:
    response = web.Response(status=error.status)
    if error.status == 405:  # noqa: PLR2004 - the contract's own number
        response.headers["Allow"] = "POST"
    if error.status == 503:  # noqa: PLR2004
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if error.status in (400, 408, 413):
        response.force_close()
    return response
