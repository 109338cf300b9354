"""Aliyun's receipts about a short message: docs/protocols/aliyun-pnp.md sections 4.1 (SMS CDR) and 4.6 (intercept)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.dialect import items
from schemas.dialect.codes import is_code
from schemas.dialect.fields import as_integer, digits, phone, text
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Code, Parsed, Sms
from schemas.platforms.aliyun.codes import SMS_CDR, unconnected_code
from schemas.platforms.aliyun.fields import binding_id, ident, moment
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.vocabulary import Direction, SmsStatus

_CALLS: Final = frozenset({0, 1, 4})
_SENT, _RECEIVED, _BLOCKED = 2, 3, 5  # call_type: A sent it, A received it, it was blocked
_DIRECTIONS: Final[Mapping[int | None, Direction]] = {_SENT: "a_to_b", _RECEIVED: "b_to_a"}

_FAILED: Final = 2  # status: 1 ok, 2 failed
_INTERCEPTED: Final = 1  # sms_type: 1 intercepted, 3 smart SMS
# The carrier's word of delivery, which beats what the platform did before; ACCEPTD only says that it is on its way.
_DELIVERIES: Final[Mapping[str | None, SmsStatus]] = {
    "DELIVRD": "delivered",
    "REJECTD": "failed",
    "UNDELIV": "failed",
    "EXPIRED": "failed",
}


def is_sms_report(row: JsonObject) -> bool:
    """Whether a SecretReport tells of an SMS: by call_type (older texts), release_cause 9999, or its parts."""
    call_type = as_integer(row.get("call_type"))
    if call_type in (_SENT, _RECEIVED, _BLOCKED) or as_integer(row.get("release_cause")) == SMS_CDR:
        return True
    return call_type not in _CALLS and (as_integer(row.get("sms_number")) or 0) > 0


def report(row: JsonObject, source: AliyunSource) -> Parsed:  # noqa: ARG001 - every reader has the source
    """An SMS CDR: all its times carry the time of receipt; whether it was delivered is not in it.

    Raises:
        Malformed: no_sms_id, float_id, long_id, bad_time.
    """
    call_type = as_integer(row.get("call_type"))
    ends = phone(row, "phone_no"), phone(row, "peer_no")
    sender, receiver = reversed(ends) if call_type == _RECEIVED else ends
    code = unconnected_code(row)
    return _notified(
        row,
        "secretreport",
        direction=_DIRECTIONS.get(call_type),
        sender=sender,
        receiver=receiver,
        parts=as_integer(row.get("sms_number")),
        sent_at=moment(row, "call_time"),
        status=_report_status(call_type, code),
        code=code,
    )


def intercept(row: JsonObject, source: AliyunSource) -> Parsed:  # noqa: ARG001 - every reader has the source
    """A SecretSmsIntercept: the text of a message, and what became of it.

    Raises:
        Malformed: no_sms_id, float_id, long_id, bad_time.
    """
    value = row.get("code")
    return _notified(
        row,
        "secretsmsintercept",
        sender=phone(row, "send_no"),
        receiver=phone(row, "receive_no"),
        text=text(row, "sms_content"),
        sent_at=moment(row, "start_time"),
        status=_intercept_status(row),
        code=Code(name="sms", value=value) if value is not None and is_code(value) else None,
    )


def _notified(row: JsonObject, platform_type: str, **fields: Any) -> Parsed:
    """Gathered under call_id, like the question of X mode; keyed by `id` where there is one (section 4.1, last line).

    The type is in the key too: the intercept and the CDR of one message tell different things of it.
    """
    record_id = ident(row, "id")
    identifier = ident(row, "call_id") or record_id
    if identifier is None:
        raise Malformed("no_sms_id")
    body = Sms(
        identifier=identifier,
        mode="notify",
        private_number=phone(row, "secret_no"),
        binding_id=binding_id(row),
        user_data=digits(row, "out_id"),
        raw=row,
        **fields,
    )
    return items.sms(body, platform_type, record_id or "")


def _report_status(call_type: int | None, code: Code | None) -> SmsStatus | None:
    if call_type == _BLOCKED:
        return "intercepted"
    return "failed" if code is not None and as_integer(code.value) else None


def _intercept_status(row: JsonObject) -> SmsStatus | None:
    """By the carrier's word, else the platform's status, else its type [inferred: the page gives no order]."""
    if delivery := _DELIVERIES.get(text(row, "code")):
        return delivery
    if as_integer(row.get("status")) == _FAILED:
        return "failed"
    return "intercepted" if as_integer(row.get("sms_type")) == _INTERCEPTED else None
