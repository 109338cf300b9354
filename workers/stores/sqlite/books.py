"""The later half of the ledger, read from the files of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from runtime.files import read_only
from workers.stores.ledger import (
    LAST_HOUR,
    REVISIONS,
    HourCount,
    Kept,
    Pair,
    ParkedCount,
    Said,
    Told,
    hour_of,
    kept_facts,
    parked_pair,
)
from workers.stores.sqlite.file import micros, moment

_HOUR_MICROS: Final = 3_600_000_000
_PASSED: Final = (
    "SELECT source, at / ?, count(*) FROM claim WHERE at >= ? AND source IS NOT '' GROUP BY 1, 2"  # NULL is not ''
)
_ARRIVED: Final = (
    "SELECT source, key, sum(value) FROM session, json_each(session.arrived) WHERE arrived IS NOT NULL GROUP BY 1, 2"
)
_UNCOUNTED: Final = "SELECT count(*), max(updated_at) FROM session WHERE arrived IS NULL"
_REVISED: Final = " OR ".join(f"route LIKE '{kind}.%'" for kind in REVISIONS)
_BY_CALL: Final = (
    "FROM session s LEFT JOIN tombstone t ON t.id = s.id LEFT JOIN (SELECT call_id, count(*) made, count(sent_at) sent"  # noqa: S608 - our own text
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
    box, stage, coalesce(kind, json_extract(CAST(raw AS TEXT), '$.body.envelope.kind'), ''), state, count(*)
FROM parked GROUP BY 1, 2, 3, 4, 5, 6
"""
_PARKED_COUNT: Final = ("source", "hour", "box", "stage", "kind", "state", "count")
_TOLD: Final = "SELECT key, fingerprint, owner, at FROM claim WHERE at >= ? AND at < ? AND source = ?"
_KEPT: Final = "SELECT id, state FROM session WHERE source = ? AND updated_at >= ? ORDER BY id"
_DEAD: Final = "SELECT raw FROM parked WHERE source = ? AND box <> 'unrouted' AND state <> 'replayed'"
_CLAIMED: Final = "SELECT 1 FROM claim WHERE key = ? AND fingerprint = ?"


class SqliteBooks:
    """See Books."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def passed(self, since: datetime) -> Iterator[HourCount]:
        """See Books."""
        with self._reading("dedupe.db", knows=("claim", "source")) as db:
            if db is None:  # an older program is still at it
                yield None, LAST_HOUR, 1
                return
            for source, hour, count in db.execute(_PASSED, (_HOUR_MICROS, micros(since))):
                yield source, hour_of(moment(hour * _HOUR_MICROS)), count

    def arrived(self) -> Iterator[HourCount]:
        """See Books."""
        with self._reading("correlate.db", knows=("session", "arrived")) as db:
            if db is None:
                return
            yield from map(tuple, db.execute(_ARRIVED))
            uncounted, last = db.execute(_UNCOUNTED).fetchone()
            if uncounted:
                yield None, hour_of(moment(last)), uncounted

    def said(self) -> Iterator[Said]:
        """See Books."""
        with self._reading("correlate.db", knows=("tombstone", "revision")) as db:
            for source, hour, revisions, made, sent in db.execute(_SAID) if db else ():
                yield Said(source=source, hour=hour, revisions=revisions, made=made, sent=sent)

    def unsaid(self, source: str, hour: str, limit: int) -> Iterator[tuple[str, int, int]]:
        """See Books."""
        with read_only(self._directory / "correlate.db") as db:
            yield from map(tuple, db.execute(_UNSAID, (source, hour, limit)))

    def parked(self) -> Iterator[ParkedCount]:
        """See Books."""
        with self._reading("park.db", knows=("parked", "hour")) as db:
            for row in db.execute(_PARKED) if db else ():
                yield ParkedCount(**dict(zip(_PARKED_COUNT, row, strict=True)))

    def told(self, source: str, since: datetime, until: datetime) -> Iterator[Told]:
        """See Books."""
        with read_only(self._directory / "dedupe.db") as db:
            for key, fingerprint, owner, at in db.execute(_TOLD, (micros(since), micros(until), source)):
                yield Told((key, fingerprint), owner, moment(at))

    def kept(self, source: str, since: datetime) -> Iterator[Kept]:
        """See Books."""
        with read_only(self._directory / "correlate.db") as db:
            for call_id, state in db.execute(_KEPT, (source, micros(since))):
                yield from kept_facts(call_id, state)

    def parked_pairs(self, source: str) -> Iterator[Pair]:
        """See Books."""
        with self._reading("park.db", knows=("parked", "raw")) as db:
            for (raw,) in db.execute(_DEAD, (source,)) if db else ():
                if pair := parked_pair(raw):
                    yield pair

    def claimed(self, pairs: Collection[Pair]) -> Iterator[Pair]:
        """See Books."""
        with read_only(self._directory / "dedupe.db") as db:
            yield from (pair for pair in pairs if db.execute(_CLAIMED, pair).fetchone())

    @contextmanager
    def _reading(self, name: str, *, knows: tuple[str, str]) -> Iterator[sqlite3.Connection | None]:
        """The file, or None where there is none or its table has no such column yet."""
        path = self._directory / name
        if not path.exists():
            yield None
            return
        with read_only(path) as db:
            columns = {row["name"] for row in db.execute(f"PRAGMA table_info({knows[0]})")}
            yield db if knows[1] in columns else None
