"""A small pool of connections to one PostgreSQL, and what its errors mean to us.

Commits are durable whatever the server's default is; a client that freezes inside a transaction loses it after 10 s,
so that it holds nobody up. The DSN holds a password: it stays out of every text that leaves this file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

import asyncpg

from schemas.errors import Misconfigured, Unavailable

T = TypeVar("T")

SCHEMA: Final = "callstitch"  # our tables live apart from whatever else the database holds
START_SECONDS: Final = 30.0
_POOL_SIZE: Final = 4  # a batch, a tick and its marks at once
_CONNECT_SECONDS: Final = 5.0
_COMMAND_SECONDS: Final = 30.0  # a connection that is cut without a word
_POLL_SECONDS: Final = 0.5
_AGAIN_SECONDS: Final = (0.01, 0.05, 0.1, 0.2)  # after a deadlock or a serialization failure
_SETTINGS: Final = {
    "application_name": "callstitch",
    "search_path": SCHEMA,
    "timezone": "UTC",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "10s",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",
}
# The last one is not a bug of ours: the driver raises it when the server ends a connection in the middle of a query.
_DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, asyncpg.InternalClientError)
_TRY_AGAIN: Final = frozenset({"40001", "40P01"})
_AWAY: Final = ("08", "25006", "25P03", "28", "3D", "53", "55P03", "57", "58")  # SQLSTATEs, or how they begin
_REFUSED: Final = ("28", "3D")


class Connection(Protocol):
    """What we use of asyncpg's connection."""

    async def execute(self, query: str, *args: object) -> str:
        """The command's tag."""
        ...

    async def fetch(self, query: str, *args: object) -> Sequence[Any]:
        """All rows."""
        ...

    async def fetchval(self, query: str, *args: object) -> Any:
        """The first column of the first row."""
        ...

    def transaction(self) -> Any:
        """BEGIN and COMMIT as an async context."""
        ...


class Vanished(Exception):
    """A row that another transaction deleted meanwhile: the transaction is worth another try."""


class Database:
    """An open pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """The result of `work`, committed; it is run again after a deadlock or a serialization failure.

        Raises:
            Unavailable: the server is away, full, stopping or too slow. Nothing was committed, or the answer to
                COMMIT was lost: the caller does the same again, which claims and folds absorb.
        """
        return await self._again(lambda connection: _committed(connection, work))

    async def fetch(self, query: str, *args: object) -> Sequence[Any]:
        """The rows of a single statement, which is its own transaction; raises what `transact` raises."""
        return await self._again(lambda connection: connection.fetch(query, *args))

    async def execute(self, query: str, *args: object) -> int:
        """The same for a statement without rows: how many it wrote or deleted."""
        tag = await self._again(lambda connection: connection.execute(query, *args))
        return int(tag.rpartition(" ")[2])

    async def _again(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        for pause in _AGAIN_SECONDS:
            try:
                return await self._once(work)
            except _Again:
                await asyncio.sleep(pause)
        try:
            return await self._once(work)
        except _Again:
            raise Unavailable("PostgreSQL: transactions keep colliding") from None

    async def _once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            async with self._pool.acquire(timeout=_CONNECT_SECONDS) as connection:
                return await work(connection)
        except Vanished:
            raise _Again from None
        except _DRIVER as error:
            raise meaning(error) from None


class _Again(Exception):
    pass


async def _committed(connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
    async with connection.transaction():
        return await work(connection)


def meaning(error: Exception) -> Exception:
    """What a driver's error means to us: try again, Unavailable, or itself, because then it is a bug of ours."""
    state = getattr(error, "sqlstate", None)
    if state in _TRY_AGAIN:
        return _Again()
    if isinstance(error, ValueError) or (state is not None and not state.startswith(_AWAY)):
        return error
    return Unavailable(f"PostgreSQL: {type(error).__name__}")


@asynccontextmanager
async def open_database(dsn: str, *, start_seconds: float = START_SECONDS) -> AsyncIterator[Database]:
    """Connect, waiting up to `start_seconds` for a server that is not there yet.

    Raises:
        Misconfigured: the DSN is not one, or the server knows no such user, password or database.
        Unavailable: the server does not answer.
    """
    async with _open(dsn, _SETTINGS, start_seconds) as database:
        yield database


@asynccontextmanager
async def open_read_only(dsn: str) -> AsyncIterator[Database]:
    """The same for the operator's questions: the server lets it write nothing, and an absent one is not waited for.

    Its `fetch` raises asyncpg.UndefinedTableError where no stage has opened its tables yet, and
    asyncpg.UndefinedColumnError where an older program made them.
    """
    async with _open(dsn, {**_SETTINGS, "default_transaction_read_only": "on"}, 0) as database:
        yield database


@asynccontextmanager
async def _open(dsn: str, settings: Mapping[str, str], start_seconds: float) -> AsyncIterator[Database]:
    pool = await _patiently(lambda: _open_pool(dsn, settings), start_seconds)
    try:
        yield Database(pool)
    finally:
        await _close(pool)


async def _open_pool(dsn: str, settings: Mapping[str, str]) -> Any:
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=_POOL_SIZE,
        timeout=_CONNECT_SECONDS,
        command_timeout=_COMMAND_SECONDS,
        server_settings=settings,
        reset=_leave_as_it_is,
    )


async def _leave_as_it_is(_: object) -> None:
    """Nothing of ours outlives its transaction; asyncpg's own reset would cost a round trip per batch."""


async def _patiently(open_it: Callable[[], Awaitable[Any]], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await open_it()
        except (*_DRIVER, ValueError) as error:
            failure = _at_start(error)
        if isinstance(failure, Misconfigured) or time.monotonic() >= deadline:
            raise failure from None
        await asyncio.sleep(_POLL_SECONDS)


def _at_start(error: Exception) -> Exception:
    if isinstance(error, ValueError):
        return Misconfigured("store: not a URL that PostgreSQL's clients understand")
    if (getattr(error, "sqlstate", None) or "").startswith(_REFUSED):
        return Misconfigured(f"store: PostgreSQL refuses us: {type(error).__name__}")
    return Unavailable(f"the state store does not answer: {type(error).__name__}")


async def _close(pool: Any) -> None:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await pool.close()
    except _DRIVER:
        pool.terminate()
