"""The demo's check: the events that a consumer would read, against what the emulator knows that it sent."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.envelope import JsonObject
from schemas.masking import mask_number

FIELDS: Final = (
    "mode",
    "direction",
    "caller",
    "callee",
    "private_number",
    "extension",
    "outcome",
    "answered",
    "ring_seconds",
    "talk_seconds",
    "called_in_at",
    "started_at",
    "ringing_at",
    "answered_at",
    "ended_at",
    "complete",
    "missing",
)
OF_A_CDR: Final = ("caller", "callee", "outcome", "answered", "talk_seconds", "answered_at", "ended_at")
# Compared where the truth speaks of them.
ALSO: Final = ("product", "display_number", "user_data")
_NUMBERS: Final = ("caller", "callee", "private_number", "display_number")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the emulator wrote down: calls with their expectation, and totals once it is through."""

    calls: Mapping[str, JsonObject]
    end: JsonObject | None
    messages: Mapping[str, JsonObject] = field(default_factory=dict)


def read_truth(path: Path) -> Truth:
    """The emulator's truth so far; a line that is being written is left for later."""
    lines = [json.loads(line) for line in _whole_lines(path)]
    calls = {line["session_id"]: line for line in lines if line["type"] == "call"}
    messages = {line["session_id"]: line for line in lines if line["type"] == "sms"}
    return Truth(calls=calls, messages=messages, end=next((line for line in lines if line["type"] == "end"), None))


def read_events(path: Path) -> list[JsonObject]:
    """All events of a jsonl sink, repeated deliveries included."""
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def latest_records(events: Iterable[JsonObject]) -> dict[str, JsonObject]:
    """The record of the highest revision per session id."""
    latest: dict[str, JsonObject] = {}
    for event in events:
        call = event["data"].get("call")
        if call and call["revision"] > latest.get(call["session_id"], {"revision": 0})["revision"]:
            latest[call["session_id"]] = call
    return latest


def faults(truth: Truth, events: list[JsonObject], *, deaths: int = 0) -> list[str]:
    """Everything that is wrong, each with the call it is wrong about.

    `deaths` of the door: what it decided last may then be in no record, since the caller does not wait for that fact.
    """
    latest = latest_records(events)
    found = list(_wrong_events(events))
    known = {}
    for session_id, line in truth.calls.items():
        known[session_id] = record = _record(line, latest)
        if record is None:
            found += [f"{session_id}: no event about this call"] if _is_due(line) else []
        elif line["given_up"]:
            found += [f"{session_id}: {fault}" for fault in _wrong_bill(line, record)]
        else:
            found += [f"{session_id}: {fault}" for fault in _wrong_fields(_without_lost(line, record, deaths), record)]
    made = {record["session_id"] for record in known.values() if record}
    found += [f"{session_id}: a call that was never made" for session_id in sorted(latest.keys() - made)]
    return [*found, *_wrong_messages(truth, events, deaths), *_untold(truth, events)]


def _wrong_messages(truth: Truth, events: Iterable[JsonObject], deaths: int) -> Iterator[str]:
    """SMS: the last `sms.notified` of each, against what the platform told and heard."""
    latest: dict[str, JsonObject] = {}
    for event in events:
        sms = event["data"].get("sms")
        if sms and sms["revision"] > latest.get(sms["identifier"], {"revision": 0})["revision"]:
            latest[sms["identifier"]] = sms
    for identifier, line in truth.messages.items():
        sms, expect = latest.get(identifier), line["expect"]
        if sms is None and expect["due"]:
            yield f"{identifier}: no event about this SMS"
        if sms is None or line["given_up"]:
            continue
        if deaths and sms["decision"] is None:
            expect = {**expect, "decision": None}
        shown = {name: _decision(sms) if name == "decision" else sms[name] for name in expect if name != "due"}
        yield from (
            f"{identifier}: {name} is not the platform's truth" for name in shown if shown[name] != expect[name]
        )
    yield from (f"{identifier}: an SMS that was never sent" for identifier in sorted(latest.keys() - truth.messages))


def _untold(truth: Truth, events: Iterable[JsonObject]) -> Iterator[str]:
    """Number states and notices have no record: one event each."""
    told: dict[str, set[str]] = defaultdict(set)
    for event in events:
        told[event["type"]].add(event["id"])
    for kind, name in (("number.changed", "numbers_changed"), ("platform.notified", "notices")):
        accepted = (truth.end or {}).get(name, 0)
        if len(told[f"callstitch.{kind}.v1"]) < accepted:
            yield f"{accepted} {name} were accepted, there are {len(told[f'callstitch.{kind}.v1'])} events {kind}"


def _record(line: JsonObject, latest: Mapping[str, JsonObject]) -> JsonObject | None:
    """By session id, or by what else is `sought` where the platform gave the call none."""
    if "sought" not in line:
        return latest.get(line["session_id"])
    sought = line["sought"].items()
    found = [record for record in latest.values() if all(record[name] == value for name, value in sought)]
    return found[0] if len(found) == 1 else None


def _without_lost(line: JsonObject, record: JsonObject, deaths: int) -> JsonObject:
    """The truth without a decision that the record never heard of, if a death of the door may have cost it."""
    expect = line["expect"]
    if not deaths or record["decision"] is not None or not expect.get("decision"):
        return line
    told = [entry for entry in expect["timeline"] if entry != "decided"]
    return {**line, "expect": {**expect, "decision": None, "timeline": told}}


def left_open(truth: Truth) -> int:
    """How many sessions may wait on after the last push: the platform gave up telling them, or an SMS was dropped."""
    calls = sum(not _is_due(line) for line in truth.calls.values())
    return calls + sum(not line["expect"]["due"] for line in truth.messages.values())


def _is_due(line: JsonObject) -> bool:
    """Nothing is said of a call whose end the platform gave up telling."""
    return not line["given_up"] or line["expect"]["cdr_accepted"] or "ended" in line["expect"]["timeline"]


def _wrong_events(events: list[JsonObject]) -> Iterator[str]:
    bodies: dict[str, str] = {}
    completed: dict[str, set[str]] = defaultdict(set)
    for event in events:
        body = json.dumps(event, sort_keys=True)
        if bodies.setdefault(event["id"], body) != body:
            yield f"{event['subject']}: one event id with two bodies"
        if event["type"] == "callstitch.call.completed.v1":
            completed[event["subject"]].add(event["id"])
    for subject, ids in completed.items():
        if len(ids) > 1:
            yield f"{subject}: call.completed was published {len(ids)} times"


def _wrong_bill(line: JsonObject, record: JsonObject) -> Iterator[str]:
    """Of a call that was told in part: what its CDR says by itself."""
    expect = line["expect"]
    if not expect["cdr_accepted"] or line.get("cdr_given_up", True):
        return
    for name in OF_A_CDR:
        if expect[name] != record[name]:
            yield f"{name} is {_shown(name, record[name])}, the platform's truth is {_shown(name, expect[name])}"


def _wrong_fields(line: JsonObject, record: JsonObject) -> Iterator[str]:
    expect = line["expect"]
    if line.get("source", record["source"]) != record["source"]:
        yield f"source is {record['source']}, the platform pushed to {line['source']}"
    for name in (*FIELDS, *(name for name in ALSO if name in expect)):
        if name == "missing" and not expect["cdr_accepted"]:
            continue
        if _normal(expect[name]) != _normal(record[name]):
            yield f"{name} is {_shown(name, record[name])}, the platform's truth is {_shown(name, expect[name])}"
    if _cdrs(record["cdrs"], expect["cdrs"]) != sorted(expect["cdrs"], key=_record_id):
        yield f"cdrs hold {len(record['cdrs'])} record(s), the platform sent {len(expect['cdrs'])}, or they differ"
    if "decision" in expect and _decision(record) != expect["decision"]:
        yield "the decision is not the one that the platform heard"
    if sorted(entry["type"] for entry in record["timeline"]) != sorted(expect["timeline"]):
        yield "the timeline differs from the events that were accepted"
    stored = {(row["sha256"], row["bytes"]) for row in record["recordings"] if row["state"] == "stored"}
    if stored != {(row["sha256"], row["bytes"]) for row in expect["recordings"].values()}:
        told = ", ".join(" ".join(filter(None, (row["state"], row["reason"]))) for row in record["recordings"])
        served = len(expect["recordings"])
        yield f"{len(stored)} recording(s) stored, the platform serves {served}, or bytes differ; told: {told}"


def _cdrs(cdrs: Iterable[JsonObject], expected: Iterable[JsonObject]) -> list[JsonObject]:
    """Record id and end of each; without the id where the platform has none and it is ours to make."""
    named = all(cdr["record_id"] is not None for cdr in expected)
    rows = ({"record_id": cdr["record_id"] if named else None, "ended_at": cdr["ended_at"]} for cdr in cdrs)
    return sorted(rows, key=_record_id)


def _decision(record: JsonObject) -> JsonObject | None:
    decision = record["decision"]
    return {name: decision[name] for name in ("action", "callee")} if decision else None


def _record_id(cdr: JsonObject) -> str:
    return str(cdr["record_id"])


def _normal(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def _shown(name: str, value: Any) -> str:
    return mask_number(value) if name in _NUMBERS and isinstance(value, str) else str(value)
