"""One VoiceCall CDR as a fact: docs/protocols/huawei-voicecall.md section 2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from schemas.dialect.fields import digits, phone
from schemas.envelope import JsonObject
from schemas.facts import CallFields, Leg, Parsed
from schemas.platforms.huawei.pushes import Record, cdr_fact, ended_at, failure_codes, record_of
from schemas.platforms.huawei.voicecall.codes import fail_code
from schemas.platforms.huawei.voicecall.products import CALLBACK, product_of_cdr

# The times of each leg: each says that there was an event of that type (docs/design.md section 5, Whole).
_EVENTS_OF_LEGS: Final[Mapping[str, str]] = {
    "callOutStartTime": "outgoing.a",
    "callOutAlertingTime": "ringing.a",
    "callOutAnswerTime": "answered.a",
    "fwdStartTime": "outgoing.b",
    "fwdAlertingTime": "ringing.b",
    "fwdAnswerTime": "answered.b",
}
_TIMES: Final = (*_EVENTS_OF_LEGS, "callInTime", "callEndTime")


def cdr(record: JsonObject, named: str | None) -> Parsed:
    """One record of `feeLst`; `raw` is this record, `named` the product that the URL names.

    Every call ends with a disconnect, so `ended` is always implied (docs/design.md section 5, Whole).

    Raises:
        Malformed: no_session_id, numeric_id, long_id, bad_time.
    """
    read = record_of(record, _TIMES)
    product = product_of_cdr(record, named)
    if product != CALLBACK:
        return cdr_fact(read, _one_leg(read, product), implies=("ended",))
    call = _callback(read)
    implied = (event for name, event in _EVENTS_OF_LEGS.items() if read.times[name])
    return cdr_fact(read, call, implies=(*implied, "ended"), legs=_legs(call, read.times))


def _callback(read: Record) -> CallFields:
    """A (calleeNum, who asked for the call) is called first, then B (fwdDstNum).

    The call starts with A's leg; it rings and is answered with B's, since only then do two people talk.
    """
    record, times = read.row, read.times
    return CallFields(
        product=CALLBACK,
        caller=phone(record, "calleeNum"),
        callee=phone(record, "fwdDstNum"),
        display_number=phone(record, "fwdDisplayNum"),
        user_data=digits(record, "userData"),
        called_in_at=times["callInTime"],
        started_at=times["callOutStartTime"],
        ringing_at=times["fwdAlertingTime"],
        answered_at=times["fwdAnswerTime"],
        ended_at=ended_at(read, times["fwdAnswerTime"]),
        codes=failure_codes(record, fail_code, "fwdUnaswRsn", "callOutUnaswRsn"),
    )


def _one_leg(read: Record, product: str | None) -> CallFields:
    """Notify, verify, or a service that nobody has seen: calleeNum is the user, callerNum the number shown."""
    record, times = read.row, read.times
    return CallFields(
        product=product,
        callee=phone(record, "calleeNum"),
        display_number=phone(record, "callerNum"),
        user_data=digits(record, "userData"),
        called_in_at=times["callInTime"],
        started_at=times["callOutStartTime"],
        ringing_at=times["callOutAlertingTime"],
        answered_at=times["callOutAnswerTime"],
        ended_at=ended_at(read, times["callOutAnswerTime"]),
        codes=failure_codes(record, fail_code, "callOutUnaswRsn", "fwdUnaswRsn"),
    )


def _legs(call: CallFields, times: Mapping[str, datetime | None]) -> tuple[Leg, ...]:
    """Each leg of which anything is known; when a single leg ended is not told, only when the call did."""
    legs = (
        Leg(
            name="a",
            number=call.caller,
            started_at=times["callOutStartTime"],
            ringing_at=times["callOutAlertingTime"],
            answered_at=times["callOutAnswerTime"],
        ),
        Leg(
            name="b",
            number=call.callee,
            started_at=times["fwdStartTime"],
            ringing_at=times["fwdAlertingTime"],
            answered_at=times["fwdAnswerTime"],
        ),
    )
    return tuple(leg for leg in legs if leg != Leg(name=leg.name))
