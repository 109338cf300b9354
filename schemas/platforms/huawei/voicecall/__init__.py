"""Huawei Cloud VoiceCall: call events and CDRs of click-to-call, voice notification and voice verification code.

Source: docs/protocols/huawei-voicecall.md sections 0 (pushes), 1 (call events), 2 (CDRs), 3 (recordings), and
docs/protocols/huawei-reason-codes.md. Whatever else arrives is kept raw as `other`. The platform never asks anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from schemas.config import Source
from schemas.dialect.dialect import no_nonce as nonce
from schemas.dialect.json_body import load_object
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification, Reply
from schemas.platforms.huawei import recordings as huawei_recordings
from schemas.platforms.huawei.pushes import EVENT_TYPES, event_type_of, fee_list, holds_cdrs, other, read_item
from schemas.platforms.huawei.recordings import recording_location
from schemas.platforms.huawei.voicecall.auth import verify
from schemas.platforms.huawei.voicecall.cdrs import cdr
from schemas.platforms.huawei.voicecall.events import call_event
from schemas.platforms.huawei.voicecall.products import named_by
from schemas.question import Asked, Decision
from schemas.recording import HttpRequest, RecordingWanted

__all__ = ["answer", "nonce", "parse", "question", "recording_location", "recording_request", "reply", "verify"]

DEFAULT_API: Final = "https://rtccall.cn-north-1.myhuaweicloud.cn:443"  # section 4, base seen


def parse(notification: Notification, source: Source) -> Sequence[Parsed | Malformed]:  # noqa: ARG001 - no setting counts
    """One result per CDR, or one for a call event or anything else; a bad item does not spoil its neighbours.

    The product is told by the item. What an item leaves open, the last segment of the URL may tell: `callback`,
    `notify` or `verify` (see huawei_voicecall_products.py). An item is Malformed with reason not_an_object,
    no_status_info, no_session_id, numeric_id, long_id or bad_time. A CDR with an unreadable time is not guessed at:
    it is billed by its times.

    Raises:
        Malformed: empty_body, not_json, too_deep, not_an_object, no_fee_list or long_fee_list.
    """
    body = load_object(notification.body)
    product = named_by(notification.path)
    if event_type_of(body) in EVENT_TYPES:
        return [read_item(partial(call_event, named=product), body)]
    if holds_cdrs(body):
        return [read_item(partial(cdr, named=product), record) for record in fee_list(body)]
    return [other(body, notification.body)]


def reply(notification: Notification) -> Reply:  # noqa: ARG001 - the same for all of them
    """HTTP 200 with an empty body, which section 0 calls fine."""
    return Reply()


def question(notification: Notification, source: Source) -> Asked | None:  # noqa: ARG001 - of no push
    """Nothing: no push of VoiceCall waits for a decision."""
    return None


def answer(notification: Notification, decision: Decision, source: Source) -> Reply:  # noqa: ARG001 - none is wanted
    """The ordinary reply, since nothing was asked."""
    return reply(notification)


def recording_request(wanted: RecordingWanted, source: Source, *, nonce: str, created: datetime) -> HttpRequest:
    """The signed GET for a download address: section 3, the same API as PrivateNumber's on VoiceCall's own host.

    Raises:
        Transient: the source has no app_key or app_secret yet.
        Permanent: the announcement names no file.
    """
    asked = source if source.recording_api else source.model_copy(update={"recording_api": DEFAULT_API})
    return huawei_recordings.recording_request(wanted, asked, nonce=nonce, created=created)
