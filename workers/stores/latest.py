"""Claims of what has no time: a telling is a repetition only of the latest one of its number, in every store.

What each envelope was answered is kept as a claim of that envelope alone, so that its redelivery is answered the same,
whatever was told since. What is the latest follows the order of the claims, which is that of what was passed on: the
clock of no door decides what a consumer believes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Final, NamedTuple

from schemas.dialect.items import repeats_only_the_latest
from workers.dedupe import Claim, ClaimResult, Receipt
from workers.stores.claims import ClaimRow
from workers.stores.ledger import hashed_pair

_DIGEST_BYTES: Final = 16


class LatestRow(NamedTuple):
    """The latest telling of a number: `key` and `fingerprint` are hashes, `owner` is who told it first.

    `at` is when it was told last, and after that its retention counts.
    """

    key: bytes
    fingerprint: bytes
    owner: str
    at: datetime


class JudgedLatest(NamedTuple):
    """What becomes of these claims.

    `results`: by the claim's owner. `answered`: what a redelivery has to find. `latest`: by number, what is so now.
    """

    results: Mapping[str, ClaimResult]
    answered: Sequence[ClaimRow]
    latest: Mapping[bytes, LatestRow]


def latest_rows(receipts: Iterable[Receipt]) -> list[LatestRow]:
    """The claims of these receipts on the latest of a number, in the order in which they were told."""
    claims = [claim for receipt in receipts for claim in receipt.claims if repeats_only_the_latest(claim.key)]
    return [_latest_row(claim) for claim in claims]


def _latest_row(claim: Claim) -> LatestRow:
    return LatestRow(*hashed_pair(claim.source, claim.key, claim.fingerprint), claim.owner, claim.at)


def answer_key(row: LatestRow) -> bytes:
    """The key under which it is kept what this very telling was answered."""
    return blake2b(row.key + row.owner.encode(), digest_size=_DIGEST_BYTES).digest()


def judged_latest(
    rows: Sequence[LatestRow], latest: Mapping[bytes, LatestRow], answered: Mapping[bytes, str]
) -> JudgedLatest:
    """What becomes of claims that are met in this order.

    `latest`: what is known of these numbers. `answered`: by answer key, whose telling an earlier delivery was told that
    it is.
    """
    now, known = dict(latest), dict(answered)
    results: dict[str, ClaimResult] = {}
    fresh: list[ClaimRow] = []
    for row in rows:
        key = answer_key(row)
        if key in known:
            results.setdefault(row.owner, "mine" if known[key] == row.owner else "duplicate")
            continue
        last = now.get(row.key)
        repeats = last is not None and last.fingerprint == row.fingerprint
        owner = last.owner if last is not None and repeats else row.owner
        results[row.owner] = "duplicate" if repeats else "new"
        known[key] = owner
        fresh.append(ClaimRow(key, row.at, owner, row.fingerprint, ""))
        now[row.key] = row._replace(owner=owner)
    return JudgedLatest(results, fresh, now)
