"""The work order for one recording, and the HTTP request that a dialect signs for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.envelope import JsonObject, derived_id
from schemas.facts import Announced


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingWanted:
    """Fetch this before the platform deletes it; `key` names the recording within its call for ever."""

    call_id: str
    session_id: str
    key: str
    name: str | None = None
    domain: str | None = None
    url: str | None = None
    called_at: datetime | None = None


def wanted_from_json(row: JsonObject) -> RecordingWanted:
    """The work order of an envelope's body.

    Raises:
        KeyError, TypeError, ValueError: the row is no work order.
    """
    called_at = row.get("called_at")
    return RecordingWanted(**{**row, "called_at": datetime.fromisoformat(called_at) if called_at else None})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A signed GET; its headers carry credentials and go to the configured host only."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


def recording_key(call_id: str, announced: Announced) -> str:
    """The same recording of the same call has the same key in every push (docs/design.md section 5)."""
    return derived_id("recording", call_id, announced.domain or "", announced.name or announced.url or "")
