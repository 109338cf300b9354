"""How the facts of a call make its record: pure, and the same whatever order they came in.

The record is that of docs/contract.md section 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from schemas.envelope import JsonObject
from schemas.facts import CODE_NAMES, TIMELINE_TYPES, Announced, Fact, FactKind, decode_announced
from schemas.record import DecisionRow, LegRow, RecordingRow, TimelineRow
from schemas.recording import recording_key
from workers.calls.kept import KeptFact, kept

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
_CALL: Final = (*_PARTIES, *_TIMES)
_ENTRY: Final = tuple(TimelineRow.model_fields)
_LEG: Final = tuple(LegRow.model_fields)
_RECORDING: Final = tuple(RecordingRow.model_fields)
_DECISION: Final = tuple(DecisionRow.model_fields)
_OF_A_LEG: Final = frozenset({"outgoing", "ringing", "answered"})


def timeline_entry(event: JsonObject) -> JsonObject:
    """One call event, the row of its body, as it stands in the timeline and in `call.progress`."""
    return {name: event.get(name) for name in _ENTRY}


def decided_entry(fact: KeptFact) -> JsonObject:
    """A decision as it stands in the timeline; its moment is the clock of the door that answered."""
    told = {"type": "decided", "platform_type": fact.row["action"], "at": fact.identity["at"]}
    return {**dict.fromkeys(_ENTRY), **told, "callee": fact.row.get("callee"), "raw": {}}


def latest_decision(facts: Iterable[Fact]) -> JsonObject | None:
    """The decision that was given last: a push that asks again is answered again."""
    decided = [fact for fact in facts if fact.kind == FactKind.DECISION]
    if not decided:
        return None
    last = kept(max(decided, key=lambda fact: (fact.at, fact.fingerprint))).row
    return {name: last.get(name) for name in _DECISION}


def build_record(facts: Mapping[str, KeptFact], *, call_events: bool) -> JsonObject:
    """The record that these facts make, whatever the order they came in; without revision and `late`.

    Times are as in events: RFC 3339, UTC with Z. `call_events` False: the source is known to send no call events, so
    none are missing.
    """
    some = next(iter(facts.values()))
    cdrs = _cdrs(facts.values())
    events = _on_legs(_events(facts.values()), cdrs)
    calls = [row["call"] for row in (*cdrs[:1], *events)]  # the first to tell a thing is right
    told = {name: value for call in reversed(calls) for name, value in call.items()}
    top = {name: told.get(name) for name in _CALL}
    answered = "answered_at" in told or any(_answered(cdr["call"]) for cdr in cdrs)
    answered = answered or any(_shows_answer(event, top["caller"]) for event in events)
    talked = cdrs[0]["call"].get("talk_seconds") if cdrs else None
    codes = [code for call in calls for code in call.get("codes", ())]
    missing = _missing(cdrs, events, call_events=call_events)
    return {
        "id": some.call_id,
        "source": some.source,
        "session_id": some.session_id,
        "platform": some.platform,
        **top,
        **_measures(top, talked, answered=answered, codes=codes),
        "legs": [{name: leg.get(name) for name in _LEG} for cdr in cdrs[:1] for leg in cdr.get("legs", ())],
        "cdrs": [_cdr_row(cdr) for cdr in cdrs],
        "timeline": _timeline(events, facts.values()),
        "recordings": _recordings(some.call_id, facts.values()),
        "decision": latest_decision(facts.values()),
        "complete": not missing,
        "missing": missing,
    }


def _events(facts: Iterable[KeptFact]) -> list[JsonObject]:
    rows = [(fact.row, fact.key) for fact in facts if fact.kind == FactKind.CALL_EVENT]
    rows.sort(key=lambda row: (*_place(row[0]), row[1]))
    return [event for event, _ in rows]


def _place(entry: JsonObject) -> tuple[bool, float, int]:
    """Where an entry stands in the timeline: what has no time comes last."""
    at = entry.get("at")
    return (at is None, _moment(at), _ORDER[entry["type"]])


def _moment(told: str | None) -> float:
    return datetime.fromisoformat(told).timestamp() if told else 0.0


def _timeline(events: Iterable[JsonObject], facts: Iterable[KeptFact]) -> list[JsonObject]:
    rows = [timeline_entry(event) for event in events]
    decided = [fact for fact in facts if fact.kind == FactKind.DECISION]
    rows += [decided_entry(fact) for fact in sorted(decided, key=lambda fact: fact.fingerprint)]
    return sorted(rows, key=_place) if decided else rows


def _on_legs(events: list[JsonObject], cdrs: Sequence[JsonObject]) -> list[JsonObject]:
    """An event that does not know its leg is told by the number it calls, which only a CDR's legs can name."""
    legs = (leg for cdr in reversed(cdrs) for leg in cdr.get("legs", ()))
    names = {leg["number"]: leg["name"] for leg in legs if leg.get("number") is not None}
    if not names:
        return events
    return [
        {**event, "leg": names.get(event.get("callee") or "")}
        if event.get("leg") is None and event["type"] in _OF_A_LEG
        else event
        for event in events
    ]


def _shows_answer(event: JsonObject, caller: str | None) -> bool:
    """Of a call with two legs the caller answers too, before anybody else is called: that answers no call."""
    callee = event.get("callee")
    return event["type"] == "answered" and (callee is None or callee != caller)


def _cdrs(facts: Iterable[KeptFact]) -> list[JsonObject]:
    """Primary first: earliest answered, else latest ended, else smallest record id (docs/design.md section 5)."""
    rows = [fact.row for fact in facts if fact.kind == FactKind.CDR]
    return sorted(rows, key=_primacy) if len(rows) > 1 else rows


def _primacy(cdr: JsonObject) -> tuple[bool, float, float, str]:
    answered, ended = cdr["call"].get("answered_at"), cdr["call"].get("ended_at")
    return (not answered, _moment(answered), -_moment(ended), cdr["record_id"])


def _answered(call: JsonObject) -> bool:
    return "answered_at" in call or bool(call.get("talk_seconds"))


def _measures(times: JsonObject, talked: float | None, *, answered: bool, codes: Iterable[JsonObject]) -> JsonObject:
    """`talked`: the platform's own figure, which beats its times."""
    ended, ringing, picked_up = times["ended_at"], times["ringing_at"], times["answered_at"]
    if talked is None:
        talked = _seconds(picked_up, ended)
    first: dict[str, JsonObject] = {}
    for code in codes:
        first.setdefault(code["name"], code)
    firsts = [first[name] for name in CODE_NAMES if name in first]
    deciding = next((code for code in firsts if code.get("outcome")), firsts[0] if firsts else {})
    return {
        "ring_seconds": _seconds(ringing, picked_up or ended),
        "talk_seconds": talked if answered else 0,
        "answered": answered,
        "outcome": "answered" if answered else deciding.get("outcome") or "unknown",
        "reason": {
            **dict.fromkeys(CODE_NAMES),
            **{code["name"]: code["value"] for code in firsts},
            "text": deciding.get("text"),
        },
    }


def _seconds(start: str | None, end: str | None) -> int | float | None:
    """Never negative: handset and platform clocks differ."""
    if start is None or end is None:
        return None
    between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    seconds = max(between.total_seconds(), 0.0)
    return int(seconds) if seconds.is_integer() else seconds


def _cdr_row(cdr: JsonObject) -> JsonObject:
    call = cdr["call"]
    fields = {name: call.get(name) for name in _CALL}
    measures = _measures(fields, call.get("talk_seconds"), answered=_answered(call), codes=call.get("codes", ()))
    return {"record_id": cdr["record_id"], **fields, **measures, "raw": cdr["raw"]}


def _missing(cdrs: Sequence[JsonObject], events: Sequence[JsonObject], *, call_events: bool) -> list[str]:
    seen = {event["type"] for event in events}
    if not cdrs:
        return [*(["ended"] if call_events and "ended" not in seen else []), "cdr"]
    if not call_events:
        return []
    missing = {name for cdr in cdrs for name in cdr.get("implies", ())} - seen
    if not missing:
        return []
    missing -= {f"{event['type']}.{event.get('leg')}" for event in events}
    return sorted({name.partition(".")[0] for name in missing}, key=_ORDER.__getitem__)


def all_announced(facts: Iterable[KeptFact]) -> Iterator[Announced]:
    """Every recording that these facts announce, by a CDR or on its own."""
    for fact in facts:
        if fact.kind == FactKind.CDR:
            yield from map(decode_announced, fact.row.get("recordings", ()))
        elif fact.kind == FactKind.ANNOUNCEMENT:
            yield decode_announced(fact.row["recording"])


def _recordings(call_id: str, facts: Iterable[KeptFact]) -> list[JsonObject]:
    rows: dict[str, JsonObject] = {}
    facts = list(facts)
    for announced in all_announced(facts):
        row = _recording_row({"key": recording_key(call_id, announced), "state": "wanted"})
        if announced.name is None and announced.url is None:
            row.update(state="failed", reason="no_file_named")
        rows[row["key"]] = row
    for fact in facts:
        if fact.kind == FactKind.RECORDING:
            rows[fact.row["key"]] = _recording_row(fact.row)
    return [rows[key] for key in sorted(rows)]


def _recording_row(told: JsonObject) -> JsonObject:
    seconds = told.get("seconds")
    row = {name: told.get(name) for name in _RECORDING}
    return {**row, "seconds": seconds if seconds is None else float(seconds)}
