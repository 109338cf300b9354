"""A small pool of connections to one PostgreSQL, and what its errors mean to us.

Commits are durable whatever the server's default is; a client that freezes inside a transaction loses it after 10 s,
so that it holds nobody up. A server that takes no writes any more loses our connections, so that the next ones find
the one that took over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

import asyncpg

from schemas.errors import Misconfigured, Unavailable
from workers.stores.postgresql.servers import DRIVER, NotReached, Servers, servers_of, sqlstate, words
from workers.stores.postgresql.servers import Connection as Reached

T = TypeVar("T")

SCHEMA: Final = "callstitch"  # our tables live apart from whatever else the database holds
START_SECONDS: Final = 30.0
_POOL_SIZE: Final = 4  # a batch, a tick and its marks at once
_CLOSE_SECONDS: Final = 5.0
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
# A writer finds all by indexes, also in a table that is empty in one second and full in the next (`unsent`): a plan
# that was made while it was empty would read all of it for each row of a batch.
_WRITING: Final = {**_SETTINGS, "enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"}
_TRY_AGAIN: Final = frozenset({"40001", "40P01"})
# How the SQLSTATEs begin that the values of one batch can cause: too large, no number, a broken constraint. Any other
# failure is the store's (away, full, read-only, its tables renamed, grants revoked) or a statement's: it meets all.
_BLAMED: Final = ("21", "22", "23", "44", "54", "P0")
_SPOKEN: Final = ("08", "25006", "3F", "42501", "42P01", "53", "55", "57")  # words for these hold no values
_READ_ONLY: Final = "25006"  # of several servers another has taken over, or one of a managed service is in trouble
NOT_MADE_YET: Final = ("42P01",)  # what a question meets where no stage made the tables
_IS_SET: Final = f"SELECT 1 WHERE current_setting('search_path') = '{SCHEMA}'"
_YES: Final = "SELECT 1"  # the tag of one row


class Connection(Protocol):
    """What we use of asyncpg's connection."""

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109 - the driver's
        """The command's tag; without a `timeout` it has 30 s."""
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


class Overtaken(Exception):
    """Another transaction made or deleted a row meanwhile: this one is worth another try."""


class Database:
    """An open pool; `passing`: SQLSTATEs that are raised as the driver's own errors, to who knows what they mean.

    `frame` is what sets a session up at the start of each transaction, where a pooler lends another session to each.
    """

    def __init__(self, pool: Any, servers: Servers, *, frame: str = "", passing: Sequence[str] = ()) -> None:
        self._pool = pool
        self.servers = servers
        self._frame = frame
        self._passing = passing

    async def transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """The result of `work`, committed; it is run again after a deadlock or a serialization failure.

        Raises:
            Unavailable: the server is away, full, stopping or too slow, or its tables or our rights to them are.
                Nothing was committed, or the answer to COMMIT was lost: the caller does the same again, which claims
                and folds absorb.
        """
        return await self._again(lambda connection: self._committed(connection, work))

    async def fetch(self, query: str, *args: object) -> Sequence[Any]:
        """The rows of a single statement, which is its own transaction; raises what `transact` raises."""
        return await self._again(self._alone(lambda connection: connection.fetch(query, *args)))

    async def execute(self, query: str, *args: object) -> int:
        """The same for a statement without rows: how many it wrote or deleted."""
        tag = await self._again(self._alone(lambda connection: connection.execute(query, *args)))
        return int(tag.rpartition(" ")[2])

    def _alone(self, work: Callable[[Connection], Awaitable[T]]) -> Callable[[Connection], Awaitable[T]]:
        return (lambda connection: self._committed(connection, work)) if self._frame else work

    async def _committed(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with connection.transaction():
            if self._frame:
                await connection.execute(self._frame)
            return await work(connection)

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
            async with self._pool.acquire(timeout=self.servers.seconds) as connection:
                return await work(connection)
        except Overtaken:
            raise _Again from None
        except (*DRIVER, NotReached) as error:
            if _is_cancelled():
                raise asyncio.CancelledError from None
            if sqlstate(error) == _READ_ONLY:
                await self._pool.expire_connections()
            raise (error if sqlstate(error) in self._passing else meaning(error)) from None


class _Again(Exception):
    pass


def _is_cancelled() -> bool:
    """Whether our task is told to end: of a query that is cut off so the driver may tell an error of its own instead.

    Who only looks on takes errors lightly and would look on for ever, while whoever ended it waits.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def meaning(error: Exception) -> Exception:
    """What a driver's error means to us: try again, Unavailable, or itself, because the values of a batch caused it."""
    state = sqlstate(error)
    if state in _TRY_AGAIN:
        return _Again()
    if isinstance(error, ValueError) or state.startswith(_BLAMED):
        return error
    spoken = isinstance(error, (NotReached, OSError)) or state.startswith(_SPOKEN)
    return Unavailable(f"PostgreSQL: {words(error) if spoken else type(error).__name__}")


@asynccontextmanager
async def open_database(dsn: str, *, start_seconds: float = START_SECONDS) -> AsyncIterator[Database]:
    """Connect, waiting up to `start_seconds` for a server that is not there yet.

    Raises:
        Misconfigured: the DSN is not one, the servers know no such user, password or database, or theirs is not a
            certificate that we trust.
        Unavailable: no server answers and takes writes.
    """
    async with _open(dsn, _WRITING, start_seconds) as (pool, servers, frame):
        yield Database(pool, servers, frame=frame)


@asynccontextmanager
async def open_read_only(dsn: str) -> AsyncIterator[Database]:
    """The same for the operator's questions: the server lets it write nothing, and an absent one is not waited for.

    Its `fetch` raises asyncpg.UndefinedTableError where no stage has opened its tables yet.
    """
    settings = {**_SETTINGS, "default_transaction_read_only": "on"}
    async with _open(dsn, settings, 0, read_only=True) as (pool, servers, frame):
        yield Database(pool, servers, frame=frame, passing=NOT_MADE_YET)


@asynccontextmanager
async def _open(
    dsn: str, settings: Mapping[str, str], start_seconds: float, *, read_only: bool = False
) -> AsyncIterator[tuple[Any, Servers, str]]:
    try:
        servers = servers_of(dsn)
    except ValueError as error:
        raise Misconfigured(f"store: {error}") from None
    pool, frame = await _patiently(lambda: _open_pool(servers, settings, read_only=read_only), start_seconds)
    try:
        yield pool, servers, frame
    finally:
        await _close(pool)


async def _open_pool(servers: Servers, settings: Mapping[str, str], *, read_only: bool) -> tuple[Any, str]:
    """Connections that have our settings, and no frame; behind a pooler those that have none, and the frame."""
    try:
        pool = await _pool_of(servers, read_only=read_only, server_settings=settings)
        async with pool.acquire() as connection:
            if await connection.execute(_IS_SET) == _YES:  # as text: a pooler may lend another session to a second step
                return pool, ""
        await _close(pool)
    except NotReached as error:
        if not error.pooler:
            raise
    pool = await _pool_of(servers, read_only=read_only, statement_cache_size=0)
    async with pool.acquire():
        return pool, _frame(settings)


async def _pool_of(servers: Servers, **options: object) -> Any:
    return await asyncpg.create_pool(
        min_size=0,  # with more the driver connects by itself, and logs a traceback for each try while nobody answers
        max_size=_POOL_SIZE,
        connect=servers.connect,
        connection_class=Reached,
        command_timeout=_COMMAND_SECONDS,
        reset=_leave_as_it_is,
        **options,
    )


def _frame(settings: Mapping[str, str]) -> str:
    """The same settings for one transaction, what is a default for transactions as this one's own."""
    return ";".join(f"SET LOCAL {name.removeprefix('default_')} = '{value}'" for name, value in settings.items())


async def _leave_as_it_is(_: object) -> None:
    """Nothing of ours outlives its transaction; asyncpg's own reset would cost a round trip per batch."""


async def _patiently(open_it: Callable[[], Awaitable[Any]], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await open_it()
        except (*DRIVER, NotReached) as error:
            failure = _at_start(error)
        if isinstance(failure, Misconfigured) or time.monotonic() >= deadline:
            raise failure from None
        await asyncio.sleep(_POLL_SECONDS)


def _at_start(error: Exception) -> Exception:
    if isinstance(error, NotReached) and error.refused:
        return Misconfigured(f"store: PostgreSQL refuses us: {error}")
    return Unavailable(f"the state store does not answer: {words(error)}")


async def _close(pool: Any) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await pool.close()
    except DRIVER:
        pool.terminate()
