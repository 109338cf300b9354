"""quarantine, dead, unrouted -> the state store: where operators list, select, release and replay them.

Operators never browse a queue: looking uses up its delivery limit (docs/notes/amqp.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import orjson
import structlog

from schemas.envelope import EVENT_CONTENT_TYPE, Envelope, Kind, decode_envelope, encode_envelope
from schemas.stage import Stage
from schemas.topology import EDGE
from workers.retention import AS_EVER, WARNED, Retention, now_and_then

REPLAY_ROWS: Final = 500
WARN_EVERY: Final = timedelta(hours=1)
log = structlog.get_logger()

_VARIES: Final = re.compile(r"\d+")
_OURS: Final = "callstitch."


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """One message out of the flow; `raw` is its whole envelope as JSON, `signature` groups equal failures.

    `items` is how many items of a push it stands for: a push is parked once, however many of them cannot be read; and
    how many events a message held that died in a downstream queue. `attempts`: how often its stage tried it before it
    gave up, this time.
    """

    id: str
    box: str  # quarantine, dead or unrouted
    stage: str
    source: str
    reason: str
    signature: str
    at: datetime
    raw: bytes
    items: int = 1
    attempts: int = 1


class ParkedStore(Protocol):
    """Where parked messages live."""

    async def park(self, messages: Sequence[Parked]) -> None:
        """Keep them; one that comes again adds its attempts and moves `last_at`, and is whole if it was emptied.

        One that was purged stays so.
        What was released and is still unreadable stands for the most items it ever stood for, as its receipt does, and
        shows what it stands for now.

        Raises:
            Unavailable: the store is away; as for all of these.
        """
        ...

    async def want(self, ids: Sequence[str]) -> int:
        """An operator wants these back in the flow; how many were parked and now are wanted."""
        ...

    async def wanted(self, box: str, limit: int) -> Sequence[tuple[str, bytes]]:
        """Id and `raw` of what is wanted and not yet replayed."""
        ...

    async def replayed(self, ids: Sequence[str], now: datetime) -> None:
        """These were published and confirmed; they are kept, with that mark, as long as what is parked now."""
        ...

    async def purge(self, ids: Sequence[str]) -> int:
        """Leave of these what the ledger needs; how many. What is wanted is left alone."""
        ...

    async def look(self, now: datetime) -> Mapping[str, int]:
        """What metrics tell of what it holds, by metric; nothing here but that it answers."""
        ...

    async def expire(self, box: str, before: datetime, limit: int) -> int:
        """The same for up to `limit` that were last parked, or went back, before that moment.

        What never went back is `expired`.
        """
        ...

    async def expiring(self, box: str, before: datetime) -> tuple[int, datetime | None]:
        """How many that never went back were last parked before that moment, and when the first was."""
        ...

    async def unwanted(self, ids: Sequence[str]) -> None:
        """These were wanted and cannot go back: they are parked as before."""
        ...


def park(
    store: ParkedStore,
    *,
    box: str,
    clock: Callable[[], datetime],
    outlets: Collection[str] | None = None,
    kept: Retention = AS_EVER,
) -> Stage:
    """The stage for one of the three queues.

    `outlets`: the queues to which what died in one may go back; one that is gone would be waited for for ever.
    """
    under_way: dict[str, list[str]] = {}  # by the envelope's id: an old state has a row for every bad item of it
    forget = _forgetting(store, box, kept.parked)

    async def handle(batch: Sequence[Envelope]) -> Sequence[Envelope]:
        await store.park([_parked(envelope, box, clock()) for envelope in batch])
        return []

    async def tick(now: datetime) -> Sequence[Envelope]:
        """Copy, then mark: what is wanted is published, and `published` marks it once that is confirmed."""
        await forget(now)
        under_way.clear()
        rows = {parked_id: revived(raw) for parked_id, raw in await store.wanted(box, REPLAY_ROWS)}
        going = {parked_id: envelope for parked_id, envelope in rows.items() if envelope and may_go(envelope)}
        await store.unwanted([parked_id for parked_id in rows if parked_id not in going])
        for parked_id, envelope in going.items():
            under_way.setdefault(envelope.id, []).append(parked_id)
        return list({(envelope.id, envelope.route): envelope for envelope in going.values()}.values())

    def may_go(envelope: Envelope) -> bool:
        to_one_queue = box == "dead" and envelope.kind in (Kind.EVENT, Kind.MESSAGE)
        return not to_one_queue or outlets is None or envelope.route in outlets

    async def published(ids: Sequence[str]) -> None:
        gone = [parked_id for envelope_id in dict.fromkeys(ids) for parked_id in under_way.get(envelope_id, ())]
        await store.replayed(gone, clock())

    return Stage(handle, tick, published)


def _forgetting(store: ParkedStore, box: str, kept: timedelta | None) -> Callable[[datetime], Awaitable[None]]:
    """What a tick awaits: empty what is old enough, and warn, once an hour, of what is about to be."""
    warned: datetime | None = None

    async def expire(now: datetime, limit: int) -> int:
        nonlocal warned
        if kept is None:
            return 0
        gone = await store.expire(box, now - kept, limit)
        if gone:
            log.warning("parked.expired", box=box, count=gone)
        if warned is None or now >= warned + WARN_EVERY:
            warned = now
            count, first = await store.expiring(box, now - kept + WARNED)
            if first is not None:
                log.warning("parked.expiring", box=box, count=count, first_at=(first + kept).isoformat())
        return gone

    return now_and_then(expire)


def revived(raw: bytes) -> Envelope | None:
    """The envelope to publish again, as on its first attempt, by its own id; None when there is none inside.

    A dead event goes back to the one sink that failed it, and what died in a downstream queue, whole, to that queue;
    everything else takes the way of its kind.
    """
    parked = decode_envelope(orjson.loads(raw))
    if parked.kind == Kind.EVENT:  # unrouted: somebody may have bound its type since
        return parked
    body: Any = parked.body
    if "message" in body:
        queue = body["stage"].removeprefix(EDGE)
        return replace(parked, kind=Kind.MESSAGE, body=body["message"], attempt=1, route=queue)
    if "envelope" not in body:
        return None
    envelope = replace(decode_envelope(body["envelope"]), attempt=1)
    if envelope.kind != Kind.EVENT:
        return envelope
    if body["stage"].startswith(_OURS):
        return replace(envelope, route=body["stage"])
    return _alone(envelope, body["stage"].removeprefix(EDGE))


def _alone(event: Envelope, queue: str) -> Envelope:
    """The message of an event out of a downstream queue that was pruned, or died before `queue:NAME` was known."""
    assert isinstance(event.body, bytes)
    headers = {"cloudEvents_id": event.id} | ({"traceparent": event.trace} if event.trace else {})
    told = {"content_type": EVENT_CONTENT_TYPE, "message_id": "", "headers": headers, "properties": {}}
    return replace(event, kind=Kind.MESSAGE, body=told | {"text": event.body.decode()}, route=queue)


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
        items=body.get("bad") or body.get("events", 1),
        attempts=body.get("envelope", {}).get("attempt", 1) if envelope.kind == Kind.DEAD else 1,
    )
