"""The outbox of correlate on SQLite: what was said is only ever added, and `unsent` tells what has not left yet.

A mark is a row of `unsent` that goes. It is noted in memory and rides in the owner's next transaction, which comes
with the next batch or tick, so it costs no write of its own; lost in a crash it costs one more publish of those bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Concatenate, Final, ParamSpec, TypeVar

import orjson

from schemas.envelope import Envelope, encode_envelope
from workers.stores.sessions import LEASE, stored_envelope
from workers.stores.sqlite.file import SqliteFile, has_column, micros
from workers.stores.sweep import within

P = ParamSpec("P")
T = TypeVar("T")
Leaving = Sequence[tuple[int, Envelope]]  # rows by number

CHUNK: Final = 500
_PUT_OUT: Final = "INSERT OR IGNORE INTO outbox (n, id, call_id, route, at, envelope) VALUES (?,?,?,?,?,?)"
_UNSENT: Final = "FROM unsent u JOIN outbox o ON o.n = u.n WHERE u.leased_at <= ?"
_LAST: Final = "SELECT coalesce(max(n), 0) FROM outbox"


class Marks:
    """Which rows have left, until the file knows it; every transaction of the owner goes through `write`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._leaving: dict[str, int] = {}  # what was handed out, by its id
        self._left: list[int] = []
        self._last = 0  # no number is given twice while a mark of it may be under way

    def sent(self, ids: Iterable[str]) -> None:
        """Note that these have left; ids of no row that was handed out are ignored."""
        self._left += [n for one in ids if (n := self._leaving.pop(one, None)) is not None]

    async def write(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `SqliteFile.write`; what has left is marked in the same transaction, before anything else is done."""
        left, self._left = self._left, []
        try:
            return await self._file.write(_marked, left, lambda db: work(db, *args, **kwargs))
        except BaseException:
            self._left += left  # perhaps they are marked: then they are marked twice
            raise

    async def leave(
        self, work: Callable[Concatenate[sqlite3.Connection, P], Leaving], *args: P.args, **kwargs: P.kwargs
    ) -> list[Envelope]:
        """As `write`, of work that hands out rows."""
        rows = await self.write(work, *args, **kwargs)
        self._leaving.update([(envelope.id, n) for n, envelope in rows])
        return [envelope for _, envelope in rows]

    def put_out(self, db: sqlite3.Connection, leaving: Sequence[tuple[str, Envelope]], now: datetime) -> Leaving:
        """Add these of their calls; returns those that the outbox did not know: what it holds is what was said."""
        if not leaving:
            return []
        (known,) = db.execute(_LAST).fetchone()
        first = max(known, self._last) + 1
        self._last = first + len(leaving) - 1
        moment = micros(now)
        rows = [
            (n, one.id, call_id, one.route or one.kind, moment, encode_envelope(one))
            for n, (call_id, one) in enumerate(leaving, first)
        ]
        added: Sequence[int] = range(first, first + len(rows))
        if db.executemany(_PUT_OUT, rows).rowcount < len(rows):
            added = [n for (n,) in db.execute("SELECT n FROM outbox WHERE n >= ?", (first,))]
        db.executemany("INSERT INTO unsent VALUES (?,?)", [(n, moment) for n in added])
        return [(n, leaving[n - first][1]) for n in added]


def _marked(db: sqlite3.Connection, left: Collection[int], work: Callable[[sqlite3.Connection], T]) -> T:
    if left:
        db.executemany("DELETE FROM unsent WHERE n = ?", [(n,) for n in left])
    return work(db)


def unsent(db: sqlite3.Connection, now: datetime, limit: int) -> Leaving:
    """The longest unsent whose lease is over, leased again: so many rows, and bytes."""
    query = f"SELECT u.n, length(o.envelope) {_UNSENT} ORDER BY u.leased_at, u.n LIMIT ?"
    with closing(db.execute(query, (micros(now - LEASE), limit))) as rows:
        oldest = within(rows, lambda row: row[1])
    return _leased(db, [n for n, _ in oldest], now)


def left_over(db: sqlite3.Connection, ids: Sequence[str], now: datetime) -> Leaving:
    """What a crash left unsent of these calls, leased again."""
    old = micros(now - LEASE)
    if db.execute("SELECT 1 FROM unsent WHERE leased_at <= ? LIMIT 1", (old,)).fetchone() is None:
        return []  # as ever
    found: list[int] = []
    for chunk, marks in chunks(ids):
        found += [n for (n,) in db.execute(f"SELECT u.n {_UNSENT} AND o.call_id IN ({marks})", (old, *chunk))]
    return _leased(db, found, now)


def _leased(db: sqlite3.Connection, numbers: Sequence[int], now: datetime) -> Leaving:
    if not numbers:
        return []
    these = orjson.dumps(numbers).decode()
    db.execute("UPDATE unsent SET leased_at = ? WHERE n IN (SELECT value FROM json_each(?))", (micros(now), these))
    query = "SELECT n, envelope FROM outbox WHERE n IN (SELECT value FROM json_each(?)) ORDER BY n"
    return [(n, stored_envelope(envelope)) for n, envelope in db.execute(query, (these,))]


def has_left(db: sqlite3.Connection) -> str:
    """The condition on a row of the outbox that it has left; an older program keeps it in a column."""
    return "sent_at IS NOT NULL" if has_column(db, "outbox", "sent_at") else "n NOT IN (SELECT n FROM unsent)"


def chunks(ids: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Some of them at a time, with the marks of a statement for as many."""
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        yield chunk, ",".join("?" * len(chunk))
