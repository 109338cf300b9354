"""The record of what we have declared, and in which forms events are wanted, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from schemas.topology import Binding, Forms
from workers.stores.postgresql.pool import Connection, Database

DECLARED: Final = "SELECT exchange, queue, pattern FROM declared ORDER BY queue, exchange, pattern"
_ROWS: Final = "unnest($1::text[], $2::text[], $3::text[])"
_RECORD: Final = f"INSERT INTO declared SELECT * FROM {_ROWS} ON CONFLICT DO NOTHING"  # noqa: S608 - our own text
_FORGET: Final = f"DELETE FROM declared WHERE (exchange, queue, pattern) IN (SELECT * FROM {_ROWS})"  # noqa: S608 - ours


_FORM_1: Final = "CREATE TABLE form (exchange text NOT NULL, pattern text NOT NULL, PRIMARY KEY (exchange, pattern))"
FORMS_MIGRATIONS: Final = (_FORM_1,)


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


class PostgresqlForms:
    """FormStore on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forms(self) -> Forms:
        """As `FormStore` promises."""
        rows = await self._database.fetch("SELECT exchange, pattern FROM form")
        return Forms(frozenset((row["exchange"], row["pattern"]) for row in rows))

    async def serve(self, forms: Forms) -> None:
        """As `FormStore` promises."""
        exchanges, patterns = [row[0] for row in forms.rows], [row[1] for row in forms.rows]

        async def work(connection: Connection) -> None:
            await connection.execute("LOCK TABLE form IN SHARE ROW EXCLUSIVE MODE")  # two may declare at once
            await connection.execute("DELETE FROM form")
            await connection.execute(
                "INSERT INTO form SELECT * FROM unnest($1::text[], $2::text[])", exchanges, patterns
            )

        await self._database.transact(work)


def _columns(rows: Collection[Binding]) -> tuple[list[str], ...]:
    return [row.exchange for row in rows], [row.queue for row in rows], [row.pattern for row in rows]
