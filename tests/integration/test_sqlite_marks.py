"""A mark rides in the owner's next transaction: seen a moment late, lost with the process, and never another row's."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from schemas.envelope import Envelope
from schemas.errors import Unavailable
from tests.building.stores import SqliteRig, a_whole_call, asked, at, fold, stepping
from workers.stores.sqlite.file import open_sqlite_file
from workers.stores.sqlite.schema import SESSIONS_MIGRATIONS
from workers.stores.sqlite.sessions import SqliteSessions

ROUTE = "call.completed.huawei-bj"


async def sent(rig: SqliteRig) -> int:
    return int((await asked(rig, lambda reads: reads.events()))[ROUTE]["sent"])


async def test_a_mark_is_seen_with_the_next_tick_or_when_the_store_is_closed(tmp_path: Path) -> None:
    rig = SqliteRig(tmp_path)
    async with rig.open_sessions() as store:
        first, second = await fold(store, a_whole_call("s1"), a_whole_call("s2"), told=70)
        await store.sent([first.id], at(71))
        assert await sent(rig) == 0, "it has no write of its own"
        await store.due(at(72), stepping(72), 10)
        assert await sent(rig) == 1
        await store.sent([second.id], at(73))
    assert await sent(rig) == 2


async def test_one_that_died_with_its_process_costs_one_more_publish_of_the_same_bytes(tmp_path: Path) -> None:
    alive, dead = SqliteRig(tmp_path / "alive"), SqliteRig(tmp_path / "dead")
    async with alive.open_sessions() as store:
        said = await fold(store, a_whole_call(), told=70)
        await store.sent([said[0].id], at(71))
        shutil.copytree(alive.directory, dead.directory)  # as it lies on the disk
    async with dead.open_sessions() as store:
        assert await store.unsent(at(76), 10) == said


async def test_a_mark_that_is_told_twice_is_not_that_of_a_row_which_came_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether a transaction that failed in its commit was committed, so its marks are told again."""
    async with open_sqlite_file(tmp_path / "correlate.db", SESSIONS_MIGRATIONS) as file:
        store = SqliteSessions(file, b"a key")
        (said,) = await fold(store, a_whole_call(), told=70)
        await store.sent([said.id], at(71))
        write, others = file.write, list[Envelope]()

        async def unsure(*args: Any) -> Any:
            await write(*args)
            with closing(sqlite3.connect(tmp_path / "correlate.db")) as db, db:
                db.execute("DELETE FROM outbox")  # as a purge does, and the highest number is free
            monkeypatch.setattr(file, "write", write)
            others.extend(await fold(store, a_whole_call("s2"), told=73))
            raise Unavailable("nobody knows")

        monkeypatch.setattr(file, "write", unsure)
        with pytest.raises(Unavailable):
            await store.look(at(72))
        assert await store.unsent(at(80), 10) == others != []
