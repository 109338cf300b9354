"""Events: CloudEvents 1.0 in structured JSON; id and body are made once and never change.

Source: docs/contract.md section 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import orjson

from schemas.envelope import Envelope, JsonObject, Kind, derived_id
from schemas.facts import FactKind
from schemas.value import value
from workers.calls.kept import KeptFact
from workers.calls.rows import decision_row, timeline_row
from workers.calls.session import version_key

CHANGED_BYTES: Final = 64 * 1024


@value
class Event:
    """What an event says, before it has its bytes; `type` is the short type, `subject` the record's id."""

    type: str
    source: str
    subject: str
    time: datetime | str | None
    data: JsonObject
    revision: int | None = None


def event_envelope(event: Event, *, at: datetime, trace: str, discriminator: str | None = None) -> Envelope:
    """The envelope of an event, its bytes fixed.

    The id is derived from subject, type and discriminator; without one that is revision and body hash
    (completed, amended, incomplete), so that two bodies can never share an id.
    """
    rest: JsonObject = {
        "specversion": "1.0",
        "type": f"callstitch.{event.type}.v1",
        "source": f"/callstitch/{event.source}",
        "subject": event.subject,
        "callid": event.subject,
        "time": event.time,
        "datacontenttype": "application/json",
        "revision": event.revision,
        "data": event.data,
    }
    for name in ("time", "revision"):
        if rest[name] is None:
            del rest[name]
    said = orjson.dumps(rest, option=orjson.OPT_UTC_Z)
    if discriminator is None:
        discriminator = f"{event.revision}|{hashlib.sha256(said).hexdigest()}"
    event_id = derived_id(event.subject, event.type, discriminator)
    body = b'{"id":"%b",%b' % (event_id.encode(), said[1:])
    return Envelope(
        id=event_id,
        kind=Kind.EVENT,
        source=event.source,
        at=at,
        body=body,
        trace=trace,
        route=f"{event.type}.{event.source}",
    )


def event_at_once(fact: KeptFact, *, trace: str) -> Envelope:
    """The event that needs no outbox, because it is a pure function of the fact.

    `call.progress` of a call event, `number.changed`, `platform.notified`: their time is the platform's own, if any,
    and never ours, since the same notification pushed again must make the same bytes. `call.decided` carries the door's
    clock, which its fact holds. `repaired` stands only where something was, so that a fact that an older version left
    makes the bytes of that version.
    """
    row = fact.row
    mended = _mended(fact)
    match fact.kind:
        case FactKind.CALL_EVENT:
            event = _event(fact, "call.progress", {"event": timeline_row(row), **mended}, time=row.get("at"))
        case FactKind.DECISION:
            event = _event(fact, "call.decided", {"decision": decision_row(fact)}, time=fact.at)
        case FactKind.NUMBER_STATE:
            event = _event(fact, "number.changed", {"raw": row["raw"], **mended}, time=None)
        case _:
            event = _event(fact, "platform.notified", {"raw": row["raw"], **mended}, time=None)
    return event_envelope(event, at=fact.at, trace=trace, discriminator=version_key(fact))


def number_event(fact: KeptFact, *, now: datetime, trace: str) -> Envelope:
    """`number.changed` of a state that came without a time: it has that of our commit, so it leaves by the outbox.

    The fact's id, which its notification's envelope gave it, makes 9, 5, 9 three events.
    """
    event = _event(fact, "number.changed", {"raw": fact.row["raw"], **_mended(fact)}, time=now)
    return event_envelope(event, at=fact.at, trace=trace, discriminator=f"{version_key(fact)}|{fact.identity['id']}")


def _mended(fact: KeptFact) -> JsonObject:
    return {"repaired": fact.repaired} if fact.repaired else {}


def _event(fact: KeptFact, kind: str, data: JsonObject, *, time: datetime | str | None) -> Event:
    return Event(type=kind, source=fact.source, subject=fact.call_id, time=time, data=data)


def changed(before: JsonObject | None, now: JsonObject) -> list[str]:
    """JSON pointers of what a revision changes, in the order of the new record.

    Each pointer spells the names above it, so a few long names in a `raw` would make megabytes of them: where they are
    more than CHANGED_BYTES, only the fields of the record are named.
    """
    found: list[str] = []
    length = 0
    for pointer in changes(before, now):
        length += len(pointer)
        if length > CHANGED_BYTES:
            old = before or {}
            return [f"/{name}" for name in now if name != "revision" and old.get(name) != now[name]]
        if pointer != "/revision":
            found.append(pointer)
    return found


def changes(old: Any, new: Any, pointer: str = "") -> Iterator[str]:
    """JSON pointers (RFC 6901) of what differs between two JSON values, in the order of the new one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**new, **old}:
            yield from changes(old.get(name), new.get(name), f"{pointer}/{_escaped(name)}")
    elif isinstance(old, list) and isinstance(new, list):
        for n in range(max(len(old), len(new))):
            pair = (old[n] if n < len(old) else None, new[n] if n < len(new) else None)
            yield from changes(*pair, f"{pointer}/{n}")
    elif old != new:
        yield pointer


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
