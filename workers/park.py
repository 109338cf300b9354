"""quarantine, dead, unrouted -> the state store: where operators list, select, release and replay them.

Operators never browse a queue: looking uses up its delivery limit (notes/amqp.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from schemas.envelope import Envelope, Kind, encode_envelope
from schemas.stage import Stage

_VARIES: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """One message out of the flow; `raw` is its whole envelope as JSON, `signature` groups equal failures."""

    id: str
    box: str  # quarantine, dead or unrouted
    stage: str
    source: str
    reason: str
    signature: str
    at: datetime
    raw: bytes


class ParkedStore(Protocol):
    """Where parked messages live."""

    async def park(self, messages: Sequence[Parked]) -> None:
        """Keep them; one that comes again adds an attempt and moves `last_at`.

        Raises:
            Unavailable: the store is away.
        """
        ...


def park(store: ParkedStore, *, box: str, clock: Callable[[], datetime]) -> Stage:
    """The stage for one of the three queues."""

    async def handle(batch: Sequence[Envelope]) -> Sequence[Envelope]:
        await store.park([_parked(envelope, box, clock()) for envelope in batch])
        return []

    return Stage(handle)


def _parked(envelope: Envelope, box: str, at: datetime) -> Parked:
    body: Any = envelope.body if envelope.kind in (Kind.QUARANTINED, Kind.DEAD) else {}
    stage = body.get("stage", "")
    reason = body.get("reason", "no queue is bound to its type" if box == "unrouted" else "unknown")
    signature = hashlib.sha256(f"{box}|{stage}|{_VARIES.sub('n', reason)}".encode()).hexdigest()[:12]
    return Parked(
        id=envelope.id,
        box=box,
        stage=stage,
        source=envelope.source,
        reason=reason,
        signature=signature,
        at=at,
        raw=encode_envelope(envelope),
    )
