"""What the operator's commands ask of the files of SQLite, whoever owns them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from runtime.files import read_only
from schemas.envelope import JsonObject
from workers.calls.session import state_of
from workers.stores.sqlite.books import SqliteBooks
from workers.stores.sqlite.file import micros, moment


class SqliteReads:
    """What the operator's commands ask; opens the files read-only, whoever owns them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def ledger(self) -> Iterator[JsonObject]:
        """Counts by source and hour: answered, receipts, items and what became of them, sessions by status."""
        rows: dict[tuple[str, str], JsonObject] = {}
        for found in (self._dedupe_counts(), self._session_counts()):
            for key, counts in found:
                rows.setdefault(key, {"source": key[0], "hour": key[1]}).update(counts)
        yield from (rows[key] for key in sorted(rows))

    def _dedupe_counts(self) -> Iterator[tuple[tuple[str, str], JsonObject]]:
        with read_only(self._directory / "dedupe.db") as db:
            for row in db.execute(
                "SELECT source, hour, count(*) receipts, sum(items) items, sum(new) 'unique', sum(amended) amended,"
                " sum(duplicate) duplicate, sum(quarantined) quarantined FROM receipt GROUP BY 1, 2"
            ):
                yield (row["source"], row["hour"]), _without_key(row)
            for row in db.execute("SELECT source, hour, sum(answered) answered FROM tally GROUP BY 1, 2"):
                yield (row["source"], row["hour"]), _without_key(row)

    def _session_counts(self) -> Iterator[tuple[tuple[str, str], JsonObject]]:
        with read_only(self._directory / "correlate.db") as db:
            for row in db.execute(
                "SELECT source, hour, count(*) sessions, sum(status = 'completed') completed,"
                " sum(status = 'incomplete') incomplete, sum(status = 'open') open FROM session GROUP BY 1, 2"
            ):
                yield (row["source"], row["hour"]), _without_key(row)

    def books(self) -> SqliteBooks:
        """The later half of the ledger."""
        return SqliteBooks(self._directory)

    def events(self) -> Mapping[str, JsonObject]:
        """Events in the outbox by type: how many there are, and how many of them were sent."""
        with read_only(self._directory / "correlate.db") as db:
            rows = db.execute("SELECT route, count(*) made, sum(sent_at IS NOT NULL) sent FROM outbox GROUP BY 1")
            return {row["route"]: {"made": row["made"], "sent": row["sent"]} for row in rows}

    def event_ids(self) -> frozenset[str]:
        """Ids of all events that ever left through the outbox."""
        with read_only(self._directory / "correlate.db") as db:
            return frozenset(row[0] for row in db.execute("SELECT id FROM outbox WHERE route LIKE '%.%'"))

    def due(self) -> int:
        """Sessions that still have something to say at a deadline."""
        with read_only(self._directory / "correlate.db") as db:
            return int(db.execute("SELECT count(*) FROM session WHERE due_at IS NOT NULL").fetchone()[0])

    def session(self, call_id: str) -> JsonObject | None:
        """The state of one call: its facts, revision and what was published; None when unknown."""
        with read_only(self._directory / "correlate.db") as db:
            row = db.execute("SELECT * FROM session WHERE id = ?", (call_id,)).fetchone()
            if row is None:
                return None
            sent = db.execute("SELECT envelope, sent_at FROM outbox WHERE call_id = ? ORDER BY n", (call_id,))
            leaving = [{**orjson.loads(envelope), "sent_at": _time(at)} for envelope, at in sent]
        state = state_of(row["state"])
        return {
            "id": call_id,
            "status": row["status"],
            "due_at": _time(row["due_at"]),
            "state": state,
            "outbox": leaving,
        }

    def calls(self, ending: str) -> list[str]:
        """Ids of calls whose id ends so (an operator may leave out the source)."""
        with read_only(self._directory / "correlate.db") as db:
            return [row[0] for row in db.execute("SELECT id FROM session WHERE id LIKE '%' || ? LIMIT 20", (ending,))]

    def parked_groups(self, box: str) -> list[JsonObject]:
        """Parked messages grouped by signature, most first, so that 40,000 equal failures are one line."""
        with read_only(self._directory / "park.db") as db:
            rows = db.execute(
                "SELECT signature, stage, reason, source, count(*) count, min(first_at) first_at, max(last_at) last_at,"
                " max(attempts) attempts, min(id) example FROM parked WHERE box = ? AND state = 'parked'"
                " GROUP BY signature, stage, reason, source ORDER BY count DESC",
                (box,),
            )
            return [{**dict(row), "first_at": _time(row["first_at"]), "last_at": _time(row["last_at"])} for row in rows]

    def parked_ids(self, box: str, *, wanted: str | None, since: datetime | None, until: datetime | None) -> list[str]:
        """Ids of what waits there, oldest first: by id, by signature or all, last parked in that time."""
        first, last = (micros(since) if since else 0), (micros(until) if until else 1 << 62)
        with read_only(self._directory / "park.db") as db:
            rows = db.execute(
                "SELECT id FROM parked WHERE box = ? AND state = 'parked' AND (? IS NULL OR ? IN (id, signature))"
                " AND last_at >= ? AND last_at < ? ORDER BY first_at",
                (box, wanted, wanted, first, last),
            )
            return [row["id"] for row in rows]

    def parked(self, box: str, *, wanted: str, limit: int) -> list[JsonObject]:
        """Parked messages by id or signature, whole."""
        with read_only(self._directory / "park.db") as db:
            rows = db.execute(
                "SELECT * FROM parked WHERE box = ? AND (id = ? OR signature = ?) ORDER BY first_at LIMIT ?",
                (box, wanted, wanted, limit),
            )
            return [{**dict(row), "raw": orjson.loads(row["raw"])} for row in rows]


def _without_key(row: sqlite3.Row) -> JsonObject:
    return {name: row[name] for name in row.keys() if name not in ("source", "hour")}  # noqa: SIM118 - a Row is no dict


def _time(value: Any) -> str | None:
    return moment(value).isoformat() if value is not None else None
