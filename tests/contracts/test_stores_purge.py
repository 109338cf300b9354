"""Erasing a person or a call from every place that a store keeps; nothing here is skipped for either store."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, get_args

import asyncpg
import pytest

from console.purging import Means, of_call, of_number
from runtime.wire import dead_envelope, quarantined
from schemas.envelope import Envelope, Kind
from schemas.facts import Announced, Fact
from schemas.notification import Notification, to_json
from tests.building.facts import T0, a_cdr, a_decision, a_stored_recording, all_events, an_event, enveloped, seconds
from tests.building.stores import (
    PostgresqlRig,
    SqliteRig,
    StoreRig,
    a_whole_call,
    all_opened,
    asked,
    at,
    event,
    fold,
    stepping,
    types,
)
from tests.building.traffic import CLOSED, HOUR, arrive, found, passed_on, rows
from workers.calls.events import Event, event_envelope
from workers.correlate import SessionStore, correlate
from workers.dedupe import ClaimStore
from workers.park import ParkedStore, park
from workers.retention import AS_EVER
from workers.stores.places import OF_NOBODY, OF_PEOPLE, Place, Row
from workers.stores.reads import Reads

NUMBER: Final = "+8613811110021"
SESSION: Final = f"{NUMBER}_+8613900000012_4_627e5c1f"
CALL: Final = f"huawei-bj:{SESSION}"
LATER: Final = at(HOUR)
RECORDED: Final = a_cdr(implies=(), recordings=(Announced(name="a", domain="d"),))


@pytest.fixture
async def parked(store_rig: StoreRig) -> AsyncIterator[ParkedStore]:
    async with store_rig.open_parked() as store:
        yield store


async def everything(rig: StoreRig) -> list[tuple[Place, Row]]:
    async def read(reads: Reads) -> list[tuple[Place, Row]]:
        return [(place, row) for place in OF_PEOPLE async for row in reads.rows(place)]

    return await asked(rig, read)


async def places_of(rig: StoreRig, means: Means) -> set[Place]:
    return {place for place, row in await everything(rig) if means(place, row)}


async def tables(rig: StoreRig) -> set[str]:
    if isinstance(rig, SqliteRig):
        found: set[str] = set()
        for path in rig.directory.glob("*.db"):
            with closing(sqlite3.connect(path)) as db:
                found |= {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return found
    assert isinstance(rig, PostgresqlRig)
    connection = await asyncpg.connect(rig.dsn)
    query = (
        "SELECT relname FROM pg_class c WHERE relnamespace = 'callstitch'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition"
    )
    names = {row["relname"] for row in await connection.fetch(query)}
    await connection.close()
    return names


def the_call() -> list[Fact]:
    told = [*all_events(), a_cdr(told=70, caller=NUMBER)]
    return [replace(fact, session_id=SESSION, key=f"{fact.key}|{NUMBER}") for fact in told]


async def a_call_of_one_person(claims: ClaimStore, sessions: SessionStore) -> None:
    await arrive(sessions, await passed_on(claims, *the_call(), a_whole_call("s2")))


async def test_every_table_is_in_the_one_list_of_places(store_rig: StoreRig) -> None:
    async with AsyncExitStack() as stack:
        await all_opened(store_rig, stack)
        assert await tables(store_rig) - OF_PEOPLE.keys() - OF_NOBODY.keys() == set()
    assert OF_PEOPLE.keys() == set(get_args(Place))


async def test_a_person_is_gone_from_every_place_and_everybody_else_stays(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore, parked: ParkedStore
) -> None:
    await a_call_of_one_person(claims, sessions)
    await forgotten(sessions, "+8613811110021_gone")
    told = event_envelope(a_number_event(), at=T0, trace="t")
    await sessions.tell([told], at(80))
    await sessions.sent([told.id], at(80))
    await park(parked, box="quarantine", clock=lambda: at(99)).handle([a_bad_push(b"{\xff 0086-138 1111 0021")])
    means = of_number("138 1111 0021")
    assert await places_of(store_rig, means) == set(OF_PEOPLE)

    assert await sessions.purge([CALL, "huawei-bj:+8613811110021_gone"], [told.id], LATER) == {}
    assert await parked.purge(["parked"]) == 1
    assert await places_of(store_rig, means) == set()
    others = await asked(store_rig, lambda reads: reads.session("huawei-bj:s2"))
    assert others is not None
    assert await found(store_rig) == []


async def forgotten(sessions: SessionStore, session: str) -> None:
    """A call of which only the tombstone is left."""
    long_ago = -AS_EVER.sessions.total_seconds() * 3
    for envelope in await fold(sessions, a_whole_call(session, told=long_ago), told=long_ago):
        await sessions.sent([envelope.id], at(long_ago))
    while await sessions.expire(at(-86400), 10):
        pass


def a_number_event() -> Event:
    data = {"raw": {"number": NUMBER}}
    return Event(type="number.changed", source="huawei-bj", subject="huawei-bj:", time=T0, data=data)


def a_bad_push(body: bytes) -> Envelope:
    push = Notification(path="/fee", remote="192.0.2.1", content_type="", body=body)
    stored = Envelope(id="n1", kind=Kind.NOTIFICATION, source="huawei-bj", at=T0, body=to_json(push))
    return replace(quarantined(stored, reason="not_json", stage="dedupe"), id="parked")


async def test_what_is_pushed_again_makes_no_record_and_says_nothing_and_the_ledger_balances(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore
) -> None:
    await a_call_of_one_person(claims, sessions)
    assert await sessions.purge([CALL], [], LATER) == {}
    assert await found(store_rig) == []

    again = [replace(fact, id=f"{fact.id}|again", at=fact.at + seconds(100)) for fact in the_call()]
    assert await passed_on(claims, *again) == [], "a re-push is a duplicate: the claims' hashes stay"
    news = [
        replace(fact, session_id=SESSION, key=f"{fact.key}|{NUMBER}")
        for fact in (a_cdr(told=200, user_data="amended"), an_event("digits", told=201))
    ]
    stage = correlate(sessions, patience={}, progress=frozenset({"huawei-bj"}), clock=lambda: at(210))
    said = await stage.handle([enveloped(fact) for fact in (*the_call(), *await passed_on(claims, *news))])
    assert list(said) == [], "neither a record nor progress"
    assert await sessions.due(at(99999), stepping(99999), 10) == []
    assert await asked(store_rig, lambda reads: reads.session(CALL)) is None
    assert await places_of(store_rig, of_number(NUMBER)) == set()
    assert await found(store_rig) == []
    (row,) = await rows(store_rig)
    assert (row["passed"], row["arrived"], row["sessions"]) == (9, 9, 2)
    assert row["revisions"] == row["events"] == 1


async def test_a_purged_call_is_known_for_as_long_as_tombstones_are(claims: ClaimStore, sessions: SessionStore) -> None:
    await a_call_of_one_person(claims, sessions)
    await sessions.purge([CALL], [], LATER)
    late = LATER + AS_EVER.sessions + timedelta(days=2)
    while await sessions.expire(late, 10):
        pass
    (cdr,) = [fact for fact in the_call() if fact.kind == "cdr"]
    told = (late - T0).total_seconds()
    assert await fold(sessions, replace(cdr, at=late), told=told) == []
    assert types(await fold(sessions, a_whole_call("s3", told=told), told=told)) == ["call.completed"]


async def test_a_call_that_was_forgotten_before_is_known_by_its_keyed_id_too(sessions: SessionStore) -> None:
    await forgotten(sessions, SESSION)
    assert await sessions.purge([CALL], [], LATER) == {}
    assert await fold(sessions, a_whole_call(SESSION), told=70) == []


@pytest.mark.parametrize(
    ("facts", "sent", "why"),
    [
        ([a_cdr(told=70)], True, "it waits for a deadline"),
        ([a_whole_call()], False, "an event or an order of it was not sent yet"),
        (
            [a_cdr(implies=(), recordings=(Announced(name="a", domain="d"),))],
            True,
            "a recording of it is being fetched",
        ),
    ],
)
async def test_a_call_with_work_under_way_is_left_as_it_is(
    store_rig: StoreRig, sessions: SessionStore, facts: Sequence[Fact], *, sent: bool, why: str
) -> None:
    said = await fold(sessions, *facts, told=70)
    if sent:
        await sessions.sent([envelope.id for envelope in said], at(71))
    before = await everything(store_rig)
    assert await sessions.purge(["huawei-bj:s1"], [], at(72)) == {"huawei-bj:s1": why}
    assert await everything(store_rig) == before


async def test_a_recording_that_ended_is_not_waited_for(sessions: SessionStore) -> None:
    said = [*await fold(sessions, RECORDED, told=70)]
    (order,) = [one for one in said if one.kind == Kind.RECORDING_WANTED]
    body: Any = order.body
    said += await fold(sessions, a_stored_recording(body["key"]), told=75)
    await sessions.sent([envelope.id for envelope in said], at(76))
    assert await sessions.purge(["huawei-bj:s1"], [], at(77)) == {}


async def test_an_event_of_no_call_that_is_not_sent_waits(sessions: SessionStore) -> None:
    told = event_envelope(a_number_event(), at=T0, trace="t")
    await sessions.tell([told], at(80))
    assert await sessions.purge([], [told.id], LATER) == {told.id: "it was not sent yet"}


async def test_a_decision_of_a_purged_call_is_told_to_nobody(sessions: SessionStore, claims: ClaimStore) -> None:
    await a_call_of_one_person(claims, sessions)
    await sessions.purge([CALL], [], LATER)
    stage = correlate(sessions, patience={}, progress=frozenset(), clock=lambda: at(210))
    assert list(await stage.handle([enveloped(a_decision("call", session=SESSION))])) == []
    (decided,) = await stage.handle([enveloped(a_decision("call", session="s9"))])
    assert isinstance(decided, Envelope)
    assert event(decided)["type"] == "callstitch.call.decided.v1"


async def test_a_dead_fact_that_was_purged_still_counts_and_cannot_go_back(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore, parked: ParkedStore
) -> None:
    (fact,) = await passed_on(claims, replace(a_whole_call(), session_id=SESSION))
    dead = dead_envelope(enveloped(fact), reason="broken", stage="callstitch.unique.v1")
    stage = park(parked, box="dead", clock=lambda: at(99))
    await stage.handle([dead])
    assert await places_of(store_rig, of_call(CALL)) == {"parked"}
    assert await parked.purge([dead.id]) == 1
    assert await places_of(store_rig, of_call(CALL)) == set()
    assert await found(store_rig) == []
    await stage.handle([dead])
    assert await parked.want([dead.id]) == 0
    assert await places_of(store_rig, of_call(CALL)) == set()
    (row,) = await rows(store_rig)
    assert (row["dead"], row["purged"], row["dead_facts"]) == (0, 1, 1)
    assert sessions is not None


async def test_what_waits_to_go_back_is_not_purged(store_rig: StoreRig, parked: ParkedStore) -> None:
    await park(parked, box="quarantine", clock=lambda: at(99)).handle([a_bad_push(b"13811110021")])
    await parked.want(["parked"])
    assert await parked.purge(["parked"]) == 0
    assert await places_of(store_rig, of_number(NUMBER)) == {"parked"}


async def test_parked_messages_expire_where_that_is_wanted_and_are_counted(
    store_rig: StoreRig, claims: ClaimStore, sessions: SessionStore, parked: ParkedStore
) -> None:
    await passed_on(claims)
    await park(parked, box="quarantine", clock=lambda: at(99)).handle([a_bad_push(b"13811110021")])
    assert await parked.expiring("quarantine", at(98)) == (0, None)
    assert await parked.expiring("quarantine", at(99)) == (1, at(99))
    assert await parked.expire("quarantine", at(98), 10) == 0
    assert await parked.expire("dead", at(99), 10) == 0
    assert [await parked.expire("quarantine", at(99), 10) for _ in range(2)] == [1, 0]
    assert await places_of(store_rig, of_number(NUMBER)) == set()
    (row,) = await rows(store_rig, CLOSED)
    assert (row["quarantine"], row["expired"], row["ever_quarantined"]) == (0, 1, 1)
    assert await asked(store_rig, lambda reads: reads.parked_groups("quarantine")) == []
    assert sessions is not None


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("+8613811110021", True),
        ("0086 138-1111-0021", True),
        ("x13811110021y", True),
        ("１３８１１１１００２１", True),  # noqa: RUF001 - full-width digits are digits too
        ("138111100210", False),
        ("213811110021", False),
        ("+113811110021", False),
    ],
)
def test_a_number_is_found_in_whatever_spelling_and_never_within_another(text: str, *, held: bool) -> None:
    assert of_number("13811110021")("parked", Row("1", None, text.encode())) is held


@pytest.mark.parametrize("text", ["0755-12345678", "+8675512345678", "86 755 1234 5678", "+86 (0755) 12345678"])
def test_a_landline_is_found_too(text: str) -> None:
    assert of_number("075512345678")("parked", Row("1", None, text.encode()))


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="too few digits"):
        of_number("10086")
