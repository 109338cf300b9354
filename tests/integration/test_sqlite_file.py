"""What is written to a state file waits for the disk, and a file that is not the one is away."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from runtime.files import read_only
from schemas.errors import Unavailable
from workers.stores.sqlite.file import open_sqlite_file

THINGS = ("CREATE TABLE thing (name TEXT PRIMARY KEY)",)
FULL = 2


def put(db: sqlite3.Connection, name: str) -> int:
    db.execute("INSERT INTO thing VALUES (?)", (name,))
    waits: int = db.execute("PRAGMA synchronous").fetchone()[0]
    return waits


async def test_what_is_written_waits_for_the_disk(tmp_path: Path) -> None:
    async with open_sqlite_file(tmp_path / "x.db", THINGS) as file:
        assert await file.write(put, "a") == FULL
        with pytest.raises(sqlite3.IntegrityError):
            await file.write(put, "a")
        assert await file.write(put, "b") == FULL


@pytest.mark.parametrize("broken", ["DROP TABLE thing", "PRAGMA query_only = 1"])
async def test_a_file_that_lost_its_tables_or_takes_no_writes_is_away_and_no_message_is_to_blame(
    tmp_path: Path, broken: str
) -> None:
    async with open_sqlite_file(tmp_path / "x.db", THINGS) as file:
        file._connection.execute(broken)
        with pytest.raises(Unavailable):
            await file.write(put, "a")


async def test_a_file_that_was_moved_away_is_away_until_it_is_back_and_a_copy_in_its_place_is_not_it(
    tmp_path: Path,
) -> None:
    path, aside = tmp_path / "x.db", tmp_path / "aside.db"
    async with open_sqlite_file(path, THINGS) as file:
        await file.write(put, "a")
        path.rename(aside)
        with pytest.raises(Unavailable, match="moved away"):
            await file.write(put, "b")
        shutil.copy(aside, path)
        with pytest.raises(Unavailable, match="replaced"):
            await file.write(put, "b")
        aside.replace(path)
        await file.write(put, "b")
    with read_only(path) as db:
        assert [row["name"] for row in db.execute("SELECT name FROM thing")] == ["a", "b"]
