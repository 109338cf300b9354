"""One PrivateNumber call event or CDR as a fact: docs/protocols/huawei-privatenumber.md sections 1 and 3."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from schemas.dialect.fields import as_integer, digits, phone, text
from schemas.dialect.times import moment, utc
from schemas.envelope import JsonObject
from schemas.facts import CallFields, Parsed
from schemas.platforms.huawei.privatenumber.codes import NEVER_FORWARDED, fail_code, state_code
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.platforms.huawei.privatenumber.shape import DIRECTIONS, asks_of_call
from schemas.platforms.huawei.pushes import (
    Record,
    Status,
    call_event_fact,
    cdr_fact,
    ended_at,
    failure_codes,
    record_of,
    sent_codes,
    status_of,
)  # fmt: skip
from schemas.vocabulary import Mode

PRODUCT: Final = "privatenumber"

# A CDR's times: each says that there was an event of that type (docs/design.md section 5, Whole).
_CDR_TIMES: Final[Mapping[str, str]] = {
    "callInTime": "incoming",
    "fwdStartTime": "outgoing",
    "fwdAlertingTime": "ringing",
    "fwdAnswerTime": "answered",
    "callEndTime": "ended",
}

_MODES: Final[Mapping[str, Mode]] = {"003": "AX", "004": "AXB", "005": "AXE", "007": "AXYB"}
_AXB_OR_X: Final = ("004", None)  # a CDR of X is told from one of AXB by its notifyMode alone


def call_event(body: JsonObject, source: PrivateNumberSource) -> Parsed:
    """`{"eventType", "statusInfo"}` of a known event type; `raw` is this whole body.

    Of a callin that asks only what the answer needs may refuse it, since somebody waits: its time is not needed.

    Raises:
        Malformed: no_status_info, and where nobody waits no_session_id, numeric_id, long_id, bad_time.
    """
    waiting = asks_of_call(body)
    status = status_of(body, asks=waiting)
    at = moment(status.info.get("timestamp"), UTC) if waiting else utc(status.info, "timestamp")
    return call_event_fact(body, status, at, _event_fields(status, source, at))


def cdr(record: JsonObject, source: PrivateNumberSource) -> Parsed:
    """One record of `feeLst`; `raw` is this record.

    Raises:
        Malformed: no_session_id, numeric_id, long_id, bad_time.
    """
    read = record_of(record, _CDR_TIMES)
    implied = [timeline_type for name, timeline_type in _CDR_TIMES.items() if read.times[name]]
    return cdr_fact(read, _cdr_fields(read, source), implies=implied)


def _event_fields(status: Status, source: PrivateNumberSource, at: datetime | None) -> CallFields:
    """What one event tells of the call, its `at` as the time of its own type."""
    info, timeline_type = status.info, status.timeline_type
    caller, callee, private_number = _parties(status)
    return CallFields(
        product=PRODUCT,
        mode=source.mode or ("X" if text(info, "notifyMode") else None),
        caller=caller,
        callee=callee,
        private_number=private_number,
        display_number=phone(info, "displayCallerNum"),
        extension=digits(info, "digitInfo"),
        binding_id=digits(info, "subscriptionId"),
        user_data=digits(info, "userData"),
        called_in_at=at if timeline_type == "incoming" else None,
        started_at=at if timeline_type == "outgoing" else None,
        ringing_at=at if timeline_type == "ringing" else None,
        answered_at=at if timeline_type == "answered" else None,
        ended_at=at if timeline_type == "ended" else None,
        codes=sent_codes(state_code(info.get("stateCode"), text(info, "stateDesc"))),
    )


def _parties(status: Status) -> tuple[str | None, str | None, str | None]:
    """Real caller, real callee, private number.

    The first event names the real caller and the X (or Y) that was dialled; each later one the number shown, which
    is that X or Y, and the real callee (for outgoing, ringing and answered inferred from ended; a CDR overrides it).
    Old pushes name X in a field of its own. Of a call that was never forwarded no event says whom its numbers mean.
    """
    if status.timeline_type == "incoming":
        return status.caller, None, status.called
    dialled = phone(status.info, "origCalleeNum")
    if status.timeline_type == "digits" or as_integer(status.info.get("stateCode")) in NEVER_FORWARDED:
        return None, None, dialled
    return None, status.called, dialled or status.caller


def _cdr_fields(read: Record, source: PrivateNumberSource) -> CallFields:
    record, times = read.row, read.times
    return CallFields(
        product=PRODUCT,
        mode=source.mode or _mode(record),
        direction=DIRECTIONS.get(as_integer(record.get("direction"))),
        caller=phone(record, "callerNum"),
        callee=phone(record, "fwdDstNum"),
        private_number=phone(record, "bindNum", "calleeNum"),
        display_number=phone(record, "fwdDisplayNum"),
        extension=digits(record, "extendNumber", "extendNum"),
        binding_id=digits(record, "subscriptionId"),
        user_data=digits(record, "userData"),
        called_in_at=times["callInTime"],
        started_at=times["fwdStartTime"],
        ringing_at=times["fwdAlertingTime"],
        answered_at=times["fwdAnswerTime"],
        ended_at=ended_at(read, times["fwdAnswerTime"]),
        codes=failure_codes(record, fail_code, "fwdUnaswRsn", "callOutUnaswRsn"),
    )


def _mode(record: JsonObject) -> Mode | None:
    service_type = digits(record, "serviceType")
    service_type = service_type and service_type.zfill(3)  # as a number it has lost its zeros
    if service_type in _AXB_OR_X and text(record, "notifyMode"):
        return "X"
    return _MODES.get(service_type or "")
