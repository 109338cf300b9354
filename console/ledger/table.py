"""The ledger in 80 columns: a line for each source and hour, and its equations where there is more to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from console.ledger.account import totals
from console.ledger.equations import Difference
from console.moments import shown
from console.screen import aligned, wrapped
from schemas.envelope import JsonObject

COLUMNS: Final = ("hour", "answered", "receipts", "items", "facts", "sessions", "events", "balance")
_FIGURES: Final = range(1, 7)
_BENEATH: Final = " " * 6


def lines(
    rows: Sequence[JsonObject], found: Sequence[Difference], zone: ZoneInfo, *, tallied: bool = True
) -> Iterator[str]:
    """The table of all rows, by source, then their totals; `found`: all differences, `rows` sorted by source.

    Unless `tallied`, no door has told what it answered, and no row is called balanced.
    """
    for source, of_source in groupby(rows, key=lambda row: str(row["source"])):
        chosen = list(of_source)
        yield source
        heading, *figures = aligned(
            [COLUMNS, *(_cells(row, found, zone, tallied=tallied) for row in chosen)], right=_FIGURES
        )
        yield heading
        for row, line in zip(chosen, figures, strict=True):
            yield line
            if balance(row, found) != "ok":
                yield from (wrapped(equation, indent=_BENEATH) for equation in equations(row))
            elif aside := _set_aside(row):
                yield wrapped(aside, indent=_BENEATH)
    if rows:
        yield "in all"
        yield from (wrapped(equation, indent="  ") for equation in equations(_total(rows)))


def _total(rows: Sequence[JsonObject]) -> JsonObject:
    return totals(rows) | {"compared": all(row["compared"] for row in rows)}


def sentence(difference: Difference, zone: ZoneInfo) -> str:
    """One difference, its hour in `zone`; what it names stands below, one a line."""
    told = str(replace(difference, names=())).replace(difference.hour, hour_shown(difference.hour, zone), 1)
    names = () if difference.in_flight else difference.names
    return "\n".join([wrapped(told), *(wrapped(name, indent="  ") for name in names)])


def hour_shown(hour: str, zone: ZoneInfo) -> str:
    """When an hour of the ledger (`2026-01-31T08`, UTC) begins: `2026-01-31 16:00`."""
    return shown(datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC), zone).removesuffix(":00")


def balance(row: JsonObject, found: Sequence[Difference]) -> str:
    """Whether the equations of a row hold: ok, in flight (they need not hold yet), or DIFFERS."""
    here = [one for one in found if (one.source, one.hour) == (row["source"], row["hour"])]
    return "ok" if not here else "in flight" if all(one.in_flight for one in here) else "DIFFERS"


def equations(row: JsonObject) -> Iterator[str]:
    """Each equation of a row with its figures."""
    yield (
        f"items: {row['items']} = {row['unique']} unique + {row['amended']} amended"
        f" + {row['duplicate']} duplicate + {row['quarantined']} quarantined"
    )
    if row["compared"]:
        flying = row["passed"] - row["arrived"] - row["dead_facts"]
        parts = f"{row['arrived']} in sessions + {row['dead_facts']} dead + {flying} in flight"
        yield f"facts passed on: {row['passed']} = {parts}"
    yield (
        f"sessions: {row['sessions']} = {row['completed']} completed + {row['incomplete']} incomplete"
        f" + {row['open']} open"
    )
    yield f"events: {row['events']} = {row['sent']} sent + {row['events'] - row['sent']} not sent yet"
    yield _set_aside(row) or "nothing set aside"


def _set_aside(row: JsonObject) -> str:
    boxes = ", ".join(f"{row[box]} in {box}" for box in ("quarantine", "dead", "unrouted") if row[box])
    told = {
        f"set aside: {boxes}": boxes,
        f"{row['wanted']} wanted back and not published yet": row["wanted"],
        f"{row['replayed']} went back": row["replayed"],
        f"{row['purged']} purged": row["purged"],
        f"{row['expired']} expired": row["expired"],
    }
    return "; ".join(sentence for sentence, holds in told.items() if holds)


def _cells(row: JsonObject, found: Sequence[Difference], zone: ZoneInfo, *, tallied: bool) -> list[str]:
    facts = row["passed"] if row["compared"] else "-"
    balanced = balance(row, found)
    told = "no tally" if balanced == "ok" and not tallied else balanced
    counts = (row["answered"], row["receipts"], row["items"], facts, row["sessions"], row["events"])
    return [hour_shown(row["hour"], zone), *map(str, counts), told]
