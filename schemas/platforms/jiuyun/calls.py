"""One Jiuyun call event or CDR as a fact: docs/protocols/jiuyun-axb.md sections 3 to 7."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from schemas.dialect import items
from schemas.dialect.fields import as_integer, digits, exact_id, phone, session_of, text
from schemas.dialect.json_body import sha256_hex
from schemas.dialect.times import BEIJING, iso, utc
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Announced, CallEvent, CallFields, Cdr, Code, Leg, Parsed
from schemas.platforms.jiuyun.body import Message
from schemas.platforms.jiuyun.codes import bye_code, upstream_code
from schemas.platforms.jiuyun.settings import JiuyunSource
from schemas.platforms.jiuyun.xml import CUT_OFF
from schemas.vocabulary import TimelineType

PRODUCT: Final = "axb"

# The action of a call event: what it is on our timeline (section 4: "A and B leg each", "B answered").
EVENT_ACTIONS: Final[Mapping[str, TimelineType]] = {"CallInvite": "outgoing", "CallEstablish": "answered"}

# The action of a CDR: which field is the call's id (section 6.9); IncomeHangup has none.
CDR_ACTIONS: Final[Mapping[str, str]] = {
    "Hangup": "callId",
    "IncomeHangup": "callId",
    "VoiceNotify": "requestId",
    "VoiceCodeNotify": "callSid",
}

_UPSTREAM_AXB: Final = 10
_AXB_TYPES: Final = frozenset({_UPSTREAM_AXB, 22})
_LEG_B: Final = 1
_LEGS: Final[Mapping[int | None, str]] = {0: "a", _LEG_B: "b"}
_INCOME_KEY: Final = ("appId", "maskNumber", "caller", "called", "startTime", "endTime")  # section 7


def call_event(action: str, message: Message, source: JiuyunSource) -> Parsed:
    """CallInvite or CallEstablish. Its key is that of section 7, and its time (docs/design.md section 5).

    Raises:
        Malformed: no_session_id, numeric_id, long_id, bad_time.
    """
    row = message.fields
    session_id = session_of(row, "callId")
    at = _at(row, "dateCreated")
    invited = action == "CallInvite"
    leg = _LEGS.get(as_integer(row.get("userFlag"))) if invited else "b"
    event = CallEvent(
        type=EVENT_ACTIONS[action],
        platform_type=action,
        at=at,
        leg=leg,
        caller=phone(row, "caller"),
        callee=phone(row, "called"),
        call=_call(row, source, started_at=at if invited else None, answered_at=None if invited else at),
        raw=message.raw,
    )
    key = (exact_id(row, "appId") or "", session_id, action, leg or "", iso(at) if at else "")
    return items.call_event(event, session_id=session_id, key=key)


def cdr(action: str, message: Message, source: JiuyunSource) -> Parsed:
    """Hangup, IncomeHangup, VoiceNotify or VoiceCodeNotify: whole by itself (docs/design.md section 5).

    Raises:
        Malformed: no_session_id, numeric_id, long_id, bad_time, bad_duration, no_duration (though it has a start),
            or cut_off: what was cut may be the duration and the recording, so nothing is billed by it.
    """
    if message.repaired == CUT_OFF:
        raise Malformed("cut_off")
    row = message.fields
    session_id = _income_id(row) if action == "IncomeHangup" else session_of(row, CDR_ACTIONS[action])
    record_id = ".".join([exact_id(row, "appId") or "", session_id, action, *_other_leg(action, row)])
    call = _cdr_fields(row, source)
    body = Cdr(record_id=record_id, call=call, legs=_legs(row, call), recordings=_recordings(row), raw=message.raw)
    return items.cdr(body, session_id=session_id, key=(record_id,))


def _other_leg(action: str, row: JsonObject) -> tuple[str, ...]:
    """What tells two Hangups of one call id: that one is of leg B; leg A's is not spelled, as no other CDR's is.

    A key once made stays as it is. Of type 10 the releasing side stands there, which tells no leg (section 4).
    """
    of_a_leg = action == "Hangup" and as_integer(row.get("type")) != _UPSTREAM_AXB
    return (str(_LEG_B),) if of_a_leg and as_integer(row.get("userFlag")) == _LEG_B else ()


def _at(row: JsonObject, name: str) -> datetime | None:
    """A time in UTC; Beijing's where it names no zone [inferred: none is stated].

    Raises:
        Malformed: bad_time, when something else stands there.
    """
    return utc(row, name, zone=BEIJING)


def _income_id(row: JsonObject) -> str:
    """The call's id where there is one, else the hash of section 7's key, which must not spell a number."""
    if call_id := exact_id(row, "callId"):
        return call_id
    sent = [digits(row, name) or "" for name in _INCOME_KEY]
    if not any(sent[1:]):
        raise Malformed("no_session_id")
    return sha256_hex("|".join(sent).encode())[:32]


def _call(row: JsonObject, source: JiuyunSource, **more: Any) -> CallFields:
    """The real parties are `caller` and `called`, or `to` in a voice notice; X is `telX` or `maskNumber`."""
    return CallFields(
        product=PRODUCT,
        mode=source.mode or ("AXB" if as_integer(row.get("type")) in _AXB_TYPES else None),
        caller=phone(row, "caller"),
        callee=phone(row, "called", "to"),
        private_number=phone(row, "telX", "maskNumber"),
        display_number=phone(row, "displayNum"),
        user_data=digits(row, "userData"),
        **more,
    )


def _cdr_fields(row: JsonObject, source: JiuyunSource) -> CallFields:
    """Times are told as sent, in whatever order; whether and how long people talked is `duration`'s to say."""
    talked = _talk_seconds(row)
    answered_at = _at(row, "startTimeB") or _at(row, "startTime")
    if talked is None and answered_at is not None:
        raise Malformed("no_duration")  # required, and the page's own sample has a startTime of nobody's answer
    return _call(
        row,
        source,
        started_at=_at(row, "callTime"),
        answered_at=answered_at if talked else None,
        ended_at=_at(row, "endTime"),
        talk_seconds=talked,
        codes=_codes(row, talked),
    )


def _talk_seconds(row: JsonObject) -> int | None:
    if "duration" not in row:
        return None
    seconds = as_integer(row["duration"])
    if seconds is None:
        raise Malformed("bad_duration")
    return max(seconds, 0)


def _codes(row: JsonObject, talked: int | None) -> tuple[Code, ...]:
    sent = row.get("byeType")
    upstream = as_integer(row.get("type")) == _UPSTREAM_AXB
    bye = upstream_code(sent) if upstream else bye_code(sent, talk_seconds=talked)
    return () if bye is None else (bye,)


def _legs(row: JsonObject, call: CallFields) -> tuple[Leg, ...]:
    """When A and B answered, by startTimeA and startTimeB (section 4); B did only where people talked."""
    if "startTimeA" not in row and "startTimeB" not in row:
        return ()
    return (
        Leg(name="a", number=call.caller, answered_at=_at(row, "startTimeA")),
        Leg(name="b", number=call.callee, answered_at=call.answered_at),
    )


def _recordings(row: JsonObject) -> tuple[Announced, ...]:
    """The URL, which is required but empty when recording is off (section 6.7)."""
    url = text(row, "recordUrl")
    return () if url is None else (Announced(url=url),)
