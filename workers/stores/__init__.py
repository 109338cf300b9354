"""Where claims, sessions and parked messages live: `sqlite:DIR` for one process, `postgresql://...` for any number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured
from workers.correlate import SessionStore
from workers.dedupe import ClaimStore
from workers.park import ParkedStore
from workers.stores import postgresql, sqlite
from workers.stores.postgresql.reads import PostgresqlReads
from workers.stores.sqlite import SqliteReads

Clock = Callable[[], datetime]

_POSTGRESQL: Final = ("postgresql://", "postgres://")


def open_claims(url: str) -> AbstractAsyncContextManager[ClaimStore]:
    """Dedupe's store.

    Raises, as all of these do:
        Misconfigured: the URL is of neither kind, or the store refuses us.
        Unavailable: the server does not answer.
    """
    if url.startswith(_POSTGRESQL):
        return postgresql.open_claims(url)
    return sqlite.open_claims(_directory(url))


@asynccontextmanager
async def open_sessions(url: str, *, clock: Clock) -> AsyncIterator[tuple[SessionStore, Clock]]:
    """Correlate's store, and the clock by which its deadlines are told: the server's where there is one."""
    if url.startswith(_POSTGRESQL):
        async with postgresql.open_sessions(url) as opened:
            yield opened
        return
    async with sqlite.open_sessions(_directory(url)) as store:
        yield store, clock


def open_parked(url: str) -> AbstractAsyncContextManager[ParkedStore]:
    """Park's store."""
    if url.startswith(_POSTGRESQL):
        return postgresql.open_parked(url)
    return sqlite.open_parked(_directory(url))


def store_reads(url: str) -> SqliteReads | PostgresqlReads:
    """What the operator's commands ask; a SQLite file is opened read-only while its owner goes on writing."""
    return PostgresqlReads(url) if url.startswith(_POSTGRESQL) else SqliteReads(_directory(url))


def _directory(url: str) -> Path:
    kind, _, rest = url.partition(":")
    if kind != "sqlite" or not rest:
        raise Misconfigured("store: neither sqlite:DIR nor postgresql://...")
    return Path(rest)
