"""What the record of an Aliyun call must say, in the words of docs/contract.md section 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from console.emulator.aliyun.calls import PnpCall
from console.emulator.moments import rfc3339, seconds_between
from console.emulator.push import Content, Item

DIRECTIONS: Final = {0: "a_to_b", 1: "b_to_a", 4: "abnormal"}
TIMELINE: Final = {
    "question": "incoming",
    "SecretStartReport": "incoming",
    "SecretRingReport": "ringing",
    "SecretPickUpReport": "answered",
}


def expect(
    call: PnpCall, items: Sequence[Item], *, audio: Callable[[str], Content], decision: Content | None
) -> Content:
    """The record that follows from the accepted items; a SecretReport alone makes it whole.

    Source: docs/design.md section 5.
    """
    accepted = {item.name for item in items}
    by_a = call.call_type != 1
    parties = (call.a, call.b) if by_a else (call.b, call.a)
    reported = "SecretReport" in accepted
    timeline = [TIMELINE[name] for name in accepted if name in TIMELINE] + (["decided"] if decision else [])
    recorded = call.recorded and accepted & {"SecretReport", "SecretRecording"}
    return {
        "product": "pnp",
        "mode": "X" if "question" in accepted else None,
        "direction": DIRECTIONS[call.call_type],
        "caller": _national(parties[0]),
        "callee": _national(parties[1]),
        "private_number": _national(call.secret),
        "extension": call.extension,
        "outcome": call.ending.outcome,
        "answered": call.ending.answered,
        "ring_seconds": seconds_between(call.rang_at, call.answered_at or call.released_at),
        "talk_seconds": (seconds_between(call.answered_at, call.released_at) if call.answered_at else 0),
        "called_in_at": rfc3339(call.called_at),
        "started_at": rfc3339(call.out_at) if call.ending.went_out else None,
        "ringing_at": rfc3339(call.rang_at),
        "answered_at": rfc3339(call.answered_at),
        "ended_at": rfc3339(call.released_at),
        "timeline": sorted(timeline),
        "cdrs": [{"record_id": str(call.report_id), "ended_at": rfc3339(call.released_at)}] if reported else [],
        "recordings": {call.audio_name: audio(call.audio_name)} if recorded else {},
        "complete": reported,
        "missing": [] if reported else ["cdr"],
        "cdr_accepted": reported,
        "decision": decision,
    }


def _national(number: str) -> str | None:
    return f"+86{number}" if number else None
