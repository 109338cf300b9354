"""Session: our record of one call in the making; facts fold into it in any order, any number of times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from schemas.envelope import JsonObject
from schemas.facts import Fact, Recording, decode_fact, encode_fact

STATE_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The state of one call.

    `facts` holds the winning fact per key. `published` is the record of the latest revision, as JSON.
    `completed`, `incomplete`: that event went out. `ordered`: recordings whose fetch was ordered. `told`:
    recordings whose end went out. `changed_at`, `changed_by`: the clock and reason of the first change
    that is not published yet.
    """

    facts: dict[str, Fact]
    revision: int = 0
    published: JsonObject | None = None
    completed: bool = False
    incomplete: bool = False
    ordered: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    changed_at: datetime | None = None
    changed_by: str | None = None


def fold(facts: dict[str, Fact], news: Iterable[Fact]) -> dict[str, Fact]:
    """Per key the greatest fact wins; commutative, associative and idempotent."""
    folded = dict(facts)
    for fact in news:
        known = folded.get(fact.key)
        if known is None or rank(fact) > rank(known):
            folded[fact.key] = fact
    return folded


def rank(fact: Fact) -> tuple[bool, datetime, str]:
    """`stored` beats `failed`; else the later envelope; else the fingerprint, so that no order can matter."""
    stored = isinstance(fact.body, Recording) and fact.body.state == "stored"
    return (stored, fact.at, fact.fingerprint)


def encode_session(session: Session) -> bytes:
    """The session as the blob that a store keeps."""
    row: dict[str, Any] = {
        "v": STATE_VERSION,
        "facts": [orjson.Fragment(encode_fact(fact)) for fact in session.facts.values()],
        "revision": session.revision,
        "published": session.published,
        "completed": session.completed,
        "incomplete": session.incomplete,
        "ordered": sorted(session.ordered),
        "told": sorted(session.told),
        "changed_at": session.changed_at,
        "changed_by": session.changed_by,
    }
    return orjson.dumps(row, option=orjson.OPT_UTC_Z)


def decode_session(blob: bytes) -> Session:
    """The session of a blob; a blob of an older version is read too (there is none yet)."""
    row = orjson.loads(blob)
    facts = [decode_fact(fact) for fact in row["facts"]]
    return Session(
        facts={fact.key: fact for fact in facts},
        revision=row["revision"],
        published=row["published"],
        completed=row["completed"],
        incomplete=row["incomplete"],
        ordered=frozenset(row["ordered"]),
        told=frozenset(row["told"]),
        changed_at=datetime.fromisoformat(row["changed_at"]) if row["changed_at"] else None,
        changed_by=row["changed_by"],
    )


def published_as(session: Session, record: JsonObject, revision: int) -> Session:
    """The session after a revision went out: nothing is pending any more."""
    return replace(session, published=record, revision=revision, changed_at=None, changed_by=None)
