"""A store of two servers, a primary and its synchronous standby: who is asked, who takes over, what nobody may see."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from schemas.errors import Unavailable
from tests.building.stores import PostgresqlRig, a_claim, a_whole_call, asked, claimed, fold
from tests.services.postgresql import PostgreSQL
from tests.services.standby import a_pair
from workers.stores.postgresql import examine, open_claims, open_sessions, pool

COMMIT_SECONDS = 2.0


@dataclass(frozen=True)
class Pair:
    primary: PostgreSQL
    standby: PostgreSQL
    dsn: str  # the standby stands first


@pytest.fixture
def pair(own_postgresql: PostgreSQL) -> Iterator[Pair]:
    with a_pair(own_postgresql) as (standby, dsn):
        yield Pair(own_postgresql, standby, dsn)


async def test_the_primary_is_found_behind_its_standby_and_the_standby_once_it_took_over(pair: Pair) -> None:
    async with open_claims(pair.dsn) as claims, open_sessions(pair.dsn) as (sessions, _):
        assert await claimed(claims, a_claim("k", "f1")) == ["new"]
        said = await fold(sessions, a_whole_call(), told=70)
        assert await asked(PostgresqlRig(pair.dsn), lambda reads: reads.event_ids()) == {said[0].id}
        await asyncio.to_thread(pair.primary.crash)
        with pytest.raises(Unavailable):
            await claimed(claims, a_claim("k", "f2"))
        with pytest.raises(Unavailable, match=r"Connection refused; 127.0.0.1:\d+: it takes no writes"):
            await claimed(claims, a_claim("k", "f2"))
        await asyncio.to_thread(pair.standby.promote)
        assert await claimed(claims, a_claim("k", "f2")) == ["duplicate"]
        assert await asked(PostgresqlRig(pair.dsn), lambda reads: reads.event_ids()) == {said[0].id}
        assert (await fold(sessions, a_whole_call(), told=80))[0] == said[0], "not sent yet: the same event once more"


async def test_a_server_that_takes_no_writes_any_more_loses_our_connections(pair: Pair) -> None:
    async with open_claims(pair.dsn) as claims:
        assert await claimed(claims, a_claim("k", "f1")) == ["new"]
        await asyncio.to_thread(pair.standby.promote)
        pair.primary.sql("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        read_only = False
        for _ in range(100):  # a reload takes a moment to reach every session
            try:
                assert await claimed(claims, a_claim("k", "f2")) == ["duplicate"]
            except Unavailable as error:
                read_only = "read-only" in str(error)
                break
            await asyncio.sleep(0.05)
        assert read_only
        assert await claimed(claims, a_claim("new", "f3")) == ["new"]
        assert await asked_at(pair.standby, pair.dsn, "SELECT count(*) FROM callstitch.claim") == 2


async def test_a_commit_that_waits_for_the_standby_is_seen_by_nobody(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled, it would be there for all to see, be built upon and acked, and be gone once the standby takes over."""
    monkeypatch.setattr(pool, "_COMMAND_SECONDS", COMMIT_SECONDS)
    async with open_claims(pair.dsn) as claims:
        with frozen(pair.standby):
            with pytest.raises(Unavailable):
                await claimed(claims, a_claim("k", "f1"))
            assert await asked_at(pair.primary, pair.dsn, "SELECT count(*) FROM callstitch.claim") == 0
        assert await claimed(claims, a_claim("k", "f1")) == ["mine"], "committed in the end"


async def test_an_examination_warns_of_several_servers_without_a_synchronous_standby(pair: Pair) -> None:
    assert (await examine(pair.dsn)).looks == []
    await asyncio.to_thread(pair.standby.stop)
    (gone,) = (await examine(pair.dsn)).looks
    assert "no synchronous standby is connected" in gone
    pair.primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
    for _ in range(100):
        (none,) = (await examine(pair.dsn)).looks
        if none != gone:
            break
        await asyncio.sleep(0.05)
    assert "synchronous_standby_names is empty" in none
    alone = pair.dsn.replace(f"127.0.0.1:{pair.standby.port},", "")
    assert (await examine(alone)).looks == []


@contextmanager
def frozen(server: PostgreSQL) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


async def asked_at(server: PostgreSQL, dsn: str, query: str) -> int:
    connection = await asyncpg.connect(f"postgresql://callstitch@127.0.0.1:{server.port}/{dsn.rpartition('/')[2]}")
    try:
        number: int = await connection.fetchval(query)
        return number
    finally:
        await connection.close()
