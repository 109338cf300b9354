"""`postgresql://...`: the stores of all stages in one database, which any number of processes share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from workers.stores.postgresql.claims import PostgresqlClaims
from workers.stores.postgresql.clock import counting_on
from workers.stores.postgresql.expiry import keep_days
from workers.stores.postgresql.parked import PostgresqlParked
from workers.stores.postgresql.pool import START_SECONDS, open_database
from workers.stores.postgresql.schema import CLAIMS_MIGRATIONS, PARKED_MIGRATIONS, SESSIONS_MIGRATIONS, migrate
from workers.stores.postgresql.sessions import PostgresqlSessions

Clock = Callable[[], datetime]


@asynccontextmanager
async def open_claims(dsn: str, *, start_seconds: float = START_SECONDS) -> AsyncIterator[PostgresqlClaims]:
    """Dedupe's store. Raises Misconfigured and Unavailable as open_database does."""
    async with open_database(dsn, start_seconds=start_seconds) as database:
        await migrate(database, "claims", CLAIMS_MIGRATIONS)
        yield PostgresqlClaims(database)


@asynccontextmanager
async def open_sessions(
    dsn: str, *, start_seconds: float = START_SECONDS
) -> AsyncIterator[tuple[PostgresqlSessions, Clock]]:
    """Correlate's store, and the server's clock. Raises Misconfigured and Unavailable as open_database does."""
    async with open_database(dsn, start_seconds=start_seconds) as database:
        clock = counting_on(await migrate(database, "sessions", SESSIONS_MIGRATIONS))
        await keep_days(database, clock())
        yield PostgresqlSessions(database), clock


@asynccontextmanager
async def open_parked(dsn: str, *, start_seconds: float = START_SECONDS) -> AsyncIterator[PostgresqlParked]:
    """Park's store. Raises Misconfigured and Unavailable as open_database does."""
    async with open_database(dsn, start_seconds=start_seconds) as database:
        await migrate(database, "parked", PARKED_MIGRATIONS)
        yield PostgresqlParked(database)
