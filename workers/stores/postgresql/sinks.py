"""What is known of sinks, and what they were given, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from workers.stores.deliveries import PARTS, Attempt, DeliveryRow, key_of, part_of
from workers.stores.postgresql.pool import Database
from workers.stores.postgresql.schema import clean, is_there
from workers.stores.sinks import SinkState

SINKS_1: Final = """
CREATE TABLE sink (
    name text PRIMARY KEY, paused_at timestamptz, paused_by text NOT NULL DEFAULT '', resumed_at timestamptz,
    outcome text NOT NULL DEFAULT '', outcome_at timestamptz);
"""
_SINKS_2: Final = "ALTER TABLE sink ADD COLUMN away_at timestamptz"
SINKS_MIGRATIONS: Final = (SINKS_1, _SINKS_2)
# A part of its own, which an older program does not open: it starts again beside what this one keeps. Random bytes do
# not shrink, so nobody tries.
_DELIVERIES_1: Final = """
CREATE TABLE delivery (
    part smallint NOT NULL, at timestamptz NOT NULL, sink text NOT NULL, attempt int NOT NULL, answer text NOT NULL,
    ended text NOT NULL, keys bytea NOT NULL);
ALTER TABLE delivery ALTER COLUMN keys SET STORAGE EXTERNAL;
CREATE INDEX delivery_part ON delivery (part, at);
"""
DELIVERIES_MIGRATIONS: Final = (_DELIVERIES_1,)

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
_KEEP: Final = (
    "INSERT INTO delivery SELECT * FROM unnest($1::smallint[], $2::timestamptz[], $3::text[], $4::int[], $5::text[],"
    " $6::text[], $7::bytea[])"
)
_FORGET: Final = "DELETE FROM delivery WHERE part = ANY ($1::smallint[]) AND at < $2"
_GIVEN: Final = (
    "SELECT sink, at, attempt, answer, ended FROM delivery WHERE part = $1 AND at >= $2"
    " AND position($3::bytea IN keys) > 0 ORDER BY at"
)


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

    async def keep(self, rows: Sequence[DeliveryRow]) -> None:
        """As `DeliveryStore` promises."""
        told = [(part, a.at, a.sink, a.attempt, clean(a.answer), a.end, keys) for part, a, keys in rows]
        await self._database.execute(_KEEP, *map(list, zip(*told, strict=True)))

    async def forget(self, before: datetime) -> None:
        """As `DeliveryStore` promises."""
        await self._database.execute(_FORGET, list(range(PARTS)), before)


async def given(database: Database, event_id: str, since: datetime) -> list[Attempt]:
    """See CallReads.attempts."""
    if not await is_there(database, "delivery"):
        return []
    key = key_of(event_id)
    return [Attempt(*row) for row in await database.fetch(_GIVEN, part_of(key), since, key)]
