"""What every store forgets, when, and what it still knows then; nothing here is skipped for either."""

from __future__ import annotations

from datetime import datetime, timedelta

from schemas.facts import Announced
from tests.building.facts import T0, a_cdr, a_stored_recording, all_events, an_event
from tests.building.stores import (
    StoreRig,
    a_claim,
    a_receipt,
    a_tally,
    a_whole_call,
    asked,
    at,
    claimed,
    event,
    fold,
    ledger,
    stepping,
    types,
)
from workers.correlate import SessionStore
from workers.dedupe import ClaimStore
from workers.retention import AS_EVER, CLAIMS_KEPT

HOUR = timedelta(hours=1)
WEEK = AS_EVER.sessions.total_seconds()
FORGOTTEN = WEEK + 86400  # PostgreSQL forgets the outbox by whole days


async def said_and_sent(store: SessionStore, told: float = 70, session: str = "s1") -> None:
    said = await fold(store, a_whole_call(session, told=told), told=told)
    await store.sent([envelope.id for envelope in said], at(told))


async def everything_expired(store: SessionStore, now: datetime) -> None:
    while await store.expire(now, 3):
        pass


async def test_claims_are_known_for_seven_days(claims: ClaimStore) -> None:
    await claimed(claims, a_claim("k", "f1"), a_claim("k", "f2", version="b"))
    assert await claims.expire(T0 + CLAIMS_KEPT - HOUR, 100) == 0
    assert await claimed(claims, a_claim("k", "f3"), envelope="n2") == ["duplicate"]
    assert await claims.expire(T0 + CLAIMS_KEPT, 100) == 2
    assert await claimed(claims, a_claim("k", "f4"), a_claim("k", "f5", version="b"), envelope="n3") == [
        "new",
        "amended",
    ]


async def test_claims_go_in_chunks(claims: ClaimStore) -> None:
    await claimed(claims, *(a_claim(f"k{n}", f"f{n}") for n in range(25)))
    gone = [await claims.expire(T0 + CLAIMS_KEPT, 10) for _ in range(4)]
    assert gone == [10, 10, 5, 0]


async def test_receipts_and_tallies_of_an_hour_go_together_tallies_first(
    store_rig: StoreRig, claims: ClaimStore
) -> None:
    """Half an hour forgotten must not look as if receipts were missing."""
    receipts = [a_receipt(f"n{n}", quarantined=1) for n in range(3)]
    await claims.claim([*receipts, a_receipt("later", quarantined=1, told=3600)], [a_tally("t1", 3)])
    async with store_rig.open_sessions():
        assert await claims.expire(T0 + CLAIMS_KEPT + HOUR, 1) == 1
        assert [(row.get("receipts"), row.get("answered")) for row in await ledger(store_rig)] == [(3, None), (1, None)]
        while await claims.expire(T0 + CLAIMS_KEPT + HOUR, 1):
            pass
        assert [row["hour"] for row in await ledger(store_rig)] == ["2026-11-21T09"]


async def test_a_session_is_kept_for_seven_days_after_its_last_change(
    store_rig: StoreRig, sessions: SessionStore
) -> None:
    await said_and_sent(sessions, told=70)
    await everything_expired(sessions, at(70 + WEEK - 1))
    assert await asked(store_rig, lambda reads: reads.session("huawei-bj:s1")) is not None
    await everything_expired(sessions, at(70 + FORGOTTEN))
    assert await asked(store_rig, lambda reads: reads.session("huawei-bj:s1")) is None


async def test_sessions_go_in_chunks(sessions: SessionStore) -> None:
    for n in range(5):
        await said_and_sent(sessions, session=f"s{n}")
    gone = 0
    for _ in range(20):
        gone += await sessions.expire(at(70 + FORGOTTEN), 2)
    assert gone >= 5
    assert await sessions.expire(at(70 + FORGOTTEN), 2) == 0


async def test_a_session_with_something_due_is_kept(sessions: SessionStore) -> None:
    await fold(sessions, a_cdr(told=70), told=70)
    await everything_expired(sessions, at(70 + 2 * WEEK))
    assert types(await sessions.due(at(70 + 2 * WEEK), stepping(70 + 2 * WEEK), 10)) == ["call.completed"]


async def test_a_session_with_something_unsent_is_kept_and_so_is_what_is_unsent(
    store_rig: StoreRig, sessions: SessionStore
) -> None:
    said = await fold(sessions, a_whole_call(), told=70)
    await everything_expired(sessions, at(70 + 2 * WEEK))
    assert await asked(store_rig, lambda reads: reads.session("huawei-bj:s1")) is not None
    assert await sessions.unsent(at(70 + 2 * WEEK), 10) == said


async def test_a_row_is_kept_for_seven_days_and_until_it_was_sent(store_rig: StoreRig, sessions: SessionStore) -> None:
    (said,) = await fold(sessions, a_whole_call(), told=70)
    (late,) = await fold(sessions, a_whole_call("s2", told=71), told=71)
    await sessions.sent([said.id], at(72))
    await everything_expired(sessions, at(70 + WEEK - 1))
    assert await asked(store_rig, lambda reads: reads.event_ids()) == {said.id, late.id}
    await everything_expired(sessions, at(70 + FORGOTTEN))
    assert await asked(store_rig, lambda reads: reads.event_ids()) == {late.id}
    await sessions.sent([late.id], at(70 + FORGOTTEN))
    await everything_expired(sessions, at(70 + 2 * WEEK + 86400))
    assert await asked(store_rig, lambda reads: reads.event_ids()) == frozenset()


async def test_a_late_cdr_of_a_forgotten_completed_call_amends_it_with_a_higher_revision(
    sessions: SessionStore,
) -> None:
    await said_and_sent(sessions, told=70)
    await everything_expired(sessions, at(100 + FORGOTTEN))
    late = 200 + FORGOTTEN
    assert await fold(sessions, a_cdr("r2", told=late, implies=()), told=late) == []
    (amended,) = await sessions.due(at(late + 2), stepping(late + 2), 10)
    assert types([amended]) == ["call.amended"]
    assert (event(amended)["revision"], event(amended)["data"]["changed"]) == (2, [""])
    assert [cdr["record_id"] for cdr in event(amended)["data"]["call"]["cdrs"]] == ["r2"]


async def test_a_late_event_of_a_forgotten_call_says_nothing_for_ever(sessions: SessionStore) -> None:
    await said_and_sent(sessions, told=70)
    await everything_expired(sessions, at(100 + FORGOTTEN))
    late = 200 + FORGOTTEN
    assert await fold(sessions, an_event("ended", told=late), told=late) == []
    assert await sessions.due(at(late + WEEK), stepping(late + WEEK), 10) == []


async def test_a_late_cdr_of_a_forgotten_incomplete_call_completes_it_once(sessions: SessionStore) -> None:
    await fold(sessions, *all_events(told=60), told=60)
    said = await sessions.due(at(60 + 900), stepping(60 + 900), 10)
    assert types(said) == ["call.incomplete"]
    await sessions.sent([said[0].id], at(1000))
    await everything_expired(sessions, at(1000 + FORGOTTEN))
    late = 2000 + FORGOTTEN
    (completed,) = await fold(sessions, a_cdr(told=late, implies=()), told=late)
    assert types([completed]) == ["call.completed"]
    assert (event(completed)["revision"], event(completed)["data"]["call"]["late"]) == (2, True)


async def test_a_late_recording_of_a_forgotten_call_is_told(sessions: SessionStore) -> None:
    recorded = a_cdr(implies=(), recordings=(Announced(name="a.wav"),))
    said = await fold(sessions, recorded, told=70)
    await sessions.sent([envelope.id for envelope in said], at(70))
    key = event(said[0])["data"]["call"]["recordings"][0]["key"]
    await everything_expired(sessions, at(100 + FORGOTTEN))
    late = 200 + FORGOTTEN
    stored = await fold(sessions, a_stored_recording(key, told=late), told=late)
    assert types(stored) == ["recording.stored"]
    assert event(stored[0])["revision"] == 2


async def test_revisions_still_rise_when_a_call_is_forgotten_twice(sessions: SessionStore) -> None:
    moments = [70 + n * (FORGOTTEN + 1000) for n in range(3)]
    revisions = []
    for n, told in enumerate(moments):
        said = [*await fold(sessions, a_whole_call(told=told, record=f"r{n}"), told=told)]
        said += await sessions.due(at(told + 2), stepping(told + 2), 10)
        await sessions.sent([envelope.id for envelope in said], at(told + 2))
        revisions += [event(envelope)["revision"] for envelope in said]
        await everything_expired(sessions, at(told + 2 + FORGOTTEN))
    assert revisions == [1, 2, 3]


async def test_a_tombstone_lasts_four_hundred_days(sessions: SessionStore) -> None:
    await said_and_sent(sessions, told=70)
    await everything_expired(sessions, at(70 + FORGOTTEN))
    late = 70 + FORGOTTEN + AS_EVER.tombstones.total_seconds()
    await everything_expired(sessions, at(late - 1))
    await everything_expired(sessions, at(late))
    (again,) = await fold(sessions, a_whole_call(told=late), told=late)
    assert (types([again]), event(again)["revision"]) == (["call.completed"], 1)
