"""`sqlite:DIR`: one file per stage, each with one owner process; the operator's commands read them meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from runtime.files import see_writable
from schemas.errors import Unavailable
from workers.stores.sqlite.claims import CLAIMS_MIGRATIONS, SqliteClaims
from workers.stores.sqlite.declared import DECLARED_MIGRATIONS, SqliteDeclared
from workers.stores.sqlite.file import open_sqlite_file
from workers.stores.sqlite.forms import SqliteForms
from workers.stores.sqlite.parked import PARKED_MIGRATIONS, SqliteParked
from workers.stores.sqlite.reads import SqliteReads
from workers.stores.sqlite.schema import SESSIONS_MIGRATIONS
from workers.stores.sqlite.sessions import SqliteSessions, purge_key
from workers.stores.sqlite.sinks import SqliteSinks


async def examine(directory: Path) -> None:
    """See that state files could be written there. Raises Misconfigured when they could not."""
    await asyncio.to_thread(see_writable, directory)


@asynccontextmanager
async def open_claims(directory: Path) -> AsyncIterator[SqliteClaims]:
    """Dedupe's store. Raises Misconfigured when another process owns it."""
    async with open_sqlite_file(directory / "dedupe.db", CLAIMS_MIGRATIONS) as file:
        yield SqliteClaims(file)


@asynccontextmanager
async def open_sessions(directory: Path) -> AsyncIterator[SqliteSessions]:
    """Correlate's store. Raises Misconfigured when another process owns it."""
    async with open_sqlite_file(directory / "correlate.db", SESSIONS_MIGRATIONS) as file:
        store = SqliteSessions(file, await file.write(purge_key))
        try:
            yield store
        finally:
            with suppress(Unavailable):  # a mark that is lost costs one more publish
                await store.flush()


@asynccontextmanager
async def open_parked(directory: Path) -> AsyncIterator[SqliteParked]:
    """Park's store. Raises Misconfigured when another process owns it."""
    async with open_sqlite_file(directory / "park.db", PARKED_MIGRATIONS) as file:
        yield SqliteParked(file)


@asynccontextmanager
async def open_declared(directory: Path) -> AsyncIterator[SqliteDeclared]:
    """The record of what we have declared. Raises Misconfigured when another process owns it."""
    async with open_sqlite_file(directory / "declared.db", DECLARED_MIGRATIONS) as file:
        yield SqliteDeclared(file)


@asynccontextmanager
async def open_forms(directory: Path) -> AsyncIterator[SqliteForms]:
    """In which forms events are wanted; the file is opened for a moment at a time."""
    yield SqliteForms(directory)


@asynccontextmanager
async def open_sinks(directory: Path) -> AsyncIterator[SqliteSinks]:
    """What is known of sinks, and their log; the files are opened for a moment at a time."""
    yield SqliteSinks(directory)


@asynccontextmanager
async def open_reads(directory: Path) -> AsyncIterator[SqliteReads]:
    """Reads of all of them; a file that does not exist is a fault of the question that needs it."""
    yield SqliteReads(directory)
