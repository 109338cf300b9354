"""Session: our record of one call in the making; facts fold into it in any order, any number of times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from schemas.envelope import JsonObject
from schemas.facts import Fact, FactBody, FactKind, Recording, decode_body

STATE_VERSION: Final = 1
_AS_KEPT: Final = ("id", "kind", "source", "platform", "session_id", "key", "fingerprint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The state of one call.

    `facts` holds every version of every fact that was told, each as of its earliest telling. `published` is the
    record of the latest revision, as JSON. `completed`, `incomplete`: that event went out. `ordered`: recordings
    whose fetch was ordered. `told`: recordings whose end went out. `changed_at`, `changed_by`: the clock and reason
    of the first change that is not published yet.
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
    """All versions, each as of its earliest telling; commutative, associative and idempotent.

    The earliest, because an old version that is pushed again must not beat the amendment that came in between,
    in whatever order the two are processed.
    """
    folded = dict(facts)
    for fact in news:
        known = folded.get(version_key(fact))
        if known is None or fact.at < known.at:
            folded[version_key(fact)] = fact
    return folded


def version_key(fact: Fact) -> str:
    """One version of one fact."""
    return f"{fact.key}|{fact.fingerprint}"


def winners(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """Per key the version that counts: the one that was told last for the first time."""
    winning: dict[str, Fact] = {}
    for fact in facts.values():
        known = winning.get(fact.key)
        if known is None or rank(fact) > rank(known):
            winning[fact.key] = fact
    return winning


def rank(fact: Fact) -> tuple[bool, datetime, str]:
    """`stored` beats `failed`; else the later envelope; else the fingerprint, so that no order can matter."""
    stored = isinstance(fact.body, Recording) and fact.body.state == "stored"
    return (stored, fact.at, fact.fingerprint)


class _KeptFact(Fact):
    """A fact out of a session's state. Its body is decoded when somebody looks at it, which most steps never do."""

    __slots__ = ("_body", "row")

    row: JsonObject
    _body: FactBody | None

    def __init__(self, row: JsonObject) -> None:
        put = object.__setattr__  # a fact is frozen
        for name in _AS_KEPT:
            put(self, name, row[name])
        put(self, "at", datetime.fromisoformat(row["at"]))
        put(self, "row", row)
        put(self, "_body", None)

    @property
    def event_type(self) -> str | None:
        """The timeline type of a call event, without decoding it."""
        return self.row["body"]["type"] if self.kind == FactKind.CALL_EVENT else None

    @property
    def body(self) -> FactBody:
        """The decoded body."""
        if self._body is None:
            object.__setattr__(self, "_body", decode_body(self.kind, self.row["body"]))
        assert self._body is not None
        return self._body


def encode_session(session: Session) -> bytes:
    """The session as the blob that a store keeps."""
    row: dict[str, Any] = {
        "v": STATE_VERSION,
        "facts": [fact.row if isinstance(fact, _KeptFact) else fact for fact in session.facts.values()],
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
    facts = [_KeptFact(fact) for fact in row["facts"]]
    return Session(
        facts={version_key(fact): fact for fact in facts},
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
