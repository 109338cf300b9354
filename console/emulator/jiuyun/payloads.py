"""Jiuyun's callbacks, field by field and in the order sent, as XML or JSON.

Source: docs/protocols/jiuyun-axb.md sections 3 and 4.

The XML is concatenated without escaping and spells nothing as `null`, as the sender does (section 6).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from console.emulator.jiuyun.calls import TYPES_WITHOUT_X, AxbCall
from console.emulator.moments import beijing, beijing_digits
from console.emulator.push import Content

CONTENT_TYPES: Final = {
    "xml": "application/xml;charset=utf-8",
    "json": "application/json",
    "wrapped": "application/json",
}  # that of JSON is not documented


def stamp(moment: datetime | None) -> str | None:
    """Section 5."""
    return beijing_digits(moment) if moment else None


def spelled(moment: datetime | None) -> str | None:
    """The upstream carrier's format, in type 10."""
    return beijing(moment) if moment else None


def write(content: Content) -> bytes:
    """The body as this call's sender writes it; `writes` in the content says how and is not sent."""
    fields = {name: value for name, value in content.items() if name != "writes"}
    if content["writes"] == "xml":
        leaves = "".join(f"<{name}>{'null' if value is None else value}</{name}>" for name, value in fields.items())
        return f"<?xml version='1.0'?>\n<req>{leaves}</req>".encode()
    return json.dumps(fields if content["writes"] == "json" else {"req": fields}).encode()


def invite(call: AxbCall, leg: int) -> Content:
    """CallInvite: one for each leg, 0 A and 1 B."""
    common = {"callId": call.call_id, "dateCreated": stamp(call.invited_at + timedelta(seconds=2 * leg))}
    flag = {"userFlag": leg}
    fields = {**_type_2(call), **flag, **common} if call.variety == "mask" else {**_without_x(call), **common, **flag}
    return {"action": "CallInvite", **fields, "userData": call.user_data, "writes": call.writes}


def establish(call: AxbCall) -> Content:
    """CallEstablish: B answered."""
    return {
        "action": "CallEstablish",
        **(_type_2(call) if call.variety == "mask" else _without_x(call)),
        "callId": call.call_id,
        "dateCreated": stamp(call.answered_at),
        "userData": call.user_data,
        "writes": call.writes,
    }


def hang_up(call: AxbCall, record_url: str | None) -> Content:
    """The notification that ends a call; it is the CDR too."""
    return {**MADE[call.variety](call, record_url), "writes": call.writes}


def _axb(call: AxbCall, record_url: str | None) -> Content:
    """Type 22: caller, called and startTime are optional; recordUrl is required and empty without a recording."""
    parties = {"caller": call.caller, "called": call.called} if call.caller else {}
    start = {"startTime": stamp(call.answered_at)} if call.answered_at or call.number % 2 else {}
    return {
        "action": "Hangup",
        "type": 22,
        "appId": call.app_id,
        "callId": call.call_id,
        "telX": call.private,
        **parties,
        **start,
        "endTime": stamp(call.ended_at),
        "duration": str(call.talk_seconds),
        "byeType": str(call.bye),
        "dateCreated": _created(call),
        "recordUrl": record_url or "",
    }


def _virtual(call: AxbCall, record_url: str | None) -> Content:
    """Type 10: values come raw from an upstream carrier, so times have its format and byeType is its cause."""
    return {
        "action": "Hangup",
        "type": 10,
        "appId": call.app_id,
        "caller": call.caller,
        "called": call.called,
        "telX": call.private,
        "startTimeA": spelled(call.invited_at) if call.answered_at else None,
        "startTimeB": spelled(call.answered_at),
        "endTime": spelled(call.ended_at),
        "duration": str(call.talk_seconds),
        "callId": call.call_id,
        "userFlag": 0,
        "byeType": str(call.bye),
        "dateCreated": _created(call),
        "userData": call.user_data,
        "recordUrl": record_url,
    }


def _mask(call: AxbCall, record_url: str | None) -> Content:
    """Type 2, the privacy line; startTimeA and B are when A and B answered."""
    return {
        "action": "Hangup",
        **_type_2(call),
        "callId": call.call_id,
        "dateCreated": _created(call),
        "userData": call.user_data,
        "startTimeA": stamp(call.invited_at + timedelta(seconds=1)),
        "startTimeB": stamp(call.answered_at),
        "endTime": stamp(call.ended_at),
        "duration": str(call.talk_seconds),
        "recordUrl": record_url,
        "byeType": str(call.bye),
    }


def _callback(call: AxbCall, record_url: str | None) -> Content:
    """Types 1 and 7: the platform rings A, then B; the time of each one's answer."""
    times = {
        "startTimeA": stamp(call.invited_at + timedelta(seconds=1)),
        "startTimeB": stamp(call.answered_at),
        "userData": call.user_data,
    }
    return _hang_up_without_x(call, times, record_url)


def _direct(call: AxbCall, record_url: str | None) -> Content:
    """Types 8 and 9: one time of answer, and no user data."""
    return _hang_up_without_x(call, {"startTime": stamp(call.answered_at)}, record_url)


def _hang_up_without_x(call: AxbCall, own: Content, record_url: str | None) -> Content:
    return {
        "action": "Hangup",
        **_without_x(call),
        "callId": call.call_id,
        "dateCreated": _created(call),
        "userFlag": 0,
        **own,
        "endTime": stamp(call.ended_at),
        "duration": str(call.talk_seconds),
        "recordUrl": record_url,
        "byeType": str(call.bye),
    }


def _income(call: AxbCall, record_url: str | None) -> Content:
    """A call back to the mask number: no callId."""
    return {
        "action": "IncomeHangup",
        **_type_2(call),
        "dateCreated": _created(call),
        "startTime": stamp(call.answered_at),
        "endTime": stamp(call.ended_at),
        "duration": str(call.talk_seconds),
        "recordUrl": record_url or "",
        "byeType": str(call.bye),
    }


def _notice(call: AxbCall, _: str | None) -> Content:
    """VoiceNotify: its call id is called requestId."""
    return {
        "action": "VoiceNotify",
        "appId": call.app_id,
        "dtmfFlag": 0,
        "dtmfNum": None,
        "orderFlag": 0,
        "orderTime": None,
        "callTime": stamp(call.invited_at),
        "requestId": call.call_id,
        "to": call.called,
        "byeType": str(call.bye),
        "displayNum": call.private,
    }


def _code(call: AxbCall, _: str | None) -> Content:
    """VoiceCodeNotify: its call id is called callSid."""
    return {
        "action": "VoiceCodeNotify",
        "appId": call.app_id,
        "callSid": call.call_id,
        "voiceRecId": "rec001",
        "verifyCode": "482913",
        "to": call.called,
        "displayNum": call.private,
        "callTime": stamp(call.invited_at),
        "byeType": str(call.bye),
    }


def _type_2(call: AxbCall) -> Content:
    return {
        "type": 2,
        "appId": call.app_id,
        "caller": call.caller,
        "called": call.called,
        "maskNumber": call.private,
    }


def _without_x(call: AxbCall) -> Content:
    """The head of types 1, 7, 8 and 9; subType says if B is shown A's number."""
    return {
        "type": TYPES_WITHOUT_X[call.variety],
        "appId": call.app_id,
        "caller": call.caller,
        "called": call.called,
        "subType": call.number % 2,
    }


def _created(call: AxbCall) -> str | None:
    """The time of the callback; in the official sample it lies before all others, so nothing may rest on it."""
    return stamp(call.ended_at + timedelta(seconds=1) if call.number % 5 else call.invited_at - timedelta(days=300))


MADE: Final[dict[str, Callable[[AxbCall, str | None], dict[str, Any]]]] = {
    "axb": _axb,
    "virtual": _virtual,
    "mask": _mask,
    "line": _callback,
    "sip_callback": _callback,
    "sip_direct": _direct,
    "sip_return": _direct,
    "income": _income,
    "notice": _notice,
    "code": _code,
}
