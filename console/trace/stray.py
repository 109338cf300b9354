"""An event of no call that is known here, as one that was told at once: what the delivery log and dead letters say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from console.trace.outlets import LETTERS_SEARCHED, known_letters
from schemas.envelope import JsonObject, derived_id
from schemas.errors import Misconfigured
from schemas.topology import edge_stage, sink_queue
from workers.config import Config
from workers.stores.deliveries import Attempt
from workers.stores.reads import Reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """Attempts at any sink, oldest first, and dead letters of any outlet."""

    event_id: str
    attempts: Sequence[Attempt]
    letters: Sequence[JsonObject]


async def stray(reads: Reads, config: Config, event_id: str) -> Stray | None:
    """What is known of that event; None where it is nothing.

    Raises:
        Misconfigured, Unavailable: see workers.stores.reads.
    """
    attempts = await reads.attempts(event_id, datetime.now(UTC) - config.retention.outbox)
    letters = {
        **await known_letters(reads, [derived_id("dead", sink_queue(one.name), event_id) for one in config.sink])
    }
    for queue in config.queue:
        letters |= {letter["id"]: letter for letter in await _holding(reads, event_id, edge_stage(queue.name))}
    if not attempts and not letters:
        return None
    return Stray(event_id=event_id, attempts=attempts, letters=[*letters.values()])


async def _holding(reads: Reads, event_id: str, stage: str) -> Sequence[JsonObject]:
    try:
        return await reads.letters_holding(event_id, stage=stage, most=LETTERS_SEARCHED)
    except Misconfigured:  # nothing was ever parked
        return []
