"""Sessions and the outbox of correlate, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Final

import orjson

from schemas.envelope import Envelope, encode_envelope
from workers.calls.step import Step
from workers.correlate import News, StepFunction
from workers.retention import AS_EVER, Retention
from workers.stores.erasing import ghost_step, ghosts, keyed_id
from workers.stores.looks import OVERDUE, sessions_query, told
from workers.stores.sessions import (
    LEASE,
    OF_NO_SESSION,
    POSTPONED,
    SessionRow,
    session_before,
    session_row,
    stored_envelope,
    swept,
)
from workers.stores.sqlite import purge
from workers.stores.sqlite.file import SqliteFile, micros
from workers.stores.sweep import within

_VERSION_1: Final = """
CREATE TABLE IF NOT EXISTS session (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, state BLOB NOT NULL, revision INTEGER NOT NULL,
    status TEXT NOT NULL, hour TEXT NOT NULL, due_at INTEGER, updated_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_due ON session (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, call_id TEXT NOT NULL, route TEXT NOT NULL,
    envelope BLOB NOT NULL, leased_at INTEGER NOT NULL, sent_at INTEGER);
CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (leased_at) WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS outbox_call ON outbox (call_id) WHERE sent_at IS NULL;
"""
_VERSION_2: Final = """
CREATE TABLE tombstone (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, status TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX tombstone_at ON tombstone (at);
CREATE INDEX session_quiet ON session (updated_at) WHERE due_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
DROP INDEX outbox_call;
CREATE INDEX outbox_call ON outbox (call_id);
"""
_VERSION_3: Final = "ALTER TABLE session ADD COLUMN arrived TEXT;"  # NULL in what an older program folded last
# Long states take fewer pages in a table with rowids; and a program that cannot read states of version 2 stays out.
_VERSION_4: Final = """
ALTER TABLE session RENAME TO session_before;
DROP INDEX session_due;
DROP INDEX session_quiet;
CREATE TABLE session (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, state BLOB NOT NULL, revision INTEGER NOT NULL, status TEXT NOT NULL,
    hour TEXT NOT NULL, due_at INTEGER, updated_at INTEGER NOT NULL, arrived TEXT);
INSERT INTO session SELECT * FROM session_before;
DROP TABLE session_before;
CREATE INDEX session_due ON session (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX session_quiet ON session (updated_at) WHERE due_at IS NULL;
"""
SESSIONS_MIGRATIONS: Final = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, purge.KEY_TABLE)
_CHUNK: Final = 500
_LOOK: Final = sessions_query("?")


class SqliteSessions:
    """SessionStore on one file."""

    def __init__(self, file: SqliteFile, purge_key: bytes) -> None:
        self._file = file
        self._purge_key = purge_key

    async def fold(self, news: News, step: StepFunction, now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        if not news:
            return []
        return await self._file.write(_fold, news, step, now, self._purge_key)

    async def tell(self, events: Sequence[Envelope], now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return await self._file.write(_tell, events, now)

    async def due(self, now: datetime, step: StepFunction, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return await self._file.write(_due, now, step, limit)

    async def unsent(self, now: datetime, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return await self._file.write(_unsent, now, limit)

    async def sent(self, ids: Sequence[str], now: datetime) -> None:
        """As `SessionStore` promises. A mark that a power cut undoes costs one more publish of the same event."""
        await self._file.write_soon(_sent, ids, now)

    async def look(self, now: datetime) -> Mapping[str, int]:
        """As `SessionStore` promises."""
        return await self._file.write(_look, micros(now - OVERDUE))

    async def purge(self, calls: Sequence[str], events: Sequence[str], now: datetime) -> Mapping[str, str]:
        """As `SessionStore` promises."""
        waiting = await self._file.write(purge.purge, calls, events, now, key=self._purge_key, keep=_keep)
        await self._file.compact()
        return waiting

    async def expire(self, now: datetime, limit: int, kept: Retention = AS_EVER) -> int:
        """As `SessionStore` promises."""
        return await self._file.write(_expire, now, limit, kept)


def _fold(db: sqlite3.Connection, news: News, step: StepFunction, now: datetime, purge_key: bytes) -> list[Envelope]:
    states = _states(db, tuple(news))
    keyed = {call_id: keyed_id(call_id, purge_key) for call_id in news if call_id not in states}
    tombstones = _tombstones(db, [*keyed, *keyed.values()])
    erased = {call_id: other for call_id, other in keyed.items() if other in tombstones}
    left_over = _left_over(db, tuple(states), now)
    steps = {
        call_id: step(session_before(states.get(call_id), tombstones.get(call_id)), facts)
        for call_id, facts in news.items()
        if call_id not in erased
    }
    if erased:
        ghostly = {other: left for call_id, other in erased.items() if (left := ghosts(news[call_id], other))}
        known = _states(db, tuple(ghostly))
        steps |= {
            other: ghost_step(session_before(known.get(other), tombstones[other]), left)
            for other, left in ghostly.items()
        }
    return [*left_over, *_keep(db, steps, now)]


def _states(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for chunk, marks in _chunks(ids):
        found.update(db.execute(f"SELECT id, state FROM session WHERE id IN ({marks})", chunk))  # noqa: S608 - marks only
    return found


def _tombstones(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for chunk, marks in _chunks(ids):
        query = f"SELECT id, revision, status FROM tombstone WHERE id IN ({marks})"  # noqa: S608 - marks only
        found.update({call_id: (revision, status) for call_id, revision, status in db.execute(query, chunk)})
    return found


def _due(db: sqlite3.Connection, now: datetime, step: StepFunction, limit: int) -> list[Envelope]:
    query = "SELECT id, state FROM session WHERE due_at <= ? ORDER BY due_at LIMIT ?"
    with closing(db.execute(query, (micros(now), limit))) as rows:
        found = within(rows, lambda row: len(row[1]))
    steps, bad = swept(found, step)
    later = micros(now + POSTPONED)
    db.executemany("UPDATE session SET due_at = ? WHERE id = ?", [(later, call_id) for call_id in bad])
    return _keep(db, steps, now)


def _keep(db: sqlite3.Connection, steps: Mapping[str, Step], now: datetime) -> list[Envelope]:
    moment = micros(now)
    db.executemany(
        "INSERT INTO session VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
        " revision = excluded.revision, status = excluded.status, due_at = excluded.due_at,"
        " updated_at = excluded.updated_at, arrived = excluded.arrived",
        [_columns(session_row(call_id, step), moment) for call_id, step in steps.items()],
    )
    leaving = [(call_id, envelope) for call_id, step in steps.items() for envelope in step.envelopes]
    return [envelope for call_id, envelope in leaving if _put_out(db, call_id, envelope, moment)]


def _tell(db: sqlite3.Connection, events: Sequence[Envelope], now: datetime) -> list[Envelope]:
    moment = micros(now)
    return [event for event in events if _put_out(db, OF_NO_SESSION, event, moment)]


def _put_out(db: sqlite3.Connection, call_id: str, envelope: Envelope, moment: int) -> bool:
    """False when the outbox knows that id: what it holds is what was said."""
    row = (envelope.id, call_id, envelope.route or envelope.kind, encode_envelope(envelope), moment)
    query = "INSERT OR IGNORE INTO outbox (id, call_id, route, envelope, leased_at) VALUES (?,?,?,?,?)"
    return db.execute(query, row).rowcount == 1


def _columns(row: SessionRow, moment: int) -> tuple[str, str, bytes, int, str, str, int | None, int, str]:
    due_at = micros(row.due_at) if row.due_at is not None else None
    return (row.id, row.source, row.state, row.revision, row.status, row.hour, due_at, moment, row.arrived)


def _look(db: sqlite3.Connection, before: int) -> Mapping[str, int]:
    return told(db.execute(_LOOK, (before,)).fetchone())


_LEASE_AGAIN: Final = "UPDATE outbox SET leased_at = ? WHERE sent_at IS NULL AND leased_at <= ? AND "


def _unsent(db: sqlite3.Connection, now: datetime, limit: int) -> list[Envelope]:
    query = "SELECT n, length(envelope) size FROM outbox WHERE sent_at IS NULL AND leased_at <= ?"
    old = micros(now - LEASE)
    with closing(db.execute(f"{query} ORDER BY leased_at, n LIMIT ?", (old, limit))) as rows:
        oldest = within(rows, lambda row: row[1])
    these = "n IN (SELECT value FROM json_each(?)) RETURNING n, envelope"
    ids = orjson.dumps([n for n, _ in oldest]).decode()
    return _envelopes(db.execute(_LEASE_AGAIN + these, (micros(now), old, ids)))


def _left_over(db: sqlite3.Connection, ids: Sequence[str], now: datetime) -> list[Envelope]:
    """What a crash left unsent of these calls."""
    found: list[Envelope] = []
    for chunk, marks in _chunks(ids):
        query = f"{_LEASE_AGAIN}call_id IN ({marks}) RETURNING n, envelope"
        found += _envelopes(db.execute(query, (micros(now), micros(now - LEASE), *chunk)))
    return found


def _envelopes(rows: Iterable[tuple[int, bytes]]) -> list[Envelope]:
    return [stored_envelope(row) for _, row in sorted(rows)]


def _chunks(ids: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        yield chunk, ",".join("?" * len(chunk))


def _sent(db: sqlite3.Connection, ids: Sequence[str], now: datetime) -> None:
    moment = micros(now)
    for chunk, marks in _chunks(ids):
        db.execute(f"UPDATE outbox SET sent_at = ? WHERE id IN ({marks}) AND sent_at IS NULL", (moment, *chunk))  # noqa: S608 - marks only


def _expire(db: sqlite3.Connection, now: datetime, limit: int, kept: Retention) -> int:
    sent = "SELECT n FROM outbox WHERE sent_at <= ? LIMIT ?"
    gone = db.execute(f"DELETE FROM outbox WHERE n IN ({sent})", (micros(now - kept.outbox), limit)).rowcount  # noqa: S608 - our own text
    quiet = (
        "SELECT id FROM session WHERE due_at IS NULL AND updated_at <= ?"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE call_id = session.id) LIMIT ?"
    )
    ids = db.execute(quiet, (micros(now - kept.sessions), limit)).fetchall()
    db.executemany(
        "INSERT OR REPLACE INTO tombstone SELECT id, revision, status, ? FROM session WHERE id = ?",
        [(micros(now), call_id) for (call_id,) in ids],
    )
    db.executemany("DELETE FROM session WHERE id = ?", ids)
    old = "SELECT id FROM tombstone WHERE at <= ? LIMIT ?"
    forgotten = db.execute(f"DELETE FROM tombstone WHERE id IN ({old})", (micros(now - kept.tombstones), limit))  # noqa: S608 - our own text
    return gone + len(ids) + forgotten.rowcount


def purge_key(db: sqlite3.Connection) -> bytes:
    """See erasing.keyed_id."""
    key: bytes = db.execute("SELECT key FROM purge_key").fetchone()[0]
    return key
