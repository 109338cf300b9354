"""What was decided, as a fact of its call or SMS."""

from __future__ import annotations

import hashlib

import orjson

from schemas.envelope import Envelope, Kind, derived_id
from schemas.facts import Decided, Fact, FactKind, encode_fact
from schemas.question import Asked, Decision
from schemas.source import Source


def decided(
    asked: Asked, source: Source, envelope: Envelope, decision: Decision, *, by: str, milliseconds: int
) -> Envelope:
    """The fact in its envelope; a push that asks again is answered again, and the later answer counts."""
    body = Decided(asked=asked.kind, action=decision.action, by=by, milliseconds=milliseconds, callee=decision.callee)
    fact = Fact(
        id=derived_id(envelope.id, "decided"),
        kind=FactKind.DECISION,
        source=source.name,
        platform=source.platform,
        session_id=asked.session_id,
        key=f"decided|{asked.key}",
        fingerprint=hashlib.sha256(orjson.dumps([envelope.id, body])).hexdigest(),
        at=envelope.at,
        body=body,
    )
    row = orjson.loads(encode_fact(fact))
    return Envelope(id=fact.id, kind=Kind.FACT, source=source.name, at=envelope.at, body=row, trace=envelope.trace)
