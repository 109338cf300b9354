"""What Aliyun wants to hear: docs/protocols/aliyun-pnp.md sections 3 (X mode) and 4 (receipts)."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from schemas.envelope import JsonObject
from schemas.notification import Notification, Reply
from schemas.platforms.aliyun.control import kind_of
from schemas.platforms.aliyun.params import control_params
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.question import Decision

_JSON: Final = "application/json"
_RECEIVED: Final = Reply(content_type=_JSON, body=b'{"code":0,"msg":"ok"}')
_REJECTED: Final[JsonObject] = {"controlOperate": "REJECT", "controlMsg": "NO_SUBS_EXIST", "subsId": "0"}
_IVR: Final[JsonObject] = {"controlOperate": "IVR"}
_DROPPED: Final[JsonObject] = {"subs": {"smsChannel": "SMS_DROP"}}
# The first is documented, the other two are the sibling's [inferred].
_TONES: Final[tuple[str, ...]] = ("callNoPlayCode", "calledNoPlayCode", "calledNoCallerPlayCode")
_LETS_PASS: Final = {"call": "connect", "sms": "route"}
_MOBILE: Final = re.compile(r"\+86(1[0-9]{10})")
_LANDLINE: Final = re.compile(r"\+86([0-9]{9,11})")
_MINUTE_SECONDS: Final = 60


def reply(notification: Notification) -> Reply:
    """`{"code":0,"msg":"ok"}`: only that code is a number is looked at.

    A question that nobody is asked (its source has no `control`, or it cannot be read) is refused as one without a
    binding: its caller waits for an answer, and the words for a receipt are none.
    """
    return _RECEIVED if control_params(notification) is None else _envelope(_REJECTED)


def answer(notification: Notification, decision: Decision, source: AliyunSource) -> Reply:
    """The decision as code, message and model; `model` is an object, or text where source.model_shape says so.

    Documented: controlOperate CONTINUE, REJECT or IVR, controlMsg, subsId (figures only, "0" for none) and
    callNoPlayCode. `user_data` of figures only is the subsId, which the receipts bring back as sub_id [inferred].
    Tones are taken by the platform's own names; a tone `controlOperate` of `IVR` plays to the caller instead.
    A decision that does not fit is REJECT: another kind's action, or nobody to go to, neither callee nor subsId.

    [inferred] Everything else, by the names of the sibling API in lowerCamel: calledNo, calledDisplayNo, needRecord,
    smsChannel, callDuration (seconds). All but the last stand both flat, as subsId does on the visible part of the
    page, and in `subs`, where the sibling has them. Numbers go out in national form, as they come in.
    """
    params = control_params(notification) or {}
    kind = kind_of(params)
    subs_id = _subs_id(decision.user_data)
    passes = kind is not None and decision.action == _LETS_PASS[kind] and (decision.callee or subs_id != "0")
    model = _continued(decision, subs_id, display=params.get("secretNo")) if passes else _rejected(kind)
    tones = decision.tones or {}
    played = {name: tones[name] for name in _TONES if name in tones}
    operate = _IVR if tones.get("controlOperate") == _IVR["controlOperate"] else {}
    return _envelope({**model, **operate, **played}, shape=source.model_shape)


def _rejected(kind: str | None) -> JsonObject:
    return {**_REJECTED, **_DROPPED} if kind == "sms" else _REJECTED


def _continued(decision: Decision, subs_id: str, *, display: str | None) -> JsonObject:
    parts = {
        "calledNo": national(decision.callee) if decision.callee else None,
        "calledDisplayNo": display if decision.callee else None,
        "needRecord": decision.record,
        "smsChannel": "SMS_NORMAL_SEND" if decision.action == "route" else None,
    }
    subs: JsonObject = {name: value for name, value in parts.items() if value is not None}
    duration = {"callDuration": decision.max_minutes * _MINUTE_SECONDS} if decision.max_minutes else {}
    model = {"controlOperate": "CONTINUE", "controlMsg": "OK", "subsId": subs_id, **subs, **duration}
    return {**model, "subs": {**subs, "subsId": subs_id}} if subs else model


def national(number: str) -> str:
    """E.164 of the mainland as it is dialled there: the inverse of docs/contract.md section 1, Numbers."""
    if mobile := _MOBILE.fullmatch(number):
        return mobile[1]
    landline = _LANDLINE.fullmatch(number)
    return f"0{landline[1]}" if landline else number


def _subs_id(user_data: str | None) -> str:
    return user_data if user_data and user_data.isascii() and user_data.isdigit() else "0"


def _envelope(model: JsonObject, *, shape: str = "object") -> Reply:
    shaped: Any = orjson.dumps(model).decode() if shape == "string" else model
    return Reply(content_type=_JSON, body=orjson.dumps({"code": "OK", "message": "success", "model": shaped}))
