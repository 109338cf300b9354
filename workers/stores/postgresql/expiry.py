"""What correlate's store in PostgreSQL forgets, and the outbox's days: one partition each, dropped whole.

Days are made two ahead and dropped by whichever worker's tick comes by, one worker at a time and without waiting for
locks for long; while a day has no partition its rows live in `outbox_rest`, and leave that in chunks. A sent row, and
with it its session, so stays for up to a day longer than workers.retention says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final

import asyncpg

from schemas.errors import Unavailable
from workers.retention import Retention
from workers.stores.postgresql.pool import Connection, Database

Work = Callable[[Connection], Awaitable[bool]]

DAYS_AHEAD: Final = 2
_PREFIX: Final = "outbox_on_"
_ONE_AT_A_TIME: Final = 0x64617973
_TRY_LOCK: Final = "SELECT pg_try_advisory_xact_lock($1)"
_DAYS: Final = (
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'outbox'::regclass ORDER BY 1"
)
_SESSIONS: Final = """
WITH quiet AS (
    SELECT id FROM session s WHERE due_at IS NULL AND updated_at <= $1
    AND NOT EXISTS (SELECT FROM outbox o WHERE o.call_id = s.id) LIMIT $2 FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM session s USING quiet q WHERE s.id = q.id RETURNING s.id, s.revision, s.status)
INSERT INTO tombstone SELECT id, revision, status, $3 FROM gone ORDER BY id
ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, status = excluded.status, at = excluded.at
"""
_REST: Final = (
    "DELETE FROM outbox_rest WHERE n = ANY (ARRAY("
    "SELECT n FROM outbox_rest WHERE sent_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))"
)
_TOMBSTONES: Final = (
    "DELETE FROM tombstone WHERE id = ANY (ARRAY("
    "SELECT id FROM tombstone WHERE at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))"
)


async def expire_sessions(database: Database, now: datetime, limit: int, kept: Retention) -> int:
    """As `SessionStore` promises; a dropped day counts as one row.

    Raises:
        Unavailable: see Database.transact.
    """
    await keep_days(database, now)
    gone = await _drop_days(database, now - kept.outbox)
    for query, arguments in (
        (_REST, (now - kept.outbox, limit)),
        (_SESSIONS, (now - kept.sessions, limit, now)),
        (_TOMBSTONES, (now - kept.tombstones, limit)),
    ):
        gone += await database.execute(query, *arguments)
    return gone


async def keep_days(database: Database, now: datetime) -> None:
    """Make the partitions of today and the next days; what cannot be made now is tried again next time."""
    today = now.astimezone(UTC).date()
    wanted = [today + timedelta(days=n) for n in range(DAYS_AHEAD + 1)]
    known = await database.fetch(_DAYS)
    there = {row["relname"] for row in known}
    for day in wanted:
        if _name(day) not in there:
            await _try(database, partial(_make_day, day=day))


async def _drop_days(database: Database, before: datetime) -> int:
    known = await database.fetch(_DAYS)
    old = [row["relname"] for row in known if row["relname"] < _name(before.astimezone(UTC).date())]
    days = [name for name in old if name.startswith(_PREFIX)]
    return sum([await _try(database, partial(_drop_day, name=name, before=before)) for name in days])


def _name(day: date) -> str:
    return f"{_PREFIX}{day:%Y%m%d}"


async def _make_day(connection: Connection, *, day: date) -> bool:
    await connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_name(day)} PARTITION OF outbox"
        f" FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
    )
    return True


async def _drop_day(connection: Connection, *, name: str, before: datetime) -> bool:
    """Only when all of it was sent, and long enough ago; one unsent row keeps its day."""
    kept = " OR ".join(f"EXISTS (SELECT FROM {name} WHERE {why})" for why in ("sent_at IS NULL", "sent_at > $1"))
    if await connection.fetchval(f"SELECT {kept}", before):
        return False
    await connection.execute(f"DROP TABLE {name}")
    return True


async def _try(database: Database, work: Work) -> bool:
    """Whether it was done; not when another worker is at it, a lock is not to be had, or rows stand in the way."""
    try:
        return await database.transact(partial(_alone, work=work))
    except (Unavailable, asyncpg.CheckViolationError):
        return False


async def _alone(connection: Connection, *, work: Work) -> bool:
    await connection.execute("SET LOCAL lock_timeout = '500ms'")
    if not await connection.fetchval(_TRY_LOCK, _ONE_AT_A_TIME):
        return False
    return await work(connection)
