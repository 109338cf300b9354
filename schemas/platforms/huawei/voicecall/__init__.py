"""Huawei Cloud VoiceCall: call events and CDRs of click-to-call, voice notification and voice verification code.

Source: docs/protocols/huawei-voicecall.md sections 0 (pushes), 1 (call events), 2 (CDRs), 3 (recordings), and
docs/protocols/huawei-reason-codes.md. Whatever else arrives is kept raw as `other`. The platform never asks anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from schemas.dialect.dialect import Dialect, RecordingApi
from schemas.dialect.items import attempt, attempt_object
from schemas.dialect.json_body import read_object
from schemas.dialect.mending import marked
from schemas.envelope import JsonObject
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification, Reply
from schemas.platforms.huawei.pushes import EVENT_TYPES, event_type_of, fee_list, holds_cdrs, other
from schemas.platforms.huawei.recordings import AUDIO_HOSTS, recording_location, recording_request
from schemas.platforms.huawei.voicecall.auth import verify
from schemas.platforms.huawei.voicecall.cdrs import cdr
from schemas.platforms.huawei.voicecall.events import call_event
from schemas.platforms.huawei.voicecall.products import named_by
from schemas.platforms.huawei.voicecall.settings import VoiceCallSource

__all__ = ["DIALECT"]

DEFAULT_API: Final = "https://rtccall.cn-north-1.myhuaweicloud.cn:443"  # section 4, base seen


def parse(notification: Notification, _: VoiceCallSource) -> Sequence[Parsed | Malformed]:
    """One result per CDR, or one for a call event or anything else; a bad item does not spoil its neighbours.

    The product is told by the item. What an item leaves open, the last segment of the URL may tell: `callback`,
    `notify` or `verify` (see products.py). An item is Malformed with reason not_an_object,
    no_status_info, no_session_id, numeric_id, long_id, bad_time or unknown_push. A CDR with an unreadable time is not
    guessed at: it is billed by its times.

    Raises:
        Malformed: empty_body, too_many_brackets, not_json, too_deep, not_an_object, no_fee_list or long_fee_list.
    """
    body, repairs = read_object(notification.body, notification.content_type)
    return marked(_items(body, notification), repairs)


def _items(body: JsonObject, notification: Notification) -> Sequence[Parsed | Malformed]:
    product = named_by(notification.path)
    if event_type_of(body) in EVENT_TYPES:
        return [attempt_object(partial(call_event, named=product), body)]
    if holds_cdrs(body):
        return [attempt_object(partial(cdr, named=product), record) for record in fee_list(body)]
    return [attempt(lambda: other(body, notification.body))]


def reply(_: Notification) -> Reply:
    """HTTP 200 with an empty body, which section 0 calls fine."""
    return Reply()


DIALECT: Final[Dialect[VoiceCallSource]] = Dialect(
    name="huawei_voicecall",
    settings=VoiceCallSource,
    parse=parse,
    reply=reply,
    verify=verify,
    # Section 3: the same API as PrivateNumber's, on VoiceCall's own host.
    recordings=RecordingApi(request=partial(recording_request, default_api=DEFAULT_API), location=recording_location),
    audio_hosts=(*AUDIO_HOSTS, ".myhuaweicloud.cn"),
)
