"""The record of what we have declared, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from schemas.topology import Binding
from workers.stores.postgresql.pool import Database

DECLARED: Final = "SELECT exchange, queue, pattern FROM declared ORDER BY queue, exchange, pattern"
_ROWS: Final = "unnest($1::text[], $2::text[], $3::text[])"
_RECORD: Final = f"INSERT INTO declared SELECT * FROM {_ROWS} ON CONFLICT DO NOTHING"  # noqa: S608 - our own text
_FORGET: Final = f"DELETE FROM declared WHERE (exchange, queue, pattern) IN (SELECT * FROM {_ROWS})"  # noqa: S608 - ours


class PostgresqlDeclared:
    """DeclaredStore on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def declared(self) -> Sequence[Binding]:
        """As `DeclaredStore` promises."""
        return [Binding(**dict(row)) for row in await self._database.fetch(DECLARED)]

    async def record(self, rows: Collection[Binding]) -> None:
        """As `DeclaredStore` promises."""
        await self._database.execute(_RECORD, *_columns(rows))

    async def forget(self, rows: Collection[Binding]) -> None:
        """As `DeclaredStore` promises."""
        await self._database.execute(_FORGET, *_columns(rows))


def _columns(rows: Collection[Binding]) -> tuple[list[str], ...]:
    return [row.exchange for row in rows], [row.queue for row in rows], [row.pattern for row in rows]
