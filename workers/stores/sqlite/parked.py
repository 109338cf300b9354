"""Parked messages, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from operator import itemgetter
from typing import Final

from workers.park import Parked
from workers.stores.ledger import origin
from workers.stores.sqlite.file import SqliteFile, micros, moment
from workers.stores.sqlite.purge import empty
from workers.stores.sweep import in_steps, within

_VERSION_1: Final = """
CREATE TABLE IF NOT EXISTS parked (
    id TEXT PRIMARY KEY, box TEXT NOT NULL, stage TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
    signature TEXT NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, attempts INTEGER NOT NULL,
    raw BLOB NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parked_signature ON parked (box, signature);
"""
_VERSION_2: Final = "CREATE INDEX parked_wanted ON parked (box) WHERE state = 'wanted';"
_VERSION_3: Final = """
ALTER TABLE parked ADD COLUMN hour TEXT;
ALTER TABLE parked ADD COLUMN kind TEXT;
"""  # see ledger.origin; NULL in what an older program parked
_VERSION_4: Final = "ALTER TABLE parked ADD COLUMN items INTEGER NOT NULL DEFAULT 1;"
_VERSION_5: Final = "ALTER TABLE parked ADD COLUMN emptied INTEGER NOT NULL DEFAULT 0;"
_WHOLE: Final = "emptied = 0 AND state IN ('parked', 'replayed')"
PARKED_MIGRATIONS: Final = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5)


class SqliteParked:
    """ParkedStore on one file."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def park(self, messages: Sequence[Parked]) -> None:
        """As `ParkedStore` promises."""
        await self._file.write(_park, messages)

    async def want(self, ids: Sequence[str]) -> int:
        """As `ParkedStore` promises."""
        return await self._file.write(_mark, ids, "parked", "wanted")

    async def wanted(self, box: str, limit: int) -> Sequence[tuple[str, bytes]]:
        """As `ParkedStore` promises."""
        return await self._file.write(_wanted, box, limit)

    async def replayed(self, ids: Sequence[str], now: datetime) -> None:
        """As `ParkedStore` promises."""
        if ids:
            await self._file.write(_replayed, ids, micros(now))

    async def purge(self, ids: Sequence[str]) -> int:
        """As `ParkedStore` promises."""
        done = await self._empty(await self._file.write(_sizes, ids), "purged")
        await self._file.compact()
        return done

    async def look(self, now: datetime) -> Mapping[str, int]:  # noqa: ARG002 - the others tell what is overdue
        """As `ParkedStore` promises."""
        return await self._file.write(_look)

    async def expire(self, box: str, before: datetime, limit: int) -> int:
        """As `ParkedStore` promises."""
        return await self._empty(await self._file.write(_old, box, micros(before), limit), "expired")

    async def _empty(self, sized: Sequence[tuple[str, int]], state: str) -> int:
        """Some bytes at a time, so that neither a transaction nor who waits for it grows with all of them."""
        done = 0
        for some in in_steps(sized, itemgetter(1)):
            done += await self._file.write(empty, [parked_id for parked_id, _ in some], state)
        return done

    async def expiring(self, box: str, before: datetime) -> tuple[int, datetime | None]:
        """As `ParkedStore` promises."""
        count, first = await self._file.write(_expiring, box, micros(before))
        return count, moment(first) if count else None

    async def unwanted(self, ids: Sequence[str]) -> None:
        """As `ParkedStore` promises."""
        if ids:
            await self._file.write(_mark, ids, "wanted", "parked")


def _look(db: sqlite3.Connection) -> Mapping[str, int]:
    db.execute("SELECT 1 FROM parked LIMIT 1").fetchone()
    return {}


def _park(db: sqlite3.Connection, messages: Sequence[Parked]) -> None:
    db.executemany(
        "INSERT INTO parked VALUES (?,?,?,?,?,?,?,?,?,?,'parked',?,?,?,0) ON CONFLICT (id) DO UPDATE SET"
        " attempts = attempts + excluded.attempts, last_at = excluded.last_at, reason = excluded.reason,"
        " signature = excluded.signature, items = max(items, excluded.items),"
        " state = CASE state WHEN 'purged' THEN state ELSE excluded.state END,"
        " raw = CASE WHEN (box = 'quarantine' OR emptied) AND state <> 'purged' THEN excluded.raw ELSE raw END,"
        " emptied = emptied AND state = 'purged'",
        map(_columns, messages),
    )


def _columns(m: Parked) -> tuple[str | int | bytes, ...]:
    at = micros(m.at)
    return (m.id, m.box, m.stage, m.source, m.reason, m.signature, at, at, m.attempts, m.raw, *origin(m.raw), m.items)


def _mark(db: sqlite3.Connection, ids: Sequence[str], before: str, after: str) -> int:
    query = "UPDATE parked SET state = ? WHERE id = ? AND state = ?"
    return db.executemany(query, [(after, parked_id, before) for parked_id in ids]).rowcount


def _replayed(db: sqlite3.Connection, ids: Sequence[str], now: int) -> None:
    query = "UPDATE parked SET state = 'replayed', last_at = max(last_at, ?) WHERE id = ? AND state = 'wanted'"
    db.executemany(query, [(now, parked_id) for parked_id in ids])


def _old(db: sqlite3.Connection, box: str, before: int, limit: int) -> list[tuple[str, int]]:
    query = f"SELECT id, length(raw) FROM parked WHERE box = ? AND last_at <= ? AND {_WHOLE} LIMIT ?"  # noqa: S608 - our own text
    return db.execute(query, (box, before, limit)).fetchall()


def _sizes(db: sqlite3.Connection, ids: Sequence[str]) -> list[tuple[str, int]]:
    query = "SELECT id, length(raw) FROM parked WHERE id = ?"
    return [row for parked_id in ids for row in db.execute(query, (parked_id,))]


def _expiring(db: sqlite3.Connection, box: str, before: int) -> tuple[int, int]:
    query = "SELECT count(*), min(last_at) FROM parked WHERE box = ? AND last_at <= ? AND state = 'parked'"
    found: tuple[int, int] = db.execute(query, (box, before)).fetchone()
    return found


def _wanted(db: sqlite3.Connection, box: str, limit: int) -> list[tuple[str, bytes]]:
    query = "SELECT id, raw FROM parked WHERE state = 'wanted' AND box = ? ORDER BY first_at LIMIT ?"
    with closing(db.execute(query, (box, limit))) as rows:
        return within(rows, lambda row: len(row[1]))
