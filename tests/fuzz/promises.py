"""The whole contract of a dialect over one push, and of the record that comes of it; each breach is an AssertionError.

Anything else that is raised is a breach too.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from schemas.dialect.dialect import AnyDialect
from schemas.envelope import Envelope, Kind
from schemas.errors import Malformed
from schemas.fact_json import encode_fact
from schemas.facts import Fact, FactKind, Parsed
from schemas.masking import masked, masked_json
from schemas.notification import Notification, from_json, to_json
from schemas.question import Decision
from schemas.settings.source import Source
from tests.building.pushes import fact_of
from tests.building.states import come_back
from tests.fuzz.steps import counted
from workers.calls.events import event_at_once
from workers.calls.kept import KeptFact, kept_fact
from workers.calls.session import Session, encode_session
from workers.calls.sms import is_sms, sms_step
from workers.calls.step import Patience, step
from workers.inflate import inflated, read_inflated

NOW: Final = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)
# What hostile pushes hold of numbers, and not the middle of a longer row of digits, which is nobody's number.
NUMBER: Final = re.compile(r"(?<!\d)(?:00)?(?:86)?13866887021(?!\d)")
MOST_REASON: Final = 300  # characters of a refusal
# What one push may come to: a fact repeats what its item said once in our fields and once raw, an escape of six bytes
# stands for one of UTF-8 at least, and each item brings ids and names of its own.
BYTES_TIMES: Final = 12
BYTES_AN_ITEM: Final = 4_096
STEPS_ALWAYS: Final = 20_000
STEPS_A_BYTE: Final = 400
SECONDS_ALWAYS: Final = 0.02
SECONDS_A_BYTE: Final = 1e-6  # a MiB in a second
_DECISIONS: Final = (
    Decision(action="connect", callee="+8613900000003", record=True, max_minutes=5, user_data="\0\x1b电"),
    Decision(action="close"),
    Decision(action="route", callee="+8613900000003"),
    Decision(action="discard"),
)
_AT_ONCE: Final = (FactKind.CALL_EVENT, FactKind.NUMBER_STATE, FactKind.OTHER)
_OF_A_SESSION: Final = (FactKind.CALL_EVENT, FactKind.CDR, FactKind.ANNOUNCEMENT, FactKind.SMS)
_TIMES: Final = re.compile(r".*(hash|sha256|fingerprint|signature|time[ab]?|timestamp|date|created)|at|trace")


def keeps_all_promises(dialect: AnyDialect, push: Notification, source: Source) -> None:
    """Read, verified, asked, answered, acknowledged, folded, published and shown."""
    stored = orjson.dumps(to_json(push))
    told, steps = counted(lambda: everything_said(dialect, from_json(orjson.loads(stored)), source))
    facts = [item for item in told if isinstance(item, Fact)]
    assert steps <= STEPS_ALWAYS + STEPS_A_BYTE * _read(push), f"{steps} steps for {_read(push)} bytes"
    assert told, "nothing was told, and nothing refused"
    for item in told:
        if isinstance(item, Malformed):
            is_a_reason(str(item))
    rows = [encode_fact(fact) for fact in facts]
    for row in rows:
        is_storable(row)
        hides_every_number(orjson.loads(row))
    made = sum(map(len, rows))
    assert made <= BYTES_TIMES * _read(push) + BYTES_AN_ITEM * len(facts), f"{made} bytes of {_read(push)}"
    becomes_events([kept_fact(orjson.loads(row)) for row in rows], bytes_read=_read(push))


def _read(push: Notification) -> int:
    """How much there is to read, once it is inflated."""
    try:
        body = inflated(push).body if push.headers.get("content-encoding") == "gzip" else push.body
    except Malformed:
        body = push.body
    return len(body) + len(push.path) + sum(map(len, push.headers.values()))


def everything_said(dialect: AnyDialect, push: Notification, source: Source) -> Sequence[Fact | Malformed]:
    """What each function of the dialect makes of it; only what it reads is given back."""
    reply = dialect.reply(push)
    assert reply.status // 100 == 2
    if dialect.verify is not None:
        assert dialect.verify(push, source, NOW) in (None, False, True)
    if dialect.once is not None:
        nonce = dialect.once.nonce(push)
        assert nonce is None or isinstance(nonce, str)
    if dialect.asks is not None:
        dialect.asks.question(push, source)
        for decision in _DECISIONS:
            assert dialect.asks.answer(push, decision, source).status // 100 == 2
    try:
        items = read_inflated(push, lambda notification: dialect.parse(notification, source))
    except Malformed as refused:
        return [refused]
    return [item if isinstance(item, Malformed) else _fact(item, source, n) for n, item in enumerate(items)]


def _fact(item: Parsed, source: Source, n: int) -> Fact:
    return fact_of(item, source, at=NOW, fact_id=f"f{n}")


def is_a_reason(reason: str) -> None:
    """A word of ours with a short detail, in which nobody's number stands."""
    assert re.fullmatch(r"[a-z0-9_]+(: .+)?", reason), reason
    assert len(reason) <= MOST_REASON
    assert not re.search(r"\d{8}", reason), reason


def is_storable(row: bytes) -> None:
    """PostgreSQL takes it: UTF-8 without NUL, whatever a reader makes of its escapes."""
    assert b"\\u0000" not in row
    for text in _texts(json.loads(row)):
        assert "\0" not in text
        text.encode()  # a lone surrogate raises


def hides_every_number(row: Any) -> None:
    """What an operator is shown of it holds no number but where a time or a hash stands."""
    for field, text in _leaves(masked_json(row)):
        if not _TIMES.fullmatch(re.sub("[-_]", "", field).lower()):
            assert not NUMBER.search(re.sub(r"[ ()-]", "", text)), f"{field} shows a number"
    assert not NUMBER.search(masked(orjson.dumps(row).decode())), "a log shows a number"


def becomes_events(facts: Sequence[KeptFact], *, bytes_read: int) -> None:
    """Each session folds, publishes and is kept; what leaves can be stored and is bounded."""
    sessions: dict[str, list[KeptFact]] = {}
    for fact in facts:
        if fact.kind in _AT_ONCE:
            is_an_event(event_at_once(fact, trace=""), bytes_read)
        if fact.kind in _OF_A_SESSION:
            sessions.setdefault(fact.call_id, []).append(fact)
    for news in sessions.values():
        folds(news, bytes_read)


def folds(news: Sequence[KeptFact], bytes_read: int) -> None:
    """Twice the same is the same, and so is what comes back from the store."""
    stepping = sms_step if is_sms(news[0]) else step
    later = NOW + timedelta(days=2)
    once = stepping(None, news, now=later, patience=Patience())
    again = stepping(_kept(once.session), news, now=later, patience=Patience())
    assert not [one for one in again.envelopes if one.kind == Kind.EVENT and "completed" in str(one.route)]
    for envelope in (*once.envelopes, *again.envelopes):
        if envelope.kind == Kind.EVENT:
            is_an_event(envelope, bytes_read)
        else:
            is_storable(orjson.dumps(envelope.body))


def _kept(session: Session) -> Session:
    blob = encode_session(session)
    assert b"\\u0000" not in blob
    assert encode_session(come_back(session)) == blob
    return come_back(session)


def is_an_event(envelope: Envelope, bytes_read: int) -> None:
    """Its bytes can be stored, shown and sent, and are bounded by what was read."""
    assert isinstance(envelope.body, bytes)
    is_storable(envelope.body)
    assert len(envelope.body) <= 3 * BYTES_TIMES * bytes_read + 16 * BYTES_AN_ITEM


def _texts(value: Any) -> Iterator[str]:
    for _, text in _leaves(value):
        yield text
    if isinstance(value, dict):
        yield from value


def _leaves(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "", name
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, field)
    else:
        yield field, str(value)


def takes_no_time(dialect: AnyDialect, push: Notification, source: Source) -> None:
    """What C code does with it (a pattern that goes back, for one) shows in no count of steps, so here a clock looks.

    A machine pauses; what is slow by itself is slow three times.
    """
    allowed = SECONDS_ALWAYS + SECONDS_A_BYTE * _read(push)
    for _ in range(3):
        began = time.thread_time()
        everything_said(dialect, push, source)
        took = time.thread_time() - began
        if took <= allowed:
            return
    raise AssertionError(f"{took:.2f} s for {_read(push)} bytes")
