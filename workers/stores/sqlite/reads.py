"""What can be asked of the files of SQLite, whoever owns them: each question in a thread, on a connection of its own.

A file that is made or migrated meanwhile is read as it is then, and no open connection keeps a WAL from shrinking.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import orjson

from schemas.envelope import JsonObject
from schemas.topology import Binding
from workers.calls.session import state_of
from workers.stores.deliveries import Attempt
from workers.stores.places import Place, Row
from workers.stores.reads import Match
from workers.stores.sqlite.books import SqliteBooks
from workers.stores.sqlite.declared import declared
from workers.stores.sqlite.file import asked, has_column, micros, moment
from workers.stores.sqlite.outbox import has_left
from workers.stores.sqlite.purge import FILES, rows
from workers.stores.sqlite.sinks import given

P = ParamSpec("P")
T = TypeVar("T")

_ENDING: Final = (  # byte by byte: an id may hold NUL, and what LIKE takes for a pattern
    "SELECT id FROM session, (SELECT ? AS ending)"
    " WHERE substr(CAST(id AS BLOB), max(length(CAST(id AS BLOB)) - length(ending) + 1, 1)) = ending LIMIT 20"
)
_FIRST: Final = (  # by indexes, and no further than the limit: what is open first, as it is news
    "due_at IS NOT NULL ORDER BY due_at DESC",
    "due_at IS NULL ORDER BY updated_at DESC",
)
_HOLDING: Final = (
    "SELECT * FROM (SELECT * FROM session WHERE {} LIMIT ?) WHERE instr(state, ?) > 0 AND spelled(state) LIMIT ?"
)
_BACK_TO: Final = f"SELECT updated_at FROM session WHERE {_FIRST[1]} LIMIT 1 OFFSET ?"  # noqa: S608 - our own text
_LETTER: Final = (
    "SELECT id, stage, reason, state, attempts, first_at, last_at FROM parked WHERE box = 'dead' AND id IN ({})"
)
_NEWEST: Final = "SELECT id FROM parked WHERE box = 'dead' AND stage = ? ORDER BY last_at DESC LIMIT ?"


class SqliteReads:
    """Reads on the files of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.books = SqliteBooks(directory)

    async def holds_state(self) -> bool:
        """As `Reads` promises."""
        for name, table in (("dedupe.db", "receipt"), ("correlate.db", "session")):
            path = self._directory / name
            if path.exists() and await asked(path, _holds_rows, table):
                return True
        return False

    async def declared(self) -> Sequence[Binding]:
        """As `Reads` promises."""
        path = self._directory / "declared.db"
        return await asked(path, declared) if path.exists() else []

    async def calls(self, ending: str) -> Sequence[str]:
        """As `CallReads` promises."""
        return await self._of_correlate(_calls, ending)

    async def session(self, call_id: str) -> JsonObject | None:
        """As `CallReads` promises."""
        return await self._of_correlate(_session, call_id)

    async def call_of(self, event_id: str) -> str | None:
        """As `CallReads` promises."""
        return await self._of_correlate(_call_of, event_id)

    async def holding(self, part: bytes, spelled: str, *, most: int, limit: int) -> Sequence[Match]:
        """As `CallReads` promises."""
        return await self._of_correlate(_holding, part, spelled, most, limit)

    async def back_to(self, most: int) -> str | None:
        """As `CallReads` promises."""
        return await self._of_correlate(_back_to, most)

    async def attempts(self, event_id: str, since: datetime) -> Sequence[Attempt]:
        """As `CallReads` promises."""
        return await given(self._directory, event_id, since)

    async def events(self, after: int = 0) -> Mapping[str, JsonObject]:
        """As `OutboxReads` promises."""
        return await self._of_correlate(_events, after)

    async def last_row(self) -> int:
        """As `OutboxReads` promises."""
        return await self._of_correlate(_last_row)

    async def event_ids(self) -> frozenset[str]:
        """As `OutboxReads` promises."""
        return await self._of_correlate(_event_ids)

    async def due(self) -> int:
        """As `OutboxReads` promises."""
        return await self._of_correlate(_due)

    async def parked_groups(self, box: str) -> Sequence[JsonObject]:
        """As `ParkedReads` promises."""
        return await self._of_park(_parked_groups, box)

    async def parked_ids(
        self, box: str, *, wanted: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[str]:
        """As `ParkedReads` promises."""
        first, last = (micros(since) if since else 0), (micros(until) if until else 1 << 62)
        return await self._of_park(_parked_ids, box, wanted, first, last)

    async def parked(self, box: str, *, wanted: str, limit: int) -> Sequence[JsonObject]:
        """As `ParkedReads` promises."""
        return await self._of_park(_parked, box, wanted, limit)

    async def letters(self, ids: Sequence[str]) -> Sequence[JsonObject]:
        """As `ParkedReads` promises."""
        return await self._of_park(_letters, "SELECT value FROM json_each(?)", orjson.dumps(list(ids)).decode())

    async def letters_holding(self, text: str, *, stage: str, most: int) -> Sequence[JsonObject]:
        """As `ParkedReads` promises."""
        return await self._of_park(_letters, f"{_NEWEST}) AND (instr(raw, ?) > 0", stage, most, text.encode())

    async def rows(self, place: Place) -> AsyncIterator[Row]:
        """As `PlaceReads` promises."""
        path, after = self._directory / FILES[place], None
        while path.exists() and (found := await asked(path, rows, place, after)):
            for _, row in found:
                yield row
            after, _ = found[-1]

    async def _of_correlate(
        self, question: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await asked(self._directory / "correlate.db", question, *args, **kwargs)

    async def _of_park(
        self, question: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await asked(self._directory / "park.db", question, *args, **kwargs)


def _holds_rows(db: sqlite3.Connection, table: str) -> bool:
    there = db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None
    return there and db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None  # noqa: S608 - our own names


def _calls(db: sqlite3.Connection, ending: str) -> list[str]:
    return [row["id"] for row in db.execute(_ENDING, (ending.encode(),))]


def _session(db: sqlite3.Connection, call_id: str) -> JsonObject | None:
    row = db.execute("SELECT * FROM session WHERE id = ?", (call_id,)).fetchone()
    if row is None:
        return None
    leaving = db.execute(f"SELECT envelope, {has_left(db)} FROM outbox WHERE call_id = ? ORDER BY n", (call_id,))  # noqa: S608 - our own text
    return {
        "id": call_id,
        "status": row["status"],
        "due_at": _time(row["due_at"]),
        "updated_at": _time(row["updated_at"]),
        "state": state_of(row["state"]),
        "outbox": [{**orjson.loads(envelope), "sent": bool(sent)} for envelope, sent in leaving],
    }


def _call_of(db: sqlite3.Connection, event_id: str) -> str | None:
    row = db.execute("SELECT call_id FROM outbox WHERE id = ? LIMIT 1", (event_id,)).fetchone()
    return row["call_id"] if row is not None else None


def _holding(db: sqlite3.Connection, part: bytes, spelled: str, most: int, limit: int) -> list[Match]:
    pattern = re.compile(spelled.encode())
    db.create_function("spelled", 1, lambda state: pattern.search(state) is not None)
    found: list[sqlite3.Row] = []
    for first in _FIRST:
        found += db.execute(_HOLDING.format(first), (most, part, limit - len(found)))
    return [_match(**row) for row in map(dict, found)]


def _match(*, id: str, status: str, updated_at: int, state: bytes, said: str | None = None, **_: object) -> Match:  # noqa: A002 - a column
    return Match(id, status, moment(updated_at).isoformat(), said or "", state_of(state))


def _back_to(db: sqlite3.Connection, most: int) -> str | None:
    row = db.execute(_BACK_TO, (most - 1,)).fetchone()
    return _time(row["updated_at"]) if row is not None else None


def _letters(db: sqlite3.Connection, which: str, *values: str | int | bytes) -> list[JsonObject]:
    return [_letter(row) for row in db.execute(_LETTER.format(which), values)]


def _letter(row: sqlite3.Row) -> JsonObject:
    return {**dict(row), "first_at": _time(row["first_at"]), "last_at": _time(row["last_at"])}


def _last_row(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(n), 0) FROM outbox").fetchone()[0])


def _events(db: sqlite3.Connection, after: int) -> dict[str, JsonObject]:
    """Where all rows were forgotten, numbers begin anew: then all that is there came later."""
    query = f"SELECT route, count(*) made, sum({has_left(db)}) sent FROM outbox WHERE n > ? GROUP BY 1"  # noqa: S608 - our own text
    rows = db.execute(query, (after if after <= _last_row(db) else 0,))
    return {row["route"]: {"made": row["made"], "sent": row["sent"]} for row in rows}


def _event_ids(db: sqlite3.Connection) -> frozenset[str]:
    return frozenset(row["id"] for row in db.execute("SELECT id FROM outbox WHERE route LIKE '%.%'"))


def _due(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM session WHERE due_at IS NOT NULL").fetchone()[0])


def _parked_groups(db: sqlite3.Connection, box: str) -> list[JsonObject]:
    items = "sum(items)" if has_column(db, "parked", "items") else "count(*)"  # an older program parks one item a row
    rows = db.execute(
        f"SELECT signature, stage, reason, source, state, count(*) count, {items} items, min(first_at) first_at,"  # noqa: S608 - our own text
        " max(last_at) last_at, max(attempts) attempts, min(id) example FROM parked WHERE box = ?"
        " AND state IN ('parked', 'wanted') GROUP BY signature, stage, reason, source, state"
        " ORDER BY count DESC, state",
        (box,),
    )
    return [_letter(row) for row in rows]


def _parked_ids(db: sqlite3.Connection, box: str, wanted: str | None, first: int, last: int) -> list[str]:
    rows = db.execute(
        "SELECT id FROM parked WHERE box = ? AND state = 'parked' AND (? IS NULL OR ? IN (id, signature))"
        " AND last_at >= ? AND last_at < ? ORDER BY first_at",
        (box, wanted, wanted, first, last),
    )
    return [row["id"] for row in rows]


def _parked(db: sqlite3.Connection, box: str, wanted: str, limit: int) -> list[JsonObject]:
    rows = db.execute(
        "SELECT * FROM parked WHERE box = ? AND (id = ? OR signature = ?) ORDER BY first_at LIMIT ?",
        (box, wanted, wanted, limit),
    )
    return [{**_letter(row), "raw": orjson.loads(row["raw"])} for row in rows]


def _time(value: Any) -> str | None:
    return moment(value).isoformat() if value is not None else None
