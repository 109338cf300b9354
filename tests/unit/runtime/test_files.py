"""Whose fault an error of SQLite is, who owns a file, and what of it can be seen from outside."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from runtime.files import is_the_files_fault, owned, read_only
from schemas.errors import Misconfigured

TABLE = "CREATE TABLE thing (name TEXT NOT NULL)"


def fails(work: Callable[[sqlite3.Connection], object]) -> sqlite3.Error:
    """The error that SQLite raises at this work."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(TABLE)
        with pytest.raises(sqlite3.Error) as raised:
            work(db)
    return raised.value


def full(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA max_page_count = 3")
    db.execute("INSERT INTO thing VALUES (?)", ("x" * 100_000,))


@pytest.mark.parametrize(
    "work",
    [
        lambda db: db.execute("INSERT INTO thing VALUES (NULL)"),
        lambda db: db.execute("INSERT INTO thing VALUES (?)", (object(),)),
        lambda db: db.execute("INSERT INTO thing VALUES (?)", ()),
        lambda db: db.execute("SELECT zeroblob(2000000000)"),
    ],
    ids=["constraint", "type", "count", "too big"],
)
def test_what_a_message_holds_is_not_the_files_fault(work: Callable[[sqlite3.Connection], object]) -> None:
    assert not is_the_files_fault(fails(work))


def test_a_full_or_damaged_file_is_at_fault(tmp_path: Path) -> None:
    assert is_the_files_fault(fails(full))
    path = tmp_path / "x.db"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.DatabaseError) as raised:
        db.execute("SELECT * FROM thing")
    assert is_the_files_fault(raised.value)
    assert not is_the_files_fault(OSError("a file, but not SQLite's"))


def test_a_file_has_one_owner_at_a_time_and_only_our_user_may_enter_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "var" / "state" / "x.db"
    with owned(path), pytest.raises(Misconfigured, match=f"another process owns {path}$"), owned(path):
        pass
    with owned(path):
        assert [stat.S_IMODE(made.stat().st_mode) for made in (path.parent, path.parent.parent)] == [0o700, 0o700]
        assert stat.S_IMODE(path.with_name("x.db.lock").stat().st_mode) == 0o600


def test_a_lock_that_cannot_be_made_is_a_fault_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match=r"cannot open .*x\.db\.lock: "), owned(tmp_path / "file" / "x.db"):
        pass


def test_a_look_from_outside_writes_nothing_and_waits_for_no_owner(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with pytest.raises(Misconfigured, match=f"there is no state file {path}"), read_only(path):
        pass
    with owned(path), closing(sqlite3.connect(path)) as owner:
        owner.execute("PRAGMA journal_mode = WAL")
        owner.execute(TABLE)
        owner.execute("INSERT INTO thing VALUES ('a')")
        owner.commit()
        owner.execute("INSERT INTO thing VALUES ('not committed')")
        with read_only(path) as db:
            assert [row["name"] for row in db.execute("SELECT * FROM thing")] == ["a"]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                db.execute("DELETE FROM thing")
    path.write_bytes(b"damaged " * 1000)
    with pytest.raises(Misconfigured, match=f"cannot read {path}"), read_only(path) as db:
        db.execute("SELECT * FROM thing")
