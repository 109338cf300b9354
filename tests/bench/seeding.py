"""Stores that hold many calls already: the rows that one call of the pipeline left, copied by SQL under other ids.

Each call is one CDR: a session and an outbox row in correlate's part, a claim and a receipt in dedupe's. Ids that are
random or ordered in time are so here too, as an index costs by the order in which it grows. Of states and events only
as much is copied as lies in the pages that a look-up of other calls touches: the rest would only fill the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import asyncpg

from tests.bench.bodies import session_id
from tests.bench.ours import SOURCE

STATE_BYTES: Final = 800  # more of it SQLite keeps in pages of its own, and PostgreSQL in another table
ENVELOPE_BYTES: Final = 400
Changed = Mapping[str, str]  # an expression over `i` for each column that differs from row to row

_BEFORE, _, _AFTER = f"{SOURCE}:{session_id('seed', 0)}".partition("00000000")
_SETTLED: Final[Changed] = {"due_at": "NULL", "state": f"substr(template.state, 1, {STATE_BYTES})"}
_LEFT: Final[Changed] = {"envelope": f"substr(template.envelope, 1, {ENVELOPE_BYTES})"}
_SQLITE_CALL: Final = f"printf('{_BEFORE}%08d{_AFTER}', i)"
_SQLITE: Final[Mapping[str, Mapping[str, Changed]]] = {
    "correlate.db": {
        "session": {"id": _SQLITE_CALL, "said": "NULL", **_SETTLED},
        "outbox": {"n": "NULL", "id": "lower(hex(randomblob(18)))", "call_id": _SQLITE_CALL, **_LEFT},
    },
    "dedupe.db": {
        "claim": {"key": "randomblob(16)", "owner": "lower(hex(randomblob(18)))"},
        "receipt": {"envelope_id": "printf('00000000-0000-7000-8000-%012x', i)"},
    },
}
_POSTGRESQL_CALL: Final = f"convert_to('{_BEFORE}' || lpad(i::text, 8, '0') || '{_AFTER}', 'UTF8')"
_POSTGRESQL: Final[Mapping[str, Changed]] = {
    "session": {"id": _POSTGRESQL_CALL, "said": "NULL", "said_on": "NULL", **_SETTLED},
    "outbox": {"n": "nextval('outbox_n')", "id": "gen_random_uuid()::text", "call_id": _POSTGRESQL_CALL, **_LEFT},
    "claim": {"key": "decode(md5(i::text), 'hex')", "owner": "gen_random_uuid()::text"},
    "receipt": {"envelope_id": "'00000000-0000-7000-8000-' || lpad(to_hex(i), 12, '0')"},
}
_SQLITE_ROWS: Final = (
    "WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < {count})"
    " INSERT INTO {table} ({names}) SELECT {values} FROM number, template {order}"
)
_POSTGRESQL_ROWS: Final = (
    "INSERT INTO {table} ({names}) SELECT {values} FROM generate_series(1, {count}) AS number (i), template {order}"
)
_TEMPLATE: Final = "CREATE TEMP TABLE template AS SELECT * FROM {table} LIMIT 1"
_SQLITE_SPEED: Final = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536"


def seed_sqlite(directory: Path, count: int) -> None:
    """Copy the first call of each state file `count` times; no process has them open."""
    for file, tables in _SQLITE.items():
        with closing(sqlite3.connect(directory / file, isolation_level=None)) as db:
            db.executescript(_SQLITE_SPEED)
            for table, changed in tables.items():
                db.execute(_TEMPLATE.format(table=table))
                columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
                db.execute(rows_like(_SQLITE_ROWS, table, columns, changed, count))
                db.execute("DROP TABLE template")
    os.sync()  # else the disk writes it while somebody measures


async def seed_postgresql(dsn: str, count: int) -> None:
    """The same in a database of ours, vacuumed as autovacuum would in its own time."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "callstitch"})
    try:
        for table, changed in _POSTGRESQL.items():
            await connection.execute(_TEMPLATE.format(table=table))
            columns = [
                row["column_name"]
                for row in await connection.fetch(
                    "SELECT column_name FROM information_schema.columns"
                    " WHERE table_schema = 'callstitch' AND table_name = $1 ORDER BY ordinal_position",
                    table,
                )
            ]
            await connection.execute(rows_like(_POSTGRESQL_ROWS, table, columns, changed, count))
            await connection.execute("DROP TABLE template")
            await connection.execute(f"VACUUM ANALYZE {table}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    os.sync()


def rows_like(query: str, table: str, columns: Sequence[str], changed: Changed, count: int) -> str:
    """The statement; rows whose key is random go in by that key, or a large table would be written many times over."""
    order = "ORDER BY 1" if table == "claim" else ""
    names = [*changed, *(column for column in columns if column not in changed)]
    values = [changed.get(name, f"template.{name}") for name in names]
    return query.format(table=table, names=", ".join(names), values=", ".join(values), count=count, order=order)
