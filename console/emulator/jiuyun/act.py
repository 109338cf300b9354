"""Jiuyun's part: one notification a request, never a second try, and an answer in the request's own format.

Source: docs/protocols/jiuyun-axb.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

from console.emulator.act import Act, Heard
from console.emulator.jiuyun import payloads
from console.emulator.jiuyun.calls import WITH_EVENTS, AxbCall, build_axb_calls
from console.emulator.jiuyun.expect import e164, expect
from console.emulator.moments import rfc3339
from console.emulator.push import KINDS, Content, Draft, Form, Item, Push, later, number
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings

REPLY_SECONDS: Final = 2.5  # section 1
TWICE_SHARE: Final = 0.05  # the sender's queue hands one notification out twice at times (section 1)
STATUS_CODE: Final = re.compile(rb"<statusCode>\s*0000\s*</statusCode>")


def jiuyun(settings: EmulatorSettings, recordings: Recordings) -> Act:
    """云呼AXB and its siblings; recordings are links to our own audio host."""
    calls = build_axb_calls(seed=settings.seed, start=settings.start, calls=settings.calls)
    by_number = {call.number: call for call in calls}
    return Act(
        sessions={call.number: call.call_id for call in calls},
        pushes=plan(settings, calls, recordings),
        repush_minutes=dict.fromkeys(KINDS, ()),
        reply_seconds=REPLY_SECONDS,
        answer_seconds=REPLY_SECONDS,
        expect=lambda number, items: expect(by_number[number], items, recordings),
        faults=_faults,
        sought={call.number: _sought(call) for call in calls if call.variety == "income"},
    )


def plan(settings: EmulatorSettings, calls: Sequence[AxbCall], recordings: Recordings) -> list[Push]:
    """In order for each call, one notification a request; a few are sent twice."""
    rng = Random(f"{settings.seed}:axb:plan")
    drafts = [draft for call in calls for draft in _drafts(call, recordings)]
    return number([*drafts, *(later(rng, draft) for draft in drafts if rng.random() < TWICE_SHARE)])


def _drafts(call: AxbCall, recordings: Recordings) -> list[Draft]:
    url = recordings.audio_url(call.audio_name) if call.recorded else None
    drafts = [_draft(call, "Hangup", payloads.hang_up(call, url), call.ended_at + timedelta(seconds=1))]
    if call.variety not in WITH_EVENTS:
        return drafts
    invites = [payloads.invite(call, leg) for leg in (0, 1)]
    moments = [call.invited_at + timedelta(seconds=2 * leg) for leg in (0, 1)]
    drafts += [_draft(call, f"CallInvite-{leg}", invites[leg], moments[leg]) for leg in (0, 1)]
    if call.answered_at:
        drafts.append(_draft(call, "CallEstablish", payloads.establish(call), call.answered_at))
    return drafts


def _draft(call: AxbCall, name: str, content: Content, moment: datetime) -> Draft:
    item = Item(call.number, name, 1, "cdr" if name == "Hangup" else "event", content)
    form = Form(
        path="",
        content_type=payloads.CONTENT_TYPES[call.writes],
        write=lambda contents, _: payloads.write(contents[0]),
    )
    return Draft(moment=moment, items=(item,), form=form)


def _sought(call: AxbCall) -> Content:
    """By what else a call without a callId is known."""
    return {"caller": e164(call.caller), "callee": e164(call.called), "ended_at": rfc3339(call.ended_at)}


def _faults(push: Push, heard: Heard) -> Sequence[str]:
    """Section 2: the platform parses no body, yet documents one, and we hold the door to it, in the asked format."""
    if push.items[0].content["writes"] == "xml":
        right = heard.body.lstrip().startswith(b"<") and STATUS_CODE.search(heard.body)
        return [] if right else ["jiuyun: the answer to XML is no Response with statusCode 0000"]
    try:
        code = json.loads(heard.body).get("statusCode")
    except (ValueError, AttributeError):
        code = None
    return [] if code == "0000" else ["jiuyun: the answer to JSON has no statusCode 0000"]
