"""Trying a sink: one event that is marked as a test, by the very code that writes events."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from runtime.clock import system_clock
from schemas.envelope import Envelope, JsonObject, Kind
from schemas.errors import Paused
from schemas.events.versions import DATASCHEMAS, TEST
from workers.sinks import AnySink

TYPE: Final = f"callstitch.{TEST}.v1"
SOURCE: Final = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it; `refusal` is empty where it was taken, `milliseconds` None where nothing was sent."""

    event_id: str = ""
    refusal: str = ""
    milliseconds: float | None = None


async def try_out(sink: AnySink, event: Envelope) -> Trial:
    """Send it; of a sink that one process owns, which may be running, see only that it could be opened.

    Raises:
        Misconfigured, Unavailable: see the `check` and `open` of the sink.
    """
    if sink.one_process:
        await sink.check()
        return Trial()
    async with sink.open(system_clock()) as opened:
        began = time.perf_counter()
        try:
            (error,) = await opened.write([event])
        except Paused as paused:
            error = paused
        milliseconds = (time.perf_counter() - began) * 1000
    return Trial(event_id=event.id, refusal="" if error is None else str(error), milliseconds=milliseconds)


def trial_event(name: str, *, event_id: str, now: datetime, example: JsonObject) -> Envelope:
    """The event that a sink of that name is sent: by its type nobody takes it for a call, and `example` is one.

    The example stands where no consumer looks for a call, as one that knows no `test` would else bill it.
    """
    body = {
        "id": event_id,
        "specversion": "1.0",
        "type": TYPE,
        "source": f"/callstitch/{SOURCE}",
        "time": _text(now),
        "datacontenttype": "application/json",
        "dataschema": DATASCHEMAS[TEST],
        "data": {"test": True, "sink": name, "example": example},
    }
    return _envelope(body, now=now, route=f"{TEST}.{SOURCE}")


def disguised_event(event: JsonObject, *, event_id: str, now: datetime) -> Envelope:
    """A made-up event as a real one of its type, for what a receiver does with that type: the attribute `test` is true.

    Its source is SOURCE, with which `callid` and `subject` begin too.
    """
    head = {"id": event_id, **{name: value for name, value in event.items() if name not in {"id", "data"}}}
    body = {**head, "source": f"/callstitch/{SOURCE}", "time": _text(now), "test": True, "data": event["data"]}
    short_type = str(event["type"]).removeprefix("callstitch.").removesuffix(".v1")
    return _envelope(body, now=now, route=f"{short_type}.{SOURCE}")


def _envelope(body: JsonObject, *, now: datetime, route: str) -> Envelope:
    return Envelope(id=body["id"], kind=Kind.EVENT, source=SOURCE, at=now, body=orjson.dumps(body), route=route)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
