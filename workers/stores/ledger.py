"""The later half of the ledger (docs/design.md section 8): what was passed on, kept, said and parked, in every store.

A version of a fact (its key and fingerprint) is claimed once, under the time of its earliest telling; a session keeps
it once, under the same time. So both count it in one hour, however often it was pushed, redelivered or passed on again.

`Books` is asked by source and hour; `strays` names the very facts when counts of one hour differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import orjson

from schemas.envelope import Kind
from schemas.facts import FactKind
from workers.calls.kept import KeptFact
from workers.calls.session import state_of

Pair = tuple[bytes, bytes]  # key and fingerprint of one version, as claims keep them
HourCount = tuple[str | None, str, int]  # source (None: an older program wrote it and named none), hour, count

FOLDED: Final = ("announcement|", "cdr|", "event|", "sms|")
REVISIONS: Final = (  # the events that are one revision each
    "call.completed", "call.incomplete", "call.amended", "recording.stored", "recording.failed", "sms.notified",
)  # fmt: skip
LAST_HOUR: Final = "9999-12-31T23"  # nothing up to here is counted: an older program made the tables
_FINGERPRINT_BYTES: Final = 16
_HOUR_LENGTH: Final = len("2026-11-21T08")


class Told(NamedTuple):
    """A claim: who owns the version, and when it was told first."""

    pair: Pair
    owner: str
    at: datetime


class Kept(NamedTuple):
    """A version of a fact in a session."""

    pair: Pair
    call_id: str
    kind: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Revisions of the sessions that began in an hour, and their events in the outbox."""

    source: str
    hour: str
    revisions: int
    made: int
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedCount:
    """Parked messages by what they were: `state` is parked, wanted (it goes back) or replayed."""

    source: str
    hour: str
    box: str
    stage: str
    kind: str
    state: str
    count: int


class Books(Protocol):
    """What a store tells of its counts; what an older program wrote has no source or hour and is told as unknown.

    Raises:
        Misconfigured: no stage has ever opened its tables there, or the server refuses us.
        Unavailable: the server does not answer.
    """

    def passed(self, since: datetime) -> Iterable[HourCount]:
        """Versions that dedupe has claimed for sessions, told first at `since` or later."""
        ...

    def arrived(self) -> Iterable[HourCount]:
        """Versions that sessions hold; of source None: the last hour in which an older program folded."""
        ...

    def said(self) -> Iterable[Said]:
        """What correlate had to say, and what it has sent."""
        ...

    def unsaid(self, source: str, hour: str, limit: int) -> Iterable[tuple[str, int, int]]:
        """Calls of that hour whose revisions are not their events: id, revisions, events."""
        ...

    def parked(self) -> Iterable[ParkedCount]:
        """What park keeps; nothing where it never ran."""
        ...

    def told(self, source: str, since: datetime, until: datetime) -> Iterable[Told]:
        """The claims of one span."""
        ...

    def kept(self, source: str, since: datetime) -> Iterable[Kept]:
        """What the sessions hold that changed at `since` or later."""
        ...

    def parked_pairs(self, source: str) -> Iterable[Pair]:
        """Versions that wait in dead letters."""
        ...

    def claimed(self, pairs: Collection[Pair]) -> Iterable[Pair]:
        """Those of the pairs that dedupe has claimed, whenever that was."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """Facts that were passed on and are nowhere, and facts that are in a session once too often."""

    lost: tuple[Told, ...]
    doubled: tuple[Kept, ...]


def strays(books: Books, source: str, since: datetime, until: datetime) -> Strays:
    """Compare one source and span fact by fact.

    A session that holds a fact was changed no earlier than the fact was told, so `kept` finds it. Whatever moves a fact
    between hours (an earlier telling, a telling after its claim was forgotten) does not matter here.
    """
    told = {one.pair: one for one in books.told(source, since, until)}
    lost = dict(told)
    holders: dict[Pair, str] = {}
    doubled: list[Kept] = []
    unknown: dict[Pair, Kept] = {}
    for one in books.kept(source, since):
        lost.pop(one.pair, None)
        if hour_of(one.at) != hour_of(since):
            continue
        if holders.setdefault(one.pair, one.call_id) != one.call_id:
            doubled.append(one)
        elif one.pair not in told:
            unknown[one.pair] = one
    if lost:
        for pair in books.parked_pairs(source):
            lost.pop(pair, None)
    for pair in list(books.claimed(tuple(unknown))):
        unknown.pop(pair, None)
    return Strays(lost=tuple(lost.values()), doubled=(*doubled, *unknown.values()))


def folds(key: str) -> bool:
    """Whether dedupe passes facts of this key into sessions.

    A key begins with what the fact is. What a session holds besides (recordings, decisions) never was claimed, and what
    is told at once (`other`) never is in a session.
    """
    return key.startswith(FOLDED)


def hour_of(at: datetime) -> str:
    """The ledger's hour of a moment in UTC: `YYYY-MM-DDTHH`."""
    return at.isoformat()[:_HOUR_LENGTH]


def hashed_pair(source: str, key: str, fingerprint: str) -> Pair:
    """Key and fingerprint as kept: keys hold phone numbers, and a hash is short."""
    hashed = hashlib.blake2b(f"{source}|{key}".encode(), digest_size=16).digest()
    return hashed, bytes.fromhex(fingerprint)[:_FINGERPRINT_BYTES]


def arrivals(facts: Iterable[KeptFact]) -> str:
    """How many claimed versions a session holds, by the hour in which they were told first, as JSON."""
    hours: dict[str, int] = {}
    for fact in facts:
        if fact.key.startswith(FOLDED):
            hours[fact.hour] = hours.get(fact.hour, 0) + 1
    return orjson.dumps(hours).decode()


def kept_facts(call_id: str, state: bytes) -> list[Kept]:
    """The claimed versions that a session's state holds."""
    return [_kept(call_id, fact) for fact in state_of(state)["facts"] if folds(fact["key"])]


def _kept(call_id: str, fact: Any) -> Kept:
    pair = hashed_pair(fact["source"], fact["key"], fact["fingerprint"])
    return Kept(pair, call_id, fact["kind"], datetime.fromisoformat(fact["at"]))


def parked_pair(raw: bytes) -> Pair | None:
    """The version that waits in a dead letter; None when what died is no fact that sessions keep."""
    fact = _folding_fact(_inner(orjson.loads(raw)))
    return hashed_pair(fact["source"], fact["key"], fact["fingerprint"]) if fact else None


def origin(raw: bytes) -> tuple[str, str]:
    """Hour and kind of what was parked: of the envelope inside, where there is one.

    The kind of a fact that no session keeps is `other`.
    """
    parked = orjson.loads(raw)
    inner = _inner(parked)
    kind = str(inner.get("kind", parked["kind"]))
    return parked["at"][:_HOUR_LENGTH], FactKind.OTHER if kind == Kind.FACT and not _folding_fact(inner) else kind


def _inner(parked: Any) -> dict[str, Any]:
    body = parked.get("body")
    inner = body.get("envelope") if isinstance(body, dict) else None
    return inner if isinstance(inner, dict) else {}


def _folding_fact(inner: dict[str, Any]) -> dict[str, Any] | None:
    """None also for a fact that is too damaged to have been claimed."""
    fact = inner.get("body") if inner.get("kind") == Kind.FACT else None
    if not isinstance(fact, dict) or not {"source", "key", "fingerprint"} <= fact.keys():
        return None
    return fact if folds(str(fact["key"])) else None
