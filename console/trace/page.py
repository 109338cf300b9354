"""What `callstitch trace` prints: lines for people, and one object for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from console.moments import in_json, shown
from console.screen import packed, wrapped
from console.trace.meant import LISTED, SEARCHED, Meant
from console.trace.outlets import Delivery, OutletTold, RecordingTold
from console.trace.stray import Stray
from console.trace.timeline import NOT_SENT, Step, steps, story, title
from schemas.envelope import JsonObject
from schemas.masking import masked_id, masked_json, numbers_in
from workers.stores.deliveries import Attempt
from workers.stores.reads import Match

_ENDS: Final = {"acked": "acked", "retry": "comes again", "held": "held, not counted", "dead": "dead"}
_STATES: Final = {
    "acked": "acked",
    "dead": "dead",
    "retry": "failed, comes again",
    "held": "held: its far end is away",
    "unsent": "not sent yet",
    "sent": "sent",
    "taken": "sent, and taken: nothing waits there",
    "unbound": "said before this outlet was bound",
    "filtered": "not wanted, by its outcomes or products",
    "unlogged": "no attempt is logged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that is known of one call."""

    session: JsonObject
    outlets: Sequence[OutletTold]
    recordings: Sequence[RecordingTold]


def lines_of(told: Told, zone: ZoneInfo, *, show_numbers: bool) -> Iterator[str]:
    """The whole, times in `zone`, numbers masked unless they are to be shown."""
    session = told.session
    yield wrapped(f"call {session['id'] if show_numbers else title(session)}")
    yield f"{session['status']}, revision {session['state']['revision']}; times in {zone}"
    yield from story(session, zone, show_numbers=show_numbers)
    numbers = frozenset() if show_numbers else numbers_in(session["state"])
    for recording in told.recordings:
        key = recording.key if show_numbers else masked_id(recording.key, numbers)
        yield packed(
            [f"recording {recording.state}", shown(recording.at, zone), *filter(None, [recording.reason]), key]
        )
        yield from _letters(recording.letters, zone)
    for outlet in told.outlets:
        yield ""
        yield packed([f"{outlet.kind} {outlet.name}", *_resting(outlet, zone)])
        for event in outlet.events:
            yield from _event(event, zone)


def _resting(outlet: OutletTold, zone: ZoneInfo) -> Iterator[str]:
    if outlet.paused_at is not None:
        yield f"paused since {shown(outlet.paused_at, zone)}"
    elif outlet.away_at is not None:
        yield f"its far end is away since {shown(outlet.away_at, zone)}"
    if outlet.held is not None:
        yield f"{outlet.held} message(s) wait in its queue"


def _event(event: Delivery, zone: ZoneInfo) -> Iterator[str]:
    revision = [f"revision {event.revision}"] if event.revision is not None else []
    yield packed([event.type, *revision, _STATES[event.state]], indent="  ")
    yield f"    {event.id}"
    for (attempt, answer, end), alike in groupby(event.attempts, lambda row: (row.attempt, row.answer, row.end)):
        rows = list(alike)
        yield packed([_span(rows, zone), f"attempt {attempt}", answer, _ENDS[end]], indent="    ")
    yield from _letters(event.letters, zone)


def stray_lines(told: Stray, zone: ZoneInfo) -> Iterator[str]:
    """What is known of an event of no call that is known here."""
    yield f"event {told.event_id}, of no call that is known here; times in {zone}"
    for row in told.attempts:
        yield packed([shown(row.at, zone), row.sink, f"attempt {row.attempt}", row.answer, _ENDS[row.end]], indent="  ")
    yield from _letters(told.letters, zone)


def stray_json(told: Stray) -> JsonObject:
    """The same for programs."""
    attempts = [{"sink": row.sink, **_attempt(row)} for row in told.attempts]
    whole: JsonObject = _utc({"event_id": told.event_id, "attempts": attempts, "letters": list(told.letters)})
    return whole


def _span(rows: Sequence[Attempt], zone: ZoneInfo) -> str:
    first, last = shown(rows[0].at, zone), shown(rows[-1].at, zone)
    return first if len(rows) == 1 else f"{first} to {last}, {len(rows)} times"


def _letters(letters: Sequence[JsonObject], zone: ZoneInfo) -> Iterator[str]:
    for letter in letters:
        tries = f"after {letter['attempts']} attempt(s)"
        yield packed(
            [shown(letter["last_at"], zone), f"dead letter {letter['id']}", letter["state"], tries, letter["reason"]],
            indent="    ",
        )
        if letter["state"] == "parked":
            yield f"      callstitch dead replay {letter['id']}"


def as_json(told: Told, *, show_numbers: bool) -> JsonObject:
    """The same as docs/operating.md describes it, times in UTC."""
    session = told.session
    numbers = numbers_in(session["state"])
    whole = {
        "id": session["id"],
        "status": session["status"],
        "revision": session["state"]["revision"],
        "due_at": session["due_at"],
        "updated_at": session["updated_at"],
        "steps": [_step(step) for step in steps(session)],
        "recordings": [asdict(one) for one in told.recordings],
        "outlets": [_outlet(one) for one in told.outlets],
    }
    plain: JsonObject = _utc(whole)
    return plain if show_numbers else masked_json(plain, numbers)


def _step(step: Step) -> JsonObject:
    details = {name: value for name, value in {**step.details, **step.times}.items() if value is not None}
    if "sent" in details:
        details["sent"] = details["sent"] != NOT_SENT
    return {"at": step.at, "what": step.what, **details}


def _outlet(outlet: OutletTold) -> JsonObject:
    events = [{**asdict(event), "attempts": [_attempt(row) for row in event.attempts]} for event in outlet.events]
    return {**asdict(outlet), "events": events}


def _attempt(row: Attempt) -> JsonObject:
    return {"attempt": row.attempt, "at": row.at, "answer": row.answer, "end": row.end}


def _utc(value: Any) -> Any:
    """Every moment as text with Z."""
    if isinstance(value, dict):
        return {name: _utc(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_utc(item) for item in value]
    if isinstance(value, datetime):
        return in_json(value)
    return value.replace("+00:00", "Z") if isinstance(value, str) and value.endswith("+00:00") else value


def several(meant: Meant, zone: ZoneInfo, *, show_numbers: bool) -> Iterator[str]:
    """The calls among which an operator has to choose, and how."""
    if not meant.matches:
        yield "several calls have that id, choose one:"
        for one in meant.calls:
            yield f"  {one if show_numbers else masked_id(one)}"
        return
    count = f"{LISTED} of more" if len(meant.matches) > LISTED else str(len(meant.matches))
    yield f"{count} calls, newest first; times in {zone}"
    for match in meant.matches[:LISTED]:
        numbers = numbers_in(match.state)
        call = _call(match)
        yield packed(
            [
                shown(call["at"], zone),
                match.status,
                _way(call) if show_numbers else masked_id(_way(call), numbers),
                match.id if show_numbers else masked_id(match.id, numbers),
                *([f"event {match.said}"] if match.said else []),
            ],
            indent="  ",
        )
    yield wrapped("choose one by its id, which --show-numbers shows whole, or by its event")
    if meant.back_to is not None:
        yield limit(meant, zone)


def limit(meant: Meant, zone: ZoneInfo) -> str:
    """How far the search went, where that was not to the end."""
    return wrapped(
        f"searched: the {SEARCHED} calls that changed last, back to {shown(meant.back_to, zone)}; an older one is found"
        " by its id, or that of an event"
    )


def several_json(meant: Meant, *, show_numbers: bool) -> JsonObject:
    """The same for programs."""
    rows: list[JsonObject] = [{"id": one, "status": None, "updated_at": None, "event_id": None} for one in meant.calls]
    if meant.matches:
        rows = [
            {
                "id": one.id if show_numbers else masked_id(one.id, numbers_in(one.state)),
                "status": one.status,
                "at": _call(one)["at"],
                "updated_at": one.updated_at,
                "event_id": one.said or None,
                "caller": _call(one)["caller"],
                "callee": _call(one)["callee"],
            }
            for one in meant.matches
        ]
    whole: JsonObject = _utc({"calls": rows, "searched_back_to": meant.back_to})
    return whole if show_numbers else masked_json(whole)


def _call(match: Match) -> JsonObject:
    """Of its facts, the first that say who and when."""
    told: JsonObject = {"at": None, "caller": None, "callee": None}
    for fact in match.state["facts"]:
        body = fact["body"]
        call = {**body, **body.get("call", {})}
        told["at"] = told["at"] or call.get("called_in_at") or call.get("started_at") or body.get("at")
        told["caller"] = told["caller"] or call.get("caller") or body.get("sender")
        told["callee"] = told["callee"] or call.get("callee") or body.get("receiver")
    return told | {"at": told["at"] or match.updated_at}


def _way(call: JsonObject) -> str:
    return " > ".join(filter(None, (call["caller"], call["callee"]))) or "-"
