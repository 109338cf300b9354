"""What is known of sinks, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from workers.stores.postgresql.pool import Database
from workers.stores.postgresql.schema import clean
from workers.stores.sinks import SinkState

SINKS_1: Final = """
CREATE TABLE sink (
    name text PRIMARY KEY, paused_at timestamptz, paused_by text NOT NULL DEFAULT '', resumed_at timestamptz,
    outcome text NOT NULL DEFAULT '', outcome_at timestamptz);
"""
_SINKS_2: Final = "ALTER TABLE sink ADD COLUMN away_at timestamptz"
SINKS_MIGRATIONS: Final = (SINKS_1, _SINKS_2)

_ALL: Final = "SELECT name, paused_at, paused_by, resumed_at, outcome, outcome_at, away_at FROM sink"
_PAUSE: Final = """
INSERT INTO sink (name, paused_at, paused_by) VALUES ($1, $2, $3) ON CONFLICT (name)
DO UPDATE SET paused_at = excluded.paused_at, paused_by = excluded.paused_by WHERE sink.paused_at IS NULL
"""
_RESUME: Final = """
INSERT INTO sink (name, resumed_at) VALUES ($1, $2) ON CONFLICT (name)
DO UPDATE SET paused_at = NULL, paused_by = '', resumed_at = excluded.resumed_at
"""
_TELL: Final = """
INSERT INTO sink (name, outcome, outcome_at) VALUES ($1, $2, $3) ON CONFLICT (name)
DO UPDATE SET outcome = excluded.outcome, outcome_at = excluded.outcome_at
"""
_AWAY: Final = """
INSERT INTO sink (name, away_at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET away_at = excluded.away_at
"""


class PostgresqlSinks:
    """SinkStore on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sinks(self) -> Mapping[str, SinkState]:
        """As `SinkStore` promises."""
        rows = [dict(row) for row in await self._database.fetch(_ALL)]
        return {row.pop("name"): SinkState(**row) for row in rows}

    async def pause(self, name: str, *, by: str, now: datetime) -> bool:
        """As `SinkStore` promises."""
        return await self._database.execute(_PAUSE, name, now, clean(by)) > 0

    async def resume(self, name: str, *, now: datetime) -> None:
        """As `SinkStore` promises."""
        await self._database.execute(_RESUME, name, now)

    async def away(self, name: str, since: datetime | None) -> None:
        """As `SinkStore` promises."""
        await self._database.execute(_AWAY, name, since)

    async def tell(self, name: str, outcome: str, *, now: datetime) -> None:
        """As `SinkStore` promises."""
        await self._database.execute(_TELL, name, clean(outcome), now)
