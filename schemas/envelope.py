"""Envelope, our message on the broker, and bundle, one AMQP message that carries 1..N of them.

A bundle is a JSON array, because the cost of a Python AMQP client is per message (docs/design.md section 3).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha1
from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, uuid5

import orjson

from schemas.errors import Malformed

BUNDLE_CONTENT_TYPE: Final = "application/vnd.callstitch.bundle+json"
EVENT_CONTENT_TYPE: Final = "application/cloudevents+json"
BATCH_CONTENT_TYPE: Final = "application/cloudevents-batch+json"
BUNDLE_ENVELOPES: Final = 128
BUNDLE_BYTES: Final = 256 * 1024
NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:callstitch")
_NAMESPACE_BYTES: Final = NAMESPACE.bytes

# Seeded by the system, and again in each forked child: ids have to be unique, they are no secrets.
_drawn: Final = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=_drawn.seed)

JsonObject = dict[str, Any]
EnvelopeKind = Literal["notification", "tally", "fact", "recording_wanted", "event", "message", "quarantined", "dead"]


class Kind:
    """The kinds of envelope: which shape the body has, and so which route it takes."""

    NOTIFICATION: Final = "notification"  # {path, remote, content_type, headers, signed, text | base64}
    TALLY: Final = "tally"  # {hour: {answered: n}}, what ingest answered 200
    FACT: Final = "fact"  # schemas.facts.Fact
    RECORDING_WANTED: Final = "recording_wanted"  # schemas.recording.RecordingWanted
    EVENT: Final = "event"  # bytes of one CloudEvent
    MESSAGE: Final = "message"  # what goes back to a downstream queue as it was: see runtime.events.edge
    QUARANTINED: Final = "quarantined"  # {reason, stage, envelope}; from dedupe {items, bad, reasons, first} too
    DEAD: Final = "dead"  # {reason, stage, envelope}, or {reason, stage, message, events} of a downstream queue


@dataclass(slots=True)
class Envelope:
    """One unit of work between stages; nobody changes one, it is only not frozen because that costs four times as much.

    `id` is drawn once at ingest (time-ordered) and derived ever after; `at` is ingest's clock, aware UTC;
    `attempt` counts from 1. `body` is a JSON object, or its encoded bytes, which then travel unchanged:
    the body of an event is always bytes, because a published event is never rebuilt.
    `route` is the routing key of an event, the queue of a message that goes back to it, and empty otherwise.
    """

    id: str
    kind: EnvelopeKind
    source: str
    at: datetime
    body: JsonObject | bytes
    attempt: int = 1
    trace: str = ""
    route: str = ""

    def retried(self) -> Envelope:
        """The same envelope on its next attempt."""
        return replace(self, attempt=self.attempt + 1)


def new_id(now: datetime) -> str:
    """A time-ordered UUID (version 7, RFC 9562) for an envelope that enters at `now`."""
    drawn = _drawn.getrandbits(74)
    stamp = int(now.timestamp() * 1000) << 80
    text = f"{stamp | 0x7 << 76 | drawn >> 62 << 64 | 0b10 << 62 | drawn & (1 << 62) - 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_id(*parts: str | int) -> str:
    """The same parts give the same id for ever, so that doing a thing twice is harmless: a UUID of version 5."""
    name = "|".join(map(str, parts))
    text = sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) % 4]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def new_trace() -> str:
    """A W3C traceparent, sampled, with a fresh trace id."""
    text = f"{_drawn.getrandbits(192):048x}"
    return f"00-{text[:32]}-{text[32:]}-01"


def encode_envelope(envelope: Envelope) -> bytes:
    """One envelope as JSON."""
    body: Any = envelope.body
    if isinstance(body, bytes):
        body = body.decode() if envelope.kind == Kind.EVENT else orjson.Fragment(body)
    row = {
        "id": envelope.id,
        "kind": envelope.kind,
        "source": envelope.source,
        "at": envelope.at,
        "attempt": envelope.attempt,
        "trace": envelope.trace,
        "body": body,
    }
    if envelope.route:
        row["route"] = envelope.route
    return orjson.dumps(row, option=orjson.OPT_UTC_Z)


def encode_bundles(envelopes: Iterable[Envelope]) -> Iterator[tuple[bytes, Sequence[Envelope]]]:
    """Pack envelopes, in order, into as few bundles as the limits allow.

    An envelope larger than BUNDLE_BYTES travels in a bundle of its own.
    """
    rows: list[bytes] = []
    members: list[Envelope] = []
    size = 0
    for envelope in envelopes:
        row = encode_envelope(envelope)
        if rows and (len(rows) >= BUNDLE_ENVELOPES or size + len(row) > BUNDLE_BYTES):
            yield b"[" + b",".join(rows) + b"]", members
            rows, members, size = [], [], 0
        rows.append(row)
        members.append(envelope)
        size += len(row) + 1
    if rows:
        yield b"[" + b",".join(rows) + b"]", members


def decode_bundle(body: bytes) -> list[Envelope]:
    """The envelopes of one bundle.

    Raises:
        Malformed: the bytes are not a bundle that this version wrote.
    """
    try:
        rows = orjson.loads(body)
        if not isinstance(rows, list) or not rows:
            raise Malformed("not_a_bundle", "no list of envelopes")
        return [decode_envelope(row) for row in rows]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed("not_a_bundle", type(error).__name__) from None


def decode_envelope(row: JsonObject) -> Envelope:
    """One decoded JSON row as an envelope."""
    kind, body = row["kind"], row["body"]
    return Envelope(  # by position: names cost half of it
        row["id"],
        kind,
        row["source"],
        datetime.fromisoformat(row["at"]),
        body.encode() if kind == Kind.EVENT else body,
        row["attempt"],
        row["trace"],
        row.get("route", ""),
    )


def quarantine_copy(envelope: Envelope, *, parked_id: str, reason: str, stage: str, **which: Any) -> Envelope:
    """The copy for quarantine, with the raw notification inside; `which` says what in it cannot be read."""
    return Envelope(
        id=parked_id,
        kind=Kind.QUARANTINED,
        source=envelope.source,
        at=envelope.at,
        body={"reason": reason, "stage": stage, **which, "envelope": orjson.loads(encode_envelope(envelope))},
        trace=envelope.trace,
    )
