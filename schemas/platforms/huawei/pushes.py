"""What the pushes of Huawei's two voice platforms have in common: items, ids, keys, recordings.

Source: docs/protocols/huawei-privatenumber.md sections 0 to 3, docs/protocols/huawei-voicecall.md sections 0 to 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from schemas.dialect.fields import MAX_ID, as_integer, digits, identifier, iso, phone, text
from schemas.dialect.json_body import fingerprint, sha256_hex
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Announced, CallEvent, CallFields, Code, FactBody, FactKind, KindOfFact, Other, Parsed
from schemas.vocabulary import TimelineType

MAX_RECORDS: Final = 1000  # documented: up to 50 CDRs in one push

# The event type, compared ignoring case: what it is on our timeline. VoiceCall's page names callin without defining it.
EVENT_TYPES: Final[Mapping[str, TimelineType]] = {
    "callin": "incoming",
    "callout": "outgoing",
    "alerting": "ringing",
    "answer": "answered",
    "disconnect": "ended",
    "collectinfo": "digits",
}


def event_type_of(body: JsonObject) -> str:
    """In lower case; empty when there is none."""
    return (text(body, "eventType") or "").lower()


def holds_cdrs(body: JsonObject) -> bool:
    """Whether this is a push of CDRs, by its type or by its list."""
    records = body.get("feeLst")
    return event_type_of(body) == "fee" or (isinstance(records, list) and bool(records))


def fee_list(body: JsonObject) -> list[Any]:
    """The CDRs of a push.

    Raises:
        Malformed: no_fee_list, long_fee_list.
    """
    records = body.get("feeLst")
    if not isinstance(records, list) or not records:
        raise Malformed("no_fee_list")
    if len(records) > MAX_RECORDS:
        raise Malformed("long_fee_list", f"{len(records)} records")
    return records


def read_item(read: Callable[[JsonObject], Parsed], item: Any) -> Parsed | Malformed:
    """One result for one item: what is wrong with it does not spoil its neighbours."""
    if not isinstance(item, dict):
        return Malformed("not_an_object")
    try:
        return read(item)
    except Malformed as error:
        return error.with_traceback(None)


def other(body: JsonObject, sent: bytes) -> Parsed:
    """Never an error: new event types appear, and one that names a session belongs to it."""
    info = body.get("statusInfo")
    session_id = digits(info, "sessionId") if isinstance(info, dict) else None
    kept = session_id if session_id and len(session_id) <= MAX_ID else ""
    return known_by_bytes(FactKind.OTHER, Other(raw=body), body, sent, session_id=kept)


def known_by_bytes(kind: KindOfFact, fact: FactBody, body: JsonObject, sent: bytes, *, session_id: str) -> Parsed:
    """A push without a documented id: the same bytes again are a re-push."""
    return Parsed(
        kind=kind,
        session_id=session_id,
        key=f"{kind}|{sha256_hex(sent)}",
        fingerprint=fingerprint(body),
        body=fact,
    )


class Status(NamedTuple):
    """What a call event tells: its `statusInfo`, its session id, its type in lower case, and on our timeline.

    `caller` and `called` are the numbers as this event names them.
    """

    info: JsonObject
    session_id: str
    event_type: str
    timeline_type: TimelineType
    caller: str | None
    called: str | None


def status_of(body: JsonObject) -> Status:
    """The status in a call event of a known type.

    Raises:
        Malformed: no_status_info, no_session_id, numeric_id, long_id.
    """
    info = body.get("statusInfo")
    if not isinstance(info, dict):
        raise Malformed("no_status_info")
    event_type = event_type_of(body)
    caller, called = phone(info, "caller"), phone(info, "called")
    return Status(info, session_of(info), event_type, EVENT_TYPES[event_type], caller, called)


def call_event_fact(body: JsonObject, status: Status, at: datetime | None, call: CallFields) -> Parsed:
    """The fact of a call event, `at` its moment in UTC; `raw` is this whole body.

    The key holds the called number as a digest only, since keys reach logs.
    """
    info, session_id, event_type, timeline_type, caller, callee = status
    called = sha256_hex((digits(info, "called") or "").encode())[:16]
    return Parsed(
        kind=FactKind.CALL_EVENT,
        session_id=session_id,
        key=f"event|{session_id}|{event_type}|{called}|{iso(at) if at else ''}",
        fingerprint=fingerprint(body),
        body=CallEvent(
            type=timeline_type,
            platform_type=body["eventType"],
            at=at,
            caller=caller,
            callee=callee,
            call=call,
            raw=body,
        ),
    )


def session_of(row: JsonObject) -> str:
    """The session id, which both legs of a call share.

    Raises:
        Malformed: no_session_id, numeric_id, long_id.
    """
    session_id = exact_id(row, "sessionId")
    if session_id is None:
        raise Malformed("no_session_id")
    return session_id


def exact_id(row: JsonObject, name: str) -> str | None:
    """An id as sent; an integer counts as its digits, all of which a JSON reader keeps up to 64 bits.

    Raises:
        Malformed: numeric_id, for a float, which is what a longer integer has become; long_id.
    """
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return identifier(row, name)


def record_id_of(record: JsonObject, times: Iterable[datetime | None]) -> str:
    """The CDR's icid; without one its parties and its earliest time, hashed, for an id must not spell a number.

    Raises:
        Malformed: numeric_id, long_id.
    """
    if given := exact_id(record, "icid"):
        return given
    numbers = [digits(record, name) or "" for name in ("callerNum", "calleeNum", "fwdDstNum")]
    earliest = min((at for at in times if at), default=None)
    return sha256_hex("|".join([*numbers, earliest.isoformat() if earliest else ""]).encode())[:32]


def recordings_of(record: JsonObject) -> tuple[Announced, ...]:
    """The recording that a CDR's flag announces, with or without a name or a link."""
    flag = record.get("recordFlag")
    if as_integer(flag) != 1 and flag is not True and flag != "true":
        return ()
    return (
        Announced(
            name=text(record, "recordObjectName"),
            domain=text(record, "recordDomain"),
            url=text(record, "recordFileDownloadUrl"),
        ),
    )


def sent_codes(*codes: Code | None) -> tuple[Code, ...]:
    """Those that were sent."""
    return tuple([code for code in codes if code is not None])
