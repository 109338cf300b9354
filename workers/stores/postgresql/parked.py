"""Parked messages, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workers.park import Parked
from workers.stores.ledger import origin
from workers.stores.postgresql.pool import Database
from workers.stores.postgresql.schema import clean
from workers.stores.sweep import within

_PARK: Final = (
    "INSERT INTO parked"
    " (hour, kind, id, box, stage, source, reason, signature, first_at, last_at, attempts, raw, items, state)"
    " SELECT u.*, 'parked' FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
    " $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::int[], $12::bytea[], $13::int[])"
    " AS u (hour, kind, id) ORDER BY id"
    " ON CONFLICT (id) DO UPDATE SET attempts = parked.attempts + excluded.attempts, last_at = excluded.last_at,"
    " reason = excluded.reason, signature = excluded.signature, state = excluded.state,"
    " items = greatest(parked.items, excluded.items),"
    " raw = CASE parked.box WHEN 'quarantine' THEN excluded.raw ELSE parked.raw END"
)

_MARK: Final = "UPDATE parked SET state = $3 WHERE id = ANY ($1::text[]) AND state = $2"
_WANTED: Final = (
    "SELECT id, octet_length(raw) AS size FROM parked WHERE state = 'wanted' AND box = $1 ORDER BY first_at LIMIT $2"
)
_RAWS: Final = "SELECT id, raw FROM parked WHERE id = ANY ($1::text[]) ORDER BY first_at"


class PostgresqlParked:
    """ParkedStore on PostgreSQL; any number of processes may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def park(self, messages: Sequence[Parked]) -> None:
        """As `ParkedStore` promises."""
        if not messages:
            return
        same: dict[str, list[Parked]] = {}
        for message in messages:
            same.setdefault(clean(message.id), []).append(message)
        columns = list(map(list, zip(*(_row(message_id, rows) for message_id, rows in same.items()), strict=True)))
        await self._database.execute(_PARK, *columns)

    async def want(self, ids: Sequence[str]) -> int:
        """As `ParkedStore` promises."""
        return await self._database.execute(_MARK, list(map(clean, ids)), "parked", "wanted")

    async def wanted(self, box: str, limit: int) -> Sequence[tuple[str, bytes]]:
        """As `ParkedStore` promises."""
        found = within(await self._database.fetch(_WANTED, box, limit), lambda row: row["size"])
        rows = await self._database.fetch(_RAWS, [row["id"] for row in found]) if found else []
        return [(row["id"], row["raw"]) for row in rows]

    async def replayed(self, ids: Sequence[str]) -> None:
        """As `ParkedStore` promises."""
        if ids:
            await self._database.execute(_MARK, list(ids), "wanted", "replayed")

    async def unwanted(self, ids: Sequence[str]) -> None:
        """As `ParkedStore` promises."""
        if ids:
            await self._database.execute(_MARK, list(ids), "wanted", "parked")


def _row(message_id: str, rows: Sequence[Parked]) -> tuple[object, ...]:
    """One message, however often it stands in the batch."""
    first, last = rows[0], rows[-1]
    raw = last.raw if last.box == "quarantine" else first.raw
    words = (last.box, last.stage, last.source, last.reason, last.signature)
    items = max(row.items for row in rows)
    kept = (message_id, *map(clean, words), first.at, last.at, len(rows), raw, items)
    return (*map(clean, origin(first.raw)), *kept)
