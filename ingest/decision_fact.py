"""What was decided, as a fact of its call or SMS."""

from __future__ import annotations

from schemas.dialect import items
from schemas.envelope import Envelope, derived_id
from schemas.fact_json import fact_envelope, identified
from schemas.facts import Decided
from schemas.question import Asked, Decision
from schemas.settings.source import Source
from schemas.vocabulary import DecidedBy


def decision_fact(
    asked: Asked, source: Source, envelope: Envelope, decision: Decision, *, by: DecidedBy, milliseconds: int
) -> Envelope:
    """The fact in its envelope; a push that asks again is answered again, and the later answer counts."""
    body = Decided(asked=asked.kind, action=decision.action, by=by, milliseconds=milliseconds, callee=decision.callee)
    item = items.decision(body, asked=asked, envelope_id=envelope.id)
    fact = identified(item, envelope, fact_id=derived_id(envelope.id, "decided"), platform=source.platform)
    return fact_envelope(fact, trace=envelope.trace)
