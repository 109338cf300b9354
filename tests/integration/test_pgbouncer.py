"""Behind a real PgBouncer that lends its sessions by transaction: the stores keep their promises and their settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from schemas.errors import Unavailable
from tests.building.stores import PostgresqlRig, a_claim, a_whole_call, asked, claimed, fold
from tests.services.pgbouncer import SESSIONS, PgBouncer
from tests.services.postgresql import PostgreSQL
from workers.stores.postgresql import examine, open_claims, open_parked, open_sessions
from workers.stores.postgresql.pool import open_database, open_read_only

OURS = "extra_float_digits,search_path,timezone,synchronous_commit,default_transaction_isolation,lock_timeout,jit"
IGNORED = f"{OURS},statement_timeout,idle_in_transaction_session_timeout,default_transaction_read_only"
SET = {
    "search_path": "callstitch",
    "synchronous_commit": "on",
    "lock_timeout": "10s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "10s",
    "transaction_isolation": "read committed",
}


@pytest.fixture(params=["", IGNORED], ids=["as it is installed", "that ignores startup parameters"])
def pooled(request: pytest.FixtureRequest, pgbouncer: Path, postgresql_cluster: PostgreSQL) -> Iterator[str]:
    bouncer = PgBouncer(pgbouncer, postgresql_cluster, ignoring=request.param)
    dsn = postgresql_cluster.make_database()
    yield through(bouncer, dsn)
    bouncer.close()
    postgresql_cluster.delete_database(dsn)


def through(bouncer: PgBouncer, dsn: str) -> str:
    return f"postgresql://callstitch@127.0.0.1:{bouncer.port}/{dsn.rpartition('/')[2]}"


async def test_stores_that_share_sessions_keep_their_promises(pooled: str) -> None:
    await examine(pooled)
    async with open_claims(pooled) as one, open_claims(pooled) as other, open_sessions(pooled) as (sessions, _):
        claims = [claimed(store, a_claim(f"k{n}", f"f{n}{store is one}")) for n in range(20) for store in (one, other)]
        folds = [fold(sessions, a_whole_call(f"s{n}"), told=70) for n in range(20)]
        answers, told = await asyncio.gather(asyncio.gather(*claims), asyncio.gather(*folds))
        assert sorted(word for answer in answers for word in answer) == ["duplicate"] * 20 + ["new"] * 20
        events = {event.id for said in told for event in said}
        assert await asked(PostgresqlRig(pooled), lambda reads: reads.event_ids()) == events
        assert len(events) == 20
    async with open_parked(pooled):
        pass


async def test_each_transaction_has_our_settings_and_leaves_none_behind(pooled: str) -> None:
    query = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in SET)
    async with open_database(pooled) as database:
        (row,) = await database.fetch(query)
        assert dict(row) == SET
        assert [dict(row) for row in await database.transact(lambda connection: connection.fetch(query))] == [SET]
    strangers = await asyncio.gather(*(asyncpg.connect(pooled, statement_cache_size=0) for _ in range(SESSIONS)))
    for stranger in strangers:
        async with stranger.transaction():
            assert await stranger.fetchval("SELECT current_setting('search_path')") != "callstitch"
        await stranger.close()


async def test_an_operators_question_writes_nothing(pooled: str) -> None:
    async with open_read_only(pooled) as database:
        with pytest.raises(Unavailable, match="read-only transaction"):
            await database.execute("CREATE TABLE t ()")


async def test_one_that_lends_by_statement_is_refused_in_its_own_words(
    pgbouncer: Path, postgresql_cluster: PostgreSQL
) -> None:
    bouncer = PgBouncer(pgbouncer, postgresql_cluster, mode="statement")
    try:
        with pytest.raises(Unavailable, match="statement pooling"):
            async with open_claims(through(bouncer, postgresql_cluster.make_database())):
                pass
    finally:
        bouncer.close()
