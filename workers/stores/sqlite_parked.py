"""Parked messages, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from workers.park import Parked
from workers.stores.sqlite_file import SqliteFile, micros

_VERSION_1: Final = """
CREATE TABLE IF NOT EXISTS parked (
    id TEXT PRIMARY KEY, box TEXT NOT NULL, stage TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
    signature TEXT NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, attempts INTEGER NOT NULL,
    raw BLOB NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parked_signature ON parked (box, signature);
"""
PARKED_MIGRATIONS: Final = (_VERSION_1,)


class SqliteParked:
    """ParkedStore on one file."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def park(self, messages: Sequence[Parked]) -> None:
        """See ParkedStore."""
        await self._file.write(_park, messages)


def _park(db: sqlite3.Connection, messages: Sequence[Parked]) -> None:
    db.executemany(
        "INSERT INTO parked VALUES (?,?,?,?,?,?,?,?,1,?,'parked') ON CONFLICT (id) DO UPDATE SET"
        " attempts = attempts + 1, last_at = excluded.last_at, reason = excluded.reason,"
        " signature = excluded.signature",
        [(m.id, m.box, m.stage, m.source, m.reason, m.signature, micros(m.at), micros(m.at), m.raw) for m in messages],
    )
