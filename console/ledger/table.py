"""The ledger as a table: a line for each source and hour, an equation for each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from console.ledger.equations import Difference
from schemas.envelope import JsonObject

COLUMNS: Final = (
    "source",
    "hour",
    "answered /\nreceipts",
    "items = unique\n+amended+duplicate\n+quarantined",
    "facts passed on\n= in sessions\n+dead+in flight",
    "sessions\n= completed\n+incomplete+open",
    "events\n= sent\n+unsent",
    "quarantine\n/dead\n/unrouted",
    "went\nback",
    "balance",
)


def cells(row: JsonObject, found: Sequence[Difference]) -> list[str]:
    """One line of the table, each equation with its figures; `found`: all differences."""
    here = [one for one in found if (one.source, one.hour) == (row["source"], row["hour"])]
    balance = "ok" if not here else "in flight" if all(one.in_flight for one in here) else "DIFFERS"
    flying = row["passed"] - row["arrived"] - row["dead_facts"]
    facts = f"{row['passed']} = {row['arrived']}+{row['dead_facts']}+{flying}" if row["compared"] else "-"
    return [
        row["source"],
        row["hour"],
        f"{row['answered']} / {row['receipts']}",
        f"{row['items']} = {row['unique']}+{row['amended']}+{row['duplicate']}+{row['quarantined']}",
        facts,
        f"{row['sessions']} = {row['completed']}+{row['incomplete']}+{row['open']}",
        f"{row['events']} = {row['sent']}+{row['events'] - row['sent']}",
        f"{row['quarantine']}/{row['dead']}/{row['unrouted']}",
        str(row["wanted"] + row["replayed"]),
        balance,
    ]
