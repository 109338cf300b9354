"""How the facts of a call make its record (contract section 1): pure, and the same whatever order they came in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from schemas.envelope import JsonObject
from schemas.facts import (
    CODE_NAMES,
    TIMELINE_TYPES,
    Announced,
    Announcement,
    CallEvent,
    CallFields,
    Cdr,
    Code,
    Decided,
    Fact,
    Recording,
)
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
_OF_A_LEG: Final = frozenset({"outgoing", "ringing", "answered"})
_TIMES: Final = ("called_in_at", "started_at", "ringing_at", "answered_at", "ended_at")


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


def decided_entry(fact: Fact, decided: Decided) -> JsonObject:
    """A decision as it stands in the timeline; its moment is the clock of the door that answered."""
    return {
        "type": "decided",
        "platform_type": decided.action,
        "at": fact.at,
        "leg": None,
        "caller": None,
        "callee": decided.callee,
        "raw": {},
    }


def latest_decision(facts: Iterable[Fact]) -> JsonObject | None:
    """The decision that was given last: a push that asks again is answered again."""
    decided = [(fact.at, fact.fingerprint, fact.body) for fact in facts if isinstance(fact.body, Decided)]
    if not decided:
        return None
    _, _, last = max(decided, key=lambda row: row[:2])
    return {"action": last.action, "callee": last.callee, "by": last.by, "milliseconds": last.milliseconds}


def build_record(facts: Mapping[str, Fact], *, call_events: bool) -> JsonObject:
    """The record that these facts make, whatever the order they came in; without revision and `late`.

    `call_events` False: the source is known to send no call events, so none are missing.
    """
    some = next(iter(facts.values()))
    cdrs = _cdrs(facts.values())
    events = _on_legs(_events(facts.values()), cdrs)
    fields = [cdrs[0].call] if cdrs else []
    shown = [*fields, *(event.call for event in events)]
    top: JsonObject = {name: _first(shown, name) for name in (*_PARTIES, *_TIMES)}
    codes = [code for call in shown for code in call.codes]
    answered = top["answered_at"] is not None or any(_answered(cdr.call) for cdr in cdrs)
    answered = answered or any(_shows_answer(event, top["caller"]) for event in events)
    missing = _missing(cdrs, events, call_events=call_events)
    return {
        "id": some.call_id,
        "source": some.source,
        "session_id": some.session_id,
        "platform": some.platform,
        **top,
        **_measures({**top, "talk_seconds": _first(fields, "talk_seconds")}, answered=answered, codes=codes),
        "legs": [_row(leg) for cdr in cdrs[:1] for leg in cdr.legs],
        "cdrs": [_cdr_row(cdr) for cdr in cdrs],
        "timeline": _timeline(events, facts.values()),
        "recordings": _recordings(some.call_id, facts.values()),
        "decision": latest_decision(facts.values()),
        "complete": not missing,
        "missing": missing,
    }


def _events(facts: Iterable[Fact]) -> list[CallEvent]:
    rows = [(fact.body, fact.key) for fact in facts if isinstance(fact.body, CallEvent)]
    rows.sort(key=lambda row: (row[0].at is None, row[0].at and row[0].at.timestamp(), _ORDER[row[0].type], row[1]))
    return [event for event, _ in rows]


def _timeline(events: Iterable[CallEvent], facts: Iterable[Fact]) -> list[JsonObject]:
    rows = [timeline_entry(event) for event in events]
    last = sorted(facts, key=lambda fact: fact.fingerprint)
    rows += [decided_entry(fact, fact.body) for fact in last if isinstance(fact.body, Decided)]
    return sorted(rows, key=lambda row: (row["at"] is None, row["at"] and row["at"].timestamp(), _ORDER[row["type"]]))


def _on_legs(events: Iterable[CallEvent], cdrs: Sequence[Cdr]) -> list[CallEvent]:
    """An event that does not know its leg is told by the number it calls, which only a CDR's legs can name."""
    names = {leg.number: leg.name for cdr in reversed(cdrs) for leg in cdr.legs if leg.number is not None}
    if not names:
        return list(events)
    return [
        replace(event, leg=names.get(event.callee or "")) if event.leg is None and event.type in _OF_A_LEG else event
        for event in events
    ]


def _shows_answer(event: CallEvent, caller: str | None) -> bool:
    """Of a call with two legs the caller answers too, before anybody else is called: that answers no call."""
    return event.type == "answered" and (event.callee is None or event.callee != caller)


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
    return call.answered_at is not None or bool(call.talk_seconds)


def _measures(times: JsonObject, *, answered: bool, codes: Sequence[Code]) -> JsonObject:
    ended, ringing, picked_up = times["ended_at"], times["ringing_at"], times["answered_at"]
    firsts = [code for name in CODE_NAMES if (code := _first_code(codes, name)) is not None]
    deciding = next((code for code in firsts if code.outcome is not None), firsts[0] if firsts else None)
    mapped = deciding.outcome if deciding is not None and deciding.outcome is not None else "unknown"
    return {
        "ring_seconds": _seconds(ringing, picked_up or ended),
        "talk_seconds": _talked(times) if answered else 0,
        "answered": answered,
        "outcome": "answered" if answered else mapped,
        "reason": {
            **dict.fromkeys(CODE_NAMES),
            **{code.name: code.value for code in firsts},
            "text": deciding.text if deciding else None,
        },
    }


def _talked(times: JsonObject) -> int | float | None:
    told: int | None = times["talk_seconds"]
    return _seconds(times["answered_at"], times["ended_at"]) if told is None else told


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
    times = {**fields, "talk_seconds": cdr.call.talk_seconds}
    measures = _measures(times, answered=_answered(cdr.call), codes=cdr.call.codes)
    return {"record_id": cdr.record_id, **fields, **measures, "raw": cdr.raw}


def _row(value: Any) -> JsonObject:
    return {name: getattr(value, name) for name in value.__slots__}


def _missing(cdrs: Sequence[Cdr], events: Sequence[CallEvent], *, call_events: bool) -> list[str]:
    seen = {event.type for event in events}
    if not cdrs:
        return [*(["ended"] if call_events and "ended" not in seen else []), "cdr"]
    if not call_events:
        return []
    seen |= {f"{event.type}.{event.leg}" for event in events}
    missing = {name for cdr in cdrs for name in cdr.implies} - seen
    return sorted({name.partition(".")[0] for name in missing}, key=_ORDER.__getitem__)


def all_announced(facts: Iterable[Fact]) -> Iterator[Announced]:
    """Every recording that these facts announce, by a CDR or on its own."""
    for fact in facts:
        if isinstance(fact.body, Cdr):
            yield from fact.body.recordings
        elif isinstance(fact.body, Announcement):
            yield fact.body.recording


def _recordings(call_id: str, facts: Collection[Fact]) -> list[JsonObject]:
    rows: dict[str, JsonObject] = {}
    for announced in all_announced(facts):
        row = _row(Recording(key=recording_key(call_id, announced), state="wanted"))
        if announced.name is None and announced.url is None:
            row.update(state="failed", reason="no_file_named")
        rows[row["key"]] = row
    for ended in (fact.body for fact in facts if isinstance(fact.body, Recording)):
        rows[ended.key] = _row(ended)
    return [rows[key] for key in sorted(rows)]
