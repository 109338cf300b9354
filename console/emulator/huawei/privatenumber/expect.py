"""What the record of a call must say, in the words of docs/contract.md section 1, from what was accepted of it.

Written from docs/contract.md and docs/design.md section 5 without any of their code, so that it can contradict it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from console.emulator.audio import digest_of, make_wav
from console.emulator.huawei.privatenumber.calls import Call
from console.emulator.moments import read_utc, rfc3339, seconds_between
from console.emulator.push import Content

TIMELINE_TYPES = {
    "callin": "incoming",
    "callout": "outgoing",
    "alerting": "ringing",
    "answer": "answered",
    "disconnect": "ended",
    "collectInfo": "digits",
}
# Time of the record: (field of the CDR, event that tells the same)
TIMES = {
    "called_in_at": ("callInTime", "callin"),
    "started_at": ("fwdStartTime", "callout"),
    "ringing_at": ("fwdAlertingTime", "alerting"),
    "answered_at": ("fwdAnswerTime", "answer"),
    "ended_at": ("callEndTime", "disconnect"),
}
DIRECTIONS = {0: "b_to_a", 1: "a_to_b", 2: "abnormal"}


def expect(call: Call, *, seed: int, events: Mapping[str, Content], cdrs: Mapping[str, Content]) -> Content:
    """The record that follows from the accepted events by step, and the last accepted CDR by record id."""
    top = primary(cdrs.values())
    infos = {step: event["statusInfo"] for step, event in events.items()}
    missing = _missing(events, cdrs.values())
    return {
        "mode": call.mode if cdrs else None,
        "direction": DIRECTIONS[top["direction"]] if cdrs else None,
        **_numbers(top, infos),
        **_result(call, top, infos, cdrs.values()),
        "timeline": sorted(TIMELINE_TYPES[step] for step in events),
        "cdrs": [_cdr(record_id, cdrs[record_id]) for record_id in sorted(cdrs)],
        "recordings": _recordings(seed, cdrs.values()),
        "complete": not missing,
        "missing": missing,
        "cdr_accepted": bool(cdrs),
    }


def primary(cdrs: Iterable[Content]) -> Content:
    """Earliest answered, else latest ended, else smallest record id (docs/design.md section 5)."""
    ordered = sorted(cdrs, key=lambda cdr: str(cdr["icid"]))
    answered = [cdr for cdr in ordered if "fwdAnswerTime" in cdr]
    if answered:
        return min(answered, key=lambda cdr: str(cdr["fwdAnswerTime"]))
    ended = [cdr for cdr in ordered if "callEndTime" in cdr]
    if ended:
        return max(ended, key=lambda cdr: str(cdr["callEndTime"]))
    return ordered[0] if ordered else {}


def _numbers(top: Content, infos: Mapping[str, Content]) -> Content:
    """The real parties and X; a CDR beats events, and after callin `caller` is X."""
    callin = infos.get("callin", {})
    later = [infos[step] for step in infos if step not in ("callin", "collectInfo")]
    callees = [info["called"] for info in later if info["called"]]
    shown = [callin["called"]] if callin else [info["caller"] for info in later]
    digits = infos.get("collectInfo", {}).get("digitInfo")
    return {
        "caller": top.get("callerNum") or callin.get("caller"),
        "callee": top.get("fwdDstNum") or next(iter(callees), None),
        "private_number": top.get("bindNum") or next(iter(shown), None),
        "extension": top.get("extendNumber") or digits,
    }


def _result(call: Call, top: Content, infos: Mapping[str, Content], cdrs: Iterable[Content]) -> Content:
    """Outcome, times and durations; the times of the primary CDR, else those of events."""
    times = {
        name: _time(top.get(field) or infos.get(step, {}).get("timestamp")) for name, (field, step) in TIMES.items()
    }
    answered = "answer" in infos or any("fwdAnswerTime" in cdr for cdr in cdrs)
    picked_up, ended = times["answered_at"], times["ended_at"]
    outcome = "answered" if answered else _unanswered(call, top, infos)
    talked = None if outcome == "unknown" else 0  # nobody says whether anybody talked
    return {
        "outcome": outcome,
        "answered": answered,
        "ring_seconds": seconds_between(times["ringing_at"], picked_up or ended),
        "talk_seconds": seconds_between(picked_up, ended) if answered else talked,
        **{name: rfc3339(moment) for name, moment in times.items()},
    }


def _unanswered(call: Call, top: Content, infos: Mapping[str, Content]) -> str:
    """What the call was meant to be, if anything accepted says so; state code 0 alone says nothing."""
    if call.ending.outcome != "answered" and ("disconnect" in infos or "callEndTime" in top):
        return call.ending.outcome
    return "cancelled" if top else "unknown"  # the CDR of a redial by itself


def _missing(events: Mapping[str, Content], cdrs: Iterable[Content]) -> list[str]:
    """The events that the CDRs' own times imply, and the CDR; without one nothing is implied."""
    records = list(cdrs)
    if not records:
        return ["cdr"]
    implied = [step for field, step in TIMES.values() if any(field in cdr for cdr in records)]
    return [TIMELINE_TYPES[step] for step in implied if step not in events]


def _cdr(record_id: str, cdr: Content) -> Content:
    return {"record_id": record_id, "ended_at": rfc3339(_time(cdr.get("callEndTime")))}


def _recordings(seed: int, cdrs: Iterable[Content]) -> Content:
    names = [cdr["recordObjectName"] for cdr in cdrs if "recordObjectName" in cdr]
    return {name: digest_of(make_wav(seed, name)) for name in names}


def _time(text: str | None) -> datetime | None:
    return read_utc(text) if text else None
