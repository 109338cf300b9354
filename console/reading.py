"""What the operator's commands read the state from."""

from __future__ import annotations

from pathlib import Path

from schemas.config import Config
from schemas.errors import Misconfigured
from workers.stores.sqlite import SqliteReads


def open_reads(config: Config) -> SqliteReads:
    """Reads of the configured store; a SQLite file is opened read-only while its owner goes on writing."""
    kind, _, rest = config.store.partition(":")
    if kind != "sqlite":
        raise Misconfigured("store must be sqlite:DIR")
    return SqliteReads(Path(rest))
