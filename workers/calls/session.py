"""Session: our record of one call in the making; facts fold into it in any order, any number of times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Final

import orjson

from schemas.envelope import JsonObject
from schemas.facts import FactKind, KindOfFact
from schemas.value import value
from schemas.vocabulary import ChangeReason
from workers.calls.kept import KeptFact, kept_fact

STATE_VERSION: Final = 2
_SAID_ELSEWHERE: Final = 3


@value
class Session:
    """The state of one call.

    `facts` holds every version of every fact that was told, each as of its earliest telling. `published` is the
    record of the latest revision, as JSON, `said` the id of the event that holds it where the state does not.
    `completed`, `incomplete`: that event went out. `ordered`: recordings whose fetch was ordered. `ended`: recordings
    whose end went out, as `key|state`. `changed_at`, `changed_by`: the clock and reason of the first change that is not
    published yet. `full`: by kind of fact the place in the order of their tellings from which on none is taken. `cut`:
    something found no room (workers/calls/bounds.py).
    """

    facts: dict[str, KeptFact]
    revision: int = 0
    published: bytes | None = None
    said: str = ""
    completed: bool = False
    incomplete: bool = False
    ordered: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    changed_at: datetime | None = None
    changed_by: ChangeReason | None = None
    full: Mapping[KindOfFact, tuple[datetime, str]] = field(default_factory=dict)
    cut: bool = False

    def having(self, **changes: Any) -> Session:
        """The same session but for these."""
        return Session(**{**vars(self), **changes})


def fold(facts: Mapping[str, KeptFact], news: Iterable[KeptFact]) -> dict[str, KeptFact]:
    """All versions, each as of its earliest telling; commutative, associative and idempotent.

    The earliest, because an old version that is pushed again must not beat the amendment that came in between,
    in whatever order the two are processed.
    """
    folded = dict(facts)
    for fact in news:
        version = version_key(fact)
        known = folded.get(version)
        folded[version] = fact if known is None else _earliest(known, fact)
    return folded


def _earliest(one: KeptFact, other: KeptFact) -> KeptFact:
    """The telling whose own moment is the earlier, as of the moment at which either of them was first met."""
    kept = other if other.at < one.at else one
    first = min(one.waits_from, other.waits_from)
    return kept if kept.waits_from == first else kept.waiting_from(first)


def version_key(fact: KeptFact) -> str:
    """One version of one fact."""
    return f"{fact.key}|{fact.fingerprint}"


def winners(facts: Mapping[str, KeptFact]) -> dict[str, KeptFact]:
    """Per key the version that counts: the one that was told last for the first time."""
    winning: dict[str, KeptFact] = {}
    for fact in facts.values():
        known = winning.get(fact.key)
        if known is None or rank(fact) > rank(known):
            winning[fact.key] = fact
    return winning


def rank(fact: KeptFact) -> tuple[bool, datetime, str]:
    """`stored` beats `failed`; else the later envelope; else the fingerprint, so that no order can matter.

    Later by a clock that is not ahead: what a door with such a clock told must not beat every amendment for hours.
    """
    stored = fact.kind == FactKind.RECORDING and fact.row["state"] == "stored"
    return (stored, fact.waits_from, fact.fingerprint)


def encode_session(session: Session) -> bytes:
    """The session as the blob that a store keeps: lines of JSON.

    The first tells everything but the published record, which is the second, and the bodies of the facts, one a line:
    a step of a call needs few of them, so they are not read before they are looked at. The record is left out where
    an event says it, which the store keeps as long: it is written once.
    """
    facts = list(session.facts.values())
    head: JsonObject = {
        "v": _SAID_ELSEWHERE if session.said else STATE_VERSION,
        "revision": session.revision,
        "completed": session.completed,
        "incomplete": session.incomplete,
        "changed_by": session.changed_by,
        "changed_at": session.changed_at,
        "ordered": sorted(session.ordered),
        "told": sorted(session.ended),
        "of": facts[0].of if facts else None,
        "facts": [fact.identity for fact in facts],
    }
    if session.cut:
        head |= {"cut": True, "full": session.full}
    first = orjson.dumps(head, option=orjson.OPT_UTC_Z)
    record = b"null" if session.said or session.published is None else session.published
    return b"\n".join([first, record, *[fact.line for fact in facts]])


def decode_session(blob: bytes, *, said: str = "", published: bytes | None = None) -> Session:
    """The session of a blob; `said` and `published` are known beside one that does not hold the record.

    A blob of version 1 is read too, which is one line.
    """
    first, *lines = blob.split(b"\n")
    head = orjson.loads(first)
    if head["v"] == 1:
        facts = {version_key(fact): fact for fact in map(kept_fact, head["facts"])}
        published = orjson.dumps(head["published"]) if head["published"] is not None else published
    else:
        of, pairs = head["of"], zip(head["facts"], lines[1:], strict=True)
        facts = {f"{who['key']}|{who['fingerprint']}": KeptFact(of, who, line=line) for who, line in pairs}
        published = lines[0] if lines[0] != b"null" else published
    return Session(
        facts=facts,
        revision=head["revision"],
        published=published,
        said=said,
        completed=head["completed"],
        incomplete=head["incomplete"],
        ordered=frozenset(head["ordered"]),
        ended=frozenset(head["told"]),
        changed_at=datetime.fromisoformat(head["changed_at"]) if head["changed_at"] else None,
        changed_by=head["changed_by"],
        full={kind: (datetime.fromisoformat(at), version) for kind, (at, version) in head.get("full", {}).items()},
        cut="cut" in head,
    )


def state_of(blob: bytes) -> JsonObject:
    """The blob as one JSON object, for people and for the ledger; of a fact's `call` only what was told."""
    first, *lines = blob.split(b"\n")
    head: JsonObject = orjson.loads(first)
    if head["v"] == 1:
        return head
    published, *bodies = map(orjson.loads, lines)
    pairs = zip(head["facts"], bodies, strict=True)
    facts = [{**head["of"], **identity, "body": body} for identity, body in pairs]
    return {**head, "published": published, "facts": facts}


def with_record(blob: bytes, record: bytes) -> bytes:
    """The blob of a session whose record an event held until now, with that record in it."""
    head, _, *facts = blob.split(b"\n")
    state: JsonObject = {**orjson.loads(head), "v": STATE_VERSION}
    return b"\n".join([orjson.dumps(state), record, *facts])


def published_as(session: Session, record: bytes, revision: int, *, said: str, **changes: Any) -> Session:
    """The session after an event said a revision, with these changes besides: nothing is pending any more."""
    return session.having(published=record, said=said, revision=revision, changed_at=None, changed_by=None, **changes)
