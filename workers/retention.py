"""How long the stores keep what, and how often a stage's tick lets them forget (docs/design.md section 5, Retention).

Small chunks, so that a batch never waits long behind a deletion; a full chunk is followed by another at the next
tick, so that forgetting keeps up with what comes in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Self

from pydantic import model_validator

from schemas.settings import Duration, Settings

CLAIMS_KEPT: Final = timedelta(days=7)  # receipts and tallies too; platforms push again for 10 hours at most
OUTBOX_LEAST: Final = timedelta(days=2)  # the ledger compares what is a day younger than all that it counts
WARNED: Final = timedelta(days=14)  # how long before a parked message goes it is warned of
EVERY: Final = timedelta(minutes=1)
EXPIRE_ROWS: Final = 5000

Expire = Callable[[datetime, int], Awaitable[int]]


class Retention(Settings):
    """How long what is kept.

    `outbox`: after it was said, and until it was sent. `sessions`: after the last change, with nothing due and nothing
    younger in the outbox.
    `tombstones`: what stays of a session. `parked`: messages that were set aside, for ever unless it is set.
    """

    outbox: Duration = timedelta(days=7)
    sessions: Duration = timedelta(days=7)
    tombstones: Duration = timedelta(days=400)
    parked: Duration | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.tombstones >= self.sessions >= CLAIMS_KEPT:
            raise ValueError("must be tombstones >= sessions >= 7d, which is how long claims are kept")
        if self.outbox < OUTBOX_LEAST:
            raise ValueError("outbox must be 2d at least: the ledger compares by it")
        if self.parked is not None and self.parked <= WARNED:
            raise ValueError("parked must be longer than 14d: so long before it is warned of what goes")
        return self


AS_EVER: Final = Retention()


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
