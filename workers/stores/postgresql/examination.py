"""Whether the roles could work on this database: what `callstitch check` asks it; nothing is changed."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from schemas.errors import Misconfigured
from workers.stores.postgresql.pool import SCHEMA, open_database

_STATE: Final = """
SELECT current_database() AS database, current_user AS "user", clock_timestamp() AS now,
    current_setting('transaction_read_only') = 'on' AS read_only,
    to_regnamespace($1) IS NULL AS absent,
    has_database_privilege(current_database(), 'CREATE') AS may_create
"""
_SCHEMA: Final = "SELECT has_schema_privilege($1, 'USAGE') AND has_schema_privilege($1, 'CREATE') AS may_use"
_TABLES: Final = """
SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND CASE
    WHEN relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE')
    WHEN relkind IN ('r', 'p') THEN NOT (
        has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
    ELSE false END
ORDER BY 1
"""


async def examine(dsn: str) -> datetime:
    """See that the roles could read and write there; returns the server's clock.

    Raises:
        Misconfigured: it is read-only, or this user lacks a right, which is named.
        Unavailable: the server does not answer.
    """
    async with open_database(dsn, start_seconds=0) as database:
        (state,) = await database.fetch(_STATE, SCHEMA)
        where = f"database {state['database']}, schema {SCHEMA}, user {state['user']}"
        if state["read_only"]:
            raise Misconfigured(f"store: the server takes no writes, it is read-only ({where})")
        if state["absent"]:
            if not state["may_create"]:
                raise Misconfigured(f"store: no right to create the schema ({where})")
        elif not (await database.fetch(_SCHEMA, SCHEMA))[0]["may_use"]:
            raise Misconfigured(f"store: USAGE or CREATE is missing ({where})")
        elif lacking := [row["relname"] for row in await database.fetch(_TABLES, SCHEMA)]:
            raise Misconfigured(f"store: no right to read and write {', '.join(lacking)} ({where})")
        now: datetime = state["now"]
        return now
