"""The account of the ledger: the counts of a store, by source and hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.envelope import JsonObject, Kind
from workers.retention import AS_EVER, CLAIMS_KEPT, Retention
from workers.stores.ledger import CountReads, ParkedCount, hour_of

COUNTS: Final = (
    "answered",
    "receipts",
    "items",
    "unique",
    "amended",
    "duplicate",
    "quarantined",
    "passed",
    "arrived",
    "dead_facts",
    "dead_notifications",
    "sessions",
    "completed",
    "incomplete",
    "open",
    "revisions",
    "events",
    "sent",
    "quarantine",
    "dead",
    "unrouted",
    "wanted",
    "replayed",
    "purged",
    "expired",
    "ever_quarantined",
)
NOT_COMPARED: Final = timedelta(days=1)  # of what is kept, the oldest


async def read_ledger(
    books: CountReads,
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    source: str | None = None,
    kept: Retention = AS_EVER,
) -> list[JsonObject]:
    """The chosen rows, every count filled in; `compared`: whether the facts of that hour can be compared.

    What comes later in the pipeline is read first where more there would be a difference, so that traffic meanwhile is
    in flight and nothing else.
    """
    rows: dict[tuple[str, str], JsonObject] = {}
    for row in await books.ledger():
        _row(rows, row["source"], row["hour"]).update(row)
    low, high = _in_utc(since), _in_utc(until)
    await _add_books(rows, books, first=now - min(CLAIMS_KEPT, kept.outbox) + NOT_COMPARED, asked=low)
    return _chosen(rows, hour_of(low) if low else "", hour_of(high) if high else "9", source)


def _in_utc(moment: datetime | None) -> datetime | None:
    """A moment without a zone is meant in UTC."""
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment and moment.astimezone(UTC)


def _chosen(rows: dict[tuple[str, str], JsonObject], low: str, high: str, source: str | None) -> list[JsonObject]:
    return [rows[key] for key in sorted(rows) if low <= key[1] <= high and source in (None, key[0])]


def _row(rows: dict[tuple[str, str], JsonObject], source: str, hour: str) -> JsonObject:
    bare = {"source": source, "hour": hour, "compared": False, **dict.fromkeys(COUNTS, 0)}
    return rows.setdefault((source, hour), bare)


async def _add_books(
    rows: dict[tuple[str, str], JsonObject], books: CountReads, *, first: datetime, asked: datetime | None
) -> None:
    since = max(first, asked.replace(minute=0, second=0, microsecond=0)) if asked else first
    arrived, passed = await books.arrived(), await books.passed(since)
    uncounted = max((hour for source, hour, _ in (*arrived, *passed) if source is None), default="")
    for name, counts in (("arrived", arrived), ("passed", passed)):
        for source, hour, count in counts:
            if source is not None:
                _row(rows, source, hour)[name] += count
    for said in await books.said():
        row = _row(rows, said.source, said.hour)
        row |= {"revisions": said.revisions, "events": said.made, "sent": said.sent}
    for parked in await books.parked():
        _add_parked(_row(rows, parked.source, parked.hour), parked)
    for (_, hour), row in rows.items():
        row["compared"] = hour > max(uncounted, hour_of(first))


def _add_parked(row: JsonObject, parked: ParkedCount) -> None:
    row[parked.box if parked.state == "parked" else parked.state] += parked.count
    if parked.box == "quarantine":
        row["ever_quarantined"] += parked.items
    if parked.box != "unrouted" and parked.state != "replayed":
        died = {Kind.FACT: "dead_facts", Kind.NOTIFICATION: "dead_notifications"}.get(parked.kind)
        if died == "dead_facts" or (died and parked.box == "dead"):
            row[died] += parked.count


def totals(rows: Sequence[JsonObject]) -> JsonObject:
    """Sums over all rows."""
    return {name: sum(row[name] for row in rows) for name in COUNTS}
