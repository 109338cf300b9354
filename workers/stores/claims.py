"""What every store keeps of a claim and of a receipt, in which order claims are met, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from schemas.dialect.items import folds, repeats_only_the_latest
from workers.dedupe import Claim, ClaimResult, Receipt
from workers.stores.ledger import Pair, hashed_pair

ReceiptRow = tuple[str, str, str, int, int, int, int, int]


class ClaimRow(NamedTuple):
    """A claim as kept; rows sort in the order in which they are met: by key, the earliest of each key first.

    `source`: the one in whose sessions the claimed fact has to arrive; empty when it goes into none.
    """

    key: bytes
    at: datetime
    owner: str
    fingerprint: bytes
    source: str

    @property
    def pair(self) -> Pair:
        """The version that is claimed."""
        return self.key, self.fingerprint


class Owner(NamedTuple):
    """Who owns a claim, and when its envelope came."""

    owner: str
    at: datetime


class Judged(NamedTuple):
    """What becomes of the claims of a batch.

    `results`: by the claim's owner. `fresh`: who is the first to tell a pair. `earlier`: who takes over a pair because
    it came before its owner.
    """

    results: Mapping[str, ClaimResult]
    fresh: Sequence[ClaimRow]
    earlier: Mapping[Pair, ClaimRow]


def claim_row(claim: Claim) -> ClaimRow:
    """The claim as kept."""
    key, fingerprint = hashed_pair(claim.source, claim.key, claim.fingerprint)
    return ClaimRow(key, claim.at, claim.owner, fingerprint, claim.source if folds(claim.key) else "")


def in_order(receipts: Sequence[Receipt]) -> list[ClaimRow]:
    """All claims of the receipts, but for those of `latest_rows`."""
    claims = [claim for receipt in receipts for claim in receipt.claims]
    return sorted([claim_row(claim) for claim in claims if not repeats_only_the_latest(claim.key)])


def judged(rows: Sequence[ClaimRow], owners: Mapping[Pair, Owner]) -> Judged:
    """What becomes of claims that are met in this order.

    `owners`: all versions of these keys as they were before this batch; the first of an unknown pair is its owner from
    here on. An envelope that stands twice in one batch keeps its first result.
    """
    known: dict[Pair, Owner | ClaimRow] = {**owners}
    keys = {key for key, _ in owners}
    results: dict[str, ClaimResult] = {}
    fresh: list[ClaimRow] = []
    earlier: dict[Pair, ClaimRow] = {}
    for row in rows:
        pair = row.pair
        owner = known.get(pair)
        if owner is None:
            result: ClaimResult = "amended" if row.key in keys else "new"
            fresh.append(row)
            keys.add(row.key)
        else:
            result = _result(row, owner)
        if result != "mine" or row.owner not in results:
            results[row.owner] = result
        if result == "earlier":
            earlier[pair] = row
        if result != "duplicate":
            known[pair] = row
    return Judged(results, fresh, earlier)


def _result(row: ClaimRow, known: Owner | ClaimRow) -> ClaimResult:
    if known.owner == row.owner:
        return "mine"
    return "earlier" if row.at < known.at else "duplicate"


def receipt_rows(receipts: Sequence[Receipt], results: Mapping[str, ClaimResult]) -> Iterator[ReceiptRow]:
    """Envelope id, source, hour, items, new, amended, duplicate, quarantined."""
    for receipt in receipts:
        outcomes = [results[claim.owner] for claim in receipt.claims]
        yield (
            receipt.envelope_id,
            receipt.source,
            _hour(receipt.at.toordinal(), receipt.at.hour),
            len(outcomes) + receipt.quarantined,
            outcomes.count("new") + outcomes.count("mine"),
            outcomes.count("amended"),
            outcomes.count("duplicate") + outcomes.count("earlier"),
            receipt.quarantined,
        )


@lru_cache(64)
def _hour(day: int, hour: int) -> str:
    return f"{date.fromordinal(day)}T{hour:02}"
