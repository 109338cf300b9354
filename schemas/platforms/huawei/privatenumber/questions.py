"""What PrivateNumber asks while somebody waits, and the answers.

Source: docs/protocols/huawei-privatenumber.md sections 2 and 4.

X mode asks where to connect each call, AX and X where to route an SMS. No deadline was found for either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from schemas.dialect.fields import alone, digits, phone, text
from schemas.dialect.json_body import read_object
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.notification import Notification, Reply
from schemas.numbers import e164
from schemas.platforms.huawei.privatenumber.calls import call_event
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.platforms.huawei.privatenumber.shape import asks_of_call, shape_of, waits
from schemas.platforms.huawei.privatenumber.sms import sms
from schemas.question import QUESTION_BYTES, Asked, Decision

_SUBJECTS: Final = (b'"callin"', b'"smsevent"')  # one of them is in every push that asks, and in no CDR
_CONTENT_TYPE: Final = "application/json"
_MEMO: Final = "question"

# Section 2, ApiConnectInfo and ApiCloseInfo: the names of voice files, String(0-128).
_CONNECT_TONES: Final = ("waitVoice", "recordHintTone", "lastMinVoice")
_CLOSE_TONES: Final = ("closeHintTone",)
_TONE_MOST: Final = 128
_CALLEE_LENGTHS: Final = range(4, 32)  # String(4-31)
_SMS_CALLEE_LENGTHS: Final = range(1, 65)  # String(1-64)


def question(notification: Notification, source: PrivateNumberSource) -> Asked | None:
    """What a `callin` with notifyMode Block or an SMS with notificationMode Block asks; else None.

    A CDR of X mode says Block too, and asks nothing. What cannot be read asks nothing either. Other pushes are
    hardly looked at: they are larger than a question, or their bytes lack the words.
    """
    if len(notification.body) > QUESTION_BYTES:
        return None
    sent = notification.body.lower()
    if b"block" not in sent or not any(subject in sent for subject in _SUBJECTS):
        return None
    try:
        body = _loaded(notification)
        match shape_of(body):
            case "call_event":
                return _asked_of_call(body, source)
            case "sms":
                return _asked_of_sms(body)
            case _:
                return None
    except Malformed:
        return None


def answer(notification: Notification, decision: Decision, source: PrivateNumberSource) -> Reply:
    """The decision as JSON, with HTTP 200: `operation` for a call, `actions` for an SMS.

    A decision that does not fit closes the call or discards the SMS: another kind's action, or no callee to go to.
    Tones are taken by the platform's own field names, where the operation knows them. What the platform would refuse
    is left out, since it might refuse the whole: a tone of more than 128 characters, user data with braces or beyond
    ASCII (section 0). A call to be recorded needs recordHintTone among the tones, or the carrier blocks it.
    """
    try:
        body = _loaded(notification)
    except Malformed:
        return Reply()
    match shape_of(body):
        case "call_event":
            return _json(_call_answer(_inner(body, "statusInfo"), decision, source))
        case "sms":
            return _json({"actions": [_sms_action(_inner(body, "smsEvent"), decision, source)]})
        case _:
            return Reply()


def _loaded(notification: Notification) -> JsonObject:
    """Its body, read once for question and answer; nobody changes it.

    Raises:
        Malformed: as `read_object`.
    """
    memo = notification.memo
    if _MEMO not in memo:
        memo[_MEMO] = read_object(notification.body, notification.content_type).content
    body: JsonObject = memo[_MEMO]
    return body


def _asked_of_call(body: JsonObject, source: PrivateNumberSource) -> Asked | None:
    info = _inner(body, "statusInfo")
    if not asks_of_call(body):
        return None
    fact = call_event(body, source)
    return Asked(
        kind="call",
        session_id=fact.session_id,
        key=fact.key,
        fingerprint=fact.fingerprint,
        caller=phone(info, "caller"),
        number=phone(info, "called"),
    )


def _asked_of_sms(body: JsonObject) -> Asked | None:
    event = _inner(body, "smsEvent")
    if not waits(event.get("notificationMode")):
        return None
    fact = sms(body)
    return Asked(
        kind="sms",
        session_id=fact.session_id,
        key=fact.key,
        fingerprint=fact.fingerprint,
        caller=phone(event, "calling"),
        number=phone(event, "virtualNumber"),
        text=text(event, "smsContent"),
    )


def _call_answer(info: JsonObject, decision: Decision, source: PrivateNumberSource) -> JsonObject:
    """Section 2: the tables have connectInfo and closeInfo as an object, the vendor's demo as an array of one."""
    callee = _callee(decision, action="connect", lengths=_CALLEE_LENGTHS)
    operation = "close" if callee is None else "connect"
    details = _close_info(decision) if callee is None else _connect_info(info, decision, callee)
    return {"operation": operation, f"{operation}Info": [details] if source.answer_shape == "array" else details}


def _connect_info(info: JsonObject, decision: Decision, callee: str) -> JsonObject:
    """Section 2, ApiConnectInfo: the number shown to the callee has to be the X of this call."""
    return _sent(
        displayCalleeNum=phone(info, "called"),
        calleeNum=callee,
        maxDuration=decision.max_minutes,
        recordFlag=None if decision.record is None else str(decision.record).lower(),
        userData=_user_data(decision),
        **_tones(decision, _CONNECT_TONES),
    )


def _close_info(decision: Decision) -> JsonObject:
    return _sent(userData=_user_data(decision), **_tones(decision, _CLOSE_TONES))


def _sms_action(event: JsonObject, decision: Decision, source: PrivateNumberSource) -> JsonObject:
    """Section 4, Block reply: `calling` is the same as in the request; userData is for AX only."""
    user_data = _user_data(decision) if source.mode == "AX" else None
    callee = _callee(decision, action="route", lengths=_SMS_CALLEE_LENGTHS)
    calling = digits(event, "calling")
    if callee is None or calling is None:
        return _sent(operation="DiscardMessage", userData=user_data)
    return _sent(operation="vNumberRoute", message={"called": callee, "calling": calling}, userData=user_data)


def _callee(decision: Decision, *, action: str, lengths: range) -> str | None:
    """Where to go, when that is what was decided and it is a number the platform takes."""
    if decision.action != action or decision.callee is None:
        return None
    callee = e164(decision.callee)
    return callee if len(callee) in lengths else None


def _tones(decision: Decision, names: Iterable[str]) -> dict[str, str]:
    given = decision.tones or {}
    return {name: given[name] for name in names if 0 < len(given.get(name, "")) <= _TONE_MOST}


def _user_data(decision: Decision) -> str | None:
    sent = decision.user_data
    return sent if sent and sent.isascii() and not set(sent) & set("{}") else None


def _inner(body: JsonObject, name: str) -> JsonObject:
    return alone(body.get(name)) or {}


def _sent(**row: Any) -> JsonObject:
    return {name: value for name, value in row.items() if value is not None}


def _json(body: JsonObject) -> Reply:
    return Reply(content_type=_CONTENT_TYPE, body=orjson.dumps(body))
