"""Parked messages, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, Final

from workers.park import Parked
from workers.stores.ledger import origin
from workers.stores.postgresql.pool import Database
from workers.stores.postgresql.purge import empty
from workers.stores.postgresql.schema import clean
from workers.stores.sweep import in_steps, within

_PARK: Final = (
    "INSERT INTO parked"
    " (hour, kind, id, box, stage, source, reason, signature, first_at, last_at, attempts, raw, items, state)"
    " SELECT u.*, 'parked' FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
    " $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::int[], $12::bytea[], $13::int[])"
    " AS u (hour, kind, id) ORDER BY id"
    " ON CONFLICT (id) DO UPDATE SET attempts = parked.attempts + excluded.attempts, last_at = excluded.last_at,"
    " reason = excluded.reason, signature = excluded.signature, items = greatest(parked.items, excluded.items),"
    " state = CASE parked.state WHEN 'purged' THEN parked.state ELSE excluded.state END,"
    " raw = CASE WHEN (parked.box = 'quarantine' OR parked.emptied) AND parked.state <> 'purged' THEN excluded.raw"
    " ELSE parked.raw END, emptied = parked.emptied AND parked.state = 'purged'"
)

_MARK: Final = "UPDATE parked SET state = $3 WHERE id = ANY ($1::text[]) AND state = $2"
_REPLAYED: Final = (
    "UPDATE parked SET state = 'replayed', last_at = greatest(last_at, $2)"
    " WHERE id = ANY ($1::text[]) AND state = 'wanted'"
)
_WANTED: Final = (
    "SELECT id, octet_length(raw) AS size FROM parked WHERE state = 'wanted' AND box = $1 ORDER BY first_at LIMIT $2"
)
_RAWS: Final = "SELECT id, raw FROM parked WHERE id = ANY ($1::text[]) ORDER BY first_at"
_SIZES: Final = "SELECT id, octet_length(raw) AS size FROM parked WHERE id = ANY ($1::text[])"
_OLD: Final = (
    "SELECT id, octet_length(raw) AS size FROM parked WHERE box = $1"
    " AND last_at <= $2 AND NOT emptied AND state IN ('parked', 'replayed')"
    " LIMIT $3"
)
_EXPIRING: Final = "SELECT count(*), min(last_at) FROM parked WHERE box = $1 AND last_at <= $2 AND state = 'parked'"


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

    async def replayed(self, ids: Sequence[str], now: datetime) -> None:
        """As `ParkedStore` promises."""
        if ids:
            await self._database.execute(_REPLAYED, list(ids), now)

    async def purge(self, ids: Sequence[str]) -> int:
        """As `ParkedStore` promises."""
        return await self._empty(await self._database.fetch(_SIZES, list(map(clean, ids))), "purged")

    async def look(self, now: datetime) -> Mapping[str, int]:  # noqa: ARG002 - the others tell what is overdue
        """As `ParkedStore` promises."""
        await self._database.fetch("SELECT 1 FROM parked LIMIT 1")
        return {}

    async def expire(self, box: str, before: datetime, limit: int) -> int:
        """As `ParkedStore` promises."""
        return await self._empty(await self._database.fetch(_OLD, box, before, limit), "expired")

    async def _empty(self, sized: Sequence[Any], state: str) -> int:
        """Some bytes at a time: their text is read."""
        done = 0
        for some in in_steps(sized, itemgetter("size")):
            done += await self._database.transact(partial(empty, ids=[row["id"] for row in some], state=state))
        return done

    async def expiring(self, box: str, before: datetime) -> tuple[int, datetime | None]:
        """As `ParkedStore` promises."""
        ((count, first),) = await self._database.fetch(_EXPIRING, box, before)
        return count, first

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
    kept = (message_id, *map(clean, words), first.at, last.at, sum(row.attempts for row in rows), raw, items)
    return (*map(clean, origin(first.raw)), *kept)
