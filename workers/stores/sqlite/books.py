"""The ledger, read from the files of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from schemas.envelope import JsonObject
from workers.stores.ledger import (
    LAST_HOUR,
    REVISIONS,
    ArrivedFact,
    HourCount,
    Pair,
    ParkedCount,
    PassedFact,
    Said,
    arrived_facts,
    hour_of,
    parked_pair,
)
from workers.stores.sqlite.file import asked, has_column, micros, moment
from workers.stores.sqlite.outbox import has_left

_RECEIPTS: Final = (
    "SELECT source, hour, count(*) receipts, sum(items) items, sum(new) 'unique', sum(amended) amended,"
    " sum(duplicate) duplicate, sum(quarantined) quarantined FROM receipt GROUP BY 1, 2"
)
_TALLIES: Final = "SELECT source, hour, sum(answered) answered FROM tally GROUP BY 1, 2"
_SESSIONS: Final = (
    "SELECT source, hour, count(*) sessions, sum(status = 'completed') completed,"
    " sum(status = 'incomplete') incomplete, sum(status = 'open') open FROM session GROUP BY 1, 2"
)
_HOUR_MICROS: Final = 3_600_000_000
_AT_ONCE: Final = "SELECT EXISTS (SELECT 1 FROM claim WHERE source = '')"
_PASSED: Final = (
    "SELECT source, at / ?, count(*) FROM claim WHERE at >= ? AND source IS NOT '' GROUP BY 1, 2"  # NULL is not ''
)
_ARRIVED: Final = (
    "SELECT source, key, sum(value) FROM session, json_each(session.arrived) WHERE arrived IS NOT NULL GROUP BY 1, 2"
)
_UNCOUNTED: Final = "SELECT count(*), max(updated_at) FROM session WHERE arrived IS NULL"
_REVISED: Final = " OR ".join(f"route LIKE '{kind}.%'" for kind in REVISIONS)
_BY_CALL: Final = (
    "FROM session s LEFT JOIN tombstone t ON t.id = s.id LEFT JOIN (SELECT call_id, count(*) made, sum({left}) sent"  # noqa: S608 - our own text
    f" FROM outbox WHERE {_REVISED} GROUP BY 1) o ON o.call_id = s.id"
)
_SAID: Final = (
    "SELECT s.source, s.hour, sum(s.revision - coalesce(t.revision, 0)), coalesce(sum(o.made), 0),"
    f" coalesce(sum(o.sent), 0) {_BY_CALL} GROUP BY 1, 2"
)
_UNSAID: Final = (
    f"SELECT s.id, s.revision - coalesce(t.revision, 0), coalesce(o.made, 0) {_BY_CALL} WHERE s.source = ?"
    " AND s.hour = ? AND s.revision - coalesce(t.revision, 0) <> coalesce(o.made, 0) ORDER BY 1 LIMIT ?"
)
_PARKED: Final = """
SELECT source, coalesce(hour, substr(json_extract(CAST(raw AS TEXT), '$.at'), 1, 13),
        strftime('%Y-%m-%dT%H', first_at / 1000000, 'unixepoch')),
    box, stage, coalesce(kind, json_extract(CAST(raw AS TEXT), '$.body.envelope.kind'), ''), state, count(*),
    {items}
FROM parked GROUP BY 1, 2, 3, 4, 5, 6
"""
_PARKED_COUNT: Final = ("source", "hour", "box", "stage", "kind", "state", "count", "items")
_PASSED_FACTS: Final = "SELECT key, fingerprint, owner, at FROM claim WHERE at >= ? AND at < ? AND source = ?"
_ARRIVED_FACTS: Final = (
    "SELECT id, state FROM session WHERE source = ? AND updated_at >= ? AND id > ? ORDER BY id LIMIT ?"
)
_DEAD: Final = "SELECT raw FROM parked WHERE source = ? AND box <> 'unrouted' AND state <> 'replayed'"
_CLAIMED: Final = "SELECT 1 FROM claim WHERE key = ? AND fingerprint = ?"
_ROWS_AT_ONCE: Final = 500


class SqliteBooks:
    """Books on the files of one directory."""

    def __init__(self, directory: Path) -> None:
        self._dedupe = directory / "dedupe.db"
        self._correlate = directory / "correlate.db"
        self._park = directory / "park.db"

    async def ledger(self) -> Sequence[JsonObject]:
        """As `CountReads` promises."""
        counted = [
            *await asked(self._dedupe, _rows, _RECEIPTS),
            *await asked(self._dedupe, _rows, _TALLIES),
            *await asked(self._correlate, _rows, _SESSIONS),
        ]
        rows: dict[tuple[str, str], JsonObject] = {}
        for row in counted:
            rows.setdefault((row["source"], row["hour"]), {}).update(row)
        return [rows[key] for key in sorted(rows)]

    async def passed(self, since: datetime) -> Sequence[HourCount]:
        """As `CountReads` promises."""
        return await asked(self._dedupe, _passed, micros(since))

    async def told_at_once(self) -> bool:
        """As `CountReads` promises."""
        return await asked(self._dedupe, _told_at_once)

    async def arrived(self) -> Sequence[HourCount]:
        """As `CountReads` promises."""
        return await asked(self._correlate, _arrived)

    async def said(self) -> Sequence[Said]:
        """As `CountReads` promises."""
        return await asked(self._correlate, _said)

    async def parked(self) -> Sequence[ParkedCount]:
        """As `CountReads` promises."""
        return await asked(self._park, _parked) if self._park.exists() else []

    async def passed_facts(self, source: str, since: datetime, until: datetime) -> Sequence[PassedFact]:
        """As `FactReads` promises."""
        return await asked(self._dedupe, _passed_facts, source, micros(since), micros(until))

    async def arrived_facts(self, source: str, since: datetime) -> AsyncIterator[ArrivedFact]:
        """As `FactReads` promises; in chunks, for the states of many sessions are more than memory wants to hold."""
        last: str | None = ""
        while last is not None:
            found, last = await asked(self._correlate, _arrived_facts, source, micros(since), last)
            for one in found:
                yield one

    async def dead_facts(self, source: str) -> Sequence[Pair]:
        """As `FactReads` promises."""
        return await asked(self._park, _dead_facts, source) if self._park.exists() else []

    async def claimed(self, pairs: Collection[Pair]) -> Sequence[Pair]:
        """As `FactReads` promises."""
        return await asked(self._dedupe, _claimed, pairs)

    async def unsaid(self, source: str, hour: str, limit: int) -> Sequence[tuple[str, int, int]]:
        """As `FactReads` promises."""
        return await asked(self._correlate, _unsaid, source, hour, limit)


def _rows(db: sqlite3.Connection, query: str) -> list[JsonObject]:
    return [dict(row) for row in db.execute(query)]


def _passed(db: sqlite3.Connection, since: int) -> list[HourCount]:
    if not has_column(db, "claim", "source"):  # an older program is still at it
        return [(None, LAST_HOUR, 1)]
    rows = db.execute(_PASSED, (_HOUR_MICROS, since))
    return [(source, hour_of(moment(hour * _HOUR_MICROS)), count) for source, hour, count in rows]


def _told_at_once(db: sqlite3.Connection) -> bool:
    return not has_column(db, "claim", "source") or bool(db.execute(_AT_ONCE).fetchone()[0])


def _arrived(db: sqlite3.Connection) -> list[HourCount]:
    if not has_column(db, "session", "arrived"):
        return []
    counted: list[HourCount] = [(source, hour, count) for source, hour, count in db.execute(_ARRIVED)]
    uncounted, last = db.execute(_UNCOUNTED).fetchone()
    return [*counted, (None, hour_of(moment(last)), uncounted)] if uncounted else counted


def _said(db: sqlite3.Connection) -> list[Said]:
    if not has_column(db, "tombstone", "revision"):
        return []
    rows = db.execute(_SAID.format(left=has_left(db)))
    return [
        Said(source=source, hour=hour, revisions=revisions, made=made, sent=sent)
        for source, hour, revisions, made, sent in rows
    ]


def _parked(db: sqlite3.Connection) -> list[ParkedCount]:
    if not has_column(db, "parked", "hour"):
        return []
    items = "sum(items)" if has_column(db, "parked", "items") else "count(*)"  # an older program parks one item a row
    rows = db.execute(_PARKED.format(items=items))
    return [ParkedCount(**dict(zip(_PARKED_COUNT, row, strict=True))) for row in rows]


def _passed_facts(db: sqlite3.Connection, source: str, since: int, until: int) -> list[PassedFact]:
    rows = db.execute(_PASSED_FACTS, (since, until, source))
    return [PassedFact((key, fingerprint), owner, moment(at)) for key, fingerprint, owner, at in rows]


def _arrived_facts(db: sqlite3.Connection, source: str, since: int, after: str) -> tuple[list[ArrivedFact], str | None]:
    """One chunk, and the last id of it, or None when no other follows."""
    rows = db.execute(_ARRIVED_FACTS, (source, since, after, _ROWS_AT_ONCE)).fetchall()
    found = [fact for row in rows for fact in arrived_facts(row["id"], row["state"])]
    return found, rows[-1]["id"] if len(rows) == _ROWS_AT_ONCE else None


def _dead_facts(db: sqlite3.Connection, source: str) -> list[Pair]:
    if not has_column(db, "parked", "raw"):
        return []
    return [pair for row in db.execute(_DEAD, (source,)) if (pair := parked_pair(row["raw"]))]


def _claimed(db: sqlite3.Connection, pairs: Collection[Pair]) -> list[Pair]:
    return [pair for pair in pairs if db.execute(_CLAIMED, pair).fetchone()]


def _unsaid(db: sqlite3.Connection, source: str, hour: str, limit: int) -> list[tuple[str, int, int]]:
    rows = db.execute(_UNSAID.format(left=has_left(db)), (source, hour, limit))
    return [(call_id, revisions, made) for call_id, revisions, made in rows]
