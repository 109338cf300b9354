"""received -> unique, quarantine: parses notifications into facts and drops what a platform has sent before.

Claims and receipts are one transaction, before anything leaves: a crash in between makes the redelivery find its own
claims (`mine`) and pass them on, so that nothing is lost and nothing counts twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from schemas.dialect.dialect import AnyDialect
from schemas.envelope import Envelope, Kind, derived_id, quarantine_copy
from schemas.errors import Malformed, Permanent, Transient
from schemas.fact_json import fact_envelope, identified
from schemas.facts import Fact, Parsed
from schemas.notification import Notification, from_json
from schemas.settings.source import Source
from schemas.stage import Failed, Outcome, Stage
from schemas.value import value
from workers.inflate import read_inflated
from workers.retention import now_and_then

LARGE_BYTES: Final = 64 * 1024
READ_BYTES: Final = 2 * 1024 * 1024  # claimed at once: objects take some 20 times as much memory, and gzip shrinks them
BAD_TOLD: Final = 20  # items of one push that quarantine names; the others it counts

ClaimResult = Literal["new", "mine", "amended", "duplicate", "earlier"]

_COUNTED_AS: Final[Mapping[ClaimResult, str]] = {
    "new": "new",
    "mine": "mine",
    "amended": "amended",
    "duplicate": "duplicate",
    "earlier": "duplicate",
}
QUARANTINED: Final = "quarantined"
RESULTS: Final = (*dict.fromkeys(_COUNTED_AS.values()), QUARANTINED)  # what can become of an item


@value
class Claim:
    """To record `owner` (a fact id) as the first to tell `key` with this fingerprint."""

    source: str
    key: str
    fingerprint: str
    owner: str
    at: datetime


@value
class Receipt:
    """What became of one notification; items = unique + amended + duplicate + quarantined."""

    envelope_id: str
    source: str
    at: datetime
    quarantined: int = 0
    claims: Sequence[Claim] = ()


@value
class Tally:
    """What ingest answered 200 in one hour (`YYYY-MM-DDTHH`), counted once per envelope."""

    envelope_id: str
    source: str
    hour: str
    answered: int


class ClaimStore(Protocol):
    """Where claims, receipts and tallies live."""

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, ClaimResult]:
        """Claim everything in one transaction; per owner `new`, `mine`, `amended`, `duplicate` or `earlier`.

        `earlier`: another one owns the same telling but came later; it is owned by this one from now on. It counts as
        a duplicate, and passes on all the same: which version of a fact wins depends on when each was told first.

        A receipt is written once: a redelivery does not change it.

        Raises:
            Unavailable: the store is away; nothing was committed, or it does not matter that it was.
        """
        ...

    async def look(self, now: datetime) -> Mapping[str, int]:
        """What metrics tell of what it holds, by metric; nothing here but that it answers.

        Raises:
            Unavailable: as `claim`.
        """
        ...

    async def expire(self, now: datetime, limit: int) -> int:
        """Forget up to `limit` rows of each kind that are older than workers.retention says; how many went.

        Raises:
            Unavailable: as `claim`.
        """
        ...


Count = Callable[[str, str, int], None]


def dedupe(
    store: ClaimStore, *, sources: Mapping[str, Source], dialects: Mapping[str, AnyDialect], count: Count
) -> Stage:
    """The stage; `count(source, result, number)` is told what became of the items of each batch."""

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        tallies = [_tally(envelope) for envelope in batch if envelope.kind == Kind.TALLY]
        outcome: list[Envelope | Failed] = [
            Failed(e, Permanent("not for dedupe")) for e in batch if e.kind not in (Kind.NOTIFICATION, Kind.TALLY)
        ]
        opened: list[_Opened] = []
        read = 0
        for envelope in batch:
            if envelope.kind != Kind.NOTIFICATION:
                continue
            if _is_large(envelope):
                one = await asyncio.to_thread(_open, envelope, sources, dialects)
            else:
                one = _open(envelope, sources, dialects)
            opened.append(one)
            read += one.bytes
            if read > READ_BYTES:
                outcome += await passed_on(opened, tallies)
                opened, tallies, read = [], [], 0
        if opened or tallies:
            outcome += await passed_on(opened, tallies)
        return outcome

    async def passed_on(opened: Sequence[_Opened], tallies: Sequence[Tally]) -> Outcome:
        results = await store.claim([one.receipt for one in opened if not one.failed], tallies)
        for (source, result), number in _counts(opened, results).items():
            count(source, result, number)
        return [item for one in opened for item in _outcome(one, results)]

    forget = now_and_then(store.expire)

    async def tick(now: datetime) -> Sequence[Envelope]:
        await forget(now)
        return []

    return Stage(handle, tick)


@value
class _Opened:
    """`bytes` of its body, as it was read."""

    envelope: Envelope
    receipt: Receipt
    facts: Sequence[Fact] = ()
    quarantined: Envelope | None = None
    failed: Sequence[Failed] = ()
    bytes: int = 0


def _is_large(envelope: Envelope) -> bool:
    """Whether to read it off the loop, where the door and the probes live: it is large, or may become so."""
    body = envelope.body
    if not isinstance(body, dict):
        return False
    packed = "gzip" in body["headers"].get("content-encoding", "").lower()
    return packed or len(body.get("text") or body.get("base64", "")) > LARGE_BYTES


def _open(envelope: Envelope, sources: Mapping[str, Source], dialects: Mapping[str, AnyDialect]) -> _Opened:
    source = sources.get(envelope.source)
    if source is None:
        failed = Failed(envelope, Transient("its source is not in the config"))
        return _Opened(envelope=envelope, receipt=_receipt(envelope), failed=[failed])
    assert isinstance(envelope.body, dict)
    notification = from_json(envelope.body)
    size = len(notification.body)
    parse = dialects[source.platform].parse

    def read(unpacked: Notification) -> Sequence[Parsed | Malformed]:
        nonlocal size
        size = len(unpacked.body)
        return parse(unpacked, source)

    try:
        items = read_inflated(notification, read)
    except Malformed as error:
        items = [error]
    facts: list[Fact] = []
    bad: list[tuple[int, str]] = []
    for n, item in enumerate(items):
        if isinstance(item, Malformed):
            bad.append((n, item.reason))
        else:
            fact_id = derived_id(envelope.id, n)
            facts.append(identified(item, envelope, fact_id=fact_id, platform=source.platform))
    quarantined = _quarantined(envelope, bad, of=len(items)) if bad else None
    receipt = _receipt(envelope, facts, quarantined=len(bad))
    return _Opened(envelope=envelope, receipt=receipt, facts=facts, quarantined=quarantined, bytes=size)


def _receipt(envelope: Envelope, facts: Sequence[Fact] = (), *, quarantined: int = 0) -> Receipt:
    return Receipt(
        envelope_id=envelope.id,
        source=envelope.source,
        at=envelope.at,
        quarantined=quarantined,
        claims=[_claim(fact) for fact in facts],
    )


def _counts(opened: Sequence[_Opened], results: Mapping[str, ClaimResult]) -> Mapping[tuple[str, str], int]:
    """What became of the items, by source and result."""
    counts = Counter([(fact.source, _COUNTED_AS[results[fact.id]]) for one in opened for fact in one.facts])
    for one in opened:
        if one.quarantined is not None:
            counts[one.envelope.source, QUARANTINED] += one.receipt.quarantined
    return counts


def _outcome(one: _Opened, results: Mapping[str, ClaimResult]) -> Outcome:
    trace = one.envelope.trace
    passed = [fact_envelope(fact, trace=trace) for fact in one.facts if results[fact.id] != "duplicate"]
    return [*one.failed, *([one.quarantined] if one.quarantined else []), *passed]


def _claim(fact: Fact) -> Claim:
    return Claim(source=fact.source, key=fact.key, fingerprint=fact.fingerprint, owner=fact.id, at=fact.at)


def _quarantined(envelope: Envelope, bad: Sequence[tuple[int, str]], *, of: int) -> Envelope:
    """The raw notification, byte for byte and once, with how many of its items could not be read, which, and why."""
    reasons = Counter([reason for _, reason in bad])
    return quarantine_copy(
        envelope,
        parked_id=derived_id("quarantined", envelope.id),
        reason=", ".join(sorted(reasons)),
        stage="dedupe",
        items=of,
        bad=len(bad),
        reasons=reasons,
        first=[{"item": n, "reason": reason} for n, reason in bad[:BAD_TOLD]],
    )


def _tally(envelope: Envelope) -> Tally:
    body: Any = envelope.body
    return Tally(envelope_id=envelope.id, source=envelope.source, hour=body["hour"], answered=body["answered"])
