"""How many files this process may open, and how many of them may be connections of strangers."""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BACKLOG: Final = 1024
RESERVE_MOST: Final = 2048  # for the admin port, broker, stores, sinks and downloads; a quarter where files are few
_IN_USE_UNKNOWN: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a port may hold: `connections`, and as many more as may come in one turn of the loop."""

    connections: int
    reserve: int
    limit: int

    @property
    def backlog(self) -> int:
        """How many may wait in the kernel. asyncio's own loop opens as many in one turn, before any is closed for them.

        Then no more than the reserve can bear; uvloop opens one a turn (0.23, tried).
        """
        all_at_once = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
        return max(1, min(BACKLOG, self.reserve // 2)) if all_at_once else BACKLOG

    @property
    def admin(self) -> int:
        """How many connections the admin port holds, out of the reserve."""
        return max(2, min(32, self.reserve // 2))


def raise_limit() -> None:
    """Allow ourselves as many open files as the system does; a shell's 1,024 are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # macOS says "unlimited" and does not mean it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for(connections: int) -> Room:
    """How many of the wanted connections fit beside what is open now and a reserve."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return Room(connections=connections, reserve=RESERVE_MOST, limit=limit)
    reserve = min(RESERVE_MOST, limit // 4)
    return Room(connections=max(1, min(connections, limit - reserve - _in_use())), reserve=reserve, limit=limit)


def _in_use() -> int:
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return _IN_USE_UNKNOWN
