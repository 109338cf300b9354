"""The record that facts make, held against the schema that is published."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from schemas.envelope import JsonObject
from schemas.facts import Fact
from schemas.record import CallRecord
from tests.building.facts import kept
from workers.calls.merge import build_record
from workers.calls.session import fold, winners

CALL_RECORD: Final = TypeAdapter(CallRecord)


def record_of(facts: Iterable[Fact], *, call_events: bool = True) -> JsonObject:
    """Without revision and `late`; its times as datetimes."""
    record = build_record(winners(fold({}, map(kept, facts))), call_events=call_events)
    CALL_RECORD.validate_python(record, strict=True)
    return {name: _with_datetimes(name, value) for name, value in record.items() if name not in ("revision", "late")}


def _with_datetimes(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_with_datetimes(name, one) for one in value]
    if isinstance(value, dict) and name != "raw":
        return {inner: _with_datetimes(inner, one) for inner, one in value.items()}
    return datetime.fromisoformat(value) if isinstance(value, str) and (name == "at" or name.endswith("_at")) else value
