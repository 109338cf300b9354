"""What the ledger says of what is parked: it is accounted for, until it went back; nothing is skipped for either."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from runtime.wire import dead_envelope, quarantined
from schemas.envelope import Envelope, Kind, quarantine_copy
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
    await parked.replayed([dead.id], at(5))
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
        await parked.replayed([bad.id], at(5))
        assert await found(store_rig) == []


async def test_a_push_is_parked_once_and_stands_for_all_of_its_bad_items(
    store_rig: StoreRig, claims: ClaimStore, parked: ParkedStore
) -> None:
    """Also after a release that can read some of them: the receipt, which is written once, says quarantined for all."""
    await claims.claim([a_receipt("n1", quarantined=50)], [a_tally("t1", 1)])
    async with store_rig.open_sessions():
        (difference,) = await found(store_rig)
        assert difference.what == "50 item(s) were quarantined and are not parked"
        stage = park(parked, box="quarantine", clock=lambda: at(2 * HOUR))
        await stage.handle([unreadable(bad=50)])
        assert await found(store_rig) == []
        (group,) = await asked(store_rig, lambda reads: reads.parked_groups("quarantine"))
        assert (group["count"], group["items"], group["reason"]) == (1, 50, "bad_time")
        await parked.want([group["example"]])
        await parked.replayed([group["example"]], at(5))
        await stage.handle([unreadable(bad=3)])
        assert await found(store_rig) == []
        (shown,) = await asked(store_rig, lambda reads: reads.parked("quarantine", wanted="q1", limit=20))
        assert (shown["raw"]["body"]["bad"], shown["state"], shown["attempts"]) == (3, "parked", 2)


async def test_items_that_an_older_program_parked_one_by_one_still_count(
    store_rig: StoreRig, claims: ClaimStore, parked: ParkedStore
) -> None:
    """Their messages may lie in the queue yet."""
    await claims.claim([a_receipt("n1", quarantined=2)], [a_tally("t1", 1)])
    async with store_rig.open_sessions():
        stage = park(parked, box="quarantine", clock=lambda: at(2 * HOUR))
        for n in range(2):
            body = {"reason": "bad_time", "stage": "dedupe", "item": n, "items": 2, "envelope": {}}
            await stage.handle([Envelope(id=f"q{n}", kind=Kind.QUARANTINED, source="huawei-bj", at=T0, body=body)])
        assert await found(store_rig) == []


def unreadable(*, bad: int) -> Envelope:
    """What dedupe makes of a push of 50 items of which so many are bad."""
    notification = Envelope(id="n1", kind=Kind.NOTIFICATION, source="huawei-bj", at=T0, body={})
    return quarantine_copy(notification, parked_id="q1", reason="bad_time", stage="dedupe", items=50, bad=bad)


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
