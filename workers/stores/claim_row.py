"""What every store keeps of a claim and of a receipt, and in which order claims are met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import NamedTuple

from workers.dedupe import Claim, Receipt
from workers.stores.passage import Pair, folds, hashed_pair

ReceiptRow = tuple[str, str, str, int, int, int, int, int]


def hashed(claim: Claim) -> Pair:
    """Key and fingerprint as kept."""
    return hashed_pair(claim.source, claim.key, claim.fingerprint)


def counted_for(claim: Claim) -> str:
    """The source in whose sessions the claimed fact has to arrive; empty when it goes into none."""
    return claim.source if folds(claim.key) else ""


def in_order(receipts: Sequence[Receipt]) -> list[Claim]:
    """All claims of the receipts by key, the earliest of each key first."""
    return sorted((c for receipt in receipts for c in receipt.claims), key=lambda c: (c.key, c.at, c.owner))


class Owner(NamedTuple):
    """Who owns a claim, and when its envelope came."""

    id: str
    at: datetime


def answer(claim: Claim, owner: Owner | None, *, is_known: bool) -> str:
    """What becomes of a claim whose pair has this owner; `is_known`: its key has been told in some version."""
    if owner is None:
        return "amended" if is_known else "new"
    if owner.id == claim.owner:
        return "mine"
    return "earlier" if claim.at < owner.at else "duplicate"


def note_result(results: MutableMapping[str, str], claim: Claim, result: str) -> None:
    """What became of a claim, by its owner; an envelope that stands twice in one batch keeps its first answer."""
    if result != "mine" or claim.owner not in results:
        results[claim.owner] = result


def receipt_rows(receipts: Sequence[Receipt], results: Mapping[str, str]) -> Iterator[ReceiptRow]:
    """Envelope id, source, hour, items, new, amended, duplicate, quarantined."""
    for receipt in receipts:
        outcomes = [results[claim.owner] for claim in receipt.claims]
        yield (
            receipt.envelope_id,
            receipt.source,
            f"{receipt.at:%Y-%m-%dT%H}",
            len(outcomes) + receipt.quarantined,
            outcomes.count("new") + outcomes.count("mine"),
            outcomes.count("amended"),
            outcomes.count("duplicate") + outcomes.count("earlier"),
            receipt.quarantined,
        )
