"""What the record of a VoiceCall call must say, in the words of docs/contract.md section 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from console.emulator.audio import digest_of, make_wav
from console.emulator.huawei.voicecall.calls import VoiceCall
from console.emulator.moments import rfc3339, seconds_between
from console.emulator.push import Content, Item

TIMELINE: Final = {"start": "outgoing", "ring": "ringing", "answer": "answered", "end": "ended", "digits": "digits"}


def expect(call: VoiceCall, items: Sequence[Item], *, seed: int) -> Content:
    """The real parties, and the leg on which people talked."""
    accepted = [item.name for item in items if item.kind == "event"]
    last = "b" if call.product == "callback" else "a"
    times = {name: call.times.get(f"{name}_{last}") for name in ("ring", "answer")}
    ended, answered = call.times["end"], times["answer"] is not None
    missing = _missing(call, accepted)
    return {
        "product": call.product,
        "mode": None,
        "direction": None,
        "caller": call.user_a if call.product == "callback" else None,
        "callee": call.user_b if call.product == "callback" else call.user_a,
        "private_number": None,
        "display_number": call.display if call.reached_b or call.product != "callback" else None,
        "extension": None,
        "user_data": call.user_data,
        "outcome": call.ending.outcome,
        "answered": answered,
        "ring_seconds": seconds_between(times["ring"], times["answer"] or ended),
        "talk_seconds": seconds_between(times["answer"], ended) if answered else 0,
        "called_in_at": None,
        "started_at": rfc3339(call.times["start_a"]),
        "ringing_at": rfc3339(times["ring"]),
        "answered_at": rfc3339(times["answer"]),
        "ended_at": rfc3339(ended),
        "timeline": sorted(TIMELINE[name.partition("_")[0]] for name in accepted),
        "cdrs": [{"record_id": call.record_id, "ended_at": rfc3339(ended)}],
        "recordings": {call.object_name: digest_of(make_wav(seed, call.object_name))} if call.object_name else {},
        "complete": not missing,
        "missing": missing,
        "cdr_accepted": any(item.kind == "cdr" for item in items),
    }


def _missing(call: VoiceCall, accepted: Sequence[str]) -> list[str]:
    """Callback: the ended event and those of both legs that its times imply; else the ended event alone."""
    wanted = [step for step in call.times if call.product == "callback" or step == "end"]
    return sorted({TIMELINE[step.partition("_")[0]] for step in wanted if step not in accepted})
