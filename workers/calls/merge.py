"""How the facts of a call make its record: pure, and the same whatever order they came in.

The record is that of docs/contract.md section 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, Literal

from schemas.fact_json import CallJson, CdrJson, EventJson, decode_announced
from schemas.facts import Announced, FactKind
from schemas.record import CallRecord, CdrRow, DecisionRow, RecordingRow, TimelineRow
from schemas.recording import recording_key
from schemas.vocabulary import TIMELINE_TYPES, Billing, TimelineType
from workers.calls.kept import KeptFact, repaired_in
from workers.calls.legs import on_legs, shows_answer, told_beside
from workers.calls.measures import billed_minutes, call_part, known_moment, measures_of, was_answered
from workers.calls.rows import announced_row, decided_row, decision_row, ended_row, leg_row, timeline_row

_RECEIVED: Final = attrgetter("at")
_ORDER: Final[Mapping[TimelineType, int]] = {name: n for n, name in enumerate(TIMELINE_TYPES)}


def build_record(
    facts: Mapping[str, KeptFact],
    *,
    call_events: bool,
    billing: Billing = "minute",
    first: KeptFact | None = None,
    revision: int = 0,
    overdue: bool = False,
    cut: bool = False,
) -> CallRecord:
    """The record that these facts make, whatever the order they came in, in the order of its published fields.

    `call_events` False: the source is known to send no call events, so none are missing. `overdue`: the call was
    published as incomplete, so that a CDR of it is late. `cut`: some found no room among these. `first`: the fact that
    came first, where it is not among these, being of a version that was amended.
    """
    some = next(iter(facts.values()))
    received_at = (first or min(facts.values(), key=_RECEIVED)).identity["at"]
    cdrs = _cdrs(facts.values())
    events = on_legs(_events(facts.values()), cdrs)
    calls = [cdr["call"] for cdr in cdrs[:1]]  # the first to report a thing is right
    calls += [told_beside(event, cdrs) for event in events]
    whole = _first_told(calls)
    answered = "answered_at" in whole or any(was_answered(cdr["call"]) for cdr in cdrs)
    answered = answered or any(shows_answer(event, whole, cdrs) for event in events)
    talked = cdrs[0]["call"].get("talk_seconds") if cdrs else None
    codes = [code for call in calls for code in call.get("codes", ())]
    missing = _missing(cdrs, events, call_events=call_events)
    part = call_part(whole)
    return {
        "id": some.call_id,
        "source": some.source,
        "session_id": some.of["session_id"],
        "platform": some.of["platform"],
        "at": known_moment(part) or received_at,
        "received_at": received_at,
        **part,
        **measures_of(whole, talked, answered=answered, codes=codes),
        "legs": [leg_row(leg) for cdr in cdrs[:1] for leg in cdr.get("legs", ())],
        "cdrs": [_cdr_row(cdr, billing) for cdr in cdrs],
        "timeline": _timeline(events, facts.values()),
        "recordings": _recordings(some.call_id, facts.values()),
        "decision": latest_decision(facts.values()),
        "revision": revision,
        "complete": not missing,
        "missing": missing,
        "late": overdue and bool(cdrs),
        "repaired": repaired_in(facts.values(), cut=cut),
    }


def _first_told(calls: Sequence[CallJson]) -> CallJson:
    """Each thing as the first of them that tells it."""
    whole: CallJson = {}
    for call in reversed(calls):
        whole.update(call)
    return whole


def latest_decision(facts: Iterable[KeptFact]) -> DecisionRow | None:
    """The decision that was given last: a push that asks again is answered again."""
    decisions = [fact for fact in facts if fact.kind == FactKind.DECISION]
    return decision_row(max(decisions, key=lambda fact: (fact.waits_from, fact.fingerprint))) if decisions else None


def all_announced(facts: Iterable[KeptFact]) -> Iterator[Announced]:
    """Every recording that these facts announce, by a CDR or on its own."""
    for fact in facts:
        if fact.kind == FactKind.CDR:
            yield from map(decode_announced, fact.row.get("recordings", ()))
        elif fact.kind == FactKind.ANNOUNCEMENT:
            yield decode_announced(fact.row["recording"])


def _events(facts: Iterable[KeptFact]) -> list[EventJson]:
    rows: list[tuple[EventJson, str]] = [(fact.row, fact.key) for fact in facts if fact.kind == FactKind.CALL_EVENT]
    rows.sort(key=lambda row: (*_place(row[0]), row[1]))
    return [event for event, _ in rows]


def _place(entry: EventJson | TimelineRow) -> tuple[bool, float, int]:
    """Where an entry stands in the timeline: what has no time comes last."""
    at = entry.get("at")
    return (at is None, _moment(at), _ORDER[entry["type"]])


def _moment(written: str | None) -> float:
    return datetime.fromisoformat(written).timestamp() if written else 0.0


def _timeline(events: Iterable[EventJson], facts: Iterable[KeptFact]) -> list[TimelineRow]:
    rows = [timeline_row(event) for event in events]
    decisions = [fact for fact in facts if fact.kind == FactKind.DECISION]
    rows += [decided_row(fact) for fact in sorted(decisions, key=lambda fact: fact.fingerprint)]
    return sorted(rows, key=_place) if decisions else rows


def _cdrs(facts: Iterable[KeptFact]) -> list[CdrJson]:
    """Primary first: earliest answered, else latest ended, else smallest record id (docs/design.md section 5)."""
    rows: list[CdrJson] = [fact.row for fact in facts if fact.kind == FactKind.CDR]
    return sorted(rows, key=_primacy) if len(rows) > 1 else rows


def _primacy(cdr: CdrJson) -> tuple[bool, float, float, str]:
    answered, ended = cdr["call"].get("answered_at"), cdr["call"].get("ended_at")
    return (not answered, _moment(answered), -_moment(ended), cdr["record_id"])


def _cdr_row(cdr: CdrJson, billing: Billing) -> CdrRow:
    call = cdr["call"]
    measures = measures_of(call, call.get("talk_seconds"), answered=was_answered(call), codes=call.get("codes", ()))
    return {
        "record_id": cdr["record_id"],
        **call_part(call),
        **measures,
        "raw": cdr["raw"],
        "billed_minutes": billed_minutes(measures["talk_seconds"], billing) if measures["answered"] else None,
    }


def _missing(
    cdrs: Sequence[CdrJson], events: Sequence[EventJson], *, call_events: bool
) -> list[TimelineType | Literal["cdr"]]:
    seen: set[str] = {event["type"] for event in events}
    if not cdrs:
        return ["ended", "cdr"] if call_events and "ended" not in seen else ["cdr"]
    if not call_events:
        return []
    missing = {name for cdr in cdrs for name in cdr.get("implies", ())} - seen
    if not missing:
        return []
    missing -= {f"{event['type']}.{event.get('leg')}" for event in events}
    types: Any = {name.partition(".")[0] for name in missing}
    return sorted(types, key=_ORDER.__getitem__)


def _recordings(call_id: str, facts: Iterable[KeptFact]) -> list[RecordingRow]:
    rows: dict[str, RecordingRow] = {}
    facts = list(facts)
    for announced in all_announced(facts):
        key = recording_key(call_id, announced)
        rows[key] = announced_row(key, announced)
    for fact in facts:
        if fact.kind == FactKind.RECORDING:
            key = fact.row["key"]
            rows[key] = ended_row(fact.row, rows.get(key))
    return [rows[key] for key in sorted(rows)]
