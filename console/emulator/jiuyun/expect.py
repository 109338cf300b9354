"""What the record of a Jiuyun call must say, in the words of docs/contract.md section 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from console.emulator.jiuyun.calls import TYPES_WITHOUT_X, WITH_EVENTS, AxbCall
from console.emulator.moments import rfc3339
from console.emulator.push import Content, Item
from console.emulator.recordings import Recordings

TIMELINE: Final = {"CallInvite-0": "outgoing", "CallInvite-1": "outgoing", "CallEstablish": "answered"}


def expect(call: AxbCall, items: Sequence[Item], recordings: Recordings) -> Content:
    """A hang-up alone makes it whole."""
    accepted = {item.name for item in items}
    notice = call.variety in ("notice", "code")
    nothing_private = notice or call.variety in TYPES_WITHOUT_X
    ended = "Hangup" in accepted
    events = [TIMELINE[name] for name in accepted if name in TIMELINE]
    return {
        "product": "axb",
        "mode": "AXB" if call.variety in ("axb", "virtual") else None,
        "direction": None,
        "caller": None if notice else e164(call.caller),
        "callee": e164(call.called),
        "private_number": None if nothing_private else e164(call.private),
        "extension": None,
        "user_data": call.user_data if call.variety in {"virtual", *WITH_EVENTS} else None,
        "outcome": call.outcome,
        "answered": call.outcome == "answered",
        "ring_seconds": None,
        "talk_seconds": call.talk_seconds,
        "called_in_at": None,
        "started_at": rfc3339(call.invited_at) if notice or "CallInvite-0" in accepted else None,
        "ringing_at": None,
        "answered_at": rfc3339(call.answered_at),
        "ended_at": None if notice else rfc3339(call.ended_at),
        "timeline": sorted(events),
        "cdrs": [{"record_id": None, "ended_at": None if notice else rfc3339(call.ended_at)}] if ended else [],
        "recordings": {call.audio_name: recordings.audio_digest(call.audio_name)} if call.recorded and ended else {},
        "complete": ended,
        "missing": [] if ended else ["cdr"],
        "cdr_accepted": ended,
    }


def e164(number: str | None) -> str | None:
    """docs/contract.md section 1: a mobile number gets +86, a fixed line +86 without its 0."""
    return f"+86{number.removeprefix('0')}" if number else None
