"""Jiuyun (云呼AXB and its siblings): hang-ups, voice notices and the call events before them.

Source: docs/protocols/jiuyun-axb.md. The platform asks nothing, signs nothing, and has no API for recordings: a hang-up
carries the audio's URL. An action that stands in no table is kept raw as `other`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from schemas.config import Source
from schemas.dialect.dialect import no_nonce as nonce
from schemas.dialect.fields import MAX_ID, digits, text
from schemas.dialect.json_body import fingerprint, sha256_hex
from schemas.errors import Malformed, Permanent
from schemas.facts import FactKind, Other, Parsed
from schemas.notification import Notification, Reply
from schemas.platforms.jiuyun import calls
from schemas.platforms.jiuyun.body import Message, is_json, load_message
from schemas.question import Asked, Decision
from schemas.recording import HttpRequest, RecordingWanted

__all__ = ["answer", "nonce", "parse", "question", "recording_location", "recording_request", "reply", "verify"]

XML_REPLY: Final = Reply(
    content_type="application/xml;charset=utf-8",
    body=b"""<?xml version='1.0' encoding='utf-8'?>
<Response>
    <statusCode>0000</statusCode>
    <statusMsg>Success</statusMsg>
</Response>
""",
)
JSON_REPLY: Final = Reply(
    content_type="application/json;charset=utf-8",
    body=b'{"statusCode":"0000","statusMsg":"Success"}',  # section 2 [inferred]: no JSON answer is documented
)

_ACTIONS: Final[Mapping[str, str]] = {name.lower(): name for name in (*calls.EVENT_ACTIONS, *calls.CDR_ACTIONS)}


def verify(notification: Notification, source: Source, now: datetime) -> bool | None:  # noqa: ARG001 - nothing to check
    """None always: neither the page nor the sender knows a signature (section 1)."""
    return None


def parse(notification: Notification, source: Source) -> Sequence[Parsed | Malformed]:
    """One result: a request carries one notification (section 1).

    The result is Malformed with reason no_session_id, numeric_id, long_id, bad_time, bad_duration,
    no_duration or cut_off.

    Raises:
        Malformed: the body cannot be read, with a reason of `load_message`.
    """
    message = load_message(notification.body)
    action = _ACTIONS.get((text(message.fields, "action") or "").lower())
    if action is None:
        return [_other(message, notification.body)]
    read = calls.call_event if action in calls.EVENT_ACTIONS else calls.cdr
    try:
        return [read(action, message, source)]
    except Malformed as error:
        return [error.with_traceback(None)]


def reply(notification: Notification) -> Reply:
    """`0000` in the format of the request (section 2)."""
    return JSON_REPLY if is_json(notification) else XML_REPLY


def question(notification: Notification, source: Source) -> Asked | None:  # noqa: ARG001 - nothing to look at
    """None always: no push with a controlling answer was found (section 4)."""
    return None


def answer(notification: Notification, decision: Decision, source: Source) -> Reply:  # noqa: ARG001 - nothing decided
    """What `reply` says, since nothing is ever asked."""
    return reply(notification)


def recording_request(wanted: RecordingWanted, source: Source, *, nonce: str, created: datetime) -> HttpRequest:  # noqa: ARG001 - no API
    """Never: the announced URL is fetched as it is.

    Raises:
        Permanent: always.
    """
    raise Permanent("no recording api")


def recording_location(status: int, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG001 - no API
    """Never, as `recording_request`.

    Raises:
        Permanent: always.
    """
    raise Permanent("no recording api")


def _other(message: Message, sent: bytes) -> Parsed:
    session_id = digits(message.fields, "callId")
    return Parsed(
        kind=FactKind.OTHER,
        session_id=session_id if session_id and len(session_id) <= MAX_ID else "",
        key=f"other|{sha256_hex(sent)}",
        fingerprint=fingerprint(message.raw),
        body=Other(raw=message.raw),
    )
