"""One SQLite file of one stage: one owner process, one writer thread, one commit per batch.

WAL with synchronous=FULL, because NORMAL may lose the last commits on power cut and the ack would be a lie.
All writes and checkpoints go through one connection (SQLite before 3.51.3 may corrupt otherwise, see
docs/notes/effectively-once.md); readers open the file read-only (`runtime.files.read_only`).

A file knows the version of its schema (`meta`); opening brings an older one forward, one script a version.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import structlog

from runtime.files import identity, is_the_files_fault, owned, read_only
from schemas.errors import Misconfigured, Unavailable

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_SECONDS: Final = 5.0
_WAL_BYTES: Final = 64 * 1024 * 1024  # what is written again within it reaches the file itself once
_PAGE_BYTES: Final = 4096
COMPACT_BYTES: Final = 256 * 1024 * 1024
_CACHE_BYTES: Final = 16 * 1024 * 1024


def micros(moment: datetime) -> int:
    """A moment as microseconds since 1970, as all tables keep it."""
    return round(moment.timestamp() * 1_000_000)


def moment(value: int) -> datetime:
    """The aware UTC moment of a stored value."""
    return datetime.fromtimestamp(value / 1_000_000, UTC)


class SqliteFile:
    """An open file; `write` runs a function of the connection in one transaction on the writer thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._identity = identity(path)
        self._connection = connection
        self._thread = thread

    async def write(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result of `work`, committed.

        Raises:
            Unavailable: the file cannot be written (disk full, I/O error, locked, its tables gone), or another one lies
                in its place, as while a backup is restored; nothing was committed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: self._transact(lambda db: work(db, *args, **kwargs)))

    async def compact(self) -> None:
        """After an erasure: leave nothing of what was deleted in free pages and in the WAL, as far as that is quick.

        A file that is larger than COMPACT_BYTES keeps its free pages, which are used again first.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._compact)

    def _compact(self) -> None:
        db = self._connection
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        try:
            if pages * _PAGE_BYTES <= COMPACT_BYTES:
                db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:  # a reader is at it, or the disk is full: what is erased is erased
            log.warning("state.not_compacted", file=self._path.name, reason=str(error))

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._connection
        if identity(self._path) != self._identity:  # what we wrote now would be lost with the file that was moved away
            raise Unavailable(f"the state file {self._path} was moved away or replaced: put it back, or start again")
        try:
            db.execute("BEGIN IMMEDIATE")
            result = work(db)
            db.execute("COMMIT")
        except BaseException as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if is_the_files_fault(error):
                raise Unavailable(f"the state file cannot be written: {error}") from None
            raise
        return result


@asynccontextmanager
async def open_sqlite_file(path: Path, migrations: Sequence[str]) -> AsyncIterator[SqliteFile]:
    """Open or create the file and own it until the context ends; `migrations[n]` leads from version n to n + 1.

    Raises:
        Misconfigured: another process owns it, a newer version wrote it, or the file is not ours to read.
    """
    with owned(path), ThreadPoolExecutor(1, thread_name_prefix=path.stem) as thread:
        loop = asyncio.get_running_loop()
        connection = await loop.run_in_executor(thread, _connect, path, migrations)
        try:
            yield SqliteFile(path, connection, thread)
        finally:
            await loop.run_in_executor(thread, connection.close)


async def asked(
    path: Path, question: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """The answer to `question`, which reads the file in a thread while its owner goes on writing.

    Raises:
        Misconfigured: there is no such file, or it cannot be read.
    """

    def read() -> T:
        with read_only(path) as connection:
            return question(connection, *args, **kwargs)

    return await asyncio.to_thread(read)


def has_column(db: sqlite3.Connection, table: str, column: str) -> bool:
    """Whether the table is there and has that column: an older program's has not."""
    return db.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)).fetchone() is not None


def _connect(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.DatabaseError) as error:
        raise Misconfigured(f"cannot open {path}: {error}") from None
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=FAST")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_BYTES // _PAGE_BYTES}")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_BYTES // 1024}")
        _migrate(connection, path, migrations)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise Misconfigured(f"cannot open {path}: {error}") from None
        raise
    return connection


def _migrate(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Version 1 wrote no `meta`; its script changes nothing where its tables are."""
    db.executescript(
        "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL);"
        " INSERT INTO meta SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM meta); COMMIT"
    )
    version: int = db.execute("SELECT version FROM meta").fetchone()[0]
    if version > len(migrations):
        raise Misconfigured(f"{path} is version {version}; this program knows {len(migrations)}")
    for n, script in enumerate(migrations[version:], version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script}; UPDATE meta SET version = {n}; COMMIT")  # noqa: S608 - our own text
