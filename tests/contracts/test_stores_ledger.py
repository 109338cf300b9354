"""What the ledger says of either store: balanced after traffic, in flight meanwhile, and what is lost by its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from console.ledger.account import read_ledger
from console.ledger.equations import Difference, Sight
from schemas.facts import FactKind, Other
from tests.building.facts import T0, a_cdr, a_fact, a_stored_recording, all_events, an_event
from tests.building.stores import StoreRig, a_whole_call, at, claimed, fold, stepping
from tests.building.traffic import (
    CLOSED,
    HOUR,
    OPEN,
    a_claim_of,
    an_hour_of_traffic,
    arrive,
    behind_the_back,
    found,
    passed_on,
    rows,
)
from workers.correlate import SessionStore
from workers.dedupe import ClaimStore
from workers.retention import CLAIMS_KEPT

FORGOTTEN = CLAIMS_KEPT.total_seconds() + 86400  # PostgreSQL forgets the outbox by whole days


async def test_normal_traffic_balances(store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore) -> None:
    await an_hour_of_traffic(claims, sessions)
    (row,) = await rows(store_rig)
    assert (row["items"], row["unique"], row["amended"], row["duplicate"]) == (16, 7, 1, 8)
    assert (row["passed"], row["arrived"], row["sessions"], row["compared"]) == (8, 8, 2, True)
    assert row["revisions"] == row["events"] == row["sent"] >= 2
    assert await found(store_rig) == []


async def test_what_is_told_at_once_or_learned_by_us_is_no_fact_to_wait_for(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    other = a_fact(FactKind.OTHER, "other|0a1b", Other(raw={}), told=5, session="")
    await passed_on(claims, other)
    await arrive(sessions, [*await passed_on(claims, a_whole_call()), a_stored_recording("key")])
    (row,) = await rows(store_rig)
    assert (row["unique"], row["passed"], row["arrived"]) == (2, 1, 1)
    assert await found(store_rig) == []


async def test_facts_that_are_on_their_way_are_in_flight(store_rig: StoreRig, claims: ClaimStore) -> None:
    await passed_on(claims, *all_events())
    async with store_rig.open_sessions():
        for sight in (
            Sight(now=OPEN),
            Sight(now=CLOSED, waits={"huawei-bj": timedelta(hours=4)}),
            Sight(now=CLOSED, queues={"callstitch.unique.v1": 1}),
            Sight(now=CLOSED, queues=None),
        ):
            (difference,) = await found(store_rig, sight)
            assert difference.in_flight
            assert difference.what == "5 fact(s) were passed on and have not arrived in a session"


async def test_a_fact_that_never_arrived_is_named_once_the_window_is_closed(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await an_hour_of_traffic(claims, sessions)
    lost = an_event("digits", told=33)
    await passed_on(claims, lost)
    (difference,) = await found(store_rig, Sight(now=CLOSED, queues={"callstitch.unique.v1": 0}))
    assert difference == Difference(
        source="huawei-bj",
        hour="2026-11-21T08",
        what="1 fact(s) were passed on and are in no session",
        names=[f"fact {lost.id} received 2026-11-21T08:00:33.000000Z"],
    )


async def test_a_session_that_vanished_is_named_by_its_facts(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await an_hour_of_traffic(claims, sessions)
    await behind_the_back(store_rig, "correlate", "DELETE FROM session WHERE id = ?", "huawei-bj:s2")
    (difference,) = await found(store_rig)
    assert difference.what == "1 fact(s) were passed on and are in no session"
    assert [name.partition(" received ")[0] for name in difference.names] == [f"fact {a_whole_call('s2').id}|0"]


async def test_a_fact_in_two_sessions_is_named(store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore) -> None:
    await an_hour_of_traffic(claims, sessions)
    names = "source, state, revision, status, hour, due_at, updated_at, arrived"
    copied = f"INSERT INTO session (id, {names}) SELECT ?, {names} FROM session WHERE id = ?"  # noqa: S608 - our own text
    await behind_the_back(store_rig, "correlate", copied, "huawei-bj:s3", "huawei-bj:s2")
    facts, events = await found(store_rig)
    assert facts.what == "1 fact(s) are in a session and were not passed on, or are in two"
    assert facts.names == ["cdr in call huawei-bj:s3 received 2026-11-21T08:01:10.000000Z"]
    assert events.names == ["call huawei-bj:s3: 1 revisions, 0 events"]


async def test_a_fact_that_nobody_claimed_is_named(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await an_hour_of_traffic(claims, sessions)
    await arrive(sessions, [a_cdr("r1-again", session="s2", told=71)])
    await sessions.due(at(99), stepping(99), 10)
    (difference,) = await found(store_rig)
    assert difference.names == ["cdr in call huawei-bj:s2 received 2026-11-21T08:01:11.000000Z"]


async def test_one_lost_and_one_doubled_in_an_hour_are_both_named_if_the_counts_differ(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await passed_on(claims, *all_events())
    await arrive(sessions, [a_cdr(told=70)])
    lost, doubled = await found(store_rig)
    assert (len(lost.names), len(doubled.names)) == (5, 1)


async def test_one_lost_and_one_doubled_that_make_the_same_count_are_found_fact_by_fact(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await passed_on(claims, a_cdr(told=70))
    await arrive(sessions, [a_cdr("r1-again", told=70, implies=())])
    assert await found(store_rig) == []
    lost, doubled = await found(store_rig, Sight(now=CLOSED, fact_by_fact=True))
    assert (len(lost.names), len(doubled.names)) == (1, 1)
    assert await found(store_rig, Sight(now=OPEN, fact_by_fact=True)) == []


async def test_a_telling_out_of_order_counts_in_the_hour_of_the_earliest_on_both_sides(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    late, early = a_whole_call(told=HOUR + 5), a_whole_call(told=70)
    for fact in (late, early, late):
        await arrive(sessions, await passed_on(claims, fact))
    counts = [(row["hour"], row["passed"], row["arrived"]) for row in await rows(store_rig)]
    assert counts == [("2026-11-21T08", 1, 1), ("2026-11-21T09", 0, 0)]
    assert await found(store_rig) == []


async def test_an_earlier_telling_on_its_way_loses_nothing(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    """Its claim has moved to the earlier hour already; the fact itself is there."""
    await arrive(sessions, await passed_on(claims, a_whole_call(told=HOUR + 5)))
    await passed_on(claims, a_whole_call(told=70))
    assert [row["passed"] - row["arrived"] for row in await rows(store_rig)] == [1, -1]
    assert await found(store_rig) == []


async def test_an_event_that_vanished_is_named_by_its_call(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await an_hour_of_traffic(claims, sessions)
    await behind_the_back(store_rig, "correlate", "DELETE FROM outbox WHERE call_id = ?", "huawei-bj:s2")
    (difference,) = await found(store_rig)
    assert difference.names == ["call huawei-bj:s2: 1 revisions, 0 events"]


async def test_what_is_not_sent_yet_is_told_and_is_no_difference(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await fold(sessions, *await passed_on(claims, a_whole_call()), told=70)
    (row,) = await rows(store_rig)
    assert (row["revisions"], row["events"], row["sent"]) == (1, 1, 0)
    assert await found(store_rig) == []


async def test_a_call_that_came_back_from_its_tombstone_balances(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await arrive(sessions, await passed_on(claims, a_whole_call()))
    while await sessions.expire(at(70 + FORGOTTEN), 3) or await claims.expire(at(70 + FORGOTTEN), 3):
        pass
    late = 100 + FORGOTTEN
    await arrive(sessions, await passed_on(claims, a_whole_call(told=late)))
    await sessions.due(at(late + 2), stepping(late + 2), 10)
    (row,) = await rows(store_rig, at(late + 3 * HOUR))
    assert (row["passed"], row["arrived"], row["revisions"], row["events"]) == (1, 1, 1, 1)
    assert await found(store_rig, Sight(now=at(late + 3 * HOUR))) == []


async def test_a_fact_told_again_after_its_claim_was_forgotten_is_not_lost(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    """The call went on meanwhile, so its session still holds the fact, under the hour of its first telling."""
    for told in (70, CLAIMS_KEPT.total_seconds()):
        await arrive(sessions, await passed_on(claims, a_cdr(f"r{told}", told=told, implies=())))
    again = CLAIMS_KEPT.total_seconds() + HOUR
    await claims.expire(at(again), 100)
    await arrive(sessions, await passed_on(claims, a_cdr("r70", told=again, implies=())))
    (*_, row) = await rows(store_rig, at(again + 3 * HOUR))
    assert (row["passed"], row["arrived"]) == (1, 0)
    assert await found(store_rig, Sight(now=at(again + 3 * HOUR))) == []


async def test_hours_whose_claims_are_about_to_be_forgotten_are_not_compared(
    store_rig: StoreRig, claims: ClaimStore
) -> None:
    await passed_on(claims, a_whole_call())
    async with store_rig.open_sessions():
        for days, compared in ((5.9, True), (6.1, False)):
            (row,) = await rows(store_rig, T0 + timedelta(days=days))
            assert row["compared"] is compared


async def test_hours_and_sources_can_be_chosen(store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore) -> None:
    for n in range(4):
        await arrive(sessions, await passed_on(claims, a_whole_call(f"s{n}", told=n * HOUR)))
    other = replace(a_whole_call(), source="other")
    await claimed(claims, a_claim_of(other), envelope="n9")
    async with store_rig.open_reads() as reads:
        read = partial(read_ledger, reads.books, now=CLOSED)
        chosen = await read(since=T0.replace(hour=9, minute=30), until=at(2 * HOUR), source="huawei-bj")
        everything = await read(source="other")
    assert [(row["hour"], row["passed"], row["arrived"]) for row in chosen] == [
        ("2026-11-21T09", 1, 1),
        ("2026-11-21T10", 1, 1),
    ]
    assert [(row["source"], row["passed"]) for row in everything] == [("other", 1)]
