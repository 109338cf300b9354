"""One PrivateNumber SMS push as a fact: docs/protocols/huawei-privatenumber.md section 4."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from schemas.dialect import items
from schemas.dialect.fields import alone, as_integer, digits, exact_id, listed, phone, text
from schemas.dialect.times import moment, utc
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Parsed, Sms
from schemas.platforms.huawei.privatenumber.codes import send_result, sms_status
from schemas.platforms.huawei.privatenumber.shape import DIRECTIONS, waits
from schemas.vocabulary import SmsMode

_NOT_SENT_YET: Final = 0  # a Block push says sendResult 0 too, of an SMS about which it asks


def sms(body: JsonObject) -> Parsed:
    """`{"appKey", "smsEvent"}`; `raw` is this whole body.

    `event`, which comes as `Text SMS ` and as `TextSMS`, tells nothing beyond that and stays in `raw`. A mode that
    nobody has seen is a Notify: it waits for nothing.

    Of one that asks only what the answer needs may refuse it, since somebody waits: neither its id nor its time.

    Raises:
        Malformed: no_sms_event, and where nobody waits no_sms_identifier, numeric_id, long_id, bad_time.
    """
    event = alone(body.get("smsEvent"))
    if event is None:
        raise Malformed("no_sms_event")
    mode: SmsMode = "block" if waits(event.get("notificationMode")) else "notify"
    identifier = _identifier(event, body, mode)
    return items.sms(_sms(event, body, identifier=identifier, mode=mode))


def _identifier(event: JsonObject, body: JsonObject, mode: SmsMode) -> str:
    try:
        identifier = exact_id(event, "smsIdentifier")
    except Malformed:
        if mode != "block":
            raise
        identifier = None
    if identifier is None and mode != "block":
        raise Malformed("no_sms_identifier")
    return identifier or items.unnamed_session(body)


def _sms(event: JsonObject, body: JsonObject, *, identifier: str, mode: SmsMode) -> Sms:
    """Section 4, row extInfo.extParas: splitNum is the number of SMS actually sent."""
    extra = _extra(event.get("extInfo"))
    result = event.get("sendResult")
    asks = mode == "block" and as_integer(result) == _NOT_SENT_YET
    return Sms(
        identifier=identifier,
        mode=mode,
        direction=DIRECTIONS.get(as_integer(extra.get("direction"))),
        sender=phone(event, "calling"),
        receiver=phone(event, "called"),
        private_number=phone(event, "virtualNumber"),
        binding_id=digits(event, "subscriptionId"),
        user_data=digits(event, "userData"),
        text=text(event, "smsContent"),
        parts=as_integer(extra.get("splitNum")),
        sent_at=moment(event.get("timeStamp"), UTC) if mode == "block" else utc(event, "timeStamp"),
        status=None if asks else sms_status(result),
        code=send_result(result),
        raw=body,
    )


def _extra(info: Any) -> Mapping[Any, Any]:
    """`extParas` by key: a list of `{key, value}`, such a pair alone, or an object of its own; else nothing."""
    extra = (alone(info) or {}).get("extParas")
    if isinstance(extra, dict) and "key" not in extra:
        return extra
    return {
        pair["key"]: pair.get("value")
        for pair in listed(extra)
        if isinstance(pair, dict) and isinstance(pair.get("key"), str)
    }
