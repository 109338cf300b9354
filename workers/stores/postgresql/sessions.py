"""Sessions and the outbox of correlate, on PostgreSQL: at most 8 statements a batch, BEGIN and COMMIT among them.

A fold first locks the rows of its sessions in the order of their ids, so two workers never wait in a ring and nothing
is decided from what was read before the lock. A session that is not there has no lock: it is inserted at the end, also
in the order of ids, and whoever finds that another was quicker does the batch again. Sweeps skip what is locked.

Time is the caller's `now`, so that a test can move it; wiring hands correlate the server's clock (`open_sessions`), so
that all workers of one database agree on deadlines and leases whatever their own clocks say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import zip_longest
from operator import itemgetter
from typing import Any, Final, TypeVar

from schemas.envelope import Envelope, encode_envelope
from workers.calls.session import Session
from workers.calls.step import Step
from workers.correlate import News, StepFunction
from workers.retention import AS_EVER, Retention
from workers.stores.erasing import ghost_step, ghosts, keyed_id
from workers.stores.looks import OVERDUE, sessions_query, told
from workers.stores.postgresql.expiry import expire_sessions
from workers.stores.postgresql.outbox import Leaving, Mark, Marks, lease_left_over, lease_oldest, mark
from workers.stores.postgresql.pool import Connection, Database, Overtaken
from workers.stores.postgresql.purge import PURGING, purge_call, purge_events
from workers.stores.sessions import (
    LEASE,
    OF_NO_SESSION,
    POSTPONED,
    KeptSession,
    session_before,
    session_row,
    swept,
)
from workers.stores.sweep import in_steps, within

# The lock comes before anything is looked for: a call that is purged meanwhile is not begun anew.
_READ: Final = (
    "SELECT id, state, said, said_on, EXISTS (SELECT FROM unsent WHERE leased_at <= $2) AS left_over FROM session"  # noqa: S608 - a number
    f" WHERE id = ANY ($1::bytea[]) AND (SELECT pg_advisory_xact_lock_shared({PURGING})) IS NOT NULL"
    " ORDER BY id FOR UPDATE"
)
_FORGOTTEN: Final = (
    "SELECT u.id, t.revision, t.status, p.id AS erased FROM unnest($1::bytea[], $2::bytea[]) AS u (id, keyed)"
    " LEFT JOIN tombstone t ON t.id = u.id LEFT JOIN tombstone p ON p.id = u.keyed"
    " WHERE t.id IS NOT NULL OR p.id IS NOT NULL"
)
_POSTPONE: Final = "UPDATE session SET due_at = $2 WHERE id = ANY ($1::bytea[])"
_DUE: Final = (
    "SELECT id, octet_length(state) AS size FROM session WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
    " FOR UPDATE SKIP LOCKED"
)
_STATES: Final = "SELECT id, state, said, said_on FROM session WHERE id = ANY ($1::bytea[]) ORDER BY due_at"  # locked
_RECORDS: Final = (
    "SELECT o.id, o.envelope FROM unnest($1::text[], $2::date[]) AS u (id, day)"
    " JOIN outbox o ON o.id = u.id AND o.day = u.day"
)
# Sessions that are locked, new ones, and what they say, in one round trip. What a session says it says once, in the
# transaction of its revision, so it is looked for in its day alone; an event of no session is looked for in all days.
# Arrays are unnested in the list of columns, in their order: in FROM each is kept aside first, whole, and sorted after.
_WRITE: Final = """
WITH step AS (
    SELECT unnest($1::boolean[]) AS locked, unnest($2::bytea[]) AS id, unnest($3::text[]) AS source,
    unnest($4::bytea[]) AS state, unnest($5::int[]) AS revision, unnest($6::text[]) AS status,
    unnest($7::text[]) AS hour, unnest($8::timestamptz[]) AS due_at, unnest($9::jsonb[]) AS arrived,
    unnest($10::text[]) AS said),
changed AS (
    UPDATE session s SET state = u.state, revision = u.revision, status = u.status, due_at = u.due_at,
    arrived = u.arrived, updated_at = $11, said = u.said,
    said_on = CASE WHEN u.said = s.said THEN s.said_on WHEN u.said IS NOT NULL THEN $12 END
    FROM step u WHERE u.locked AND s.id = u.id),
begun AS (
    INSERT INTO session (id, source, state, revision, status, hour, due_at, arrived, updated_at, said, said_on)
    SELECT id, source, state, revision, status, hour, due_at, arrived, $11, said, CASE WHEN said <> '' THEN $12 END
    FROM step WHERE NOT locked
    ON CONFLICT DO NOTHING RETURNING id),
said AS (
    INSERT INTO outbox (day, id, call_id, route, envelope) SELECT $12, u.id, u.call_id, u.route, u.row
    FROM (SELECT unnest($13::text[]) AS id, unnest($14::bytea[]) AS call_id, unnest($15::text[]) AS route,
    unnest($16::bytea[]) AS row) AS u
    WHERE u.call_id <> '' OR (SELECT o.n FROM outbox o WHERE o.id = u.id LIMIT 1) IS NULL
    ON CONFLICT DO NOTHING RETURNING id, n),
waiting AS (INSERT INTO unsent (leased_at, n, day) SELECT $11, n, $12 FROM said)
SELECT NULL AS id, count(*) AS n FROM begun UNION ALL SELECT id, n FROM said
"""
_AT_ONCE: Final = 512 * 1024  # of each: memory of larger statements comes from the system and goes back, page by page
_LOOK: Final = sessions_query("$1")

Work = Callable[[Connection], Awaitable[Sequence[Leaving]]]
T = TypeVar("T")


class PostgresqlSessions:
    """SessionStore on PostgreSQL; any number of processes may share it."""

    def __init__(self, database: Database, purge_key: bytes) -> None:
        self._database = database
        self._purge_key = purge_key
        self._marks = Marks()

    @property
    def token_key(self) -> bytes:
        """As `SessionStore` promises."""
        return self._purge_key

    async def fold(self, news: News, step: StepFunction, now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        if not news:
            return []
        return await self._leaving(partial(_fold, news=news, step=step, now=now, purge_key=self._purge_key), now)

    async def tell(self, events: Sequence[Envelope], now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        said = [(OF_NO_SESSION, event) for event in events]
        return await self._leaving(partial(_write, rows=(), said=said, now=now), now)

    async def due(self, now: datetime, step: StepFunction, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return await self._leaving(partial(_due, now=now, step=step, limit=limit), now)

    async def unsent(self, now: datetime, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return await self._leaving(partial(lease_oldest, now=now, limit=limit), now)

    async def sent(self, ids: Sequence[str], now: datetime) -> None:  # noqa: ARG002 - nobody is told when
        """As `SessionStore` promises: noted, and told to the server by the next transaction of this store."""
        self._marks.sent(ids)

    async def flush(self) -> None:
        """Tell the server now what was sent."""
        if self._marks.waiting:
            await self._transact(_nothing_else)

    async def look(self, now: datetime) -> Mapping[str, int]:
        """As `SessionStore` promises."""
        await self.flush()
        (row,) = await self._database.fetch(_LOOK, now - OVERDUE)
        return told(tuple(row))

    async def purge(self, calls: Sequence[str], events: Sequence[str], now: datetime) -> Mapping[str, str]:
        """As `SessionStore` promises; a call at a time, so that nothing waits for all of them."""
        await self.flush()
        waiting: dict[str, str] = {}
        for call_id in calls:
            work = partial(purge_call, call_id=call_id, now=now, key=self._purge_key, keep=_keep_ghosts)
            if (why := await self._database.transact(work)) is not None:
                waiting[call_id] = why
        return waiting | await self._database.transact(partial(purge_events, events=events))

    async def expire(self, now: datetime, limit: int, kept: Retention = AS_EVER) -> int:
        """As `SessionStore` promises."""
        await self.flush()
        return await expire_sessions(self._database, now, limit, kept)

    async def _leaving(self, work: Work, now: datetime) -> Sequence[Envelope]:
        """What a transaction has to send, remembered until it is marked."""
        leaving = await self._transact(work)
        self._marks.hand_out(leaving, now)
        return [one.envelope for one in leaving]

    async def _transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """A transaction that first tells what was sent before; when it fails, the next one does."""
        marks = self._marks.take()
        try:
            return await self._database.transact(partial(_marked, marks=marks, work=work))
        except BaseException:
            self._marks.give_back(marks)
            raise


async def _marked(connection: Connection, *, marks: Sequence[Mark], work: Callable[[Connection], Awaitable[T]]) -> T:
    if marks:
        await mark(connection, marks)
    return await work(connection)


async def _nothing_else(_: Connection) -> None:
    """Marks alone."""


async def _fold(
    connection: Connection, *, news: News, step: StepFunction, now: datetime, purge_key: bytes
) -> Sequence[Leaving]:
    ids = {call_id.encode(): call_id for call_id in news}
    locked = await connection.fetch(_READ, list(ids), now - LEASE)
    kept = await _kept(connection, locked)
    before: dict[str, Session | None] = {ids[one]: session_before(session, None) for one, session in kept.items()}
    known = kept.keys()
    forgotten, erased = await _forgotten(connection, [ids[one] for one in ids if one not in known], purge_key)
    before |= forgotten
    stale = any(row["left_over"] for row in locked)
    left_over = await lease_left_over(connection, now, list(known)) if stale else []
    steps = {call_id: step(before.get(call_id), facts) for call_id, facts in news.items() if call_id not in erased}
    said = [*left_over, *await _keep(connection, steps, now, locked=known)]
    if erased:
        ghostly = {other: left for call_id, other in erased.items() if (left := ghosts(news[call_id], other))}
        await _fold(connection, news=ghostly, step=ghost_step, now=now, purge_key=purge_key)
    return said


async def _kept(connection: Connection, rows: Sequence[Any]) -> dict[bytes, KeptSession]:
    """These sessions, each with the event that holds its record, which is read now that they are locked."""
    said = [(row["said"], row["said_on"]) for row in rows if row["said"] is not None]
    found = await connection.fetch(_RECORDS, *_columns(said, 2)) if said else []
    leaving = {row["id"]: row["envelope"] for row in found}
    return {row["id"]: KeptSession(row["state"], row["said"], leaving.get(row["said"])) for row in rows}


async def _forgotten(
    connection: Connection, calls: Sequence[str], purge_key: bytes
) -> tuple[Mapping[str, Session | None], Mapping[str, str]]:
    """Of calls without a session: what their tombstones say, and under which id those are kept that were erased."""
    if not calls:
        return {}, {}
    ids = {call_id.encode(): call_id for call_id in calls}
    rows = await connection.fetch(_FORGOTTEN, list(ids), [keyed_id(one, purge_key).encode() for one in calls])
    stones = [row for row in rows if row["erased"] is None]
    before = {ids[row["id"]]: session_before(None, (row["revision"], row["status"])) for row in stones}
    return before, {ids[row["id"]]: row["erased"].decode() for row in rows if row["erased"] is not None}


async def _keep_ghosts(connection: Connection, keyed: str, step: Step, now: datetime) -> None:
    locked = await connection.fetch(_READ, [keyed.encode()], now)
    await _keep(connection, {keyed: step}, now, locked={row["id"] for row in locked})


async def _due(connection: Connection, *, now: datetime, step: StepFunction, limit: int) -> Sequence[Leaving]:
    found = within(await connection.fetch(_DUE, now, limit), lambda row: row["size"])
    rows = await connection.fetch(_STATES, [row["id"] for row in found]) if found else []
    kept = await _kept(connection, rows)
    steps, bad = swept([(call_id.decode(), session) for call_id, session in kept.items()], step)
    if bad:
        await connection.execute(_POSTPONE, [call_id.encode() for call_id in bad], now + POSTPONED)
    return await _keep(connection, steps, now, locked={row["id"] for row in rows})


async def _keep(
    connection: Connection, steps: Mapping[str, Step], now: datetime, *, locked: Collection[bytes]
) -> Sequence[Leaving]:
    if not steps:
        return []
    rows = sorted([_row(call_id, step, locked) for call_id, step in steps.items()], key=itemgetter(1))  # by id
    return await _write(
        connection, rows=rows, said=[(one, e) for one, step in steps.items() for e in step.envelopes], now=now
    )


def _row(call_id: str, step: Step, locked: Collection[bytes]) -> tuple[object, ...]:
    row, its = session_row(call_id, step), call_id.encode()
    begun = (row.revision, row.status, row.hour, row.due_at, row.arrived, row.said)
    return (its in locked, its, row.source, row.state, *begun)


async def _write(
    connection: Connection, *, rows: Sequence[tuple[object, ...]], said: Sequence[tuple[str, Envelope]], now: datetime
) -> Sequence[Leaving]:
    """Keep these sessions, and of what is said what the outbox did not know: what it holds under an id was said.

    Raises:
        Overtaken: another transaction began one of these sessions.
    """
    by_id = {envelope.id: (call_id, envelope) for call_id, envelope in said}
    leaving = [(e.id, call_id.encode(), e.route or e.kind, encode_envelope(e)) for call_id, e in by_id.values()]
    day = now.astimezone(UTC).date()
    begun, numbers = 0, dict[str, int]()
    for some, others in zip_longest(in_steps(rows, _size, _AT_ONCE), in_steps(leaving, _size, _AT_ONCE), fillvalue=()):
        for row in await connection.fetch(_WRITE, *_columns(some, 10), now, day, *_columns(others, 4)):
            if row["id"] is None:
                begun += row["n"]
            else:
                numbers[row["id"]] = row["n"]
    if begun < sum(not locked for locked, *_ in rows):
        raise Overtaken
    return [Leaving(numbers[one], envelope) for one, (_, envelope) in by_id.items() if one in numbers]


def _size(row: Any) -> int:
    return len(row[3])  # the state, or the envelope


def _columns(rows: Iterable[tuple[object, ...]], width: int) -> Sequence[Sequence[object]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[]] * width
