"""A synchronous standby of a private PostgreSQL cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.postgresql import PostgreSQL


@contextmanager
def a_pair(primary: PostgreSQL) -> Iterator[tuple[PostgreSQL, str]]:
    """A standby that every commit waits for, and the DSN of a new database on both, the standby first."""
    name = primary.make_database().rpartition("/")[2]
    standby = PostgreSQL(following=primary)
    try:
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        primary.sql("CREATE TABLE both_have_it ()")
        yield standby, f"postgresql://callstitch@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/{name}"
    finally:
        standby.close()
