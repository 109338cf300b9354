"""Facts of one made-up call, every part of which a test may set."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from schemas.envelope import Envelope, JsonObject
from schemas.fact_json import encode_fact, fact_envelope
from schemas.facts import (
    Announced,
    CallEvent,
    CallFields,
    Cdr,
    Code,
    Decided,
    Fact,
    FactBody,
    FactKind,
    KindOfFact,
    Recording,
    Sms,
)
from schemas.vocabulary import AskedKind, RecordingEnd, SmsMode, TimelineType
from workers.calls.kept import KeptFact, kept_fact

T0: Final = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
CALL: Final = CallFields(
    product="privatenumber",
    mode="AXB",
    direction="a_to_b",
    caller="+8613800000021",
    callee="+8613800000022",
    private_number="+8617010000001",
    called_in_at=T0,
    started_at=T0,
    ringing_at=T0 + timedelta(seconds=1),
    answered_at=T0 + timedelta(seconds=3),
    ended_at=T0 + timedelta(seconds=63),
    codes=(Code(name="fail_code", value=0),),
)
IMPLIES: Final = ("incoming", "outgoing", "ringing", "answered", "ended")
_TIME_OF: Final = dict(
    zip(IMPLIES, ("called_in_at", "started_at", "ringing_at", "answered_at", "ended_at"), strict=True)
)


def seconds(count: float) -> timedelta:
    """So many seconds."""
    return timedelta(seconds=count)


def a_cdr(
    record_id: str = "r1",
    *,
    told: float = 70,
    session: str = "s1",
    implies: tuple[str, ...] = IMPLIES,
    recordings: tuple[Announced, ...] = (),
    raw: JsonObject | None = None,
    **call: Any,
) -> Fact:
    """A CDR that came `told` seconds after T0."""
    body = Cdr(
        record_id=record_id,
        call=replace(CALL, **call),
        implies=implies,
        recordings=recordings,
        raw=raw if raw is not None else {"icid": record_id, **{name: str(value) for name, value in call.items()}},
    )
    return a_fact(FactKind.CDR, f"cdr|{session}|{record_id}", body, told=told, session=session)


def an_event(kind: TimelineType, *, told: float = 1, session: str = "s1", n: int = 0, **call: Any) -> Fact:
    """A call event of that timeline type, at the time that CALL gives it."""
    name = _TIME_OF.get(kind)
    at = getattr(CALL, name) if name else T0 + seconds(n)
    fields: dict[str, Any] = {**({name: at} if name else {}), **call}
    told_of_call = CallFields(**fields)
    body = CallEvent(type=kind, platform_type=kind, at=at, call=told_of_call, raw={"n": n})
    return a_fact(FactKind.CALL_EVENT, f"event|{session}|{kind}|{n}", body, told=told, session=session)


def a_stored_recording(key: str, *, state: RecordingEnd = "stored", told: float = 75, session: str = "s1") -> Fact:
    """How the fetch of a recording ended."""
    body = Recording(key=key, state=state, place=f"p/{key}" if state == "stored" else None)
    return a_fact(FactKind.RECORDING, f"recording|{key}", body, told=told, session=session)


def all_events(*, told: float = 1) -> list[Fact]:
    """The five events of an answered call."""
    return [an_event(kind, told=told) for kind in IMPLIES]


def a_fact(kind: KindOfFact, key: str, body: FactBody, *, told: float, session: str) -> Fact:
    """A fact with the identity that its content gives it."""
    bare = Fact(
        id="",
        kind=kind,
        source="huawei-bj",
        platform="huawei_privatenumber",
        session_id=session,
        key=key,
        fingerprint="",
        at=T0 + seconds(told),
        body=body,
    )
    digest = hashlib.sha256(orjson.dumps(orjson.loads(encode_fact(bare))["body"])).hexdigest()
    return replace(bare, id=f"{key}|{digest[:8]}|{told}", fingerprint=digest)


def enveloped(fact: Fact) -> Envelope:
    """The envelope in which a fact reaches correlate."""
    envelope = fact_envelope(fact, trace="t")
    return replace(envelope, body=orjson.loads(encode_fact(fact)))


def kept(fact: Fact) -> KeptFact:
    """The fact as correlate keeps it."""
    return kept_fact(orjson.loads(encode_fact(fact)))


def an_sms(mode: SmsMode, *, told: float = 1, identifier: str = "sms1", **told_of_it: Any) -> Fact:
    """A push about one SMS: `block` asks, `notify` tells."""
    body = Sms(identifier=identifier, mode=mode, raw={"mode": mode}, **told_of_it)
    return a_fact(FactKind.SMS, f"sms|{identifier}|{mode}", body, told=told, session=identifier)


def a_decision(asked: AskedKind, *, told: float = 1, session: str = "s1", **given: Any) -> Fact:
    """An answer to a platform's question."""
    body = Decided(**{"asked": asked, "action": "connect", "by": "rule", "milliseconds": 3, **given})
    return a_fact(FactKind.DECISION, f"decided|{asked}|{session}", body, told=told, session=session)
