"""`postgresql://...`: the stores of all stages in one database, which any number of processes share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from runtime.clock import Clock, counting_from
from schemas.errors import Unavailable
from workers.stores.postgresql.claims import PostgresqlClaims
from workers.stores.postgresql.declared import FORMS_MIGRATIONS, PostgresqlDeclared, PostgresqlForms
from workers.stores.postgresql.examination import Examined, examine
from workers.stores.postgresql.expiry import keep_days
from workers.stores.postgresql.parked import PostgresqlParked
from workers.stores.postgresql.pool import START_SECONDS, open_database, open_read_only
from workers.stores.postgresql.purge import purge_key
from workers.stores.postgresql.reads import PostgresqlReads
from workers.stores.postgresql.schema import (
    CLAIMS_MIGRATIONS,
    DECLARED_MIGRATIONS,
    PARKED_MIGRATIONS,
    SESSIONS_MIGRATIONS,
    migrate,
)
from workers.stores.postgresql.sessions import PostgresqlSessions
from workers.stores.postgresql.sinks import (
    DELIVERIES_MIGRATIONS,
    SINKS_MIGRATIONS,
    PostgresqlSinks,
)
from workers.stores.postgresql.versions import older_parts

__all__ = [
    "Examined",
    "examine",
    "older_parts",
    "open_claims",
    "open_declared",
    "open_forms",
    "open_parked",
    "open_reads",
    "open_sessions",
    "open_sinks",
]


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
    """Correlate's store, and the server's clock, late by a network's round trip at most.

    So all workers of one database agree on deadlines and leases whatever their own clocks say, and a worker whose wall
    clock is wrong fires none early. Raises Misconfigured and Unavailable as open_database does.
    """
    async with open_database(dsn, start_seconds=start_seconds) as database:
        clock = counting_from(await migrate(database, "sessions", SESSIONS_MIGRATIONS))
        await keep_days(database, clock())
        store = PostgresqlSessions(database, await purge_key(database))
        yield store, clock
        with suppress(Unavailable):  # then what was sent is sent once more
            await store.flush()


@asynccontextmanager
async def open_parked(dsn: str, *, start_seconds: float = START_SECONDS) -> AsyncIterator[PostgresqlParked]:
    """Park's store. Raises Misconfigured and Unavailable as open_database does."""
    async with open_database(dsn, start_seconds=start_seconds) as database:
        await migrate(database, "parked", PARKED_MIGRATIONS)
        yield PostgresqlParked(database)


@asynccontextmanager
async def open_declared(dsn: str, *, start_seconds: float = START_SECONDS) -> AsyncIterator[PostgresqlDeclared]:
    """The record of what we have declared. Raises Misconfigured and Unavailable as open_database does."""
    async with open_database(dsn, start_seconds=start_seconds) as database:
        await migrate(database, "declared", DECLARED_MIGRATIONS)
        yield PostgresqlDeclared(database)


@asynccontextmanager
async def open_forms(dsn: str, *, start_seconds: float = START_SECONDS) -> AsyncIterator[PostgresqlForms]:
    """In which forms events are wanted. Raises Misconfigured and Unavailable as open_database does."""
    async with open_database(dsn, start_seconds=start_seconds) as database:
        await migrate(database, "forms", FORMS_MIGRATIONS)
        yield PostgresqlForms(database)


@asynccontextmanager
async def open_sinks(dsn: str, *, start_seconds: float = START_SECONDS) -> AsyncIterator[PostgresqlSinks]:
    """What is known of sinks, and their log. Raises Misconfigured and Unavailable as open_database does."""
    async with open_database(dsn, start_seconds=start_seconds) as database:
        await migrate(database, "sinks", SINKS_MIGRATIONS)
        await migrate(database, "deliveries", DELIVERIES_MIGRATIONS)
        yield PostgresqlSinks(database)


@asynccontextmanager
async def open_reads(dsn: str) -> AsyncIterator[PostgresqlReads]:
    """Reads of all of them. Raises Misconfigured and Unavailable as open_read_only does."""
    async with open_read_only(dsn) as database:
        yield PostgresqlReads(database)
