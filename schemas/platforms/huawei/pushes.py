"""What the pushes of Huawei's two voice platforms have in common: items, ids, keys, recordings.

Source: docs/protocols/huawei-privatenumber.md sections 0 to 3, docs/protocols/huawei-voicecall.md sections 0 to 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from schemas.dialect import items
from schemas.dialect.codes import Read
from schemas.dialect.fields import MAX_ID, alone, as_integer, digits, exact_id, listed, phone, session_of, text
from schemas.dialect.json_body import sha256_hex
from schemas.dialect.q850 import q850_code, sip_code
from schemas.dialect.times import moment, utc
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Announced, CallEvent, CallFields, Cdr, Code, Leg, Parsed
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
_SESSION: Final = "sessionId"  # both legs of a call share it
_BY_RECORD: Final = "icid:"  # before the id of a session that a CDR's own id names; no sessionId was seen to begin so
_FAILED: Final = "failTime"
_OF_A_CDR: Final = ("callInTime", "callEndTime", "callOutStartTime")  # one of them is in every CDR, and in nothing else


def event_type_of(body: JsonObject) -> str:
    """In lower case; empty when there is none."""
    return (text(body, "eventType") or "").strip().lower()


def holds_cdrs(body: JsonObject) -> bool:
    """Whether this is a push of CDRs, by its type or by its list; or a CDR alone, without its envelope."""
    event_type = event_type_of(body)
    if event_type == "fee" or listed(body.get("feeLst")):
        return True
    return not event_type and _is_cdr(body)


def _is_cdr(body: JsonObject) -> bool:
    return (_SESSION in body or "icid" in body) and any(name in body for name in _OF_A_CDR)


def fee_list(body: JsonObject) -> list[Any]:
    """The CDRs of a push.

    Raises:
        Malformed: no_fee_list, long_fee_list.
    """
    records = listed(body.get("feeLst")) or ([body] if _is_cdr(body) else [])
    if not records:
        raise Malformed("no_fee_list")
    if len(records) > MAX_RECORDS:
        raise Malformed("long_fee_list", f"{len(records)} records")
    return records


def other(body: JsonObject, sent: bytes) -> Parsed:
    """What has no documented id: the same bytes again are a re-push.

    Raises:
        Malformed: unknown_push.
    """
    info = alone(body.get("statusInfo")) or body
    return items.other(body, session_id=digits(info, _SESSION), named=event_type_of(body) != "", sent=sent)


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


def status_of(body: JsonObject, *, asks: bool = False) -> Status:
    """The status in a call event of a known type; one that `asks` is a call of its own if it names none.

    Raises:
        Malformed: no_status_info, no_session_id, numeric_id, long_id.
    """
    info = alone(body.get("statusInfo"))
    if info is None:
        raise Malformed("no_status_info")
    event_type = event_type_of(body)
    caller, called = phone(info, "caller"), phone(info, "called")
    session_id = _session_of_question(body, info) if asks else session_of(info, _SESSION)
    return Status(info, session_id, event_type, EVENT_TYPES[event_type], caller, called)


def _session_of_question(body: JsonObject, info: JsonObject) -> str:
    try:
        return session_of(info, _SESSION)
    except Malformed:
        return items.unnamed_session(body)


def call_event_fact(body: JsonObject, status: Status, at: datetime | None, call: CallFields) -> Parsed:
    """The fact of a call event, `at` its moment in UTC; `raw` is this whole body."""
    event = CallEvent(
        type=status.timeline_type,
        platform_type=body["eventType"],
        at=at,
        caller=status.caller,
        callee=status.called,
        call=call,
        raw=body,
    )
    return items.call_event_to(digits(status.info, "called"), event, session_id=status.session_id)


class Record(NamedTuple):
    """What a CDR says: one record of `feeLst`, the ids of its session and its own, and its times by their names."""

    row: JsonObject
    session_id: str
    record_id: str
    times: Mapping[str, datetime | None]


def record_of(row: JsonObject, names: Iterable[str]) -> Record:
    """The record in a row; `names` are its times.

    A record that names no session (Java's senders write `null`) but has an id of its own is a call of its own.

    Raises:
        Malformed: no_session_id, numeric_id, long_id, bad_time.
    """
    given = exact_id(row, _SESSION)
    session_id = _session_by_record(row) if given is None or given == "null" else given
    times = {name: utc(row, name) for name in names}
    return Record(row, session_id, record_id_of(row, times.values()), times)


def _session_by_record(row: JsonObject) -> str:
    record_id = exact_id(row, "icid")
    if record_id is None:
        raise Malformed("no_session_id")
    session_id = _BY_RECORD + record_id
    if len(session_id) > MAX_ID:
        raise Malformed("long_id", "icid")
    return session_id


def ended_at(read: Record, answered_at: datetime | None) -> datetime | None:
    """When the call ended; one that was not answered ended when it failed, if nothing else says it.

    Nothing is billed by that, so a failTime that cannot be read is none.
    """
    ended = read.times["callEndTime"]
    return moment(read.row.get(_FAILED), UTC) if ended is None and answered_at is None else ended


def cdr_fact(record: Record, call: CallFields, *, implies: Iterable[str], legs: tuple[Leg, ...] = ()) -> Parsed:
    """The fact of a CDR; `raw` is its record."""
    row, session_id, record_id, _ = record
    body = Cdr(
        record_id=record_id, call=call, legs=legs, recordings=recordings_of(row), implies=tuple(implies), raw=row
    )
    return items.cdr(body, session_id=session_id, key=(session_id, record_id))


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
    """The recording that a CDR's flag announces, with or without a name or a link.

    Without any flag a file that is named with its host is worth a try.
    """
    flag = record.get("recordFlag")
    told = as_integer(flag) == 1 or flag is True or flag == "true"
    if not told and flag not in (None, ""):
        return ()
    named = Announced(
        name=text(record, "recordObjectName"),
        domain=text(record, "recordDomain"),
        url=text(record, "recordFileDownloadUrl"),
    )
    return (named,) if told or (named.name and named.domain) else ()


def sent_codes(*codes: Code | None) -> tuple[Code, ...]:
    """Those that were sent."""
    return tuple([code for code in codes if code is not None])


def failure_codes(record: JsonObject, fail_code: Read, *causes: str) -> tuple[Code, ...]:
    """What a CDR says of how the call ended: its fail code, the first Q.850 cause of these fields, its SIP status."""
    return sent_codes(
        fail_code(record.get("ulFailReason")),
        q850_code(*[record.get(name) for name in causes]),
        sip_code(record.get("sipStatusCode")),
    )
