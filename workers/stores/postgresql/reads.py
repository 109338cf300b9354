"""What the operator's commands ask of PostgreSQL; a fresh read-only connection for each question."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import orjson

from schemas.envelope import JsonObject
from workers.calls.session import state_of
from workers.stores.postgresql.books import PostgresqlBooks
from workers.stores.postgresql.pool import asked
from workers.stores.postgresql.schema import clean

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
_EVENTS: Final = "SELECT route, count(*) made, count(sent_at) sent FROM outbox GROUP BY 1"
_LEAVING: Final = "SELECT envelope, sent_at FROM outbox WHERE call_id = $1 ORDER BY n"
_ENDING: Final = (
    "SELECT id FROM session WHERE substr(id, greatest(length(id) - length($1::bytea) + 1, 1)) = $1::bytea LIMIT 20"
)
_GROUPS: Final = (
    "SELECT signature, stage, reason, source, count(*) count, min(first_at) first_at, max(last_at) last_at,"
    " max(attempts) attempts, min(id) example FROM parked WHERE box = $1 AND state = 'parked'"
    " GROUP BY signature, stage, reason, source ORDER BY count DESC"
)
_PARKED: Final = "SELECT * FROM parked WHERE box = $1 AND (id = $2 OR signature = $2) ORDER BY first_at LIMIT $3"

_PARKED_IDS: Final = (
    "SELECT id FROM parked WHERE box = $1 AND state = 'parked' AND ($2::text IS NULL OR $2 IN (id, signature))"
    " AND last_at >= coalesce($3::timestamptz, '-infinity') AND last_at < coalesce($4::timestamptz, 'infinity')"
    " ORDER BY first_at"
)


class PostgresqlReads:
    """The same questions as SqliteReads answers. It runs its own event loop: not for use inside one.

    Raises:
        Misconfigured: the server refuses us, or no stage has ever opened its tables there.
        Unavailable: the server does not answer.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def holds_state(self) -> bool:
        """Whether any stage has left rows here; a database without our tables holds none."""
        (there,) = self._ask("SELECT to_regclass('receipt') claims, to_regclass('session') sessions")
        return (there["claims"] is not None and bool(self._ask("SELECT 1 FROM receipt LIMIT 1"))) or (
            there["sessions"] is not None and bool(self._ask("SELECT 1 FROM session LIMIT 1"))
        )

    def ledger(self) -> Iterator[JsonObject]:
        """Counts by source and hour: answered, receipts, items and what became of them, sessions by status."""
        rows: dict[tuple[str, str], JsonObject] = {}
        for query in (_RECEIPTS, _TALLIES, _SESSIONS):
            for row in self._ask(query):
                rows.setdefault((row["source"], row["hour"]), {}).update(row)
        yield from (rows[key] for key in sorted(rows))

    def books(self) -> PostgresqlBooks:
        """The later half of the ledger."""
        return PostgresqlBooks(self._dsn)

    def events(self) -> Mapping[str, JsonObject]:
        """Events in the outbox by type: how many there are, and how many of them were sent."""
        return {row["route"]: {"made": row["made"], "sent": row["sent"]} for row in self._ask(_EVENTS)}

    def event_ids(self) -> frozenset[str]:
        """Ids of all events that ever left through the outbox."""
        return frozenset(row["id"] for row in self._ask("SELECT id FROM outbox WHERE route LIKE '%.%'"))

    def due(self) -> int:
        """Sessions that still have something to say at a deadline."""
        return int(self._ask("SELECT count(*) n FROM session WHERE due_at IS NOT NULL")[0]["n"])

    def session(self, call_id: str) -> JsonObject | None:
        """The state of one call: its facts, revision and what was published; None when unknown."""
        found = self._ask("SELECT * FROM session WHERE id = $1", call_id.encode())
        if not found:
            return None
        (row,) = found
        leaving = self._ask(_LEAVING, call_id.encode())
        return {
            "id": call_id,
            "status": row["status"],
            "due_at": _time(row["due_at"]),
            "state": state_of(row["state"]),
            "outbox": [{**orjson.loads(row["envelope"]), "sent_at": _time(row["sent_at"])} for row in leaving],
        }

    def calls(self, ending: str) -> list[str]:
        """Ids of calls whose id ends so (an operator may leave out the source)."""
        return [row["id"].decode() for row in self._ask(_ENDING, ending.encode())]

    def parked_groups(self, box: str) -> list[JsonObject]:
        """Parked messages grouped by signature, most first, so that 40,000 equal failures are one line."""
        rows = self._ask(_GROUPS, box)
        return [{**row, "first_at": _time(row["first_at"]), "last_at": _time(row["last_at"])} for row in rows]

    def parked_ids(self, box: str, *, wanted: str | None, since: datetime | None, until: datetime | None) -> list[str]:
        """Ids of what waits there, oldest first: by id, by signature or all, last parked in that time."""
        return [row["id"] for row in self._ask(_PARKED_IDS, box, wanted and clean(wanted), since, until)]

    def parked(self, box: str, *, wanted: str, limit: int) -> list[JsonObject]:
        """Parked messages by id or signature, whole; times are microseconds since 1970."""
        rows = self._ask(_PARKED, box, clean(wanted), limit)
        times = [{"first_at": _micros(row["first_at"]), "last_at": _micros(row["last_at"])} for row in rows]
        return [{**row, **at, "raw": orjson.loads(row["raw"])} for row, at in zip(rows, times, strict=True)]

    def _ask(self, query: str, *args: object) -> Sequence[JsonObject]:
        return [dict(row) for row in asyncio.run(asked(self._dsn, query, *args))]


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value is not None else None


def _micros(value: datetime) -> int:
    return round(value.timestamp() * 1_000_000)
