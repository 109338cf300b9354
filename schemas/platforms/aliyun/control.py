"""What X mode call control asks: docs/protocols/aliyun-pnp.md section 3, business request parameters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from schemas.dialect import items
from schemas.dialect.fields import digits, phone, text
from schemas.dialect.times import BEIJING, moment
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import CallEvent, CallFields, Parsed, Sms
from schemas.notification import Notification
from schemas.numbers import in_keys
from schemas.platforms.aliyun.fields import PRODUCT, call_id
from schemas.platforms.aliyun.params import control_params
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.aliyun.signature import SIGNATURE, canonical, rfc3986
from schemas.question import Asked
from schemas.vocabulary import AskedKind

PLATFORM_TYPE: Final = "CallControl"  # the question has no name of its own; the page calls it call control

# Of the request, not of the call: asked again with another nonce, it is the same question.
_OF_THE_REQUEST: Final = frozenset(
    {"signatureMethod", "signatureNonce", "signatureVersion", "signature", "timestamp", "format"}
)
# CAL here, CALL in the sibling API.
_KINDS: Final[Mapping[str, Literal["call", "sms"]]] = {"CAL": "call", "CALL": "call", "SMS": "sms"}


def control_fact(params: Mapping[str, str], source: AliyunSource) -> Parsed:
    """The question as a fact: a call that comes in, an SMS that waits (mode `block`), or `other`.

    `raw` holds the business parameters; the signature's own are left out, so that the same question asked again is
    a duplicate. Only what the answer needs may refuse it, since somebody waits: a callTime that cannot be read is none,
    and a call that is not named is one of its own.

    Raises:
        Malformed: no_call_id, long_id, where it asks nothing that is known.
    """
    row: JsonObject = {name: value for name, value in params.items() if name not in _OF_THE_REQUEST}
    match kind_of(params):
        case "call":
            return _incoming(row, _named(row), source)
        case "sms":
            return _sms(row, _named(row))
        case _:
            return items.other(row, session_id=call_id(row), named=True)


def _named(row: JsonObject) -> str:
    try:
        return call_id(row)
    except Malformed:
        return items.unnamed_session(row)


def question(notification: Notification, source: AliyunSource) -> Asked | None:
    """What a request for call control asks; None for receipts, and for an unknown recordType."""
    params = control_params(notification)
    if params is None:
        return None
    try:
        fact = control_fact(params, source)
    except Malformed:
        return None
    kind = kind_of(params)
    if kind is None or not isinstance(fact.body, (CallEvent, Sms)):
        return None
    row = fact.body.raw
    return Asked(
        kind=kind,
        session_id=fact.session_id,
        key=fact.key,
        fingerprint=fact.fingerprint,
        caller=phone(row, "callNo"),
        number=phone(row, "secretNo"),
        extension=text(row, "extension"),
    )


def nonce(notification: Notification) -> str | None:
    """The signatureNonce of a question, which no other may have, or else its signature; None for receipts.

    Without one, what was signed is good for one use: not the signature, which may arrive encoded in several ways.
    """
    params = control_params(notification)
    if params is None:
        return None
    return params.get("signatureNonce") or (canonical(params, rfc3986) if SIGNATURE in params else None)


def kind_of(params: Mapping[str, str]) -> AskedKind | None:
    """What waits for the answer, by recordType; None where that is unknown."""
    return _KINDS.get(params.get("recordType", "").strip().upper())


def _incoming(row: JsonObject, session_id: str, source: AliyunSource) -> Parsed:
    at = _call_time(row)
    caller, number = phone(row, "callNo"), phone(row, "secretNo")
    call = CallFields(
        product=PRODUCT,
        mode=source.mode or "X",
        caller=caller,
        private_number=number,
        extension=text(row, "extension"),
        called_in_at=at,
    )
    event = CallEvent(
        type="incoming", platform_type=PLATFORM_TYPE, at=at, caller=caller, callee=number, call=call, raw=row
    )
    return items.call_event_to(in_keys(digits(row, "secretNo") or ""), event, session_id=session_id)


def _sms(row: JsonObject, session_id: str) -> Parsed:
    body = Sms(
        identifier=session_id,
        mode="block",
        sender=phone(row, "callNo"),
        private_number=phone(row, "secretNo"),
        sent_at=_call_time(row),
        raw=row,
    )
    return items.sms(body)


def _call_time(row: JsonObject) -> datetime | None:
    """`yyyyMMddHHmmss` in Beijing time [inferred: the timestamp parameter is the one that is said to be UTC]."""
    return moment(row.get("callTime"), BEIJING)
