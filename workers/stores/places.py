"""The one list of places in which a store keeps anything, and which of them hold what people said or were called by.

Both stores answer for every place (tests/contracts/test_stores_purge.py): a table that is in neither list fails a test,
and so does a place of people that a store cannot search and erase.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Place = Literal["session", "outbox", "tombstone", "parked"]

OF_PEOPLE: Final[Mapping[Place, str]] = {
    "session": "calls and SMS in the making: numbers, times, texts, user data, the platform's own fields",
    "outbox": "events and orders for recordings, whole, for some days and until they were sent",
    "tombstone": "the id of a call that was forgotten, which a platform may have made of numbers",
    "parked": "pushes and work that were set aside, whole",
}
OF_NOBODY: Final[Mapping[str, str]] = {
    "claim": "hashes of keys and contents, ids of our own, and times",
    "amendment": "the same of a second content of a key",
    "latest": "the same of the latest state of a number",
    "receipt": "counts by source and hour",
    "tally": "counts by source and hour",
    "unsent": "numbers of outbox rows, and times",
    "purge_key": "the key by which it is known what was erased",
    "declared": "names of queues",
    "form": "names of exchanges and patterns of event types",
    "sink": "which sinks rest, who said so (an operator), and how the last batch of each ended",
    "delivery": "ids of events as UUIDs, which are hashes, and how sinks answered them, in a word",
    "meta": "the version of the tables",
}
ROWS_AT_ONCE: Final = 200


class Row(NamedTuple):
    """What stands in a place: its own id, the call it is of (None: it does not say), and all its text."""

    id: str
    call_id: str | None
    text: bytes
