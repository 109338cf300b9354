"""Sessions and the outbox of correlate, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from schemas.envelope import Envelope, encode_envelope
from schemas.facts import Fact
from schemas.session import decode_session, encode_session
from workers.correlate import StepFunction
from workers.emission import Step
from workers.stores.outbox import LEASE, stored_envelope
from workers.stores.sqlite_file import SqliteFile, micros

SESSIONS_SCHEMA: Final = """
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
_CHUNK: Final = 500


class SqliteSessions:
    """SessionStore on one file."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def fold(self, news: Mapping[str, Sequence[Fact]], step: StepFunction, now: datetime) -> Sequence[Envelope]:
        """See SessionStore."""
        if not news:
            return []
        return await self._file.write(_fold, news, step, now)

    async def due(self, now: datetime, step: StepFunction, limit: int) -> Sequence[Envelope]:
        """See SessionStore."""
        return await self._file.write(_due, now, step, limit)

    async def unsent(self, now: datetime, limit: int) -> Sequence[Envelope]:
        """See SessionStore."""
        return await self._file.write(_unsent, now, limit)

    async def sent(self, ids: Sequence[str], now: datetime) -> None:
        """See SessionStore."""
        await self._file.write(_sent, ids, now)


def _fold(
    db: sqlite3.Connection, news: Mapping[str, Sequence[Fact]], step: StepFunction, now: datetime
) -> list[Envelope]:
    states = _states(db, tuple(news))
    left_over = _left_over(db, tuple(states), now)
    steps = {}
    for call_id, facts in news.items():
        blob = states.get(call_id)
        steps[call_id] = step(decode_session(blob) if blob is not None else None, facts)
    return [*left_over, *_keep(db, steps, now)]


def _states(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for chunk, marks in _chunks(ids):
        found.update(db.execute(f"SELECT id, state FROM session WHERE id IN ({marks})", chunk))  # noqa: S608 - marks only
    return found


def _due(db: sqlite3.Connection, now: datetime, step: StepFunction, limit: int) -> list[Envelope]:
    rows = db.execute("SELECT id, state FROM session WHERE due_at <= ? ORDER BY due_at LIMIT ?", (micros(now), limit))
    return _keep(db, {call_id: step(decode_session(blob), []) for call_id, blob in rows.fetchall()}, now)


def _keep(db: sqlite3.Connection, steps: Mapping[str, Step], now: datetime) -> list[Envelope]:
    db.executemany(
        "INSERT INTO session VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
        " revision = excluded.revision, status = excluded.status, due_at = excluded.due_at,"
        " updated_at = excluded.updated_at",
        [_session_row(call_id, step, now) for call_id, step in steps.items()],
    )
    leaving = [(call_id, envelope) for call_id, step in steps.items() for envelope in step.envelopes]
    db.executemany(
        "INSERT OR IGNORE INTO outbox (id, call_id, route, envelope, leased_at) VALUES (?,?,?,?,?)",
        [(e.id, call_id, e.route or e.kind, encode_envelope(e), micros(now)) for call_id, e in leaving],
    )
    return [envelope for _, envelope in leaving]


def _session_row(call_id: str, step: Step, now: datetime) -> tuple[str, str, bytes, int, str, str, int | None, int]:
    session = step.session
    first = min(fact.at for fact in session.facts.values())
    return (
        call_id,
        next(iter(session.facts.values())).source,
        encode_session(session),
        session.revision,
        "completed" if session.completed else "incomplete" if session.incomplete else "open",
        f"{first:%Y-%m-%dT%H}",
        micros(step.due_at) if step.due_at is not None else None,
        micros(now),
    )


_LEASE_AGAIN: Final = "UPDATE outbox SET leased_at = ? WHERE sent_at IS NULL AND leased_at <= ? AND "


def _unsent(db: sqlite3.Connection, now: datetime, limit: int) -> list[Envelope]:
    oldest = "n IN (SELECT n FROM outbox WHERE sent_at IS NULL AND leased_at <= ? ORDER BY n LIMIT ?)"
    old = micros(now - LEASE)
    return _envelopes(db.execute(f"{_LEASE_AGAIN}{oldest} RETURNING n, envelope", (micros(now), old, old, limit)))


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
    db.executemany("UPDATE outbox SET sent_at = ? WHERE id = ?", [(micros(now), event_id) for event_id in ids])
