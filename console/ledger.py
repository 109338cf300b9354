"""The ledger (design section 8): what was answered against what became of it, by source and hour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from schemas.envelope import JsonObject

COUNTS: Final = (
    "answered",
    "receipts",
    "items",
    "unique",
    "amended",
    "duplicate",
    "quarantined",
    "sessions",
    "completed",
    "incomplete",
    "open",
)
CLOSES_AFTER: Final = timedelta(
    minutes=15
)  # after its hour a window has had time for the last tally and the last retry


class LedgerReads(Protocol):
    """What a store tells of its counts."""

    def ledger(self) -> Iterable[JsonObject]:
        """Counts by source and hour."""
        ...


def read_ledger(
    reads: LedgerReads, *, since: datetime | None, until: datetime | None, source: str | None
) -> list[JsonObject]:
    """The chosen rows, every count filled in."""
    rows = [{**dict.fromkeys(COUNTS, 0), **row} for row in reads.ledger()]
    low = f"{since:%Y-%m-%dT%H}" if since else ""
    high = f"{until:%Y-%m-%dT%H}" if until else "9"
    return [row for row in rows if low <= row["hour"] <= high and source in (None, row["source"])]


def totals(rows: Sequence[JsonObject]) -> JsonObject:
    """Sums over all rows."""
    return {name: sum(row[name] for row in rows) for name in COUNTS}


def differences(rows: Sequence[JsonObject], *, now: datetime) -> list[str]:
    """One sentence per equation that does not hold; in an open window the rest is in flight, not missing."""
    return [
        f"{row['source']} {row['hour']}: {fault}" + ("" if _closed(row, now) else " (in flight: the window is open)")
        for row in rows
        for fault in _faults(row)
    ]


def _faults(row: JsonObject) -> Iterable[str]:
    if row["answered"] > row["receipts"]:
        yield f"{row['answered'] - row['receipts']} notifications were answered 200 and have no receipt"
    parts = row["unique"] + row["amended"] + row["duplicate"] + row["quarantined"]
    if row["items"] != parts:
        yield f"{row['items']} items, but {parts} are accounted for"
    if row["sessions"] != row["completed"] + row["incomplete"] + row["open"]:
        yield "sessions do not add up"


def _closed(row: JsonObject, now: datetime) -> bool:
    hour = datetime.strptime(row["hour"], "%Y-%m-%dT%H").replace(tzinfo=UTC)
    return now >= hour + timedelta(hours=1) + CLOSES_AFTER
