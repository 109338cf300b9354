"""What checks of a whole run ask of its store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from console.ledger.account import read_ledger, totals
from schemas.envelope import JsonObject
from workers.stores.reads import ParkedReads, Reads

BOXES: Final = ("quarantine", "dead", "unrouted")


async def all_totals(reads: Reads) -> JsonObject:
    """The ledger's sums over all sources and hours."""
    return totals(await read_ledger(reads.books, now=datetime.now(UTC)))


async def parked_by_box(reads: ParkedReads) -> Mapping[str, Sequence[JsonObject]]:
    """The groups of what is parked."""
    return {box: await reads.parked_groups(box) for box in BOXES}
