"""The demo's check: the events that a consumer would read, against what the emulator knows that it sent."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
_NUMBERS: Final = ("caller", "callee", "private_number")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the emulator wrote down: calls with their expectation, and totals once it is through."""

    calls: Mapping[str, JsonObject]
    end: JsonObject | None


def read_truth(path: Path) -> Truth:
    """The emulator's truth so far; a line that is being written is left for later."""
    lines = [json.loads(line) for line in _whole_lines(path)]
    calls = {line["session_id"]: line for line in lines if line["type"] == "call"}
    return Truth(calls=calls, end=next((line for line in lines if line["type"] == "end"), None))


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


def faults(truth: Truth, events: list[JsonObject]) -> list[str]:
    """Everything that is wrong, each with the call it is wrong about."""
    latest = latest_records(events)
    found = list(_wrong_events(events))
    for session_id, line in truth.calls.items():
        record = latest.get(session_id)
        if record is None:
            found.append(f"{session_id}: no event about this call")
        elif not line["given_up"]:
            found += [f"{session_id}: {fault}" for fault in _wrong_fields(line["expect"], record)]
    found += [f"{session_id}: a call that was never made" for session_id in latest.keys() - truth.calls.keys()]
    return found


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


def _wrong_fields(expect: JsonObject, record: JsonObject) -> Iterator[str]:
    for name in FIELDS:
        if name == "missing" and not expect["cdr_accepted"]:
            continue
        if _normal(expect[name]) != _normal(record[name]):
            yield f"{name} is {_shown(name, record[name])}, the platform's truth is {_shown(name, expect[name])}"
    cdrs = sorted(({"record_id": c["record_id"], "ended_at": c["ended_at"]} for c in record["cdrs"]), key=_record_id)
    if cdrs != sorted(expect["cdrs"], key=_record_id):
        yield f"cdrs hold {len(cdrs)} record(s), the platform sent {len(expect['cdrs'])}, or their end times differ"
    if sorted(entry["type"] for entry in record["timeline"]) != sorted(expect["timeline"]):
        yield "the timeline differs from the events that were accepted"
    stored = {(row["sha256"], row["bytes"]) for row in record["recordings"] if row["state"] == "stored"}
    if stored != {(row["sha256"], row["bytes"]) for row in expect["recordings"].values()}:
        yield f"{len(stored)} recording(s) stored, the platform serves {len(expect['recordings'])}, or bytes differ"


def _record_id(cdr: JsonObject) -> str:
    return str(cdr["record_id"])


def _normal(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def _shown(name: str, value: Any) -> str:
    return mask_number(value) if name in _NUMBERS and isinstance(value, str) else str(value)
