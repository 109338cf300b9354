"""The rows of a record that are one thing each, in the order of their published fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from schemas.fact_json import EventJson, LegJson, RecordingJson
from schemas.facts import Announced
from schemas.record import DecisionRow, LegRow, RecordingRow, TimelineRow
from schemas.vocabulary import MediaType, RecordingState
from workers.calls.kept import KeptFact

_MEDIA_TYPES: Final[Mapping[str | None, MediaType]] = {
    "wav": "audio/wav", "mp3": "audio/mpeg", "amr": "audio/amr", "ogg": "audio/ogg",
}  # fmt: skip


def timeline_row(event: EventJson) -> TimelineRow:
    """One call event as it stands in the timeline and in `call.progress`."""
    return {
        "type": event["type"],
        "platform_type": event["platform_type"],
        "at": event.get("at"),
        "leg": event.get("leg"),
        "caller": event.get("caller"),
        "callee": event.get("callee"),
        "raw": event["raw"],
    }


def decided_row(fact: KeptFact) -> TimelineRow:
    """A decision as it stands in the timeline; its moment is the clock of the door that answered."""
    return {
        "type": "decided",
        "platform_type": fact.row["action"],
        "at": fact.identity["at"],
        "leg": None,
        "caller": None,
        "callee": fact.row.get("callee"),
        "raw": {},
    }


def decision_row(fact: KeptFact) -> DecisionRow:
    """A decision as it stands in a record and in `call.decided`."""
    row = fact.row
    return {
        "action": row["action"],
        "callee": row.get("callee"),
        "by": row["by"],
        "milliseconds": row["milliseconds"],
    }


def leg_row(leg: LegJson) -> LegRow:
    """One side's connection, as a CDR has it."""
    return {
        "name": leg["name"],
        "number": leg.get("number"),
        "started_at": leg.get("started_at"),
        "ringing_at": leg.get("ringing_at"),
        "answered_at": leg.get("answered_at"),
        "ended_at": leg.get("ended_at"),
    }


def announced_row(key: str, announced: Announced) -> RecordingRow:
    """A recording whose fetch has not ended; one without name and URL never can be fetched."""
    if announced.name is None and announced.url is None:
        return _recording_row(key, "failed", "no_file_named", None)
    return _recording_row(key, "wanted", None, announced.name or _file_named_by(announced.url))


def _file_named_by(url: str | None) -> str | None:
    """The last part of a link's path: what comes after it, such as a signature, opens the file and names nothing."""
    name = unquote(re.split("[?#]", url or "", maxsplit=1)[0].partition("://")[2].partition("/")[2])
    return name.rpartition("/")[2] or None


def _recording_row(key: str, state: RecordingState, reason: str | None, name: str | None) -> RecordingRow:
    return {
        "key": key,
        "state": state,
        "place": None,
        "bytes": None,
        "sha256": None,
        "seconds": None,
        "format": None,
        "reason": reason,
        "name": name,
        "media_type": None,
    }


def ended_row(row: RecordingJson, announced: RecordingRow | None) -> RecordingRow:
    """A recording whose fetch has ended, stored or failed."""
    seconds, form = row.get("seconds"), row.get("format")
    return {
        **_recording_row(row["key"], row["state"], row.get("reason"), announced["name"] if announced else None),
        "place": row.get("place"),
        "bytes": row.get("bytes"),
        "sha256": row.get("sha256"),
        "seconds": seconds if seconds is None else float(seconds),
        "format": form,
        "media_type": _MEDIA_TYPES.get(form),
    }
