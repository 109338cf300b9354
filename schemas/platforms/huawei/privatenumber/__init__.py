"""Huawei Cloud PrivateNumber: calls and SMS of the modes AX, AXB, AXE, AXYB and X, and states of X numbers.

Source: docs/protocols/huawei-privatenumber.md sections 0 (pushes), 1 (call events), 2 (call control), 3 (CDRs), 4
(SMS), 5 (number states), 6 (recordings), and docs/protocols/huawei-reason-codes.md. Whatever else arrives is kept raw
as `other`. A push is known by its shape and not by the address it came to: one source may have several, and a callin of
its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from schemas.dialect.dialect import Asks, Dialect, RecordingApi
from schemas.dialect.items import attempt, attempt_object
from schemas.dialect.json_body import read_object
from schemas.dialect.mending import marked
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification, Reply
from schemas.platforms.huawei.privatenumber import calls
from schemas.platforms.huawei.privatenumber.auth import verify
from schemas.platforms.huawei.privatenumber.numbers import number_of, number_state, states
from schemas.platforms.huawei.privatenumber.questions import answer, question
from schemas.platforms.huawei.privatenumber.settings import PrivateNumberSource
from schemas.platforms.huawei.privatenumber.shape import shape_of
from schemas.platforms.huawei.privatenumber.sms import sms
from schemas.platforms.huawei.pushes import fee_list, other
from schemas.platforms.huawei.recordings import AUDIO_HOSTS, recording_location, recording_request

__all__ = ["DIALECT"]

DEFAULT_API: Final = "https://rtcpns.cn-north-1.myhuaweicloud.com"


def parse(notification: Notification, source: PrivateNumberSource) -> Sequence[Parsed | Malformed]:
    """One result per CDR, or one for anything else; a bad item does not spoil its neighbours.

    An item is Malformed with reason not_an_object, no_status_info, no_session_id, no_sms_event, no_sms_identifier,
    numeric_id, long_id, bad_time or unknown_push. A CDR with an unreadable time is not guessed at: it is billed by its
    times.

    Raises:
        Malformed: empty_body, too_many_brackets, not_json, too_deep, not_an_object, no_fee_list or long_fee_list.
    """
    body, repairs = read_object(notification.body, notification.content_type)
    return marked(_items(body, notification, source), repairs)


def _items(body: JsonObject, notification: Notification, source: PrivateNumberSource) -> Sequence[Parsed | Malformed]:
    match shape_of(body):
        case "call_event":
            return [attempt_object(partial(calls.call_event, source=source), body)]
        case "cdr":
            return [attempt_object(partial(calls.cdr, source=source), record) for record in fee_list(body)]
        case "sms":
            return [attempt_object(sms, body)]
        case "number_state":
            return [attempt_object(number_state, state) for state in states(body)]
        case "other":
            return [attempt(lambda: other(body, notification.body))]


def reply(_: Notification) -> Reply:
    """HTTP 200 with an empty body."""
    return Reply()


DIALECT: Final[Dialect[PrivateNumberSource]] = Dialect(
    name="huawei_privatenumber",
    settings=PrivateNumberSource,
    parse=parse,
    reply=reply,
    verify=verify,
    asks=Asks(question=question, answer=answer),
    recordings=RecordingApi(request=partial(recording_request, default_api=DEFAULT_API), location=recording_location),
    audio_hosts=AUDIO_HOSTS,
    number_of=number_of,
)
