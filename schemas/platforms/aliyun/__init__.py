"""Alibaba Cloud number privacy protection (PNP): receipts, and the questions of X mode.

Source: docs/protocols/aliyun-pnp.md. Receipts about calls, recordings, SMS and numbers become facts; speech, logistics
and exception receipts, and whatever is new, are kept raw as `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from schemas.dialect.dialect import Asks, Dialect, Once, RecordingApi
from schemas.dialect.fields import MAX_ID, text
from schemas.dialect.json_body import fingerprint
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import FactKind, NumberState, Other, Parsed
from schemas.notification import Notification
from schemas.platforms.aliyun import calls as aliyun_calls
from schemas.platforms.aliyun import shape as aliyun_shape
from schemas.platforms.aliyun import sms as aliyun_sms
from schemas.platforms.aliyun.answers import answer, reply
from schemas.platforms.aliyun.body import load_items
from schemas.platforms.aliyun.control import control_fact, nonce, question
from schemas.platforms.aliyun.params import control_params
from schemas.platforms.aliyun.recordings import recording_location, recording_request
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.aliyun.signature import verify

__all__ = ["DIALECT"]

Reader = Callable[[JsonObject, AliyunSource], Parsed]


def parse(notification: Notification, source: AliyunSource) -> Sequence[Parsed | Malformed]:
    """One result per receipt, or one for a question of X mode; a bad item does not spoil its neighbours.

    An item is Malformed with reason not_an_object, no_call_id, no_sms_id, float_id, long_id or bad_time. A CDR with
    an unreadable time is not guessed at: it is billed by its times. Integers of 20 figures and more stand as text in
    `raw`.

    Raises:
        Malformed: empty_body, not_json, too_deep, not_an_object, no_items or too_many_items.
    """
    params = control_params(notification)
    if params is not None:
        return [_item(lambda: control_fact(params, source))]
    named = aliyun_shape.type_by_path(notification.path)
    return [_receipt(item, named, source) for item in load_items(notification.body)]


def _receipt(item: Any, named: str | None, source: AliyunSource) -> Parsed | Malformed:
    if not isinstance(item, dict):
        return Malformed("not_an_object")
    read = _READERS.get(named or aliyun_shape.type_by_shape(item), _other)
    return _item(lambda: read(item, source))


def _item(read: Callable[[], Parsed]) -> Parsed | Malformed:
    try:
        return read()
    except Malformed as error:
        return error.with_traceback(None)


def _event(platform_type: str) -> Reader:
    return lambda row, source: aliyun_calls.call_event(row, source, platform_type)


def _report(row: JsonObject, source: AliyunSource) -> Parsed:
    return aliyun_sms.report(row, source) if aliyun_sms.is_sms_report(row) else aliyun_calls.cdr(row, source)


def _number_state(row: JsonObject, source: AliyunSource) -> Parsed:  # noqa: ARG001 - every reader has the source
    """Two receipts that differ in anything are two changes: the same number comes and goes."""
    digest = fingerprint(row)
    return Parsed(
        kind=FactKind.NUMBER_STATE, session_id="", key=f"number|{digest}", fingerprint=digest, body=NumberState(raw=row)
    )


def _other(row: JsonObject, source: AliyunSource) -> Parsed:  # noqa: ARG001 - every reader has the source
    """Never an error: new types appear."""
    digest = fingerprint(row)
    session_id = text(row, "call_id", "callId") or ""
    return Parsed(
        kind=FactKind.OTHER,
        session_id=session_id if len(session_id) <= MAX_ID else "",
        key=f"other|{digest}",
        fingerprint=digest,
        body=Other(raw=row),
    )


_READERS: Final[Mapping[str, Reader]] = {
    **{platform_type: _event(platform_type) for platform_type in aliyun_calls.EVENTS},
    aliyun_shape.REPORT: _report,
    aliyun_shape.RECORDING: aliyun_calls.recording,
    aliyun_shape.SMS: aliyun_sms.intercept,
    aliyun_shape.NUMBER: _number_state,
}

DIALECT: Final[Dialect[AliyunSource]] = Dialect(
    name="aliyun_pnp",
    settings=AliyunSource,
    parse=parse,
    reply=reply,
    verify=verify,
    once=Once(nonce=nonce, keep=lambda source: 2 * source.clock_skew),  # a question may be early or late by as much
    asks=Asks(question=question, answer=answer),
    recordings=RecordingApi(request=recording_request, location=recording_location),
    whole_by_cdr=True,
    confirm_seconds=0.6,
    # The bucket region of the one DownloadUrl that the vendor's page of QueryRecordFileDownloadUrl shows
    # (secret-axb-record-files.oss-cn-shanghai.aliyuncs.com); no other was found.
    audio_hosts=(".oss-cn-shanghai.aliyuncs.com",),
)
