"""Sessions and the outbox of correlate, on PostgreSQL: at most 8 statements a batch, BEGIN and COMMIT among them.

A fold first locks the rows of all its sessions in the order of their ids, making those that are not there, so two
workers never wait in a ring and nothing is decided from what was read before the lock. Sweeps skip what is locked.

Time is the caller's `now`, so that a test can move it; wiring hands correlate the server's clock (`open_sessions`), so
that all workers of one database agree on deadlines and leases whatever their own clocks say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from schemas.envelope import Envelope, encode_envelope
from workers.calls.step import Step
from workers.correlate import News, StepFunction
from workers.retention import AS_EVER, Retention
from workers.stores.erasing import ghost_step, ghosts, keyed_id
from workers.stores.looks import OVERDUE, sessions_query, told
from workers.stores.postgresql.expiry import expire_sessions
from workers.stores.postgresql.pool import Connection, Database
from workers.stores.postgresql.purge import LOCK, UNMAKE, purge_call, purge_events
from workers.stores.sessions import (
    LEASE,
    OF_NO_SESSION,
    POSTPONED,
    KeptSession,
    SessionRow,
    holding_its_record,
    session_before,
    session_row,
    stored_envelope,
    swept,
)
from workers.stores.sweep import SWEEP_BYTES, within

_READ: Final = (
    "SELECT s.id, s.state, t.revision, t.status, p.id AS erased FROM session s"
    " LEFT JOIN tombstone t ON t.id = s.id AND s.state = ''"
    " LEFT JOIN unnest($1::bytea[], $2::bytea[]) AS u (id, keyed) ON u.id = s.id AND s.state = ''"
    " LEFT JOIN tombstone p ON p.id = u.keyed WHERE s.id = ANY ($1::bytea[])"
)
_KEEP: Final = (
    "UPDATE session s SET source = u.source, state = u.state, revision = u.revision, status = u.status,"
    " hour = CASE s.hour WHEN '' THEN u.hour ELSE s.hour END, due_at = u.due_at, arrived = u.arrived,"
    " updated_at = $9 FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::int[], $5::text[], $6::text[],"
    " $7::timestamptz[], $8::jsonb[]) AS u (id, source, state, revision, status, hour, due_at, arrived)"
    " WHERE s.id = u.id"
)
_POSTPONE: Final = "UPDATE session SET due_at = $2 WHERE id = ANY ($1::bytea[])"
_DUE: Final = (
    "SELECT id, octet_length(state) AS size FROM session WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
    " FOR UPDATE SKIP LOCKED"
)
_STATES: Final = "SELECT id, state FROM session WHERE id = ANY ($1::bytea[]) ORDER BY due_at"  # once they are locked
_PUT_OUT: Final = (
    "INSERT INTO outbox (day, id, call_id, route, envelope, leased_at) SELECT $5, u.id, u.call_id, u.route, u.row, $6"
    " FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bytea[]) WITH ORDINALITY AS u (id, call_id, route, row, nth)"
    " WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.id = u.id) ORDER BY u.nth ON CONFLICT DO NOTHING RETURNING id"
)
_LEASE: Final = (
    "UPDATE outbox o SET leased_at = $1 FROM"
    " (SELECT n, day, sum(size) OVER (ORDER BY leased_at, n) - size AS before FROM"
    " (SELECT n, day, leased_at, octet_length(envelope) AS size FROM outbox WHERE {whose} sent_at IS NULL"
    " AND leased_at <= $2 {order} FOR UPDATE SKIP LOCKED) AS locked) AS u"
    " WHERE o.n = u.n AND o.day = u.day AND u.before < {most} RETURNING o.n, o.envelope"
)
_LEFT_OVER: Final = _LEASE.format(whose="call_id = ANY ($3::bytea[]) AND", order="", most=SWEEP_BYTES)
_UNSENT: Final = _LEASE.format(whose="", order="ORDER BY leased_at, n LIMIT $3", most=SWEEP_BYTES)
_SENT: Final = (
    "UPDATE outbox o SET sent_at = $1 FROM (SELECT n, day FROM outbox WHERE id = ANY ($2::text[]) AND sent_at IS NULL"
    " ORDER BY n FOR UPDATE) AS u WHERE o.n = u.n AND o.day = u.day"
)
_LOOK: Final = sessions_query("$1", "outbox WHERE sent_at IS NULL ORDER BY leased_at")


class PostgresqlSessions:
    """SessionStore on PostgreSQL; any number of processes may share it."""

    def __init__(self, database: Database, purge_key: bytes) -> None:
        self._database = database
        self._purge_key = purge_key

    async def fold(self, news: News, step: StepFunction, now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        if not news:
            return []
        return await self._database.transact(partial(_fold, news=news, step=step, now=now, purge_key=self._purge_key))

    async def tell(self, events: Sequence[Envelope], now: datetime) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        leaving = [(OF_NO_SESSION, event) for event in events]
        return await self._database.transact(partial(_put_out, leaving=leaving, now=now))

    async def due(self, now: datetime, step: StepFunction, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return await self._database.transact(partial(_due, now=now, step=step, limit=limit))

    async def unsent(self, now: datetime, limit: int) -> Sequence[Envelope]:
        """As `SessionStore` promises."""
        return _envelopes(await self._database.fetch(_UNSENT, now, now - LEASE, limit))

    async def sent(self, ids: Sequence[str], now: datetime) -> None:
        """As `SessionStore` promises."""
        ours = [event_id for event_id in ids if "\0" not in event_id]
        if ours:
            await self._database.execute(_SENT, now, ours)

    async def look(self, now: datetime) -> Mapping[str, int]:
        """As `SessionStore` promises."""
        (row,) = await self._database.fetch(_LOOK, now - OVERDUE)
        return told(tuple(row))

    async def purge(self, calls: Sequence[str], events: Sequence[str], now: datetime) -> Mapping[str, str]:
        """As `SessionStore` promises; a call at a time, so that nothing waits for all of them."""
        waiting: dict[str, str] = {}
        for call_id in calls:
            work = partial(purge_call, call_id=call_id, now=now, key=self._purge_key, keep=_keep_ghosts)
            if (why := await self._database.transact(work)) is not None:
                waiting[call_id] = why
        return waiting | await self._database.transact(partial(purge_events, events=events))

    async def expire(self, now: datetime, limit: int, kept: Retention = AS_EVER) -> int:
        """As `SessionStore` promises."""
        return await expire_sessions(self._database, now, limit, kept)


async def _fold(
    connection: Connection, *, news: News, step: StepFunction, now: datetime, purge_key: bytes
) -> list[Envelope]:
    ids = {call_id.encode(): call_id for call_id in news}
    await connection.execute(LOCK, list(ids), now)
    keyed = [keyed_id(call_id, purge_key).encode() for call_id in news]
    rows = {ids[row["id"]]: row for row in await connection.fetch(_READ, list(ids), keyed)}
    known = [call_id.encode() for call_id, row in rows.items() if row["state"]]
    erased = {call_id: row["erased"].decode() for call_id, row in rows.items() if row["erased"] is not None}
    left_over = await connection.fetch(_LEFT_OVER, now, now - LEASE, known) if known else []
    steps = {
        call_id: step(_session_before(rows[call_id]), facts) for call_id, facts in news.items() if call_id not in erased
    }
    said = [*_envelopes(left_over), *await _keep(connection, steps, now)]
    if erased:
        await connection.execute(UNMAKE, [call_id.encode() for call_id in erased])
        ghostly = {other: left for call_id, other in erased.items() if (left := ghosts(news[call_id], other))}
        await _fold(connection, news=ghostly, step=ghost_step, now=now, purge_key=purge_key)
    return said


async def _keep_ghosts(connection: Connection, keyed: str, step: Step, now: datetime) -> None:
    await connection.execute(LOCK, [keyed.encode()], now)
    await _keep(connection, {keyed: step}, now)


def _session_before(row: Any) -> Any:
    tombstone = (row["revision"], row["status"]) if row["revision"] is not None else None
    return session_before(KeptSession(row["state"]), tombstone)


async def _due(connection: Connection, *, now: datetime, step: StepFunction, limit: int) -> list[Envelope]:
    found = within(await connection.fetch(_DUE, now, limit), lambda row: row["size"])
    rows = await connection.fetch(_STATES, [row["id"] for row in found]) if found else []
    steps, bad = swept([(row["id"].decode(), KeptSession(row["state"])) for row in rows], step)
    if bad:
        await connection.execute(_POSTPONE, [call_id.encode() for call_id in bad], now + POSTPONED)
    return await _keep(connection, steps, now)


async def _keep(connection: Connection, steps: Mapping[str, Step], now: datetime) -> list[Envelope]:
    if not steps:
        return []
    rows = [_columns(session_row(call_id, holding_its_record(step))) for call_id, step in steps.items()]
    await connection.execute(_KEEP, *map(list, zip(*rows, strict=True)), now)
    return await _put_out(connection, [(call_id, e) for call_id, step in steps.items() for e in step.envelopes], now)


async def _put_out(connection: Connection, leaving: Sequence[tuple[str, Envelope]], now: datetime) -> list[Envelope]:
    """Those that the outbox did not know: what it holds under an id is what was said."""
    by_id = {envelope.id: (call_id, envelope) for call_id, envelope in leaving}
    if not by_id:
        return []
    columns = zip(
        *((e.id, call_id.encode(), e.route or e.kind, encode_envelope(e)) for call_id, e in by_id.values()),
        strict=True,
    )
    day = now.astimezone(UTC).date()
    put_out = {row["id"] for row in await connection.fetch(_PUT_OUT, *map(list, columns), day, now)}
    return [envelope for event_id, (_, envelope) in by_id.items() if event_id in put_out]


def _columns(row: SessionRow) -> tuple[bytes, str, bytes, int, str, str, datetime | None, str]:
    return (row.id.encode(), row.source, row.state, row.revision, row.status, row.hour, row.due_at, row.arrived)


def _envelopes(rows: Iterable[Any]) -> list[Envelope]:
    return [stored_envelope(row["envelope"]) for row in sorted(rows, key=lambda row: row["n"])]
