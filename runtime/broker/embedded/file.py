"""The embedded broker's SQLite file: its tables, and the few statements over them.

ONE connection, used by one thread, writes and checkpoints: SQLite before 3.51.3 may corrupt a WAL file when two
connections do so at once (sqlite.org/wal.html, "The WAL-Reset Bug"), and Debian 12 ships 3.40.1.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import structlog

from runtime.files import identity
from schemas.errors import CallstitchError, Misconfigured, Unavailable
from schemas.topology import Binding, Exchange, Queue

_VERSION: Final = 1
_QUEUE_SHIFT: Final = 40
_JOURNAL_BYTES: Final = 64 * 1024 * 1024
COMPACT_BYTES: Final = 16 * 1024 * 1024  # of what is held
_SIZES: Final = ("page_count", "freelist_count", "page_size")
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

# A message's id is its queue's number << 40 | its place in that queue: the table is then sorted by queue and place
# without an index. A question has a correlation id, and does not outlive the process that asked it.
_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE queue(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, arguments TEXT NOT NULL);
CREATE TABLE exchange(name TEXT NOT NULL PRIMARY KEY, arguments TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE binding(exchange TEXT NOT NULL, queue TEXT NOT NULL, pattern TEXT NOT NULL,
    PRIMARY KEY (exchange, queue, pattern)) WITHOUT ROWID;
CREATE TABLE message(id INTEGER PRIMARY KEY, deliveries INTEGER NOT NULL, due REAL, routing_key TEXT NOT NULL,
    message_id TEXT NOT NULL, content_type TEXT NOT NULL, headers TEXT NOT NULL, correlation_id TEXT NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX question ON message(correlation_id) WHERE correlation_id <> '';
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_INSERT: Final = "INSERT INTO message VALUES (?,?,?,?,?,?,?,?,?)"
_AFTER: Final = "SELECT * FROM message WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
_THESE: Final = "SELECT * FROM message WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
_COUNT: Final = "UPDATE message SET deliveries = deliveries + 1 WHERE id IN (SELECT value FROM json_each(?))"
_DELETE: Final = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))"
_WAITING_SINCE: Final = "SELECT due FROM message WHERE id > ? AND id < ? ORDER BY id LIMIT 1"
_QUESTION: Final = "SELECT id FROM message WHERE correlation_id = ? AND correlation_id <> ''"
_HELD: Final = "SELECT id >> ?, count(*), max(id) FROM message GROUP BY 1"


log = structlog.get_logger()


class Row(NamedTuple):
    """One stored message; `due` (wall-clock seconds) is when it expires, `headers` JSON or empty."""

    id: int
    deliveries: int
    due: float | None
    routing_key: str
    message_id: str
    content_type: str
    headers: str
    correlation_id: str
    body: bytes


class Held(NamedTuple):
    """How many messages a queue holds, and the greatest id among them."""

    messages: int
    last_id: int


def first_id(queue: int) -> int:
    """Lower than every message's id in the queue of that number; the next queue's is greater than all of them."""
    return queue << _QUEUE_SHIFT


def queue_number(message: int) -> int:
    """The number of the queue that the message of that id is in."""
    return message >> _QUEUE_SHIFT


class File:
    """The tables. Every method may raise sqlite3.Error; methods that write want `begin` before them."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        self._db = connection
        self._path = path
        self._identity = identity(path) if path else None
        self._synchronous = ""

    def begin(self, *, synchronous: str) -> None:
        """Start a transaction; FULL: its commit returns after an fsync, NORMAL: it survives only a killed process."""
        self.rollback()  # nothing, unless the last rollback failed
        if self._path and identity(self._path) != self._identity:  # what we wrote would be lost with the old file
            raise sqlite3.OperationalError("the file was moved away or replaced: put it back, or start again")
        if synchronous != self._synchronous:
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        self._db.execute("BEGIN IMMEDIATE")

    def rewrite_version(self) -> None:
        """Write one page without changing anything."""
        self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def commit(self) -> None:
        """End the transaction; it is as durable as `begin` was told."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        if self._db.in_transaction:  # SQLite itself rolls back after some errors, a full disk among them
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Checkpoint and close; where what is held is quickly written anew, nothing of what was acked stays."""
        try:
            self._vacuum()
        except sqlite3.Error as error:  # a reader is at it, the disk is full: the next close may
            log.warning("broker.not_compacted", reason=str(error))
        self._db.close()

    def _vacuum(self) -> None:
        pages, free, size = [self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in _SIZES]
        if free and (pages - free) * size <= COMPACT_BYTES and not self._db.in_transaction:
            self._db.execute("VACUUM")

    def insert(self, rows: Iterable[Row]) -> None:
        """Store new messages."""
        self._db.executemany(_INSERT, rows)

    def after(self, first: int, last: int, limit: int) -> list[Row]:
        """Messages with first < id < last, lowest first."""
        return [Row._make(row) for row in self._db.execute(_AFTER, (first, last, limit))]

    def these(self, ids: Sequence[int]) -> list[Row]:
        """The messages of these ids that still exist, lowest first."""
        return [Row._make(row) for row in self._db.execute(_THESE, (orjson.dumps(ids).decode(),))]

    def count_delivery(self, ids: Sequence[int]) -> None:
        """These messages are about to be handed out once more."""
        self._db.execute(_COUNT, (orjson.dumps(ids).decode(),))

    def delete(self, ids: Sequence[int]) -> None:
        """Delete these messages; ids that do not exist are ignored."""
        self._db.execute(_DELETE, (orjson.dumps(ids).decode(),))

    def due(self, first: int, last: int) -> float | None:
        """When the first message with first < id < last expires."""
        row = self._db.execute(_WAITING_SINCE, (first, last)).fetchone()
        return None if row is None else row[0]

    def questions(self, correlation_id: str) -> list[int]:
        """The messages of that correlation id."""
        return [row[0] for row in self._db.execute(_QUESTION, (correlation_id,))]

    def held(self) -> dict[int, Held]:
        """By queue number. Reads the whole table."""
        return {number: Held(messages, last) for number, messages, last in self._db.execute(_HELD, (_QUEUE_SHIFT,))}

    def queues(self) -> dict[int, Queue]:
        """Declared queues by their numbers."""
        rows = self._db.execute("SELECT number, arguments FROM queue")
        return {number: Queue(**orjson.loads(arguments)) for number, arguments in rows}

    def exchanges(self) -> list[Exchange]:
        """Declared exchanges."""
        rows = self._db.execute("SELECT arguments FROM exchange")
        return [Exchange(**orjson.loads(arguments)) for (arguments,) in rows]

    def bindings(self) -> list[Binding]:
        """All bindings."""
        rows = self._db.execute("SELECT exchange, queue, pattern FROM binding")
        return [Binding(exchange=exchange, queue=queue, pattern=pattern) for exchange, queue, pattern in rows]

    def add_queues(self, queues: Iterable[Queue]) -> None:
        """Declare queues that are not there; each gets the next number."""
        # What is not said is left out, so that a version that does not know the word yet can read it.
        said = {row.name: {k: v for k, v in asdict(row).items() if v is not None and v is not False} for row in queues}
        rows = [(name, orjson.dumps(words).decode()) for name, words in said.items()]
        self._db.executemany("INSERT INTO queue(name, arguments) VALUES (?,?)", rows)

    def delete_queue(self, name: str) -> None:
        """Forget a queue, which holds nothing, and its bindings."""
        self._db.execute("DELETE FROM binding WHERE queue = ?", (name,))
        self._db.execute("DELETE FROM queue WHERE name = ?", (name,))

    def add_exchanges(self, exchanges: Iterable[Exchange]) -> None:
        """Declare exchanges that are not there."""
        rows = [(exchange.name, orjson.dumps(exchange).decode()) for exchange in exchanges]
        self._db.executemany("INSERT INTO exchange VALUES (?,?)", rows)

    def bind(self, bindings: Iterable[Binding]) -> None:
        """Add bindings; one that is there already is left alone."""
        rows = [(row.exchange, row.queue, row.pattern) for row in bindings]
        self._db.executemany("INSERT OR IGNORE INTO binding VALUES (?,?,?)", rows)

    def unbind(self, bindings: Iterable[Binding]) -> None:
        """Remove bindings; one that is not there is ignored."""
        rows = [(row.exchange, row.queue, row.pattern) for row in bindings]
        self._db.executemany("DELETE FROM binding WHERE exchange = ? AND queue = ? AND pattern = ?", rows)


def open_file(path: Path | None, *, busy_seconds: float) -> File:
    """Open or create the file (None: in memory), in and for the calling thread only.

    Raises:
        Misconfigured: it is not our file, is damaged, or cannot be written.
        Unavailable: somebody else keeps it locked.
    """
    try:
        if path is not None:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds phone numbers; its WAL takes this mode
        connection = sqlite3.connect(path or ":memory:", timeout=busy_seconds, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise Misconfigured(f"cannot open the broker's file {path}: {error}") from None
    try:
        _prepare(connection)
    except (sqlite3.Error, Misconfigured) as error:
        connection.close()
        raise refusal(error, path) from None
    return File(connection, path)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
    connection.execute("PRAGMA secure_delete = FAST")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.executescript(_SCHEMA)
    elif version != _VERSION:
        raise Misconfigured(f"it has version {version}, this program knows version {_VERSION}")
    connection.execute("DELETE FROM message WHERE correlation_id <> ''")


def refusal(error: Exception, path: Path | None) -> CallstitchError:
    """What to raise when this error keeps the file from being opened."""
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) in _BUSY:
        return Unavailable(f"somebody else keeps the broker's file {path} locked")
    return Misconfigured(f"the broker's file {path} cannot be used: {error}")
