"""The call record: one trustworthy account of one call (contract section 1), and how the facts of a call make it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from schemas.envelope import JsonObject
from schemas.facts import CODE_NAMES, TIMELINE_TYPES, CallEvent, CallFields, Cdr, Code, Fact, Recording
from schemas.recording import recording_key

_ORDER: Final[Mapping[str, int]] = {name: n for n, name in enumerate(TIMELINE_TYPES)}
_PARTIES: Final = (
    "product",
    "mode",
    "direction",
    "caller",
    "callee",
    "private_number",
    "display_number",
    "extension",
    "binding_id",
    "user_data",
)
_TIMES: Final = ("called_in_at", "started_at", "ringing_at", "answered_at", "ended_at")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Reason(_Row):
    """The platform's codes as sent, and what the deciding one means."""

    state_code: int | str | None = None
    fail_code: int | str | None = None
    q850: int | str | None = None
    sip: int | str | None = None
    text: str | None = None


class LegRow(_Row):
    """One side's connection."""

    name: str
    number: str | None = None
    started_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None


class CdrRow(_Row):
    """One CDR of the call: bill these, not the top line."""

    record_id: str
    product: str | None
    mode: str | None
    direction: str | None
    caller: str | None
    callee: str | None
    private_number: str | None
    display_number: str | None
    extension: str | None
    binding_id: str | None
    user_data: str | None
    called_in_at: datetime | None
    started_at: datetime | None
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_seconds: int | float | None
    talk_seconds: int | float | None
    answered: bool
    outcome: str
    reason: Reason
    raw: dict[str, Any]


class TimelineRow(_Row):
    """One live call event."""

    type: str
    platform_type: str
    at: datetime | None
    leg: str | None
    caller: str | None
    callee: str | None
    raw: dict[str, Any]


class RecordingRow(_Row):
    """One announced recording and how its fetch stands: wanted, stored or failed."""

    key: str
    state: str
    place: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    seconds: float | None = None
    format: str | None = None
    reason: str | None = None


class CallRecord(_Row):
    """`data.call` of every event about a call; absent is null, times are UTC, durations are seconds."""

    id: str
    source: str
    session_id: str
    platform: str
    product: str | None
    mode: str | None
    direction: str | None
    caller: str | None
    callee: str | None
    private_number: str | None
    display_number: str | None
    extension: str | None
    binding_id: str | None
    user_data: str | None
    called_in_at: datetime | None
    started_at: datetime | None
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    ring_seconds: int | float | None
    talk_seconds: int | float | None
    answered: bool
    outcome: str
    reason: Reason
    legs: list[LegRow]
    cdrs: list[CdrRow]
    timeline: list[TimelineRow]
    recordings: list[RecordingRow]
    decision: dict[str, Any] | None
    revision: int
    complete: bool
    missing: list[str]
    late: bool


def timeline_entry(event: CallEvent) -> JsonObject:
    """One event as it stands in the timeline and in `call.progress`."""
    return {
        "type": event.type,
        "platform_type": event.platform_type,
        "at": event.at,
        "leg": event.leg,
        "caller": event.caller,
        "callee": event.callee,
        "raw": event.raw,
    }


def build_record(facts: Mapping[str, Fact], *, call_events: bool) -> JsonObject:
    """The record that these facts make, whatever the order they came in; without revision and `late`.

    `call_events` False: the source is known to send no call events, so none are missing.
    """
    some = next(iter(facts.values()))
    events = _events(facts.values())
    cdrs = _cdrs(facts.values())
    fields = [cdrs[0].call] if cdrs else []
    shown = [*fields, *(event.call for event in events)]
    top: JsonObject = {name: _first(shown, name) for name in (*_PARTIES, *_TIMES)}
    answered = top["answered_at"] is not None or any(_answered(cdr.call) for cdr in cdrs)
    answered = answered or any(event.type == "answered" for event in events)
    missing = _missing(cdrs, events, call_events=call_events)
    return {
        "id": some.call_id,
        "source": some.source,
        "session_id": some.session_id,
        "platform": some.platform,
        **top,
        **_measures(top, answered=answered, codes=[code for call in shown for code in call.codes]),
        "legs": [_row(leg) for cdr in cdrs[:1] for leg in cdr.legs],
        "cdrs": [_cdr_row(cdr) for cdr in cdrs],
        "timeline": [timeline_entry(event) for event in events],
        "recordings": _recordings(some.call_id, cdrs, facts.values()),
        "decision": None,
        "complete": not missing,
        "missing": missing,
    }


def _events(facts: Iterable[Fact]) -> list[CallEvent]:
    rows = [(fact.body, fact.key) for fact in facts if isinstance(fact.body, CallEvent)]
    rows.sort(key=lambda row: (row[0].at is None, row[0].at and row[0].at.timestamp(), _ORDER[row[0].type], row[1]))
    return [event for event, _ in rows]


def _cdrs(facts: Iterable[Fact]) -> list[Cdr]:
    """Primary first: earliest answered, else latest ended, else smallest record id (design section 5)."""
    cdrs = [fact.body for fact in facts if isinstance(fact.body, Cdr)]
    return sorted(cdrs, key=_primacy)


def _primacy(cdr: Cdr) -> tuple[bool, float, float, str]:
    answered = cdr.call.answered_at.timestamp() if cdr.call.answered_at else 0.0
    ended = cdr.call.ended_at.timestamp() if cdr.call.ended_at else 0.0
    return (not answered, answered, -ended, cdr.record_id)


def _first(shown: Sequence[CallFields], name: str) -> Any:
    return next((value for call in shown if (value := getattr(call, name)) is not None), None)


def _answered(call: CallFields) -> bool:
    return call.answered_at is not None


def _measures(times: JsonObject, *, answered: bool, codes: Sequence[Code]) -> JsonObject:
    ended, ringing, picked_up = times["ended_at"], times["ringing_at"], times["answered_at"]
    firsts = [code for name in CODE_NAMES if (code := _first_code(codes, name)) is not None]
    deciding = next((code for code in firsts if code.outcome is not None), firsts[0] if firsts else None)
    mapped = deciding.outcome if deciding is not None and deciding.outcome is not None else "unknown"
    return {
        "ring_seconds": _seconds(ringing, picked_up or ended),
        "talk_seconds": _seconds(picked_up, ended) if answered else 0,
        "answered": answered,
        "outcome": "answered" if answered else mapped,
        "reason": {
            **dict.fromkeys(CODE_NAMES),
            **{code.name: code.value for code in firsts},
            "text": deciding.text if deciding else None,
        },
    }


def _first_code(codes: Sequence[Code], name: str) -> Code | None:
    return next((code for code in codes if code.name == name), None)


def _seconds(start: datetime | None, end: datetime | None) -> int | float | None:
    """Never negative: handset and platform clocks differ."""
    if start is None or end is None:
        return None
    seconds = max((end - start).total_seconds(), 0.0)
    return int(seconds) if seconds.is_integer() else seconds


def _cdr_row(cdr: Cdr) -> JsonObject:
    fields = {name: getattr(cdr.call, name) for name in (*_PARTIES, *_TIMES)}
    measures = _measures(fields, answered=_answered(cdr.call), codes=cdr.call.codes)
    return {"record_id": cdr.record_id, **fields, **measures, "raw": cdr.raw}


def _row(value: Any) -> JsonObject:
    return {name: getattr(value, name) for name in value.__slots__}


def _missing(cdrs: Sequence[Cdr], events: Sequence[CallEvent], *, call_events: bool) -> list[str]:
    seen = {event.type for event in events}
    if not cdrs:
        return [*(["ended"] if call_events and "ended" not in seen else []), "cdr"]
    if not call_events:
        return []
    implied = {name for cdr in cdrs for name in cdr.implies}
    return sorted(implied - seen, key=_ORDER.__getitem__)


def _recordings(call_id: str, cdrs: Sequence[Cdr], facts: Iterable[Fact]) -> list[JsonObject]:
    rows: dict[str, JsonObject] = {}
    for announced in (announced for cdr in cdrs for announced in cdr.recordings):
        row = _row(Recording(key=recording_key(call_id, announced), state="wanted"))
        if announced.name is None and announced.url is None:
            row.update(state="failed", reason="no_file_named")
        rows[row["key"]] = row
    for ended in (fact.body for fact in facts if isinstance(fact.body, Recording)):
        rows[ended.key] = _row(ended)
    return [rows[key] for key in sorted(rows)]
