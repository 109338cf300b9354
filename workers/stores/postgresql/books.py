"""The ledger, read from PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any, Final

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
from workers.stores.postgresql.outbox import has_left
from workers.stores.postgresql.pool import Database
from workers.stores.postgresql.schema import fetched, has_column, is_there

_RECEIPTS: Final = (
    'SELECT source, hour, count(*) receipts, sum(items)::bigint items, sum(new)::bigint "unique",'
    " sum(amended)::bigint amended, sum(duplicate)::bigint duplicate, sum(quarantined)::bigint quarantined"
    " FROM receipt GROUP BY 1, 2"
)
_TALLIES: Final = "SELECT source, hour, sum(answered)::bigint answered FROM tally GROUP BY 1, 2"
_SESSIONS: Final = (
    "SELECT source, hour, count(*) sessions, count(*) FILTER (WHERE status = 'completed') completed,"
    " count(*) FILTER (WHERE status = 'incomplete') incomplete, count(*) FILTER (WHERE status = 'open') open"
    " FROM session GROUP BY 1, 2"
)
_CLAIMS: Final = (
    "(SELECT {columns} FROM claim WHERE {which} UNION ALL SELECT {columns} FROM amendment WHERE {which}) AS claims"
)
_PASSED: Final = (
    "SELECT source, date_trunc('hour', at) AS hour, count(*) AS count FROM "  # noqa: S608 - our own text
    + _CLAIMS.format(columns="source, at", which="at >= $1 AND source IS DISTINCT FROM ''")
    + " GROUP BY 1, 2"
)
_AT_ONCE: Final = (
    "SELECT EXISTS (SELECT FROM claim WHERE source = '') OR EXISTS (SELECT FROM amendment WHERE source = '') AS found"
)
_ARRIVED: Final = (
    "SELECT source, u.key AS hour, sum(u.value::int)::bigint AS count FROM session, jsonb_each_text(arrived) AS u"
    " WHERE arrived IS NOT NULL GROUP BY 1, 2"
)
_UNCOUNTED: Final = "SELECT count(*) AS count, max(updated_at) AS last FROM session WHERE arrived IS NULL"
_BY_CALL: Final = (
    "FROM session s LEFT JOIN tombstone t ON t.id = s.id LEFT JOIN (SELECT call_id, count(*) made,"
    " count(*) FILTER (WHERE {left}) sent FROM outbox o WHERE route LIKE ANY ($1::text[]) GROUP BY 1) o"
    " ON o.call_id = s.id"
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
_BAD: Final = (  # no json: that refuses a push with NUL in it
    "substring(convert_from(raw, 'UTF8')"
    ' from \'"body":{"reason":"[^"]*","stage":"dedupe","items":[0-9]+,"bad":([0-9]{1,6}),\')'
)
_PARKED: Final = (
    f"SELECT source, coalesce(hour, substr({_RAW} ->> 'at', 1, 13),"  # noqa: S608 - our own text
    " to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24')) AS hour, box, stage,"
    f" coalesce(kind, {_RAW} #>> '{{body,envelope,kind}}', '') AS kind, state, count(*) AS count,"
    " {items} AS items FROM parked GROUP BY 1, 2, 3, 4, 5, 6"
)
_ITEMS: Final = f"sum(coalesce(items, {_BAD}::int, 1))::bigint"
_PASSED_FACTS: Final = "SELECT * FROM " + _CLAIMS.format(  # noqa: S608 - our own text
    columns="key, fingerprint, owner, at", which="at >= $1 AND at < $2 AND source = $3"
)
_ARRIVED_FACTS: Final = (
    "SELECT id, state FROM session WHERE source = $1 AND updated_at >= $2 AND state <> '' AND id > $3"
    " ORDER BY id LIMIT $4"
)
_DEAD: Final = "SELECT raw FROM parked WHERE source = $1 AND box <> 'unrouted' AND state <> 'replayed'"
_CLAIMED: Final = "SELECT key, fingerprint FROM " + _CLAIMS.format(  # noqa: S608 - our own text
    columns="key, fingerprint", which="key = ANY ($1::bytea[])"
)
_ROWS_AT_ONCE: Final = 500
_REVISED: Final = [f"{kind}.%" for kind in REVISIONS]


class PostgresqlBooks:
    """Books on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ledger(self) -> Sequence[JsonObject]:
        """As `CountReads` promises."""
        rows: dict[tuple[str, str], JsonObject] = {}
        for query in (_RECEIPTS, _TALLIES, _SESSIONS):
            for row in await self._ask(query):
                rows.setdefault((row["source"], row["hour"]), {}).update(row)
        return [rows[key] for key in sorted(rows)]

    async def passed(self, since: datetime) -> Sequence[HourCount]:
        """As `CountReads` promises."""
        if await self._lacks("claim", "source"):  # an older program is still at it
            return [(None, LAST_HOUR, 1)]
        rows = await self._ask(_PASSED, since)
        return [(row["source"], hour_of(row["hour"]), row["count"]) for row in rows]

    async def told_at_once(self) -> bool:
        """As `CountReads` promises."""
        return await self._lacks("claim", "source") or bool((await self._ask(_AT_ONCE))[0]["found"])

    async def arrived(self) -> Sequence[HourCount]:
        """As `CountReads` promises."""
        if await self._lacks("session", "arrived"):
            return []
        rows, ((uncounted, last),) = await self._ask(_ARRIVED), await self._ask(_UNCOUNTED)
        counted: list[HourCount] = [(row["source"], row["hour"], row["count"]) for row in rows]
        return [*counted, (None, hour_of(last), uncounted)] if uncounted else counted

    async def said(self) -> Sequence[Said]:
        """As `CountReads` promises."""
        query = _SAID.format(left=await has_left(self._database))
        return [Said(**dict(row)) for row in await self._ask(query, _REVISED)]

    async def parked(self) -> Sequence[ParkedCount]:
        """As `CountReads` promises."""
        if not await has_column(self._database, "parked", "hour"):
            return []
        newer = await has_column(self._database, "parked", "items")  # an older program parks one item a row
        rows = await self._ask(_PARKED.replace("{items}", _ITEMS if newer else "count(*)"))
        return [ParkedCount(**dict(row)) for row in rows]

    async def passed_facts(self, source: str, since: datetime, until: datetime) -> Sequence[PassedFact]:
        """As `FactReads` promises."""
        rows = await self._ask(_PASSED_FACTS, since, until, source)
        return [PassedFact((row["key"], row["fingerprint"]), row["owner"], row["at"]) for row in rows]

    async def arrived_facts(self, source: str, since: datetime) -> AsyncIterator[ArrivedFact]:
        """As `FactReads` promises; in chunks, for the states of many sessions are more than memory wants to hold."""
        last = b""
        while rows := await self._ask(_ARRIVED_FACTS, source, since, last, _ROWS_AT_ONCE):
            for row in rows:
                for one in arrived_facts(row["id"].decode(), row["state"]):
                    yield one
            last = rows[-1]["id"]

    async def dead_facts(self, source: str) -> Sequence[Pair]:
        """As `FactReads` promises."""
        rows = await self._ask(_DEAD, source) if await is_there(self._database, "parked") else ()
        return [pair for row in rows if (pair := parked_pair(row["raw"]))]

    async def claimed(self, pairs: Collection[Pair]) -> Sequence[Pair]:
        """As `FactReads` promises."""
        rows = await self._ask(_CLAIMED, [key for key, _ in pairs]) if pairs else ()
        return [pair for row in rows if (pair := (row["key"], row["fingerprint"])) in pairs]

    async def unsaid(self, source: str, hour: str, limit: int) -> Sequence[tuple[str, int, int]]:
        """As `FactReads` promises."""
        query = _UNSAID.format(left=await has_left(self._database))
        rows = await self._ask(query, _REVISED, source, hour, limit)
        return [(row["id"].decode(), row["revisions"], row["made"]) for row in rows]

    async def _lacks(self, table: str, column: str) -> bool:
        return await is_there(self._database, table) and not await has_column(self._database, table, column)

    async def _ask(self, query: str, *args: object) -> Sequence[Any]:
        return await fetched(self._database, query, *args)
