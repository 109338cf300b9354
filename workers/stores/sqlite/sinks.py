"""What is known of sinks, and what they were given, on SQLite: two files, owned by nobody for longer than one write."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from schemas.errors import Misconfigured, Unavailable
from workers.stores.deliveries import PARTS, Attempt, DeliveryRow, key_of, part_of
from workers.stores.sinks import SinkState
from workers.stores.sqlite.file import asked, micros, moment, open_sqlite_file

_VERSION_1: Final = """
CREATE TABLE sink (
    name TEXT PRIMARY KEY, paused_at INTEGER, paused_by TEXT NOT NULL DEFAULT '', resumed_at INTEGER,
    outcome TEXT NOT NULL DEFAULT '', outcome_at INTEGER
) WITHOUT ROWID;
"""
_VERSION_2: Final = "ALTER TABLE sink ADD COLUMN away_at INTEGER"
SINKS_MIGRATIONS: Final = (_VERSION_1, _VERSION_2)
FILE: Final = "sinks.db"
_DELIVERIES_1: Final = """
CREATE TABLE delivery (
    part INTEGER NOT NULL, at INTEGER NOT NULL, sink TEXT NOT NULL, attempt INTEGER NOT NULL, answer TEXT NOT NULL,
    ended TEXT NOT NULL, keys BLOB NOT NULL);
CREATE INDEX delivery_part ON delivery (part, at);
"""
DELIVERIES_MIGRATIONS: Final = (_DELIVERIES_1,)
DELIVERIES_FILE: Final = "deliveries.db"

_PAUSE: Final = """
INSERT INTO sink (name, paused_at, paused_by) VALUES (?1, ?2, ?3) ON CONFLICT (name)
DO UPDATE SET paused_at = excluded.paused_at, paused_by = excluded.paused_by WHERE paused_at IS NULL
"""
_RESUME: Final = """
INSERT INTO sink (name, resumed_at) VALUES (?1, ?2) ON CONFLICT (name)
DO UPDATE SET paused_at = NULL, paused_by = '', resumed_at = excluded.resumed_at
"""
_TELL: Final = """
INSERT INTO sink (name, outcome, outcome_at) VALUES (?1, ?2, ?3) ON CONFLICT (name)
DO UPDATE SET outcome = excluded.outcome, outcome_at = excluded.outcome_at
"""
_AWAY: Final = """
INSERT INTO sink (name, away_at) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET away_at = excluded.away_at
"""
_ALL: Final = "SELECT * FROM sink"  # an older program's file has no away_at
_KEEP: Final = "INSERT INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?)"
_FORGET: Final = "DELETE FROM delivery WHERE part = ? AND at < ?"
_GIVEN: Final = (
    "SELECT sink, at, attempt, answer, ended FROM delivery WHERE part = ? AND at >= ? AND instr(keys, ?) > 0"
    " ORDER BY at"
)
_PATIENCE_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 0.05


class SqliteSinks:
    """SinkStore on two files, which any process of this directory may write for a moment."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._deliveries = directory / DELIVERIES_FILE

    async def sinks(self) -> Mapping[str, SinkState]:
        """As `SinkStore` promises."""
        if not self._path.exists():
            return {}
        try:
            return await asked(self._path, _states)
        except Misconfigured as error:
            raise Unavailable(str(error)) from None

    async def pause(self, name: str, *, by: str, now: datetime) -> bool:
        """As `SinkStore` promises."""
        return await self._write(_PAUSE, name, micros(now), by) > 0

    async def resume(self, name: str, *, now: datetime) -> None:
        """As `SinkStore` promises."""
        await self._write(_RESUME, name, micros(now))

    async def away(self, name: str, since: datetime | None) -> None:
        """As `SinkStore` promises."""
        await self._write(_AWAY, name, None if since is None else micros(since))

    async def tell(self, name: str, outcome: str, *, now: datetime) -> None:
        """As `SinkStore` promises."""
        await self._write(_TELL, name, outcome, micros(now))

    async def keep(self, rows: Sequence[DeliveryRow]) -> None:
        """As `DeliveryStore` promises."""
        told = [(part, micros(a.at), a.sink, a.attempt, a.answer, a.end, keys) for part, a, keys in rows]
        await _written(self._deliveries, DELIVERIES_MIGRATIONS, lambda db: db.executemany(_KEEP, told).rowcount)

    async def forget(self, before: datetime) -> None:
        """As `DeliveryStore` promises."""
        old = [(part, micros(before)) for part in range(PARTS)]
        await _written(self._deliveries, DELIVERIES_MIGRATIONS, lambda db: db.executemany(_FORGET, old).rowcount)

    async def _write(self, statement: str, *values: Any) -> int:
        return await _written(self._path, SINKS_MIGRATIONS, lambda db: db.execute(statement, values).rowcount)


async def given(directory: Path, event_id: str, since: datetime) -> list[Attempt]:
    """See CallReads.attempts."""
    path, key = directory / DELIVERIES_FILE, key_of(event_id)
    if not path.exists():
        return []
    rows = await asked(path, lambda db: db.execute(_GIVEN, (part_of(key), micros(since), key)).fetchall())
    return [Attempt(sink, moment(at), *rest) for sink, at, *rest in rows]


async def _written(path: Path, migrations: Sequence[str], work: Callable[[sqlite3.Connection], int]) -> int:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            async with open_sqlite_file(path, migrations) as file:
                return await file.write(work)
        except Misconfigured as error:  # another one writes, which takes a moment
            if time.monotonic() > deadline:
                raise Unavailable(str(error)) from None
        await asyncio.sleep(_AGAIN_SECONDS)


def _states(db: sqlite3.Connection) -> dict[str, SinkState]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'sink'").fetchone():
        return {}
    return {
        row["name"]: SinkState(
            paused_at=_moment(row["paused_at"]),
            paused_by=row["paused_by"],
            resumed_at=_moment(row["resumed_at"]),
            outcome=row["outcome"],
            outcome_at=_moment(row["outcome_at"]),
            away_at=_moment(row["away_at"]) if "away_at" in row.keys() else None,  # noqa: SIM118 - a Row's keys
        )
        for row in db.execute(_ALL)
    }


def _moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)
