"""The record that facts make, held against the schema that is published."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.envelope import JsonObject
from schemas.facts import Fact
from schemas.record import CallRecord
from workers.calls.merge import build_record
from workers.calls.session import fold, winners


def record_of(facts: Iterable[Fact], *, call_events: bool = True) -> JsonObject:
    """Without revision and `late`; its times as datetimes."""
    record = build_record(winners(fold({}, facts)), call_events=call_events)
    whole = CallRecord.model_validate({**record, "revision": 1, "late": False}).model_dump()
    return {name: whole[name] for name in record}
