"""Whether the roles could work on this database: what `callstitch check` asks it; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from schemas.errors import Misconfigured
from workers.stores.postgresql.pool import SCHEMA, open_database

_STATE: Final = """
SELECT current_database() AS database, current_user AS "user", clock_timestamp() AS now,
    current_setting('transaction_read_only') = 'on' AS read_only,
    to_regnamespace($1) IS NULL AS absent,
    has_database_privilege(current_database(), 'CREATE') AS may_create,
    current_setting('synchronous_standby_names') AS standbys,
    pg_has_role('pg_read_all_stats', 'USAGE') AS may_see,
    (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS following
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A store that the roles could work on."""

    now: datetime | None = None  # by the server's clock, where there is one
    looks: list[str] = field(default_factory=list)  # what is allowed, and seldom meant


async def examine(dsn: str) -> Examined:
    """See that the roles could read and write there.

    Raises:
        Misconfigured: it is read-only, or this user lacks a right, which is named.
        Unavailable: no server answers and takes writes.
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
        return Examined(now=state["now"], looks=[*_losses(state)] if len(database.servers.hosts) > 1 else [])


def _losses(state: Any) -> Iterator[str]:
    """What several servers may lose: an asynchronous standby lacks what the primary had confirmed last."""
    if not state["standbys"]:
        yield (
            "store: several servers and no synchronous standby (synchronous_standby_names is empty): when another"
            " takes over, calls that were confirmed are lost"
        )
    elif state["may_see"] and not state["following"]:
        yield "store: no synchronous standby is connected: every commit waits for one"
