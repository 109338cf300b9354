"""The record of what we have declared, on SQLite: a file of its own, owned only while something is declared."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from schemas.topology import Binding
from workers.stores.sqlite.file import SqliteFile

_VERSION_1: Final = """
CREATE TABLE declared (
    exchange TEXT NOT NULL, queue TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (exchange, queue, pattern)
) WITHOUT ROWID;
"""
DECLARED_MIGRATIONS: Final = (_VERSION_1,)


class SqliteDeclared:
    """DeclaredStore on one file."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def declared(self) -> Sequence[Binding]:
        """As `DeclaredStore` promises."""
        return await self._file.write(declared)

    async def record(self, rows: Collection[Binding]) -> None:
        """As `DeclaredStore` promises."""
        await self._file.write(_each, "INSERT OR IGNORE INTO declared VALUES (?,?,?)", rows)

    async def forget(self, rows: Collection[Binding]) -> None:
        """As `DeclaredStore` promises."""
        await self._file.write(_each, "DELETE FROM declared WHERE (exchange, queue, pattern) = (?,?,?)", rows)


def declared(db: sqlite3.Connection) -> list[Binding]:
    """All rows, sorted."""
    rows = db.execute("SELECT exchange, queue, pattern FROM declared ORDER BY queue, exchange, pattern")
    return [Binding(exchange=exchange, queue=queue, pattern=pattern) for exchange, queue, pattern in rows]


def _each(db: sqlite3.Connection, statement: str, rows: Collection[Binding]) -> None:
    db.executemany(statement, [(row.exchange, row.queue, row.pattern) for row in rows])
