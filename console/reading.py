"""What the operator's commands read the state from."""

from __future__ import annotations

from schemas.config import Config
from workers.stores import store_reads
from workers.stores.postgresql_reads import PostgresqlReads
from workers.stores.sqlite import SqliteReads


def open_reads(config: Config) -> SqliteReads | PostgresqlReads:
    """Reads of the configured store. Raises Misconfigured when it names none."""
    return store_reads(config.store)


def reach_store(config: Config) -> None:
    """Ask a server something; a directory needs no reaching.

    Raises:
        Misconfigured, Unavailable: the server refuses us, or does not answer.
    """
    holds_state(config)


def holds_state(config: Config) -> bool:
    """Whether a server already knows calls or notifications."""
    reads = open_reads(config)
    return isinstance(reads, PostgresqlReads) and reads.holds_state()
