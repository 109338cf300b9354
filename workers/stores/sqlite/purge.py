"""What a person is erased from, on SQLite: found by whoever asks, erased by the owner of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Final

from workers.calls.session import decode_session, state_of
from workers.calls.step import Step
from workers.stores.erasing import emptied, ghost_session, keyed_id, open_work
from workers.stores.ledger import origin
from workers.stores.places import ROWS_AT_ONCE, Place, Row
from workers.stores.sessions import OF_NO_SESSION, status_of
from workers.stores.sqlite.file import micros, moment
from workers.stores.sweep import within

KEY_TABLE: Final = (
    "CREATE TABLE purge_key (key BLOB NOT NULL); INSERT INTO purge_key SELECT randomblob(32);"  # see erasing.keyed_id
)
FILES: Final[Mapping[Place, str]] = {
    "session": "correlate.db",
    "outbox": "correlate.db",
    "tombstone": "correlate.db",
    "parked": "park.db",
}
_SEARCHES: Final[Mapping[Place, str]] = {
    "session": "SELECT id, id, id, state FROM session WHERE id > coalesce(?, '') ORDER BY id",
    "outbox": "SELECT n, id, call_id, envelope FROM outbox WHERE n > coalesce(?, 0) ORDER BY n",
    "tombstone": "SELECT id, id, id, x'' FROM tombstone WHERE id > coalesce(?, '') ORDER BY id",
    "parked": "SELECT id, id, NULL, raw FROM parked WHERE id > coalesce(?, '') ORDER BY id",
}
_SESSION: Final = "SELECT state, due_at, updated_at FROM session WHERE id = ?"
_UNSENT: Final = "SELECT 1 FROM outbox JOIN unsent USING (n) WHERE call_id = ?"
_TOMBSTONE: Final = "SELECT revision, status FROM tombstone WHERE id = ?"
_ERASERS: Final[Mapping[Place, str]] = {
    "session": "DELETE FROM session WHERE id = ?",
    "outbox": "DELETE FROM outbox WHERE call_id = ?",
    "tombstone": "DELETE FROM tombstone WHERE id = ?",
}
_EVENT: Final = "DELETE FROM outbox WHERE call_id = ? AND id = ? AND n NOT IN (SELECT n FROM unsent)"
_LEFT: Final = "SELECT 1 FROM outbox WHERE call_id = ? AND id = ?"
_EMPTY: Final = "UPDATE parked SET raw = ?, hour = ?, kind = ?, state = ?, emptied = 1 WHERE id = ?"

Keep = Callable[[sqlite3.Connection, Mapping[str, Step], datetime], object]


def rows(db: sqlite3.Connection, place: Place, after: str | int | None) -> list[tuple[str | int, Row]]:
    """The rows of a place after where others ended, each with its own place: some at a time and some bytes."""
    with closing(db.execute(f"{_SEARCHES[place]} LIMIT ?", (after, ROWS_AT_ONCE))) as found:
        return [(at, Row(*row)) for at, *row in within(found, lambda row: len(row[3]))]


def purge(
    db: sqlite3.Connection, calls: Sequence[str], events: Sequence[str], now: datetime, *, key: bytes, keep: Keep
) -> dict[str, str]:
    """Erase these calls, and events of no call; why some cannot be yet, by id."""
    db.execute("PRAGMA secure_delete = ON")
    waiting = {call_id: why for call_id in calls if (why := _purge_call(db, call_id, now, key, keep))}
    db.executemany(_EVENT, [(OF_NO_SESSION, event_id) for event_id in events])
    db.execute("PRAGMA secure_delete = FAST")
    left = [one for one in events if db.execute(_LEFT, (OF_NO_SESSION, one)).fetchone()]
    return waiting | dict.fromkeys(left, "it was not sent yet")


def _purge_call(db: sqlite3.Connection, call_id: str, now: datetime, key: bytes, keep: Keep) -> str | None:
    keyed = keyed_id(call_id, key)
    row = db.execute(_SESSION, (call_id,)).fetchone()
    unsent = db.execute(_UNSENT, (call_id,)).fetchone() is not None
    if row is not None:
        state, due_at, updated_at = row
        why = open_work(state_of(state), due=due_at is not None, unsent=unsent, changed_at=moment(updated_at), now=now)
        if why is not None:
            return why
        left = ghost_session(decode_session(state), keyed)
        stone: tuple[int, str] = (left.revision, status_of(left))
        if left.facts:
            keep(db, {keyed: Step(session=left)}, now)
    elif unsent:
        return "an event or an order of it was not sent yet"
    else:
        stone = db.execute(_TOMBSTONE, (call_id,)).fetchone() or (0, "open")
    for eraser in _ERASERS.values():
        db.execute(eraser, (call_id,))
    db.execute("INSERT OR REPLACE INTO tombstone VALUES (?,?,?,?)", (keyed, *stone, micros(now)))
    return None


def empty(db: sqlite3.Connection, ids: Iterable[str], state: str) -> int:
    """Leave of these parked messages what the ledger needs; how many. What waits to be replayed is left alone."""
    db.execute("PRAGMA secure_delete = ON")
    done = 0
    for parked_id in ids:
        found = db.execute("SELECT raw, state FROM parked WHERE id = ?", (parked_id,)).fetchone()
        if found is None or found[1] == "wanted":
            continue
        raw, before = found
        after = state if before == "parked" else before
        done += db.execute(_EMPTY, (emptied(raw), *origin(raw), after, parked_id)).rowcount
    db.execute("PRAGMA secure_delete = FAST")
    return done
