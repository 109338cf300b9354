"""One call's story as rows: what was pushed, what was said about it, and when it left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from schemas.envelope import JsonObject, Kind


def trace_rows(session: JsonObject) -> list[list[str]]:
    """Facts and everything that left, by our clock."""
    rows = [*_facts(session), *_leaving(session)]
    return sorted(rows, key=lambda row: row[0])


def _facts(session: JsonObject) -> Iterator[list[str]]:
    for fact in session["state"]["facts"]:
        body = fact["body"]
        call = body.get("call", {})
        details = {
            "platform_type": body.get("platform_type"),
            "platform_time": body.get("at") or call.get("ended_at"),
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
        what = body.get("type") or fact["kind"]
        yield [fact["at"], f"told: {what}", _words(details)]


def _leaving(session: JsonObject) -> Iterator[list[str]]:
    for row in session["outbox"]:
        sent = row["sent_at"] or "not sent yet"
        if row["kind"] != Kind.EVENT:
            yield [row["at"], f"ordered: {row['kind']}", _words({"key": row["body"]["key"], "sent": sent})]
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
            "sent": sent,
        }
        yield [row["at"], f"said: {event['type']}", _words(details)]


def _words(details: dict[str, Any]) -> str:
    return "  ".join(f"{name}={value}" for name, value in details.items() if value is not None)
