"""Sessions and the outbox of correlate, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Final

from schemas.envelope import Envelope
from workers.calls.step import Step
from workers.correlate import News, StepFunction
from workers.retention import AS_EVER, Retention
from workers.stores.erasing import ghost_step, ghosts, keyed_id
from workers.stores.looks import OVERDUE, sessions_query, told
from workers.stores.sessions import (
    OF_NO_SESSION,
    POSTPONED,
    KeptSession,
    SessionRow,
    session_before,
    session_row,
    swept,
)
from workers.stores.sqlite import purge
from workers.stores.sqlite.expiry import expire
from workers.stores.sqlite.file import SqliteFile, micros
from workers.stores.sqlite.outbox import Leaving, Marks, chunks, left_over, unsent
from workers.stores.sweep import within

_LOOK: Final = sessions_query("?")
_READ: Final = (
    "SELECT s.id, s.state, s.said, o.envelope FROM session s LEFT JOIN outbox o ON o.call_id = s.id AND o.id = s.said"
)
_DUE: Final = f"{_READ} WHERE s.due_at <= ? ORDER BY s.due_at LIMIT ?"
_KEEP: Final = (
    "INSERT INTO session (id, source, state, revision, status, hour, arrived, due_at, said, updated_at)"
    " VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET state = excluded.state, revision = excluded.revision,"
    " status = excluded.status, arrived = excluded.arrived, due_at = excluded.due_at, said = excluded.said,"
    " updated_at = excluded.updated_at"
)


class SqliteSessions:
    """SessionStore on one file."""

    def __init__(self, file: SqliteFile, purge_key: bytes) -> None:
        self._file = file
        self._marks = Marks(file)
        self._purge_key = purge_key

    @property
    def token_key(self) -> bytes:
        """As `SessionStore` promises."""
        return self._purge_key

    async def fold(self, news: News, step: StepFunction, now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        if not news:
            return []
        return await self._marks.leave(self._fold, news, step, now)

    async def tell(self, events: Sequence[Envelope], now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        leaving = [(OF_NO_SESSION, event) for event in events]
        return await self._marks.leave(self._marks.put_out, leaving, now)

    async def due(self, now: datetime, step: StepFunction, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return await self._marks.leave(self._due, now, step, limit)

    async def unsent(self, now: datetime, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return await self._marks.leave(unsent, now, limit)

    async def sent(self, ids: Sequence[str], now: datetime) -> None:  # noqa: ARG002 - others may want it
        """As `SessionStore` promises."""
        self._marks.sent(ids)

    async def flush(self) -> None:
        """Mark what has left and was not marked by a transaction yet."""
        await self._marks.write(lambda _: None)

    async def look(self, now: datetime) -> Mapping[str, int]:
        """As `SessionStore` promises."""
        return await self._marks.write(_look, micros(now - OVERDUE))

    async def purge(self, calls: Sequence[str], events: Sequence[str], now: datetime) -> Mapping[str, str]:
        """As `SessionStore` promises."""
        waiting = await self._marks.write(purge.purge, calls, events, now, key=self._purge_key, keep=self._keep)
        await self._file.compact()
        return waiting

    async def expire(self, now: datetime, limit: int, kept: Retention = AS_EVER) -> int:
        """As `SessionStore` promises."""
        return await self._marks.write(expire, now, limit, kept)

    def _fold(self, db: sqlite3.Connection, news: News, step: StepFunction, now: datetime) -> Leaving:
        known = _known(db, tuple(news))
        keyed = {call_id: keyed_id(call_id, self._purge_key) for call_id in news if call_id not in known}
        tombstones = _tombstones(db, [*keyed, *keyed.values()])
        erased = {call_id: other for call_id, other in keyed.items() if other in tombstones}
        unsent_of = left_over(db, tuple(known), now)
        steps = {
            call_id: step(session_before(known.get(call_id), tombstones.get(call_id)), facts)
            for call_id, facts in news.items()
            if call_id not in erased
        }
        if erased:
            ghostly = {other: left for call_id, other in erased.items() if (left := ghosts(news[call_id], other))}
            there = _known(db, tuple(ghostly))
            steps |= {
                other: ghost_step(session_before(there.get(other), tombstones[other]), facts)
                for other, facts in ghostly.items()
            }
        return [*unsent_of, *self._keep(db, steps, now)]

    def _due(self, db: sqlite3.Connection, now: datetime, step: StepFunction, limit: int) -> Leaving:
        with closing(db.execute(_DUE, (micros(now), limit))) as rows:
            found = within(rows, lambda row: len(row[1]) + len(row[3] or b""))
        steps, bad = swept([(call_id, KeptSession(*kept)) for call_id, *kept in found], step)
        later = micros(now + POSTPONED)
        db.executemany("UPDATE session SET due_at = ? WHERE id = ?", [(later, call_id) for call_id in bad])
        return self._keep(db, steps, now)

    def _keep(self, db: sqlite3.Connection, steps: Mapping[str, Step], now: datetime) -> Leaving:
        moment = micros(now)
        db.executemany(_KEEP, [_columns(session_row(call_id, step), moment) for call_id, step in steps.items()])
        leaving = [(call_id, envelope) for call_id, step in steps.items() for envelope in step.envelopes]
        return self._marks.put_out(db, leaving, now)


def _known(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, KeptSession]:
    found: dict[str, KeptSession] = {}
    for chunk, marks in chunks(ids):
        rows = db.execute(f"{_READ} WHERE s.id IN ({marks})", chunk)
        found.update([(call_id, KeptSession(*kept)) for call_id, *kept in rows])
    return found


def _tombstones(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for chunk, marks in chunks(ids):
        query = f"SELECT id, revision, status FROM tombstone WHERE id IN ({marks})"  # noqa: S608 - marks only
        found.update({call_id: (revision, status) for call_id, revision, status in db.execute(query, chunk)})
    return found


def _columns(row: SessionRow, moment: int) -> tuple[str | bytes | int | None, ...]:
    due_at = micros(row.due_at) if row.due_at is not None else None
    return (*row[:-2], due_at, row.said, moment)


def _look(db: sqlite3.Connection, before: int) -> Mapping[str, int]:
    return told(db.execute(_LOOK, (before,)).fetchone())


def purge_key(db: sqlite3.Connection) -> bytes:
    """See erasing.keyed_id."""
    key: bytes = db.execute("SELECT key FROM purge_key").fetchone()[0]
    return key
