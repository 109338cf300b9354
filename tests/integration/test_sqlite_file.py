"""What is written soon is seen at once and survives the process; what is written next waits for the disk again."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from runtime.files import read_only
from schemas.errors import Unavailable
from workers.stores.sqlite.file import SqliteFile, open_sqlite_file

THINGS = ("CREATE TABLE thing (name TEXT PRIMARY KEY)",)
FULL, NORMAL = 2, 1
WRITES_AND_DIES = """
import asyncio, os, pathlib, sys
from workers.stores.sqlite.file import open_sqlite_file
from tests.integration.test_sqlite_file import THINGS, put

async def main():
    async with open_sqlite_file(pathlib.Path(sys.argv[1]), THINGS) as file:
        await file.write_soon(put, "soon")
        os._exit(0)

asyncio.run(main())
"""


def put(db: sqlite3.Connection, name: str) -> int:
    db.execute("INSERT INTO thing VALUES (?)", (name,))
    return synchronous(db)


def synchronous(db: sqlite3.Connection) -> int:
    waits: int = db.execute("PRAGMA synchronous").fetchone()[0]
    return waits


async def writes(file: SqliteFile) -> list[int]:
    return [await file.write(put, "a"), await file.write_soon(put, "b"), await file.write(put, "c")]


async def test_only_what_is_written_soon_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    async with open_sqlite_file(tmp_path / "x.db", THINGS) as file:
        assert await writes(file) == [FULL, NORMAL, FULL]
        with pytest.raises(sqlite3.IntegrityError):
            await file.write_soon(put, "a")
        assert await file.write(synchronous) == FULL


def test_what_is_written_soon_is_seen_at_once_and_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(path)], check=True, timeout=60)
    with read_only(path) as db:
        assert [row["name"] for row in db.execute("SELECT name FROM thing")] == ["soon"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


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
            await file.write_soon(put, "b")
        aside.replace(path)
        await file.write(put, "b")
    with read_only(path) as db:
        assert [row["name"] for row in db.execute("SELECT name FROM thing")] == ["a", "b"]
