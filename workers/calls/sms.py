"""SMS: what is said of one, and from when on. Pure: time is an argument.

Two pushes of one SMS (the question, then the notice) end as one `sms.notified` with its decision (docs/contract.md
section 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from schemas.fact_json import CodeJson, SmsJson
from schemas.facts import FactKind
from schemas.privacy.secrets import without_documented
from schemas.record import SMS_PART, SmsCode, SmsPart, SmsRecord
from schemas.vocabulary import SmsMode
from workers.calls.bounds import hold
from workers.calls.events import Event, event_envelope
from workers.calls.kept import KeptFact, repaired_in
from workers.calls.merge import latest_decision
from workers.calls.session import Session, published_as, winners
from workers.calls.step import Patience, Step, with_what_went

NOTICE_WAIT: Final = timedelta(seconds=60)  # for the notice, once its question is answered


def is_sms(fact: KeptFact) -> bool:
    """Whether the session of this fact is an SMS."""
    if fact.kind == FactKind.DECISION:
        return bool(fact.row["asked"] == "sms")
    return fact.kind == FactKind.SMS


def sms_step(
    session: Session | None, news: Sequence[KeptFact], *, now: datetime, patience: Patience, trace: str = ""
) -> Step:
    """Fold the news in, as far as there is room; say what is known once, and again only if that changes."""
    old = session or Session(facts={})
    held = hold(old, news)
    taken = _taken(old, held.session, news, now=now, patience=patience, trace=trace)
    return taken if not held.session.cut else with_what_went(taken, held, trace=trace)


def _taken(
    old: Session, current: Session, news: Sequence[KeptFact], *, now: datetime, patience: Patience, trace: str
) -> Step:
    facts = list(winners(current.facts).values())
    record = build_sms(facts, revision=current.revision + 1, cut=current.cut)
    if current.published is not None and _same(orjson.loads(current.published), record):
        return Step(session=current.having(changed_at=None))
    changed_at = old.changed_at or min((fact.waits_from for fact in news), default=now)
    due = _due_at(facts, patience) if current.published is None else changed_at + patience.settle
    if due > now:
        return Step(session=current.having(changed_at=changed_at), due_at=due)
    return _say(current, record, now=now, trace=trace)


def build_sms(facts: Sequence[KeptFact], *, revision: int, cut: bool = False) -> SmsRecord:
    """The record of one SMS, in the order of its published fields; the notice beats the question."""
    some = facts[0]
    by_mode: dict[SmsMode, SmsJson] = {}
    for fact in sorted(facts, key=lambda fact: (fact.waits_from, fact.fingerprint)):
        if fact.kind == FactKind.SMS:
            by_mode[fact.row["mode"]] = fact.row
    rows = [by_mode[mode] for mode in ("notify", *sorted(by_mode.keys() - {"notify"})) if mode in by_mode]
    return {
        "id": some.call_id,
        "source": some.source,
        "platform": some.of["platform"],
        "identifier": some.of["session_id"],
        **_part(rows),
        "code": next((_code(row["code"]) for row in rows if row["code"] is not None), None),
        "decision": latest_decision(facts),
        "revision": revision,
        "raw": {mode: row["raw"] for mode, row in by_mode.items()},
        "repaired": repaired_in(facts, cut=cut),
    }


def _part(rows: Sequence[Mapping[str, Any]]) -> SmsPart:
    part: Any = {
        name: next((reported for row in rows if (reported := row.get(name)) is not None), None) for name in SMS_PART
    }
    return part  # type: ignore[no-any-return]


def _code(code: CodeJson) -> SmsCode:
    return {"name": code["name"], "value": code["value"], "outcome": code["outcome"], "text": code["text"]}


def _same(published: SmsRecord, record: SmsRecord) -> bool:
    """That something was mended is no change of it; a record of before there was such a field lacks it.

    Nor is what is never told any more.
    """
    raw = {mode: without_documented(raw) for mode, raw in published["raw"].items()}
    return {**published, "raw": raw, "revision": record["revision"], "repaired": record["repaired"]} == record


def _due_at(facts: Sequence[KeptFact], patience: Patience) -> datetime:
    """At once when question, decision and notice are there; a notice alone waits for what may have been overtaken."""
    notices = [fact.waits_from for fact in facts if fact.kind == FactKind.SMS and fact.row["mode"] == "notify"]
    questions = [fact.waits_from for fact in facts if fact.kind == FactKind.SMS and fact.row["mode"] == "block"]
    decisions = [fact.waits_from for fact in facts if fact.kind == FactKind.DECISION]
    if notices and questions and decisions:
        return max(*notices, *questions, *decisions)
    if notices:
        return min(notices) + patience.settle
    return min(*questions, *decisions, datetime.max.replace(tzinfo=facts[0].at.tzinfo)) + NOTICE_WAIT


def _say(session: Session, record: SmsRecord, *, now: datetime, trace: str) -> Step:
    sms = orjson.dumps(record)
    event = Event(
        type="sms.notified",
        source=record["source"],
        subject=record["id"],
        time=now,
        data={"sms": orjson.Fragment(sms)},
        revision=record["revision"],
    )
    made = event_envelope(event, at=now, trace=trace)
    after = published_as(session, sms, record["revision"], said=made.id, completed=True)
    return Step(session=after, envelopes=(made,))
