"""One call's story as lines: what was pushed, what was published about it, and whether it has left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from console.moments import shown
from console.screen import packed
from schemas.envelope import JsonObject, Kind
from schemas.masking import masked_id, masked_json, numbers_in

NOT_SENT: Final = "not yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the story: our time (RFC 3339, UTC), what happened, and the details that there are."""

    at: str
    what: str
    details: Mapping[str, Any]
    times: Mapping[str, str | None] = field(default_factory=dict)


def steps(session: JsonObject) -> list[Step]:
    """Facts and everything that left, in the order of our clock."""
    return sorted([*_facts(session), *_leaving(session)], key=lambda step: step.at)


def title(session: JsonObject) -> str:
    """The id of the call, the numbers in it masked: platforms make ids of them."""
    return masked_id(session["id"], numbers_in(session["state"]))


def story(session: JsonObject, zone: ZoneInfo, *, show_numbers: bool) -> Iterator[str]:
    """The lines of a trace, times in `zone`, numbers masked unless they are to be shown."""
    numbers = numbers_in(session["state"])
    for step in steps(session):
        yield f"{shown(step.at, zone)}  {step.what}"
        details = step.details if show_numbers else masked_json(dict(step.details), numbers)
        times = {name: shown(at, zone) for name, at in step.times.items() if at is not None}
        words = [f"{name}={value}" for name, value in {**details, **times}.items() if value is not None]
        if words:
            yield packed(words, indent="    ")


def _facts(session: JsonObject) -> Iterator[Step]:
    for fact in session["state"]["facts"]:
        body = fact["body"]
        call = body.get("call", {})
        details = {
            "platform_type": body.get("platform_type"),
            "caller": body.get("caller") or call.get("caller"),
            "callee": body.get("callee") or call.get("callee"),
            "record_id": body.get("record_id"),
            "sender": body.get("sender"),
            "receiver": body.get("receiver"),
            "mode": body.get("mode"),
            "status": body.get("status"),
            "action": body.get("action"),
            "by": body.get("by"),
            "milliseconds": body.get("milliseconds"),
            "state": body.get("state"),
            "place": body.get("place"),
            "reason": body.get("reason"),
        }
        times = {"platform_time": body.get("at") or call.get("ended_at")}
        yield Step(at=fact["at"], what=f"received: {body.get('type') or fact['kind']}", details=details, times=times)


def _leaving(session: JsonObject) -> Iterator[Step]:
    for row in session["outbox"]:
        sent = {"sent": "yes" if row["sent"] else NOT_SENT}
        if row["kind"] != Kind.EVENT:
            details = {"key": row["body"]["key"], **sent}
            yield Step(at=row["at"], what=f"ordered: {row['kind']}", details=details)
            continue
        event = orjson.loads(row["body"])
        call = event["data"].get("call", {})
        details = {
            "revision": event.get("revision"),
            "outcome": call.get("outcome"),
            "complete": call.get("complete"),
            "status": event["data"].get("sms", {}).get("status"),
            "changed": " ".join(event["data"].get("changed", [])) or None,
            "id": event["id"],
            **sent,
        }
        yield Step(at=row["at"], what=f"published: {event['type']}", details=details)
