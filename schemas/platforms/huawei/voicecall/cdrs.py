"""One VoiceCall CDR as a fact: docs/protocols/huawei-voicecall.md section 2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from schemas.dialect.fields import digits, phone
from schemas.dialect.json_body import fingerprint
from schemas.dialect.q850 import q850_code, sip_code
from schemas.envelope import JsonObject
from schemas.facts import CallFields, Cdr, FactKind, Leg, Parsed
from schemas.platforms.huawei.pushes import record_id_of, recordings_of, sent_codes, session_of
from schemas.platforms.huawei.voicecall.codes import fail_code
from schemas.platforms.huawei.voicecall.fields import moment
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

Times = Mapping[str, datetime | None]


def cdr(record: JsonObject, named: str | None) -> Parsed:
    """One record of `feeLst`; `raw` is this record, `named` the product that the URL names.

    Every call ends with a disconnect, so `ended` is always implied (docs/design.md section 5, Whole).

    Raises:
        Malformed: no_session_id, numeric_id, long_id, bad_time.
    """
    session_id = session_of(record)
    times = {name: moment(record, name) for name in _TIMES}
    record_id = record_id_of(record, times.values())
    product = product_of_cdr(record, named)
    two_legs = product == CALLBACK
    body = _callback(record, record_id, times) if two_legs else _one_leg(record, record_id, times, product)
    return Parsed(
        kind=FactKind.CDR,
        session_id=session_id,
        key=f"cdr|{session_id}|{record_id}",
        fingerprint=fingerprint(record),
        body=body,
    )


def _callback(record: JsonObject, record_id: str, times: Times) -> Cdr:
    """A (calleeNum, who asked for the call) is called first, then B (fwdDstNum).

    The call starts with A's leg; it rings and is answered with B's, since only then do two people talk.
    """
    call = CallFields(
        product=CALLBACK,
        caller=phone(record, "calleeNum"),
        callee=phone(record, "fwdDstNum"),
        display_number=phone(record, "fwdDisplayNum"),
        user_data=digits(record, "userData"),
        called_in_at=times["callInTime"],
        started_at=times["callOutStartTime"],
        ringing_at=times["fwdAlertingTime"],
        answered_at=times["fwdAnswerTime"],
        ended_at=times["callEndTime"],
        codes=sent_codes(
            fail_code(record.get("ulFailReason")),
            q850_code(record.get("fwdUnaswRsn"), record.get("callOutUnaswRsn")),
            sip_code(record.get("sipStatusCode")),
        ),
    )
    implied = (event for name, event in _EVENTS_OF_LEGS.items() if times[name])
    return Cdr(
        record_id=record_id,
        call=call,
        legs=_legs(call, times),
        recordings=recordings_of(record),
        implies=(*implied, "ended"),
        raw=record,
    )


def _one_leg(record: JsonObject, record_id: str, times: Times, product: str | None) -> Cdr:
    """Notify, verify, or a service that nobody has seen: calleeNum is the user, callerNum the number shown."""
    call = CallFields(
        product=product,
        callee=phone(record, "calleeNum"),
        display_number=phone(record, "callerNum"),
        user_data=digits(record, "userData"),
        called_in_at=times["callInTime"],
        started_at=times["callOutStartTime"],
        ringing_at=times["callOutAlertingTime"],
        answered_at=times["callOutAnswerTime"],
        ended_at=times["callEndTime"],
        codes=sent_codes(
            fail_code(record.get("ulFailReason")),
            q850_code(record.get("callOutUnaswRsn"), record.get("fwdUnaswRsn")),
            sip_code(record.get("sipStatusCode")),
        ),
    )
    return Cdr(record_id=record_id, call=call, recordings=recordings_of(record), implies=("ended",), raw=record)


def _legs(call: CallFields, times: Times) -> tuple[Leg, ...]:
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
