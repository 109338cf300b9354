"""What correlate's store in PostgreSQL forgets, and the outbox's days: one partition each, dropped whole.

Days are made two ahead and dropped by whichever worker's tick comes by, one worker at a time and without waiting for
locks for long; while a day has no partition its rows live in `outbox_rest`, and leave that in chunks. A sent row, and
with it its session, so stays for up to a day longer than workers.retention says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final

import asyncpg

from schemas.errors import Unavailable
from workers.retention import Retention
from workers.stores.postgresql.pool import Connection, Database
from workers.stores.sessions import taken_over

Work = Callable[[Connection], Awaitable[bool]]

DAYS_AHEAD: Final = 2
TAKEN_AT_ONCE: Final = 500
_PREFIX: Final = "outbox_on_"
_ONE_AT_A_TIME: Final = 0x64617973
_TRY_LOCK: Final = "SELECT pg_try_advisory_xact_lock($1)"
_DAYS: Final = (
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'outbox'::regclass ORDER BY 1"
)
# Sessions whose record that day's rows hold, and which outlive it; the others are forgotten as soon as it is gone.
_OUTLIVING: Final = """
SELECT s.id, s.state, o.envelope FROM session s JOIN outbox o ON o.id = s.said AND o.day = s.said_on
WHERE s.said_on = $1 AND s.id = ANY (ARRAY(
    SELECT id FROM session WHERE said_on = $1 AND updated_at > $2
    UNION SELECT id FROM session WHERE said_on = $1 AND due_at IS NOT NULL LIMIT $3))
ORDER BY s.id FOR UPDATE OF s
"""
_TAKE_OVER: Final = (
    "UPDATE session s SET state = u.state, said = NULL, said_on = NULL FROM unnest($1::bytea[], $2::bytea[])"
    " AS u (id, state) WHERE s.id = u.id"
)
_HELD: Final = "SELECT DISTINCT day FROM unsent"
_SESSIONS: Final = """
WITH quiet AS (
    SELECT id FROM session s WHERE due_at IS NULL AND updated_at <= $1
    AND NOT EXISTS (SELECT FROM outbox o WHERE o.call_id = s.id) LIMIT $2 FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM session s USING quiet q WHERE s.id = q.id RETURNING s.id, s.revision, s.status)
INSERT INTO tombstone SELECT id, revision, status, $3 FROM gone ORDER BY id
ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, status = excluded.status, at = excluded.at
"""
_REST: Final = (
    "DELETE FROM outbox_rest WHERE n = ANY (ARRAY(SELECT n FROM outbox_rest r WHERE day < $1"
    " AND NOT EXISTS (SELECT FROM unsent u WHERE u.n = r.n) AND NOT EXISTS (SELECT FROM session s"
    " WHERE s.id = r.call_id AND s.said = r.id AND (s.due_at IS NOT NULL OR s.updated_at > $3))"
    " ORDER BY n LIMIT $2 FOR UPDATE SKIP LOCKED))"
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
    quiet, first = now - kept.sessions, _day(now - kept.outbox)
    gone = 0
    for day in await _days_before(database, first):
        if await database.transact(partial(_take_over, day=day, quiet=quiet)) >= TAKEN_AT_ONCE:
            return limit  # before anything else, at the next tick
        gone += await _try(database, partial(_drop_day, day=day))
    for query, arguments in (
        (_REST, (first, limit, quiet)),
        (_SESSIONS, (quiet, limit, now)),
        (_TOMBSTONES, (now - kept.tombstones, limit)),
    ):
        gone += await database.execute(query, *arguments)
    return gone


async def keep_days(database: Database, now: datetime) -> None:
    """Make the partitions of today and the next days; what cannot be made now is tried again next time."""
    today = _day(now)
    wanted = [today + timedelta(days=n) for n in range(DAYS_AHEAD + 1)]
    known = await database.fetch(_DAYS)
    there = {row["relname"] for row in known}
    for day in wanted:
        if _name(day) not in there:
            await _try(database, partial(_make_day, day=day))


async def _days_before(database: Database, first: date) -> Sequence[date]:
    """The days before that one of which all was sent; one unsent row keeps its day."""
    names = [row["relname"] for row in await database.fetch(_DAYS)]
    days = [date.fromisoformat(name.removeprefix(_PREFIX)) for name in names if name.startswith(_PREFIX)]
    held = {row["day"] for row in await database.fetch(_HELD)}
    return [day for day in days if day < first and day not in held]


async def _take_over(connection: Connection, *, day: date, quiet: datetime) -> int:
    """Give sessions that outlive their day the record that it holds; how many."""
    rows = await connection.fetch(_OUTLIVING, day, quiet, TAKEN_AT_ONCE)
    if rows:
        states = [taken_over(row["state"], row["envelope"]) for row in rows]
        await connection.execute(_TAKE_OVER, [row["id"] for row in rows], states)
    return len(rows)


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _name(day: date) -> str:
    return f"{_PREFIX}{day:%Y%m%d}"


async def _make_day(connection: Connection, *, day: date) -> bool:
    await connection.execute(
        f"CREATE TABLE IF NOT EXISTS {_name(day)} PARTITION OF outbox"
        f" FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
    )
    return True


async def _drop_day(connection: Connection, *, day: date) -> bool:
    await connection.execute(f"DROP TABLE {_name(day)}")
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
