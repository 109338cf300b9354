"""What can be asked of PostgreSQL: a few connections that only read, opened once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from schemas.envelope import JsonObject
from schemas.topology import Binding
from workers.calls.session import state_of
from workers.stores.deliveries import Attempt
from workers.stores.places import ROWS_AT_ONCE, Place, Row
from workers.stores.postgresql.books import PostgresqlBooks
from workers.stores.postgresql.declared import DECLARED
from workers.stores.postgresql.outbox import has_left
from workers.stores.postgresql.pool import Database
from workers.stores.postgresql.purge import SEARCHES, SIZED, UP_TO
from workers.stores.postgresql.schema import clean, fetched, has_column, is_there
from workers.stores.postgresql.sinks import given
from workers.stores.reads import Match
from workers.stores.sweep import within

_EVENTS: Final = (
    "SELECT route, count(*) made, count(*) FILTER (WHERE {left}) sent FROM outbox o WHERE n > $1 GROUP BY 1"
)
_LAST_ROW: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM outbox_n"
_LEAVING: Final = "SELECT envelope, {left} AS sent FROM outbox o WHERE call_id = $1 ORDER BY n"
_ENDING: Final = (
    "SELECT id FROM session WHERE substr(id, greatest(length(id) - length($1::bytea) + 1, 1)) = $1::bytea LIMIT 20"
)
_FIRST: Final = (  # by indexes, and no further than the limit: what is open first, as it is news
    "due_at IS NOT NULL ORDER BY due_at DESC",
    "due_at IS NULL ORDER BY updated_at DESC",
)
_HOLDING: Final = (
    "SELECT * FROM (SELECT * FROM session WHERE {} LIMIT $1) AS newest WHERE CASE WHEN position($2::bytea IN state) > 0"
    " THEN encode(state, 'escape') ~ $3 ELSE false END LIMIT $4"
)
_BACK_TO: Final = f"SELECT updated_at FROM session WHERE {_FIRST[1]} LIMIT 1 OFFSET $1"  # noqa: S608 - our own text
_LETTER: Final = (
    "SELECT id, stage, reason, state, attempts, first_at, last_at FROM parked WHERE box = 'dead' AND id = ANY ({})"
)
_NEWEST: Final = (
    "ARRAY(SELECT id FROM parked WHERE box = 'dead' AND stage = $1 ORDER BY last_at DESC LIMIT $2))"
    " AND (position($3::bytea IN raw) > 0"
)
_GROUPS: Final = (
    "SELECT signature, stage, reason, source, state, count(*) count, {items} items,"
    " min(first_at) first_at, max(last_at) last_at, max(attempts) attempts, min(id) example"
    " FROM parked WHERE box = $1 AND state IN ('parked', 'wanted')"
    " GROUP BY signature, stage, reason, source, state ORDER BY count DESC, state"
)
_PARKED: Final = "SELECT * FROM parked WHERE box = $1 AND (id = $2 OR signature = $2) ORDER BY first_at LIMIT $3"

_PARKED_IDS: Final = (
    "SELECT id FROM parked WHERE box = $1 AND state = 'parked' AND ($2::text IS NULL OR $2 IN (id, signature))"
    " AND last_at >= coalesce($3::timestamptz, '-infinity') AND last_at < coalesce($4::timestamptz, 'infinity')"
    " ORDER BY first_at"
)


class PostgresqlReads:
    """Reads on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.books = PostgresqlBooks(database)

    async def holds_state(self) -> bool:
        """As `Reads` promises."""
        for table in ("receipt", "session"):
            if await is_there(self._database, table) and await self._ask(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 - our own names
                return True
        return False

    async def declared(self) -> Sequence[Binding]:
        """As `Reads` promises."""
        if not await is_there(self._database, "declared"):
            return []
        return [Binding(**dict(row)) for row in await self._ask(DECLARED)]

    async def calls(self, ending: str) -> Sequence[str]:
        """As `CallReads` promises."""
        return [row["id"].decode() for row in await self._ask(_ENDING, ending.encode())]

    async def session(self, call_id: str) -> JsonObject | None:
        """As `CallReads` promises."""
        found = await self._ask("SELECT * FROM session WHERE id = $1", call_id.encode())
        if not found:
            return None
        (row,) = found
        leaving = await self._ask(_LEAVING.format(left=await has_left(self._database)), call_id.encode())
        return {
            "id": call_id,
            "status": row["status"],
            "due_at": _time(row["due_at"]),
            "updated_at": _time(row["updated_at"]),
            "state": state_of(row["state"]),
            "outbox": [{**orjson.loads(row["envelope"]), "sent": row["sent"]} for row in leaving],
        }

    async def call_of(self, event_id: str) -> str | None:
        """As `CallReads` promises."""
        found = await self._ask("SELECT call_id FROM outbox WHERE id = $1 LIMIT 1", clean(event_id))
        return found[0]["call_id"].decode() if found else None

    async def holding(self, part: bytes, spelled: str, *, most: int, limit: int) -> Sequence[Match]:
        """As `CallReads` promises."""
        found: list[Any] = []
        for first in _FIRST:
            found += await self._ask(_HOLDING.format(first), most, part, clean(spelled), limit - len(found))
        return [
            Match(row["id"].decode(), row["status"], row["updated_at"].isoformat(), row.get("said") or "",
                  state_of(row["state"]))
            for row in found
        ]  # fmt: skip

    async def back_to(self, most: int) -> str | None:
        """As `CallReads` promises."""
        found = await self._ask(_BACK_TO, most - 1)
        return _time(found[0]["updated_at"]) if found else None

    async def attempts(self, event_id: str, since: datetime) -> Sequence[Attempt]:
        """As `CallReads` promises."""
        return await given(self._database, event_id, since)

    async def events(self, after: int = 0) -> Mapping[str, JsonObject]:
        """As `OutboxReads` promises."""
        rows = await self._ask(_EVENTS.format(left=await has_left(self._database)), after)
        return {row["route"]: {"made": row["made"], "sent": row["sent"]} for row in rows}

    async def last_row(self) -> int:
        """As `OutboxReads` promises."""
        (row,) = await self._ask(_LAST_ROW)
        return int(row["n"])

    async def event_ids(self) -> frozenset[str]:
        """As `OutboxReads` promises."""
        return frozenset(row["id"] for row in await self._ask("SELECT id FROM outbox WHERE route LIKE '%.%'"))

    async def due(self) -> int:
        """As `OutboxReads` promises."""
        return int((await self._ask("SELECT count(*) n FROM session WHERE due_at IS NOT NULL"))[0]["n"])

    async def parked_groups(self, box: str) -> Sequence[JsonObject]:
        """As `ParkedReads` promises."""
        newer = await has_column(self._database, "parked", "items")  # an older program parks one item a row
        rows = await self._ask(_GROUPS.format(items="sum(coalesce(items, 1))::bigint" if newer else "count(*)"), box)
        return [_letter(row) for row in rows]

    async def parked_ids(
        self, box: str, *, wanted: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[str]:
        """As `ParkedReads` promises."""
        rows = await self._ask(_PARKED_IDS, box, wanted and clean(wanted), since, until)
        return [row["id"] for row in rows]

    async def parked(self, box: str, *, wanted: str, limit: int) -> Sequence[JsonObject]:
        """As `ParkedReads` promises."""
        rows = await self._ask(_PARKED, box, clean(wanted), limit)
        return [{**_letter(row), "raw": orjson.loads(row["raw"])} for row in rows]

    async def letters(self, ids: Sequence[str]) -> Sequence[JsonObject]:
        """As `ParkedReads` promises."""
        return await self._letters("$1::text[]", list(map(clean, ids)))

    async def letters_holding(self, text: str, *, stage: str, most: int) -> Sequence[JsonObject]:
        """As `ParkedReads` promises."""
        return await self._letters(_NEWEST, stage, most, text.encode())

    async def _letters(self, which: str, *values: object) -> Sequence[JsonObject]:
        return [_letter(row) for row in await self._ask(_LETTER.format(which), *values)]

    async def rows(self, place: Place) -> AsyncIterator[Row]:
        """As `PlaceReads` promises."""
        if not await is_there(self._database, place):
            return
        after: str | bytes = b"" if place in ("session", "tombstone") else ""
        search = SEARCHES[place]
        while sized := await self._ask(SIZED.format(search), after, ROWS_AT_ONCE):
            last = within(sized, lambda row: row["size"])[-1]["id"]
            for row in await self._ask(search + UP_TO, after, last):
                call_id = row["call_id"].decode() if row["call_id"] is not None else None
                yield Row(row["id"] if isinstance(row["id"], str) else row["id"].decode(), call_id, row["text"])
            after = last

    async def _ask(self, query: str, *args: object) -> Sequence[Any]:
        return await fetched(self._database, query, *args)


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value is not None else None


def _letter(row: Any) -> JsonObject:
    return {**row, "first_at": _time(row["first_at"]), "last_at": _time(row["last_at"])}
