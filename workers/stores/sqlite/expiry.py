"""What correlate's store on SQLite forgets: sessions with what they said, then what was said long ago."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from typing import Final

import orjson

from workers.retention import Retention
from workers.stores.sessions import taken_over
from workers.stores.sqlite.file import micros

_QUIET: Final = (
    "SELECT id FROM session WHERE due_at IS NULL AND updated_at <= ? AND NOT EXISTS (SELECT 1 FROM outbox"
    " WHERE call_id = session.id AND (at > ? OR n IN (SELECT n FROM unsent))) LIMIT ?"
)
_FORGET: Final = (
    "INSERT OR REPLACE INTO tombstone SELECT id, revision, status, ? FROM session WHERE id = ?",
    "DELETE FROM session WHERE id = ?",
    "DELETE FROM outbox WHERE call_id = ?",
)
_OLDEST: Final = "SELECT n, at FROM outbox WHERE n NOT IN (SELECT n FROM unsent) ORDER BY n LIMIT ?"
_NEEDED: Final = (
    "SELECT s.id, o.n FROM outbox o JOIN session s ON s.id = o.call_id AND s.said = o.id"
    " WHERE o.n IN (SELECT value FROM json_each(?))"
)
_BOTH: Final = "SELECT s.state, o.envelope FROM session s, outbox o WHERE s.id = ? AND o.n = ?"
_GONE: Final = "DELETE FROM outbox WHERE n IN (SELECT value FROM json_each(?))"
_TOMBSTONES: Final = "DELETE FROM tombstone WHERE id IN (SELECT id FROM tombstone WHERE at <= ? LIMIT ?)"


def expire(db: sqlite3.Connection, now: datetime, limit: int, kept: Retention) -> int:
    """As `SessionStore` promises."""
    said_until = micros(now - kept.outbox)
    gone = _sessions(db, now, limit, kept)
    gone += _said(db, said_until, limit)
    return gone + db.execute(_TOMBSTONES, (micros(now - kept.tombstones), limit)).rowcount


def _sessions(db: sqlite3.Connection, now: datetime, limit: int, kept: Retention) -> int:
    """Those of which all that they said may go too, and goes with them."""
    ids = db.execute(_QUIET, (micros(now - kept.sessions), micros(now - kept.outbox), limit)).fetchall()
    stone, session, said = _FORGET
    db.executemany(stone, [(micros(now), call_id) for (call_id,) in ids])
    db.executemany(session, ids)
    return len(ids) + db.executemany(said, ids).rowcount if ids else 0


def _said(db: sqlite3.Connection, until: int, limit: int) -> int:
    """What was put out until then and has left; a session that outlives it takes its record over."""
    old: list[int] = []
    with closing(db.execute(_OLDEST, (limit,))) as rows:  # in the order of their numbers, which is that of time
        for n, at in rows:
            if at > until:
                break
            old.append(n)
    if not old:
        return 0
    these = orjson.dumps(old).decode()
    for call_id, n in db.execute(_NEEDED, (these,)).fetchall():
        state, envelope = db.execute(_BOTH, (call_id, n)).fetchone()
        query = "UPDATE session SET state = ?, said = NULL WHERE id = ?"
        db.execute(query, (taken_over(state, envelope), call_id))
    return db.execute(_GONE, (these,)).rowcount
