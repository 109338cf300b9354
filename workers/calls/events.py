"""Events: CloudEvents 1.0 in structured JSON; id and body are made once and never change.

Source: docs/contract.md section 2.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

import orjson

from schemas.envelope import Envelope, JsonObject, Kind, derived_id
from schemas.events.versions import DATASCHEMAS, versioned
from schemas.facts import FactKind
from schemas.numbers import canonical
from schemas.value import value
from workers.calls.kept import KeptFact
from workers.calls.rows import decision_row, timeline_row
from workers.calls.session import version_key

_TOKEN_BYTES: Final = 16


@value
class Event:
    """What an event says, before it has its bytes; `type` is the short type, `subject` the record's id.

    `known_as` is what its id is derived of, where that is not the subject.
    """

    type: str
    source: str
    subject: str
    time: datetime | str
    data: JsonObject
    revision: int | None = None
    known_as: str | None = None


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
        "dataschema": DATASCHEMAS[event.type],
        "revision": event.revision,
        "data": event.data,
    }
    if event.revision is None:
        del rest["revision"]
    said = orjson.dumps(rest, option=orjson.OPT_UTC_Z)
    if discriminator is None:
        discriminator = f"{event.revision}|{hashlib.sha256(said).hexdigest()}"
    event_id = derived_id(event.known_as or event.subject, event.type, discriminator)
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
    """The event that needs no outbox, because it is a pure function of the fact: no clock of ours is read.

    `call.progress` has the platform's moment, so that the same notification pushed again makes the same bytes; where it
    told none, and in `call.decided` and `platform.notified`, it is the clock of the door, which the fact holds. Then
    the fact's own id is in that of the event, but for a decision, which has one fact. The minor is in each: these bytes
    are nowhere stored, so what a later version makes of the same fact is another event. `repaired` stands only where
    something was.
    """
    row, version = fact.row, version_key(fact)
    mended = _mended(fact)
    match fact.kind:
        case FactKind.CALL_EVENT:
            at = row.get("at")
            event = _event(fact, "call.progress", {"event": timeline_row(row), **mended}, time=at or fact.at)
            version = version if at else _told_by(fact)
        case FactKind.DECISION:
            event = _event(fact, "call.decided", {"decision": decision_row(fact)}, time=fact.at)
        case _:
            event = _event(fact, "platform.notified", {"raw": row["raw"], **mended}, time=fact.at)
            version = _told_by(fact)
    return event_envelope(event, at=fact.at, trace=trace, discriminator=f"{version}|{versioned(event.type)}")


def number_event(fact: KeptFact, number: str | None, *, key: bytes, now: datetime, trace: str) -> Envelope:
    """`number.changed` of a number, where the state names one; it has the time of our commit, so it is for the outbox.

    The fact's id, which its notification's envelope gave it, makes 9, 5, 9 three events. The subject is of the number
    alone: a token by `key`, by which nobody without it finds the number; of a state that names none, of its content.
    """
    data = {"raw": fact.row["raw"], "number": number, **_mended(fact)}
    event = Event(
        type="number.changed",
        source=fact.source,
        subject=f"{fact.source}:number:{number_token(number or fact.key, key)}",
        known_as=fact.call_id,
        time=now,
        data=data,
    )
    return event_envelope(event, at=fact.at, trace=trace, discriminator=_told_by(fact))


def number_token(number: str, key: bytes) -> str:
    """The same for each spelling of a number; without the key nobody gets from one to the other."""
    return hashlib.blake2b(canonical(number).encode(), key=key, digest_size=_TOKEN_BYTES).hexdigest()


def _told_by(fact: KeptFact) -> str:
    """That version of the fact, as this one notification told it."""
    return f"{version_key(fact)}|{fact.identity['id']}"


def _mended(fact: KeptFact) -> JsonObject:
    return {"repaired": fact.repaired} if fact.repaired else {}


def _event(fact: KeptFact, kind: str, data: JsonObject, *, time: datetime | str) -> Event:
    return Event(type=kind, source=fact.source, subject=fact.call_id, time=time, data=data)
