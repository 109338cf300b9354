"""What dedupe passes on and what sessions hold of it, told alike on both sides, so that the ledger can compare them.

A version of a fact (its key and fingerprint) is claimed once, under the time of its earliest telling; a session keeps
it once, under the same time. So both count it in one hour, however often it was pushed, redelivered or passed on again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

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
