"""The later half of the ledger, read from PostgreSQL; a fresh read-only connection for each question."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

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
from workers.stores.postgresql.pool import asked, reading

_CLAIMS: Final = (
    "(SELECT {columns} FROM claim WHERE {which} UNION ALL SELECT {columns} FROM amendment WHERE {which}) AS claims"
)
_PASSED: Final = (
    "SELECT source, date_trunc('hour', at) AS hour, count(*) AS count FROM "  # noqa: S608 - our own text
    + _CLAIMS.format(columns="source, at", which="at >= $1 AND source IS DISTINCT FROM ''")
    + " GROUP BY 1, 2"
)
_ARRIVED: Final = (
    "SELECT source, u.key AS hour, sum(u.value::int)::bigint AS count FROM session, jsonb_each_text(arrived) AS u"
    " WHERE arrived IS NOT NULL GROUP BY 1, 2"
)
_UNCOUNTED: Final = "SELECT count(*) AS count, max(updated_at) AS last FROM session WHERE arrived IS NULL"
_BY_CALL: Final = (
    "FROM session s LEFT JOIN tombstone t ON t.id = s.id LEFT JOIN (SELECT call_id, count(*) made, count(sent_at) sent"
    " FROM outbox WHERE route LIKE ANY ($1::text[]) GROUP BY 1) o ON o.call_id = s.id"
)
_SAID: Final = (
    "SELECT s.source, s.hour, sum(s.revision - coalesce(t.revision, 0))::bigint AS revisions,"
    " coalesce(sum(o.made), 0)::bigint AS made, coalesce(sum(o.sent), 0)::bigint AS sent"
    f" {_BY_CALL} GROUP BY 1, 2"
)
_UNSAID: Final = (
    f"SELECT s.id, s.revision - coalesce(t.revision, 0) AS revisions, coalesce(o.made, 0) AS made {_BY_CALL}"
    " WHERE s.source = $2 AND s.hour = $3 AND s.revision - coalesce(t.revision, 0) <> coalesce(o.made, 0)"
    " ORDER BY 1 LIMIT $4"
)
_RAW: Final = "convert_from(raw, 'UTF8')::json"
_PARKED: Final = (
    f"SELECT source, coalesce(hour, substr({_RAW} ->> 'at', 1, 13),"  # noqa: S608 - our own text
    " to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24')) AS hour, box, stage,"
    f" coalesce(kind, {_RAW} #>> '{{body,envelope,kind}}', '') AS kind, state, count(*) AS count"
    " FROM parked GROUP BY 1, 2, 3, 4, 5, 6"
)
_TOLD: Final = "SELECT * FROM " + _CLAIMS.format(  # noqa: S608 - our own text
    columns="key, fingerprint, owner, at", which="at >= $1 AND at < $2 AND source = $3"
)
_KEPT: Final = "SELECT id, state FROM session WHERE source = $1 AND updated_at >= $2 AND state <> '' ORDER BY id"
_DEAD: Final = "SELECT raw FROM parked WHERE source = $1 AND box <> 'unrouted' AND state <> 'replayed'"
_CLAIMED: Final = "SELECT key, fingerprint FROM " + _CLAIMS.format(  # noqa: S608 - our own text
    columns="key, fingerprint", which="key = ANY ($1::bytea[])"
)
_ROWS_AT_ONCE: Final = 500
_REVISED: Final = [f"{kind}.%" for kind in REVISIONS]


class PostgresqlBooks:
    """See Books. It runs its own event loop: not for use inside one."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def passed(self, since: datetime) -> Iterator[HourCount]:
        """See Books."""
        try:
            rows = self._ask(_PASSED, since)
        except asyncpg.UndefinedColumnError:  # an older program is still at it
            yield None, LAST_HOUR, 1
            return
        yield from ((row["source"], hour_of(row["hour"]), row["count"]) for row in rows)

    def arrived(self) -> Iterator[HourCount]:
        """See Books."""
        try:
            rows, ((uncounted, last),) = self._ask(_ARRIVED), self._ask(_UNCOUNTED)
        except asyncpg.UndefinedColumnError:
            return
        yield from ((row["source"], row["hour"], row["count"]) for row in rows)
        if uncounted:
            yield None, hour_of(last), uncounted

    def said(self) -> Iterator[Said]:
        """See Books."""
        yield from (Said(**dict(row)) for row in self._ask(_SAID, _REVISED))

    def unsaid(self, source: str, hour: str, limit: int) -> Iterator[tuple[str, int, int]]:
        """See Books."""
        rows = self._ask(_UNSAID, _REVISED, source, hour, limit)
        yield from ((row["id"].decode(), row["revisions"], row["made"]) for row in rows)

    def parked(self) -> Iterator[ParkedCount]:
        """See Books."""
        if not self._has_parked():
            return
        try:
            rows = self._ask(_PARKED)
        except asyncpg.UndefinedColumnError:
            return
        yield from (ParkedCount(**dict(row)) for row in rows)

    def told(self, source: str, since: datetime, until: datetime) -> Iterator[Told]:
        """See Books."""
        rows = self._ask(_TOLD, since, until, source)
        yield from (Told((row["key"], row["fingerprint"]), row["owner"], row["at"]) for row in rows)

    def kept(self, source: str, since: datetime) -> Iterator[Kept]:
        """See Books."""
        yield from asyncio.run(_kept(self._dsn, source, since))

    def parked_pairs(self, source: str) -> Iterator[Pair]:
        """See Books."""
        rows = self._ask(_DEAD, source) if self._has_parked() else ()
        yield from (pair for row in rows if (pair := parked_pair(row["raw"])))

    def claimed(self, pairs: Collection[Pair]) -> Iterator[Pair]:
        """See Books."""
        rows = self._ask(_CLAIMED, [key for key, _ in pairs]) if pairs else ()
        yield from ((row["key"], row["fingerprint"]) for row in rows)

    def _has_parked(self) -> bool:
        return self._ask("SELECT to_regclass('parked') AS name")[0]["name"] is not None

    def _ask(self, query: str, *args: object) -> Sequence[Any]:
        return asyncio.run(asked(self._dsn, query, *args))


async def _kept(dsn: str, source: str, since: datetime) -> list[Kept]:
    """In chunks: the states of many sessions are more than memory wants to hold at once."""

    async def work(connection: Any) -> list[Kept]:
        async with connection.transaction():
            rows = connection.cursor(_KEPT, source, since, prefetch=_ROWS_AT_ONCE)
            return [kept async for row in rows for kept in kept_facts(row["id"].decode(), row["state"])]

    return await reading(dsn, work)
