"""PostgreSQL without its tables, or without our rights to them: the store is away, whoever asks, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from schemas.errors import Misconfigured, Unavailable
from tests.building.stores import a_claim, a_whole_call, claimed, fold
from tests.services.postgresql import PostgreSQL
from workers.stores.postgresql import examine, open_claims, open_parked, open_reads, open_sessions
from workers.stores.postgresql.pool import open_database
from workers.stores.postgresql.schema import CLAIMS_MIGRATIONS, migrate

APP = "app_of_tests"
AWAY = "ALTER SCHEMA callstitch RENAME TO elsewhere"
BACK = "ALTER SCHEMA elsewhere RENAME TO callstitch"
REVOKED = f"REVOKE ALL ON ALL TABLES IN SCHEMA callstitch FROM {APP}"
GRANTED = f"GRANT ALL ON ALL TABLES IN SCHEMA callstitch TO {APP}"


@dataclass(frozen=True)
class Server:
    """A database as its administrator has it, and as a user has it who owns nothing yet."""

    admin: str
    app: str

    async def run(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.admin)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture
async def server(own_postgresql: PostgreSQL) -> Server:
    admin = own_postgresql.make_database()
    server = Server(admin, admin.replace("callstitch@", f"{APP}@"))
    await server.run(f"DROP ROLE IF EXISTS {APP}", f"CREATE ROLE {APP} LOGIN PASSWORD 'hunter2hunter2'")
    return server


@asynccontextmanager
async def an_app_that_may_create(server: Server) -> AsyncIterator[str]:
    await server.run(f"GRANT CREATE ON DATABASE {server.admin.rpartition('/')[2]} TO {APP}")
    yield server.app


@pytest.mark.parametrize(("gone", "back"), [(AWAY, BACK), (REVOKED, GRANTED)])
async def test_tables_or_grants_that_are_away_are_a_store_that_is_away(server: Server, gone: str, back: str) -> None:
    async with (
        an_app_that_may_create(server) as app,
        open_claims(app) as claims,
        open_sessions(app) as (sessions, _),
        open_parked(app) as parked,
    ):
        assert await claimed(claims, a_claim("k", "f1")) == ["new"]
        await server.run(gone)
        with pytest.raises(Unavailable, match=r"does not exist|permission denied"):
            await claimed(claims, a_claim("k", "f2"))
        with pytest.raises(Unavailable):
            await fold(sessions, a_whole_call(), told=70)
        with pytest.raises(Unavailable):
            await parked.wanted("dead", 10)
        await server.run(back)
        assert await claimed(claims, a_claim("k", "f2")) == ["duplicate"]
        assert len(await fold(sessions, a_whole_call(), told=70)) == 1


async def test_a_role_that_starts_while_the_schema_is_renamed_makes_no_second_one(server: Server) -> None:
    async with an_app_that_may_create(server) as app:
        async with open_claims(app) as claims:
            await claimed(claims, a_claim("k", "f1"))
        await server.run(AWAY)
        with pytest.raises(Unavailable, match="elsewhere holds such tables"):
            async with open_claims(app):
                pass
        await server.run(BACK)
        async with open_claims(app) as claims:
            assert await claimed(claims, a_claim("k", "f2")) == ["duplicate"]
        await server.run(AWAY, f"CREATE SCHEMA callstitch AUTHORIZATION {APP}")  # to begin anew takes a word
        async with open_claims(app) as claims:
            assert await claimed(claims, a_claim("k", "f1")) == ["new"]


async def test_without_the_right_to_make_the_schema_a_start_names_what_to_grant_and_no_secret(server: Server) -> None:
    name = server.admin.rpartition("/")[2]
    with pytest.raises(Misconfigured, match=f"permission denied .*{name}, schema callstitch, user {APP}") as refused:
        async with open_claims(server.app.replace("@", ":hunter2hunter2@")):
            pass
    assert "hunter2" not in str(refused.value)
    async with open_database(server.admin) as admin:
        await migrate(admin, "claims", CLAIMS_MIGRATIONS)
    with pytest.raises(Misconfigured, match="permission denied for schema callstitch"):
        async with open_claims(server.app):
            pass


async def test_an_operators_question_tells_a_missing_right_from_a_store_that_nothing_has_run_on(server: Server) -> None:
    async with open_reads(server.app) as reads:
        with pytest.raises(Misconfigured, match="no state"):
            await reads.due()
        async with open_sessions(server.admin):
            pass
        with pytest.raises(Misconfigured, match="no right to see it"):
            await reads.due()
        await server.run(f"GRANT USAGE ON SCHEMA callstitch TO {APP}")
        with pytest.raises(Unavailable, match="permission denied"):
            await reads.due()


async def test_an_examination_names_the_right_that_is_missing_and_changes_nothing(server: Server) -> None:
    name = server.admin.rpartition("/")[2]
    with pytest.raises(Misconfigured, match=f"no right to create the schema .*{name}.*{APP}"):
        await examine(server.app)
    async with an_app_that_may_create(server) as app:
        await examine(app)
        with pytest.raises(Misconfigured, match="no state"):
            async with open_reads(app) as reads:
                await reads.due()
        async with open_claims(app), open_sessions(app), open_parked(app):
            pass
        await examine(app)
        await server.run(f"REVOKE INSERT ON callstitch.claim FROM {APP}")
        with pytest.raises(Misconfigured, match="no right to read and write claim"):
            await examine(app)
        await server.run(f"ALTER ROLE {APP} SET default_transaction_read_only = on")
        with pytest.raises(Misconfigured, match="read-only"):
            await examine(app)


async def test_a_server_that_dies_while_a_role_connects_is_one_that_does_not_answer(own_postgresql: PostgreSQL) -> None:
    """Whatever the driver says then, and however often: no traceback, and the role waits for the server."""
    dsn = own_postgresql.make_database()
    tries = [asyncio.ensure_future(_opens(dsn)) for _ in range(20)]
    await asyncio.sleep(0.01)
    await asyncio.to_thread(own_postgresql.crash)
    told = await asyncio.gather(*tries, return_exceptions=True)
    assert {type(one) for one in told} <= {type(None), Unavailable}, told


async def _opens(dsn: str) -> None:
    async with open_database(dsn, start_seconds=0) as database:
        await database.fetch("SELECT 1")
