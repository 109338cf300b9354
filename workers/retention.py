"""How long the stores keep what, and how often a stage's tick lets them forget (docs/design.md section 5, Retention).

Small chunks, so that a batch never waits long behind a deletion; a full chunk is followed by another at the next
tick, so that forgetting keeps up with what comes in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

CLAIMS_KEPT: Final = timedelta(days=7)  # receipts and tallies too; platforms push again for 10 hours at most
SESSIONS_KEPT: Final = timedelta(days=7)  # after the last change, with nothing due and nothing left in the outbox
OUTBOX_KEPT: Final = timedelta(days=7)  # after it was sent
TOMBSTONES_KEPT: Final = timedelta(days=400)
EVERY: Final = timedelta(minutes=1)
EXPIRE_ROWS: Final = 5000

Expire = Callable[[datetime, int], Awaitable[int]]


def now_and_then(expire: Expire) -> Callable[[datetime], Awaitable[None]]:
    """What a tick awaits: `expire(now, EXPIRE_ROWS)` about once a minute, or again at once while chunks are full."""
    due: datetime | None = None

    async def forget(now: datetime) -> None:
        nonlocal due
        if due is not None and now < due:
            return
        due = now + EVERY  # first: a deletion that fails costs one tick a minute, not every one
        if await expire(now, EXPIRE_ROWS) >= EXPIRE_ROWS:
            due = now

    return forget
