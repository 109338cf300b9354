"""Alibaba Cloud number privacy protection (PNP): receipts, and the questions of X mode.

Source: docs/protocols/aliyun-pnp.md. Receipts about calls, recordings, SMS and numbers become facts; speech, logistics
and exception receipts, and whatever is new, are kept raw as `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from schemas.dialect import items
from schemas.dialect.dialect import Asks, Dialect, Once, RecordingApi
from schemas.dialect.fields import digits, phone, text
from schemas.dialect.mending import marked
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification
from schemas.platforms.aliyun import calls, shape, sms
from schemas.platforms.aliyun.answers import answer, reply
from schemas.platforms.aliyun.body import read_items
from schemas.platforms.aliyun.control import control_fact, nonce, question
from schemas.platforms.aliyun.params import control_form
from schemas.platforms.aliyun.recordings import recording_location, recording_request
from schemas.platforms.aliyun.settings import AliyunSource
from schemas.platforms.aliyun.signature import unsigned, verify

__all__ = ["DIALECT"]

Reader = Callable[[JsonObject, AliyunSource], Parsed]


def parse(notification: Notification, source: AliyunSource) -> Sequence[Parsed | Malformed]:
    """One result per receipt, or one for a question of X mode; a bad item does not spoil its neighbours.

    An item is Malformed with reason not_an_object, no_call_id, no_sms_id, float_id, long_id, bad_time or unknown_push.
    A CDR with an unreadable time is not guessed at: it is billed by its times. Integers of 20 figures and more stand as
    text in `raw`.

    Raises:
        Malformed: empty_body, too_many_brackets, not_json, too_deep, not_an_object, no_items or too_many_items.
    """
    form = control_form(notification)
    if form is not None:
        return marked([items.attempt(lambda: control_fact(form.params, source))], form.repairs)
    read = partial(_receipt, named=shape.type_by_path(notification.path), source=source)
    found, repairs = read_items(notification.body, notification.content_type)
    return marked([items.attempt_object(read, item) for item in found], repairs)


def _receipt(row: JsonObject, named: str | None, source: AliyunSource) -> Parsed:
    kind = named or shape.type_by_shape(row)
    if reader := _READERS.get(kind):
        return reader(row, source)
    told = named is not None or kind != shape.UNKNOWN
    return items.other(row, session_id=text(row, "call_id", "callId"), named=told)


def _event(platform_type: str) -> Reader:
    return lambda row, source: calls.call_event(row, source, platform_type)


def _report(row: JsonObject, source: AliyunSource) -> Parsed:
    return sms.report(row, source) if sms.is_sms_report(row) else calls.cdr(row, source)


def _number_state(row: JsonObject, source: AliyunSource) -> Parsed:  # noqa: ARG001 - every reader has the source
    """One that holds its time is known by its content; else only the latest of its number repeats it."""
    number = _number_of(row)
    if number is None or digits(row, "operating_time", "operatingTime"):
        return items.number_state(row)
    return items.latest_number_state(row, number=number)


def _number_of(row: JsonObject) -> str | None:
    return phone(row, "secret_no", "secretNo")


_READERS: Final[Mapping[str, Reader]] = {
    **{platform_type: _event(platform_type) for platform_type in calls.EVENTS},
    shape.REPORT: _report,
    shape.RECORDING: calls.recording,
    shape.SMS: sms.intercept,
    shape.NUMBER: _number_state,
}

DIALECT: Final[Dialect[AliyunSource]] = Dialect(
    name="aliyun_pnp",
    settings=AliyunSource,
    parse=parse,
    reply=reply,
    verify=verify,
    unsigned=unsigned,
    number_of=_number_of,
    once=Once(nonce=nonce, keep=lambda source: 2 * source.clock_skew),  # a question may be early or late by as much
    asks=Asks(question=question, answer=answer),
    recordings=RecordingApi(request=recording_request, location=recording_location),
    whole_by_cdr=True,
    confirm_seconds=0.6,
    # The bucket region of the one DownloadUrl that the vendor's page of QueryRecordFileDownloadUrl shows
    # (secret-axb-record-files.oss-cn-shanghai.aliyuncs.com); no other was found.
    audio_hosts=(".oss-cn-shanghai.aliyuncs.com",),
)
