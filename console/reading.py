"""What the operator's commands read the state from."""

from __future__ import annotations

from schemas.config import Config
from workers.stores import store_reads
from workers.stores.postgresql_reads import PostgresqlReads
from workers.stores.sqlite import SqliteReads


def open_reads(config: Config) -> SqliteReads | PostgresqlReads:
    """Reads of the configured store. Raises Misconfigured when it names none."""
    return store_reads(config.store)
