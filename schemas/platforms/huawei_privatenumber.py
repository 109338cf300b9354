"""Huawei Cloud PrivateNumber: call events and CDRs of the modes AX, AXB, AXE, AXYB and X.

Source: protocols/huawei-privatenumber.md sections 0 (pushes), 1 (call events), 3 (CDRs), 6 (recordings), and
huawei-reason-codes.md. SMS, number states and whatever else arrives are kept raw as `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.config import Source
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import FactKind, Other, Parsed
from schemas.notification import Notification, Reply
from schemas.platforms import huawei_privatenumber_calls as calls
from schemas.platforms.fields import MAX_ID, text
from schemas.platforms.huawei_auth import verify
from schemas.platforms.huawei_recordings import recording_location, recording_request
from schemas.platforms.json_body import fingerprint, load_object, sha256_hex

__all__ = ["parse", "recording_location", "recording_request", "reply", "verify"]

MAX_RECORDS: Final = 1000  # documented: up to 50 CDRs in one push


def parse(notification: Notification, source: Source) -> Sequence[Parsed | Malformed]:
    """One result per CDR, or one for a call event or anything else; a bad item does not spoil its neighbours.

    An item is Malformed with reason not_an_object, no_status_info, no_session_id, numeric_id, long_id or bad_time.
    A CDR with an unreadable time is not guessed at: it is billed by its times.

    Raises:
        Malformed: empty_body, not_json, too_deep, not_an_object, no_fee_list or long_fee_list.
    """
    body = load_object(notification.body)
    event_type = (text(body, "eventType") or "").lower()
    if event_type in calls.EVENT_TYPES:
        return [_item(calls.call_event, body, source)]
    if event_type == "fee" or _is_fee_list(body.get("feeLst")):
        return [_item(calls.cdr, record, source) for record in _fee_list(body)]
    return [_other(body, notification.body)]


def reply(notification: Notification) -> Reply:  # noqa: ARG001 - the same for all of them
    """HTTP 200 with an empty body."""
    return Reply()


def _is_fee_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _fee_list(body: JsonObject) -> list[Any]:
    records = body.get("feeLst")
    if not isinstance(records, list) or not records:
        raise Malformed("no_fee_list")
    if len(records) > MAX_RECORDS:
        raise Malformed("long_fee_list", f"{len(records)} records")
    return records


def _item(read: Callable[[JsonObject, Source], Parsed], item: Any, source: Source) -> Parsed | Malformed:
    if not isinstance(item, dict):
        return Malformed("not_an_object")
    try:
        return read(item, source)
    except Malformed as error:
        return error.with_traceback(None)


def _other(body: JsonObject, sent: bytes) -> Parsed:
    """Never an error: the body of a number-state push is not documented, and new event types appear."""
    info = body.get("statusInfo")
    session_id = text(info, "sessionId") if isinstance(info, dict) else None
    return Parsed(
        kind=FactKind.OTHER,
        session_id=session_id if session_id and len(session_id) <= MAX_ID else "",
        key=f"other|{sha256_hex(sent)}",
        fingerprint=fingerprint(body),
        body=Other(raw=body),
    )
