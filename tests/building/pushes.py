"""What a platform pushes, and what becomes of what its dialect reads in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from schemas.envelope import Envelope, Kind
from schemas.fact_json import encode_fact, identified
from schemas.facts import (
    Announcement,
    CallEvent,
    CallFields,
    Cdr,
    Decided,
    Fact,
    KindOfFact,
    NumberState,
    Other,
    Parsed,
    Recording,
    Sms,
)
from schemas.notification import Notification
from schemas.settings.source import Source
from schemas.vocabulary import TimelineType
from workers.calls.kept import kept_fact

JSON: Final = "application/json;charset=UTF-8"
XML: Final = "application/xml;charset=utf-8"
_BODIES: Final[Mapping[KindOfFact, TypeAdapter[Any]]] = {
    "call_event": TypeAdapter(CallEvent),
    "cdr": TypeAdapter(Cdr),
    "announcement": TypeAdapter(Announcement),
    "recording": TypeAdapter(Recording),
    "sms": TypeAdapter(Sms),
    "number_state": TypeAdapter(NumberState),
    "decision": TypeAdapter(Decided),
    "other": TypeAdapter(Other),
}


def a_push(body: Any, path: str = "", content_type: str = JSON) -> Notification:
    """A notification of these bytes; anything else is written as JSON."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Notification(path=path, remote="192.0.2.1", content_type=content_type, body=sent)


def fact_of(item: Parsed, source: Source, *, at: datetime, fact_id: str = "1") -> Fact:
    """The fact that dedupe makes of it."""
    envelope = Envelope(id="n", kind=Kind.NOTIFICATION, source=source.name, at=at, body={})
    return identified(item, envelope, fact_id=fact_id, platform=source.platform)


def fact_in(row: Any) -> Fact:
    """The fact that correlate reads in a row, its body included, as dedupe would have made it."""
    read = kept_fact(row)
    return Fact(
        id=read.identity["id"],
        kind=read.kind,
        source=read.source,
        platform=read.of["platform"],
        session_id=read.of["session_id"],
        key=read.key,
        fingerprint=read.fingerprint,
        at=read.at,
        repaired=tuple(read.repaired),
        body=_BODIES[read.kind].validate_python(read.row),
    )


def through_the_broker(fact: Fact) -> Fact:
    """What the next stage reads."""
    return fact_in(orjson.loads(encode_fact(fact)))


def sha256(text: str) -> str:
    """Of the UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON in which equal values are equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def an_event_read(
    session: str, kinds: tuple[str, TimelineType], at: datetime, *, numbers: tuple[str, str], call: CallFields, raw: Any
) -> Parsed:
    """A call event of one of Huawei's platforms, as read; `kinds`: theirs and ours; `numbers`: caller and callee."""
    platform_type, timeline_type = kinds
    caller, called = numbers
    return Parsed(
        kind="call_event",
        session_id=session,
        # docs/design.md section 5: (source, session id, type, called, timestamp); dedupe adds the source
        key=f"event|{session}|{platform_type}|{sha256(called)[:16]}|{at.isoformat()}",
        fingerprint=sha256(canonical(raw)),
        body=CallEvent(
            type=timeline_type, platform_type=platform_type, at=at, caller=caller, callee=called, call=call, raw=raw
        ),
    )
