"""The outbox of PostgreSQL by the day, and the clock by which its deadlines are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.building.facts import T0, a_cdr, all_events, kept, seconds
from tests.building.stores import a_whole_call, at, event, fold, forget_everything, stepping
from workers.stores.postgresql import open_sessions
from workers.stores.postgresql.pool import Database


@pytest.fixture
async def dsn(postgres_dsn: str) -> str:
    await forget_everything(postgres_dsn)
    return postgres_dsn


async def days(database: Database) -> dict[str, int]:
    rows = await database.fetch("SELECT tableoid::regclass::text AS day, count(*) n FROM outbox GROUP BY 1")
    return {row["day"]: row["n"] for row in rows}


async def test_the_outbox_is_kept_by_the_day_and_days_are_dropped_whole(dsn: str) -> None:
    async with open_sessions(dsn) as (store, _):
        database = store._database
        start = T0 + timedelta(days=30)
        for n in range(3):
            now = start + timedelta(days=n)
            await store.expire(now, 100)
            fact = a_whole_call(f"s{n}")
            await store.fold({fact.call_id: [kept(fact)]}, stepping((now - T0).total_seconds()), now)
        assert await days(database) == {"outbox_on_20261221": 1, "outbox_on_20261222": 1, "outbox_on_20261223": 1}
        said = await store.unsent(start + timedelta(days=3), 10)
        await store.sent([said[0].id, said[2].id], start + timedelta(days=3))
        while await store.expire(start + timedelta(days=30), 100):
            pass
        assert await days(database) == {"outbox_on_20261222": 1}
        assert [row["id"] for row in await database.fetch("SELECT id FROM session")] == [b"huawei-bj:s1"]


async def test_a_session_that_outlives_its_day_takes_its_record_over(dsn: str) -> None:
    """And is amended as if nothing had gone; one that is quiet goes after its day, and takes nothing over."""
    async with open_sessions(dsn) as (store, _):
        database, start = store._database, T0 + timedelta(days=30)
        await store.expire(start, 100)
        told, day = timedelta(days=30).total_seconds(), timedelta(days=1).total_seconds()
        said = await fold(store, *(a_whole_call(f"s{n}", told=told) for n in range(3)), told=told)
        await store.sent([envelope.id for envelope in said], at(told))
        lively = a_whole_call("s1", told=told)
        assert await fold(store, lively, told=told + 5 * day) == []
        assert await fold(store, a_cdr("r1", session="s2", told=told, implies=()), told=told + 8.4 * day) == []
        while await store.expire(at(told + 8.5 * day), 100):
            pass
        assert await days(database) == {}
        left = await database.fetch("SELECT id, said, state LIKE '%\n{%' AS whole FROM session ORDER BY id")
        assert [tuple(row) for row in left] == [(f"huawei-bj:s{n}".encode(), None, True) for n in (1, 2)]
        for n in (1, 2):
            late = told + (8.6 + n / 10) * day
            assert (
                await fold(store, a_cdr("r1", session=f"s{n}", told=late, implies=(), user_data="x"), told=late) == []
            )
            (amended,) = await store.due(at(late + 3), stepping(late + 3), 10)
            assert event(amended)["data"]["changed"] == ["/user_data", "/cdrs/0/user_data", "/cdrs/0/raw/user_data"]


async def test_a_day_without_a_partition_loses_nothing(dsn: str) -> None:
    """Rows wait in the rest, are sent from there, and are deleted in chunks."""
    async with open_sessions(dsn) as (store, _):
        told = timedelta(days=400).total_seconds()
        said = await fold(store, *(a_whole_call(f"s{n}", told=told) for n in range(5)), told=told)
        assert await days(store._database) == {"outbox_rest": 5}
        await store.sent([envelope.id for envelope in said], at(told))
        await store.expire(at(told), 100)  # their day cannot be made any more
        assert await days(store._database) == {"outbox_rest": 5}
        gone = [await store.expire(at(told + 8 * 86400), 3) for _ in range(3)]
        assert sum(gone) == 10  # 5 rows and 5 sessions
        assert await days(store._database) == {}


async def test_deadlines_are_told_by_the_servers_clock(dsn: str) -> None:
    async with open_sessions(dsn) as (store, clock):
        (row,) = await store._database.fetch("SELECT clock_timestamp() now")
        assert abs(clock() - row["now"]) < seconds(5)
        assert clock().tzinfo is not None
        assert clock() <= clock() <= datetime.now(UTC) + seconds(5)


async def test_an_event_has_one_body_even_if_a_step_would_say_it_again(dsn: str) -> None:
    async with open_sessions(dsn) as (store, _):
        (said,) = await fold(store, *all_events(), a_cdr(told=70), told=70)
        await store._database.execute("UPDATE session SET state = ''")  # as if the session were new
        assert await fold(store, *all_events(), a_cdr(told=70), told=70) == []
        assert await store.unsent(at(80), 10) == [said]
