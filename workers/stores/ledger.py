"""The later half of the ledger (docs/design.md section 8): what was passed on, kept, said and parked, in every store.

A version of a fact (its key and fingerprint) is claimed once, under the time of its earliest telling; a session keeps
it once, under the same time. So both count it in one hour, however often it was pushed, redelivered or passed on again.

Counts are compared by source and hour; `strays` names the very facts when counts of one hour differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import orjson

from schemas.dialect.items import folds
from schemas.envelope import JsonObject, Kind
from schemas.facts import FactKind
from workers.calls.kept import KeptFact
from workers.calls.session import state_of

Pair = tuple[bytes, bytes]  # key and fingerprint of one version, as claims keep them
HourCount = tuple[str | None, str, int]  # source (None: an older program wrote it and named none), hour, count

REVISIONS: Final = (  # the events that are one revision each
    "call.completed", "call.incomplete", "call.amended", "recording.stored", "recording.failed", "sms.notified",
)  # fmt: skip
LAST_HOUR: Final = "9999-12-31T23"  # nothing up to here is counted: an older program made the tables
_FINGERPRINT_BYTES: Final = 16
_GHOST: Final = "|\0"  # no platform's key holds NUL: it is stripped wherever it is read
_HOUR_LENGTH: Final = len("2026-11-21T08")


class PassedFact(NamedTuple):
    """A version that dedupe passed on: who owns its claim, and when it was told first."""

    pair: Pair
    owner: str
    at: datetime


class ArrivedFact(NamedTuple):
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
    """Parked messages by what they were: `state` is parked, wanted (it goes back), replayed, purged or expired.

    `items` is how many items of pushes they stand for.
    """

    source: str
    hour: str
    box: str
    stage: str
    kind: str
    state: str
    count: int
    items: int


class CountReads(Protocol):
    """What a store counts, by source and hour; what an older program wrote has no source or hour and is unknown."""

    async def ledger(self) -> Sequence[JsonObject]:
        """Rows by `source` and `hour`, in that order; a row leaves out what has no count there.

        From dedupe `answered`, `receipts`, `items`, `unique`, `amended`, `duplicate` and `quarantined`; from correlate
        `sessions`, `completed`, `incomplete` and `open`.
        """
        ...

    async def passed(self, since: datetime) -> Sequence[HourCount]:
        """Versions that dedupe has claimed for sessions, told first at `since` or later."""
        ...

    async def told_at_once(self) -> bool:
        """Whether dedupe knows any fact that goes into no session: it left as an event that has no row."""
        ...

    async def arrived(self) -> Sequence[HourCount]:
        """Versions that sessions hold; of source None: the last hour in which an older program folded."""
        ...

    async def said(self) -> Sequence[Said]:
        """What correlate had to say, and what it has sent."""
        ...

    async def parked(self) -> Sequence[ParkedCount]:
        """What park keeps; nothing where it never ran."""
        ...


class FactReads(Protocol):
    """Facts and calls by name, for hours in which counts differ."""

    async def passed_facts(self, source: str, since: datetime, until: datetime) -> Sequence[PassedFact]:
        """The versions that dedupe has claimed for sessions, told first in [since, until)."""
        ...

    def arrived_facts(self, source: str, since: datetime) -> AsyncIterator[ArrivedFact]:
        """What the sessions hold that changed at `since` or later, session by session."""
        ...

    async def dead_facts(self, source: str) -> Sequence[Pair]:
        """Versions that wait in dead letters or quarantine."""
        ...

    async def claimed(self, pairs: Collection[Pair]) -> Sequence[Pair]:
        """Those of the pairs that dedupe has claimed, whenever that was."""
        ...

    async def unsaid(self, source: str, hour: str, limit: int) -> Sequence[tuple[str, int, int]]:
        """Calls of that hour whose revisions are not their events: id, revisions, events."""
        ...


class Books(CountReads, FactReads, Protocol):
    """A store's part of the ledger; it raises what `workers.stores.reads` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """Facts that were passed on and are nowhere, and facts that are in a session once too often."""

    lost: tuple[PassedFact, ...]
    doubled: tuple[ArrivedFact, ...]


async def strays(facts: FactReads, source: str, since: datetime, until: datetime) -> Strays:
    """Compare one source and span fact by fact.

    A session that holds a fact was changed no earlier than the fact was told, so `arrived_facts` finds it. Whatever
    moves a fact between hours (an earlier telling, a telling after its claim was forgotten) does not matter here.
    """
    passed = {one.pair: one for one in await facts.passed_facts(source, since, until)}
    lost = dict(passed)
    holders: dict[Pair, str] = {}
    doubled: list[ArrivedFact] = []
    unknown: dict[Pair, ArrivedFact] = {}
    async for one in facts.arrived_facts(source, since):
        lost.pop(one.pair, None)
        if hour_of(one.at) != hour_of(since):
            continue
        if holders.setdefault(one.pair, one.call_id) != one.call_id:
            doubled.append(one)
        elif one.pair not in passed:
            unknown[one.pair] = one
    if lost:
        for pair in await facts.dead_facts(source):
            lost.pop(pair, None)
    for pair in await facts.claimed(tuple(unknown)):
        unknown.pop(pair, None)
    return Strays(lost=tuple(lost.values()), doubled=(*doubled, *unknown.values()))


def hour_of(at: datetime) -> str:
    """The ledger's hour of a moment in UTC: `YYYY-MM-DDTHH`."""
    return at.isoformat()[:_HOUR_LENGTH]


def hashed_pair(source: str, key: str, fingerprint: str) -> Pair:
    """Key and fingerprint as kept: keys hold phone numbers, and a hash is short."""
    digest = bytes.fromhex(key.partition(_GHOST)[2]) if _GHOST in key else _hashed(source, key)
    return digest, bytes.fromhex(fingerprint)[:_FINGERPRINT_BYTES]


def ghost_key(source: str, key: str) -> str:
    """The key of a fact that was erased: what the fact is, and the hash by which its claim knows it."""
    return key if _GHOST in key else f"{key.partition('|')[0]}{_GHOST}{_hashed(source, key).hex()}"


def _hashed(source: str, key: str) -> bytes:
    return hashlib.blake2b(f"{source}|{key}".encode(), digest_size=16).digest()


def arrivals(facts: Iterable[KeptFact]) -> str:
    """How many claimed versions a session holds, by the hour in which they were told first, as JSON."""
    hours: dict[str, int] = {}
    for fact in facts:
        if folds(fact.key):
            hours[fact.hour] = hours.get(fact.hour, 0) + 1
    return orjson.dumps(hours).decode()


def arrived_facts(call_id: str, state: bytes) -> list[ArrivedFact]:
    """The claimed versions that a session's state holds."""
    return [_arrived(call_id, fact) for fact in state_of(state)["facts"] if folds(fact["key"])]


def _arrived(call_id: str, fact: Any) -> ArrivedFact:
    pair = hashed_pair(fact["source"], fact["key"], fact["fingerprint"])
    return ArrivedFact(pair, call_id, fact["kind"], datetime.fromisoformat(fact["at"]))


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
