"""Jiuyun (云呼AXB and its siblings): hang-ups, voice notices and the call events before them.

Source: docs/protocols/jiuyun-axb.md. The platform asks nothing, signs nothing, and has no API for recordings: a hang-up
carries the audio's URL. An action that stands in no table is kept raw as `other`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from schemas.dialect import items
from schemas.dialect.dialect import Dialect
from schemas.dialect.fields import digits, text
from schemas.dialect.mending import marked
from schemas.errors import Malformed
from schemas.facts import Parsed
from schemas.notification import Notification, Reply
from schemas.platforms.jiuyun import calls
from schemas.platforms.jiuyun.body import Message, is_json, load_message
from schemas.platforms.jiuyun.settings import JiuyunSource

__all__ = ["DIALECT"]

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


def parse(notification: Notification, source: JiuyunSource) -> Sequence[Parsed | Malformed]:
    """One result: a request carries one notification (section 1).

    The result is Malformed with reason no_session_id, numeric_id, long_id, bad_time, bad_duration,
    no_duration, cut_off or unknown_push.

    Raises:
        Malformed: the body cannot be read, with a reason of `load_message`.
    """
    message = load_message(notification.body, notification.content_type)
    return marked([_item(message, notification, source)], message.repairs)


def _item(message: Message, notification: Notification, source: JiuyunSource) -> Parsed | Malformed:
    told = text(message.fields, "action") or ""
    action = _ACTIONS.get(told.lower())
    if action is None:
        call_id, named = digits(message.fields, "callId"), told.strip() != ""
        return items.attempt(lambda: items.other(message.raw, session_id=call_id, named=named, sent=notification.body))
    read = calls.call_event if action in calls.EVENT_ACTIONS else calls.cdr
    return items.attempt(lambda: read(action, message, source))


def reply(notification: Notification) -> Reply:
    """`0000` in the format of the request (section 2)."""
    return JSON_REPLY if is_json(notification) else XML_REPLY


DIALECT: Final[Dialect[JiuyunSource]] = Dialect(
    name="jiuyun_axb",
    settings=JiuyunSource,
    parse=parse,
    reply=reply,
    whole_by_cdr=True,
    confirm_seconds=2.0,  # the sender gives up after 2.5 s (section 2)
)
