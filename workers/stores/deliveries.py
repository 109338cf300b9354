"""The delivery log: what became of each event at each sink, attempt by attempt, for as long as the outbox is kept.

One row holds all events of a sink that ended alike within a second, sixteen bytes each, so that a sink that takes a
thousand events a second costs its store sixteen rows. Who asks for an event reads the rows of one sixteenth of all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, Protocol

End = Literal["acked", "retry", "held", "dead"]

_KEY_BYTES: Final = 16
PARTS: Final = 16


class Attempt(NamedTuple):
    """One attempt at one sink: its number, how the sink answered, in a few words, and what became of the event.

    `acked` it is there, `retry` it comes again by the schedule, `held` its far end is away and no attempt is counted,
    `dead` it became a dead letter. `at` is right to a second.
    """

    sink: str
    at: datetime
    attempt: int
    answer: str
    end: End


class DeliveryRow(NamedTuple):
    """What a store keeps: the keys of all events of one part to which the same happened."""

    part: int
    attempt: Attempt
    keys: bytes


class DeliveryStore(Protocol):
    """Shared by all processes that serve sinks; Unavailable as for every store."""

    async def keep(self, rows: Sequence[DeliveryRow]) -> None:
        """Add these."""
        ...

    async def forget(self, before: datetime) -> None:
        """Delete what is older."""
        ...


def rows_of(attempts: Mapping[Attempt, Sequence[str]]) -> list[DeliveryRow]:
    """What is to be kept of attempts, each with the ids of its events."""
    rows = []
    for attempt, ids in attempts.items():
        parts: defaultdict[int, list[bytes]] = defaultdict(list)
        for key in map(key_of, ids):
            parts[part_of(key)].append(key)
        rows += [DeliveryRow(part, attempt, b"".join(keys)) for part, keys in parts.items()]
    return rows


def key_of(event_id: str) -> bytes:
    """By what an event is known there: its UUID, or a hash of any other id."""
    try:
        key = bytes.fromhex(event_id.replace("-", ""))
    except ValueError:
        key = b""
    return key if len(key) == _KEY_BYTES else blake2b(event_id.encode(), digest_size=_KEY_BYTES).digest()


def part_of(key: bytes) -> int:
    """Which sixteenth of all events a key is of."""
    return key[0] % PARTS
