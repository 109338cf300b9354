"""Time as an argument: wall clock at start plus monotonic, so that a jump of the wall clock moves no deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def system_clock() -> Clock:
    """A clock that reads the wall once, now, and counts on from there; its times are aware UTC."""
    wall, started = datetime.now(UTC), time.monotonic()

    def now() -> datetime:
        return wall + timedelta(seconds=time.monotonic() - started)

    return now
