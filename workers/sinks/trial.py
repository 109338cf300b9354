"""Trying a sink: one event that is marked as a test, by the very code that writes events."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import orjson

from runtime.clock import system_clock
from schemas.envelope import Envelope, Kind
from schemas.errors import Paused
from schemas.events.versions import DATASCHEMAS, TEST
from workers.sinks import AnySink

TYPE: Final = f"callstitch.{TEST}.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it; `refusal` is empty where it was taken, `milliseconds` None where nothing was sent."""

    event_id: str = ""
    refusal: str = ""
    milliseconds: float | None = None


async def try_out(sink: AnySink) -> Trial:
    """Send one; of a sink that one process owns, which may be running, see only that it could be opened.

    Raises:
        Misconfigured, Unavailable: see the `check` and `open` of the sink.
    """
    if sink.one_process:
        await sink.check()
        return Trial()
    event = trial_event(sink.name, event_id=str(uuid4()), now=datetime.now(UTC))
    async with sink.open(system_clock()) as opened:
        began = time.perf_counter()
        try:
            (error,) = await opened.write([event])
        except Paused as paused:
            error = paused
        milliseconds = (time.perf_counter() - began) * 1000
    return Trial(event_id=event.id, refusal="" if error is None else str(error), milliseconds=milliseconds)


def trial_event(name: str, *, event_id: str, now: datetime) -> Envelope:
    """The event that a sink of that name is sent; `data` says that it is a test."""
    body = {
        "id": event_id,
        "specversion": "1.0",
        "type": TYPE,
        "source": "/callstitch/test",
        "time": now.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": DATASCHEMAS[TEST],
        "data": {"test": True, "sink": name},
    }
    return Envelope(
        id=event_id, kind=Kind.EVENT, source="test", at=now, body=orjson.dumps(body), route="sink.test.test"
    )
