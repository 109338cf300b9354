"""The server's clock, for whoever shares its sessions.

Read once when the store opens and counted on by our own monotonic clock: a jump of either wall clock moves no deadline
of a running process (docs/design.md section 5, Deadlines), and a worker whose wall clock is wrong fires none early.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta


def counting_on(server_now: datetime) -> Callable[[], datetime]:
    """A clock that showed `server_now` a moment ago; late by a network's round trip at most."""
    started = time.monotonic()

    def now() -> datetime:
        return server_now + timedelta(seconds=time.monotonic() - started)

    return now
