"""What the ledger says of what is parked: it is accounted for, until it went back; nothing is skipped for either."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from runtime.wire import dead_envelope, quarantined
from schemas.envelope import Envelope, Kind
from tests.building.facts import T0, enveloped
from tests.building.stores import StoreRig, a_receipt, a_tally, a_whole_call, asked, at
from tests.building.traffic import HOUR, an_hour_of_traffic, arrive, found, passed_on, received, rows
from workers.correlate import SessionStore
from workers.dedupe import ClaimStore
from workers.park import ParkedStore, park


@pytest.fixture
async def parked(store_rig: StoreRig) -> AsyncIterator[ParkedStore]:
    async with store_rig.open_parked() as store:
        yield store


async def test_a_dead_fact_is_accounted_for_until_it_is_replayed(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore, parked: ParkedStore
) -> None:
    (fact,) = await passed_on(claims, a_whole_call(told=3599))
    dead = dead_envelope(enveloped(fact), reason="broken", stage="callstitch.unique.v1")
    await park(parked, box="dead", clock=lambda: at(HOUR + 60)).handle([dead])
    (row,) = await rows(store_rig)
    assert (row["hour"], row["dead"], row["dead_facts"]) == ("2026-11-21T08", 1, 1)
    assert await found(store_rig) == []
    await parked.want([dead.id])
    assert await found(store_rig) == []
    await parked.replayed([dead.id])
    (lost,) = await found(store_rig)
    assert lost.names == [f"fact {fact.id} received 2026-11-21T08:59:59.000000Z"]
    await arrive(sessions, [fact])
    (row,) = await rows(store_rig)
    assert (row["dead"], row["wanted"], row["replayed"], row["dead_facts"]) == (0, 0, 1, 0)
    assert await found(store_rig) == []


async def test_a_fact_that_died_and_came_another_way_is_there_once(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore, parked: ParkedStore
) -> None:
    (fact,) = await passed_on(claims, a_whole_call())
    dead = dead_envelope(enveloped(fact), reason="broken", stage="callstitch.unique.v1")
    await park(parked, box="dead", clock=lambda: at(99)).handle([dead])
    await arrive(sessions, [fact])
    assert await found(store_rig) == []


async def test_quarantined_items_must_be_parked(store_rig: StoreRig, claims: ClaimStore, parked: ParkedStore) -> None:
    await claims.claim([a_receipt("n1", quarantined=1)], [a_tally("t1", 1)])
    async with store_rig.open_sessions():
        (difference,) = await found(store_rig)
        assert difference.what == "1 item(s) were quarantined and are not parked"
        notification = Envelope(id="n1", kind=Kind.NOTIFICATION, source="huawei-bj", at=T0, body={})
        bad = quarantined(notification, reason="not_json", stage="dedupe")
        await park(parked, box="quarantine", clock=lambda: at(2 * HOUR)).handle([bad])
        assert await found(store_rig) == []
        await parked.want([bad.id])
        await parked.replayed([bad.id])
        assert await found(store_rig) == []


async def test_what_is_released_from_quarantine_counts_as_passed_on(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    """Its receipt says quarantined for ever, and a receipt is written once."""
    fact = a_whole_call()
    receipt = received(fact)
    await claims.claim([replace(receipt, claims=[], quarantined=1)], [])
    await arrive(sessions, await passed_on(claims, fact))
    (row,) = await rows(store_rig)
    assert (row["quarantined"], row["unique"], row["passed"], row["arrived"]) == (1, 0, 1, 1)


async def test_an_answered_notification_without_receipt_may_be_a_dead_letter(
    store_rig: StoreRig, claims: ClaimStore, parked: ParkedStore
) -> None:
    await claims.claim([], [a_tally("t1", 1)])
    async with store_rig.open_sessions():
        (missing,) = await found(store_rig)
        assert missing.what == "1 notification(s) were answered 200 and have no receipt"
        notification = Envelope(id="n1", kind=Kind.NOTIFICATION, source="huawei-bj", at=T0, body={})
        dead = dead_envelope(notification, reason="its source is not in the config", stage="callstitch.received.v1")
        await park(parked, box="dead", clock=lambda: at(999)).handle([dead])
        assert await found(store_rig) == []


async def test_a_store_in_which_park_never_ran_balances_too(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await an_hour_of_traffic(claims, sessions)
    assert await asked(store_rig, lambda reads: reads.books.parked()) == []
    assert await found(store_rig) == []
