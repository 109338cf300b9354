"""SMS: what is said of one, and from when on. Pure: time is an argument.

Two pushes of one SMS (the question, then the notice) end as one `sms.notified` with its decision (docs/contract.md
section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from schemas.envelope import Envelope, JsonObject
from schemas.errors import Permanent
from schemas.facts import Code, Decided, Fact, FactKind, Sms
from schemas.record import SmsRecord
from workers.calls.events import Event, event_envelope
from workers.calls.merge import latest_decision
from workers.calls.session import Session, fold, published_as, winners
from workers.calls.step import FACTS_MOST, Patience, Step

NOTICE_WAIT: Final = timedelta(seconds=60)  # for the notice, once its question is answered
_FIELDS: Final = (
    "direction", "sender", "receiver", "private_number", "binding_id", "user_data", "text", "parts", "sent_at",
    "status",
)  # fmt: skip
_SMS_FIELDS: Final = tuple(SmsRecord.model_fields)


def is_sms(fact: Fact) -> bool:
    """Whether the session of this fact is an SMS."""
    if fact.kind == FactKind.DECISION:
        return isinstance(fact.body, Decided) and fact.body.asked == "sms"
    return fact.kind == FactKind.SMS


def sms_step(
    session: Session | None, news: Sequence[Fact], *, now: datetime, patience: Patience, trace: str = ""
) -> Step:
    """Fold the news in; say what is known once, and again only if that changes.

    Raises:
        Permanent: the session has grown beyond any SMS.
    """
    old = session or Session(facts={})
    current = old.having(facts=fold(old.facts, news))
    if len(current.facts) > FACTS_MOST:
        raise Permanent("its session holds too many facts")
    facts = list(winners(current.facts).values())
    record = build_sms(facts)
    if current.published is not None and _without_revision(orjson.loads(current.published)) == _as_json(record):
        return Step(session=current.having(changed_at=None))
    changed_at = old.changed_at or min((fact.at for fact in news), default=now)
    due = _due_at(facts, patience) if current.published is None else changed_at + patience.settle
    if due > now:
        return Step(session=current.having(changed_at=changed_at), due_at=due)
    return _say(current, record, now=now, trace=trace)


def build_sms(facts: Sequence[Fact]) -> JsonObject:
    """The record of one SMS, without its revision; the notice beats the question where both tell something."""
    some = facts[0]
    told: dict[str, Sms] = {}
    for fact in sorted(facts, key=lambda fact: (fact.at, fact.fingerprint)):
        if isinstance(fact.body, Sms):
            told[fact.body.mode] = fact.body
    shown = [told[mode] for mode in ("notify", *sorted(told.keys() - {"notify"})) if mode in told]
    code: Code | None = _first(shown, "code")
    return {
        "id": some.call_id,
        "source": some.source,
        "platform": some.platform,
        "identifier": some.session_id,
        **{name: _first(shown, name) for name in _FIELDS},
        "code": asdict(code) if code else None,
        "decision": latest_decision(facts),
        "raw": {mode: sms.raw for mode, sms in told.items()},
    }


def _first(shown: Sequence[Sms], name: str) -> Any:
    return next((value for sms in shown if (value := getattr(sms, name)) is not None), None)


def _due_at(facts: Sequence[Fact], patience: Patience) -> datetime:
    """At once when question, decision and notice are there; a notice alone waits for what may have been overtaken."""
    notices = [fact.at for fact in facts if isinstance(fact.body, Sms) and fact.body.mode == "notify"]
    questions = [fact.at for fact in facts if isinstance(fact.body, Sms) and fact.body.mode == "block"]
    decisions = [fact.at for fact in facts if isinstance(fact.body, Decided)]
    if notices and questions and decisions:
        return max(*notices, *questions, *decisions)
    if notices:
        return min(notices) + patience.settle
    return min(*questions, *decisions, datetime.max.replace(tzinfo=facts[0].at.tzinfo)) + NOTICE_WAIT


def _say(session: Session, record: JsonObject, *, now: datetime, trace: str) -> Step:
    revision = session.revision + 1
    told = {**record, "revision": revision}
    said = orjson.dumps({name: told[name] for name in _SMS_FIELDS}, option=orjson.OPT_UTC_Z)
    event = Event(
        type="sms.notified",
        source=record["source"],
        subject=record["id"],
        time=now,
        data={"sms": orjson.Fragment(said)},
        revision=revision,
    )
    envelopes: tuple[Envelope, ...] = (event_envelope(event, at=now, trace=trace),)
    return Step(session=published_as(session, said, revision, completed=True), envelopes=envelopes)


def _without_revision(record: JsonObject) -> JsonObject:
    return {name: value for name, value in record.items() if name != "revision"}


def _as_json(record: JsonObject) -> JsonObject:
    decoded: JsonObject = orjson.loads(orjson.dumps(record, option=orjson.OPT_UTC_Z))
    return decoded
