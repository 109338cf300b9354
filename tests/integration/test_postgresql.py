"""The PostgreSQL stores against a real server: its statements, its outages, its days, its clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from schemas.errors import Misconfigured, Unavailable
from tests.building.facts import a_cdr
from tests.building.stores import (
    PostgresqlRig,
    a_claim,
    a_receipt,
    a_tally,
    a_whole_call,
    asked,
    at,
    claimed,
    fold,
    forget_everything,
    marked,
    stepping,
    types,
)
from tests.services.postgresql import PostgreSQL
from workers.stores.postgresql import open_claims, open_parked, open_reads, open_sessions
from workers.stores.postgresql.claims import PostgresqlClaims
from workers.stores.postgresql.pool import Database, open_database
from workers.stores.postgresql.schema import migrate
from workers.stores.postgresql.sessions import PostgresqlSessions

MOST_STATEMENTS = 8
SECRET = "hunter2hunter2"


@pytest.fixture
async def dsn(postgres_dsn: str) -> str:
    await forget_everything(postgres_dsn)
    return postgres_dsn


@asynccontextmanager
async def statements(store: PostgresqlClaims | PostgresqlSessions) -> AsyncIterator[list[str]]:
    """What the store's batches send; the one connection of its pool has been used before (it looks up types once)."""
    sent: list[str] = []

    def noted(query: Any) -> None:
        sent.append(query.query)

    async with store._database._pool.acquire() as connection:
        connection.add_query_logger(noted)
    yield sent
    await asyncio.sleep(0)
    async with store._database._pool.acquire() as connection:
        connection.remove_query_logger(noted)


async def test_a_batch_of_500_claims_takes_at_most_eight_statements(dsn: str) -> None:
    async with open_claims(dsn) as store:
        await store.claim([a_receipt("n", a_claim("k", "f")), a_receipt("m", a_claim("k", "g", version="b"))], [])
        receipts = [a_receipt(f"n{n}", a_claim(f"k{n}", f"f{n}")) for n in range(500)]
        async with statements(store) as sent:
            await store.claim(receipts, [a_tally("t1", 1)])
        assert 4 <= len(sent) <= MOST_STATEMENTS, sent
        mixed = [
            a_receipt(f"m{n}", a_claim(f"k{n}", f"g{n}", version="b" if n % 2 else "a"), a_claim(f"l{n}", f"h{n}"))
            for n in range(500)
        ]
        async with statements(store) as sent:
            results = await store.claim(mixed, [a_tally("t2", 1)])
        assert 4 <= len(sent) <= MOST_STATEMENTS, sent
    assert sorted(results.values()) == ["amended"] * 250 + ["duplicate"] * 250 + ["new"] * 500


async def test_a_fold_of_500_calls_takes_at_most_eight_statements(dsn: str) -> None:
    async with open_sessions(dsn) as (store, _):
        await marked(store, [one.id for one in await fold(store, a_whole_call("s", told=1), told=1)], told=1)
        for told in (70, 90):
            async with statements(store) as sent:
                said = await fold(store, *(a_whole_call(f"s{n}", told=told) for n in range(500)), told=told)
            assert len(said) == 500  # the second time: what nobody has sent
            assert 4 <= len(sent) <= MOST_STATEMENTS, sent
        async with statements(store) as sent:
            await store.sent([envelope.id for envelope in said], at(91))
        assert sent == [], "a mark rides in the next transaction"
        async with statements(store) as sent:
            assert await store.unsent(at(99), 500) == []
        assert len(sent) == 4, sent


async def test_workers_that_meet_the_same_sessions_in_other_orders_never_collide(dsn: str) -> None:
    """Rows are locked in one order, so nobody is ever the victim of a deadlock."""
    async with open_sessions(dsn) as (one, _), open_sessions(dsn) as (other, _), open_database(dsn) as database:
        for told in range(8):
            news = [fact for n in range(40) for fact in (a_cdr(f"r{told}", session=f"s{n}", told=told),)]
            await asyncio.gather(
                fold(one, *news, told=told),
                fold(other, *news[::-1], told=told),
                fold(one, *news[20:], *news[:20], told=told),
                other.due(at(told), stepping(told), 10),
                one.unsent(at(told + 9), 10),
            )
        kept = await database.fetch("SELECT count(*) n FROM session")
        assert (kept[0]["n"], await deadlocks(database)) == (40, 0)


async def test_workers_that_claim_the_same_keys_in_other_orders_never_collide(dsn: str) -> None:
    async with open_claims(dsn) as one, open_claims(dsn) as other, open_database(dsn) as database:
        for n in range(8):
            told = [a_receipt(f"{n}|{key}", a_claim(f"{n}|{key}", f"{n}|{key}", version="a")) for key in range(200)]
            late = [a_receipt(f"{n}.{key}", a_claim(f"{n}|{key}", f"{n}.{key}", version="b")) for key in range(200)]
            await asyncio.gather(
                one.claim([*told, *late], []), other.claim([*late[::-1], *told[::-1]], []), one.claim(late[::-1], [])
            )
        assert await deadlocks(database) == 0


async def deadlocks(database: Database) -> int:
    await asyncio.sleep(1.1)  # the server's statistics come late
    (row,) = await database.fetch("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(row["deadlocks"])


async def test_a_deadlock_is_tried_again(dsn: str) -> None:
    tries = 0

    async def loses_once(connection: Any) -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            await connection.execute("DO $$ BEGIN RAISE deadlock_detected; END $$")
        return "done"

    async def always_loses(connection: Any) -> None:
        await connection.execute("DO $$ BEGIN RAISE serialization_failure; END $$")

    async with open_database(dsn) as database:
        assert (await database.transact(loses_once), tries) == ("done", 2)
        with pytest.raises(Unavailable, match="collid"):
            await database.transact(always_loses)


@pytest.mark.parametrize(
    "state", ["57P01", "57014", "55P03", "53100", "53300", "25006", "08006", "58030", "XX001", "0A000", "42704"]
)
async def test_a_server_in_trouble_is_unavailable(dsn: str, state: str) -> None:
    async def fails(connection: Any) -> None:
        await connection.execute(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")

    async with open_database(dsn) as database:
        with pytest.raises(Unavailable):
            await database.transact(fails)


async def test_what_the_values_of_a_batch_cause_is_not_called_unavailable(dsn: str) -> None:
    async with open_database(dsn) as database:
        with pytest.raises(asyncpg.DataError):
            await database.fetch("SELECT $1::int", "no number")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await database.fetch("SELECT 1 / $1::int", 0)
        with pytest.raises(asyncpg.ProgramLimitExceededError):
            await database.fetch("DO $$ BEGIN RAISE program_limit_exceeded; END $$")


async def test_a_connection_that_is_ended_under_a_transaction_commits_nothing_and_the_next_works(dsn: str) -> None:
    async def ended(connection: Any) -> None:
        await connection.execute("CREATE TABLE never (n int)")
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async with open_claims(dsn) as store:
        with pytest.raises(Unavailable):
            await store._database.transact(ended)
        assert (await store._database.fetch("SELECT to_regclass('never') never"))[0]["never"] is None
        assert await claimed(store, a_claim("k", "f1")) == ["new"]


async def test_a_server_that_stops_and_starts_is_unavailable_meanwhile_and_nothing_is_lost(
    own_postgresql: PostgreSQL,
) -> None:
    dsn = own_postgresql.make_database()
    async with open_sessions(dsn) as (store, _), open_claims(dsn) as claims, open_reads(dsn) as reads:
        said = await fold(store, a_whole_call(), told=70)
        await asyncio.to_thread(own_postgresql.kill)
        with pytest.raises(Unavailable):
            await fold(store, a_whole_call("s2"), told=71)
        with pytest.raises(Unavailable):
            await claimed(claims, a_claim("k", "f1"))
        with pytest.raises(Unavailable):
            await store.expire(at(71), 10)
        with pytest.raises(Unavailable):
            await reads.due()
        with pytest.raises(Unavailable):
            await asked(PostgresqlRig(dsn), lambda late: late.due())
        await asyncio.to_thread(own_postgresql.start)
        assert await reads.event_ids() == {said[0].id}
        assert types(await fold(store, a_whole_call("s2"), told=72)) == ["call.completed"]
        assert (await store.unsent(at(80), 10))[0] == said[0]
        assert await claimed(claims, a_claim("k", "f1")) == ["new"]
        await asyncio.to_thread(own_postgresql.stop)
        with pytest.raises(Unavailable):
            await store.unsent(at(90), 10)


async def test_a_start_waits_for_an_absent_server_and_no_longer_than_its_limit(own_postgresql: PostgreSQL) -> None:
    dsn = own_postgresql.make_database()
    await asyncio.to_thread(own_postgresql.stop)
    with pytest.raises(Unavailable):
        async with asyncio.timeout(20), open_claims(dsn, start_seconds=1):  # by itself it waits for 30 s
            pass
    opening = asyncio.ensure_future(_opens(dsn))
    await asyncio.sleep(1)
    assert not opening.done()
    await asyncio.to_thread(own_postgresql.start)
    assert await opening == ["new"]


async def _opens(dsn: str) -> list[str]:
    async with open_claims(dsn) as store:
        return await claimed(store, a_claim("k", "f1"))


@pytest.mark.parametrize(
    "broken", ["postgresql://callstitch:{secret}@127.0.0.1:{port}/no_such", "postgresql://u:{secret}@h:x/d"]
)
async def test_a_refused_login_is_a_fault_of_the_config_and_shows_no_password(dsn: str, broken: str) -> None:
    url = broken.format(secret=SECRET, port=dsn.rpartition(":")[2].partition("/")[0])
    with pytest.raises(Misconfigured) as refused:
        async with open_claims(url):
            pass
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_many_processes_may_open_an_empty_database_at_once(dsn: str) -> None:
    async def opens() -> None:
        async with open_claims(dsn), open_sessions(dsn), open_parked(dsn):
            pass

    await asyncio.gather(*(opens() for _ in range(4)))


async def test_a_migration_that_fails_changes_nothing(dsn: str) -> None:
    async with open_database(dsn) as database:
        with pytest.raises(Unavailable, match="PostgresSyntaxError"):
            await migrate(database, "things", ["CREATE TABLE thing (n int)", "no SQL"])
        await migrate(database, "things", ["CREATE TABLE thing (n int)"])
