"""What metrics tell of a store, and that it is read from what is open alone, however much lies there."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from schemas.errors import Unavailable
from tests.building.facts import a_cdr
from tests.building.stores import PostgresqlRig, SqliteRig, StoreRig, a_whole_call, at, fold
from workers.correlate import SessionStore
from workers.stores.looks import LOOKED, OVERDUE, sessions_query

OPEN, OVER, UNSENT = LOOKED


async def test_what_is_open_overdue_and_unsent_is_counted(sessions: SessionStore) -> None:
    assert await sessions.look(at(0)) == {OPEN: 0, OVER: 0, UNSENT: 0}
    said = await fold(sessions, a_whole_call("whole"), told=70)
    await fold(sessions, a_cdr("r1", session="open", told=70), told=70)

    assert await sessions.look(at(70)) == {OPEN: 1, OVER: 0, UNSENT: len(said)}

    await sessions.sent([one.id for one in said], at(71))
    late = at(70) + timedelta(hours=30)
    assert await sessions.look(late) == {OPEN: 1, OVER: 1, UNSENT: 0}
    assert timedelta(minutes=1) > OVERDUE


async def test_every_store_says_that_it_answers(store_rig: StoreRig) -> None:
    async with store_rig.open_claims() as claims, store_rig.open_parked() as parked:
        assert await claims.look(at(0)) == await parked.look(at(0)) == {}


async def test_a_state_file_that_is_gone_is_told_as_away(tmp_path: Path) -> None:
    async with SqliteRig(tmp_path).open_claims() as claims:
        (tmp_path / "dedupe.db").rename(tmp_path / "elsewhere.db")
        with pytest.raises(Unavailable):
            await claims.look(at(0))


async def test_on_sqlite_only_the_indexes_of_what_is_open_are_read(tmp_path: Path) -> None:
    async with SqliteRig(tmp_path).open_sessions():
        pass
    with sqlite3.connect(tmp_path / "correlate.db") as db:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sessions_query('?')}", (0,))]
    db.close()
    tables = [line for line in plan if " session" in line or " unsent" in line]
    assert len(tables) == 3
    assert [line for line in tables if "INDEX session_due" not in line and line != "SCAN unsent"] == []


async def test_on_postgresql_too_with_a_table_of_many_that_are_done(postgres_dsn: str) -> None:
    async with PostgresqlRig(postgres_dsn).open_sessions() as store:
        await store.look(at(0))
        connection = await asyncpg.connect(postgres_dsn, server_settings={"search_path": "callstitch"})
        try:
            await connection.execute(
                "INSERT INTO session SELECT ('s' || n)::bytea, 'x', decode(repeat('00', 900), 'hex'), 1, 'open', '',"
                " CASE WHEN n % 100 = 0 THEN now() END, now() FROM generate_series(1, 20000) AS n"
            )
            await connection.execute("ANALYZE session")
            plan = "\n".join([row[0] for row in await connection.fetch(f"EXPLAIN {_of_now()}")])
        finally:
            await connection.close()
    assert "Seq Scan on session" not in plan
    assert "session_due" in plan


def _of_now() -> str:
    return sessions_query("now()")
