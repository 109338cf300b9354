"""dedupe and correlate in one process: what follows the hop, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from schemas.envelope import Envelope, EnvelopeKind, Kind
from schemas.errors import Permanent, Unavailable
from schemas.stage import Failed, Outcome, Stage
from workers.composed import FOLDED_BYTES, composed

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)


def an(kind: EnvelopeKind, name: str, body: Any = b"{}") -> Envelope:
    return Envelope(id=name, kind=kind, source="s", at=AT, body=body)


FACTS = [an(Kind.FACT, "1", b'{"n":1}'), an(Kind.FACT, "2", b'{"n":2}')]
ASIDE = an(Kind.QUARANTINED, "q", {})
RETRIED = Failed(an(Kind.NOTIFICATION, "n", {}), Permanent("not for dedupe"))
EVENT = an(Kind.EVENT, "e", b"{}")


class Folding:
    """A fold that remembers what it was given."""

    def __init__(self, outcome: Outcome | Exception) -> None:
        self.outcome = outcome
        self.given: list[Sequence[Envelope]] = []

    async def __call__(self, batch: Sequence[Envelope]) -> Outcome:
        self.given.append(batch)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def a_stage(facts: Sequence[Envelope], fold: Folding) -> Stage:
    async def first(_: Sequence[Envelope]) -> Outcome:
        return [RETRIED, ASIDE, *facts]

    async def published(_: Sequence[str]) -> None:
        """Nothing to mark."""

    return composed(Stage(first), Stage(fold, None, published), fold=fold)


async def test_facts_are_folded_as_a_queue_would_hand_them_over_and_all_else_leaves_as_ever() -> None:
    fold = Folding([EVENT])
    assert await a_stage(FACTS, fold).handle([]) == [RETRIED, ASIDE, EVENT]
    assert [[fact.body for fact in some] for some in fold.given] == [[{"n": 1}, {"n": 2}]]


async def test_what_cannot_be_folded_goes_on_as_facts() -> None:
    assert await a_stage(FACTS, Folding(KeyError("a bug"))).handle([]) == [RETRIED, ASIDE, *FACTS]


async def test_a_fact_that_found_no_room_goes_on_alone() -> None:
    full = an(Kind.FACT, "1", {"n": 1})
    outcome = await a_stage(FACTS, Folding([EVENT, Failed(full, Permanent("full"))])).handle([])
    assert outcome == [RETRIED, ASIDE, EVENT, full]


async def test_a_store_that_is_away_holds_the_notifications() -> None:
    with pytest.raises(Unavailable):
        await a_stage(FACTS, Folding(Unavailable("away"))).handle([])


async def test_what_was_delivered_before_takes_the_hop() -> None:
    stage = a_stage(FACTS, Folding([EVENT]))
    assert stage.careful is not None
    assert await stage.careful([]) == [RETRIED, ASIDE, *FACTS]


async def test_a_transaction_holds_about_as_much_as_a_batch_from_a_queue() -> None:
    large = [an(Kind.FACT, str(n), orjson.dumps("x" * (FOLDED_BYTES // 2))) for n in range(5)]
    fold = Folding([])
    await a_stage(large, fold).handle([])
    assert [len(some) for some in fold.given] == [2, 2, 1]
