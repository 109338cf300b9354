"""One VoiceCall call event as a fact: docs/protocols/huawei-voicecall.md section 1."""

from __future__ import annotations

from datetime import datetime

from schemas.dialect.fields import digits, phone, text
from schemas.dialect.times import utc
from schemas.envelope import JsonObject
from schemas.facts import CallFields, Parsed
from schemas.platforms.huawei.pushes import Status, call_event_fact, sent_codes, status_of
from schemas.platforms.huawei.voicecall.codes import state_code
from schemas.platforms.huawei.voicecall.products import CALLBACK, ONE_LEG, product_of_event


def call_event(body: JsonObject, named: str | None) -> Parsed:
    """`{"eventType", "statusInfo"}` of a known event type; `raw` is this whole body, `named` the URL's product.

    Both legs of a callback tell the same event types under one session id, told apart by `called` alone, and no
    event says which of the two numbers is A's: only the CDR does. So `leg` is None, to be told by the number.

    Raises:
        Malformed: no_status_info, no_session_id, numeric_id, long_id, bad_time.
    """
    status = status_of(body)
    at = utc(status.info, "timestamp")
    product = product_of_event(status.info, status.timeline_type, named)
    return call_event_fact(body, status, at, _event_fields(status, at, product))


def _event_fields(status: Status, at: datetime | None, product: str | None) -> CallFields:
    """What one event tells of the call as a whole.

    Ringing and answered count where there is one leg only: of a callback, or of a product unknown, they may be A's,
    and A's answer is not the call's. A disconnect of callback names A as called (note in its table).
    """
    info, timeline_type = status.info, status.timeline_type
    one_leg = product in ONE_LEG
    names_a = product == CALLBACK and timeline_type == "ended"
    return CallFields(
        product=product,
        caller=status.called if names_a else None,
        callee=status.called if one_leg else None,
        display_number=phone(info, "displayCallerNum", "caller") if one_leg else None,
        user_data=digits(info, "userData"),
        called_in_at=at if timeline_type == "incoming" else None,
        started_at=at if timeline_type == "outgoing" else None,
        ringing_at=at if timeline_type == "ringing" and one_leg else None,
        answered_at=at if timeline_type == "answered" and one_leg else None,
        ended_at=at if timeline_type == "ended" else None,
        codes=sent_codes(state_code(info.get("stateCode"), text(info, "stateDesc"))),
    )
