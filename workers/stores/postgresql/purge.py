"""What a person is erased from, on PostgreSQL; what was deleted is on its disk until VACUUM and its WAL forget it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from workers.calls.session import decode_session, state_of
from workers.calls.step import Step
from workers.stores.erasing import emptied, ghost_session, keyed_id, open_work
from workers.stores.ledger import origin
from workers.stores.places import Place
from workers.stores.postgresql.pool import Connection, Database
from workers.stores.postgresql.schema import clean
from workers.stores.sessions import status_of

SEARCHES: Final[Mapping[Place, str]] = {
    "session": "SELECT id, id AS call_id, state AS text FROM session WHERE id > $1::bytea",
    "outbox": "SELECT id, call_id, envelope AS text FROM outbox WHERE id > $1::text",
    "tombstone": "SELECT id, id AS call_id, ''::bytea AS text FROM tombstone WHERE id > $1::bytea",
    "parked": "SELECT id, NULL::bytea AS call_id, raw AS text FROM parked WHERE id > $1::text",
}
SIZED: Final = "SELECT id, octet_length(text) AS size FROM ({}) AS found ORDER BY id LIMIT $2"
UP_TO: Final = " AND id <= $2 ORDER BY id"
PURGING: Final = 0x7075726765  # an advisory lock: folds share it, and while a call is purged none is under way
_LOCK: Final = f"SELECT pg_advisory_xact_lock({PURGING})"
_KEY: Final = "SELECT key FROM purge_key"
_SESSION: Final = "SELECT state, due_at, updated_at FROM session WHERE id = $1 FOR UPDATE"
_UNSENT: Final = "SELECT EXISTS (SELECT FROM outbox o JOIN unsent u ON u.n = o.n WHERE o.call_id = $1)"
_TOMBSTONE: Final = "SELECT revision, status FROM tombstone WHERE id = $1"
_ERASERS: Final[Mapping[Place, str]] = {
    "session": "DELETE FROM session WHERE id = $1",
    "outbox": "DELETE FROM outbox WHERE call_id = $1",
    "tombstone": "DELETE FROM tombstone WHERE id = $1",
}
_STONE: Final = (
    "INSERT INTO tombstone VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,"
    " status = excluded.status, at = excluded.at"
)
_EVENTS: Final = (
    "DELETE FROM outbox o WHERE id = ANY ($1::text[]) AND NOT EXISTS (SELECT FROM unsent u WHERE u.n = o.n)"
)
_LEFT: Final = "SELECT id FROM outbox WHERE id = ANY ($1::text[])"
_PARKED: Final = "SELECT id, raw, state FROM parked WHERE id = ANY ($1::text[]) AND state <> 'wanted' FOR UPDATE"
_EMPTY: Final = "UPDATE parked SET raw = $2, hour = $3, kind = $4, state = $5, emptied = true WHERE id = $1"

Keep = Callable[[Connection, str, Step, datetime], Awaitable[object]]


async def purge_key(database: Database) -> bytes:
    """See erasing.keyed_id."""
    ((key,),) = await database.fetch(_KEY)
    return bytes(key)


async def purge_call(connection: Connection, *, call_id: str, now: datetime, key: bytes, keep: Keep) -> str | None:
    """Erase a call; why it cannot be yet."""
    its, keyed = call_id.encode(), keyed_id(call_id, key)
    await connection.execute(_LOCK)  # against the first fold of it
    found = await connection.fetch(_SESSION, its)
    unsent = await connection.fetchval(_UNSENT, its)
    stone = (0, "open")
    if found:
        state, due_at, changed_at = found[0]
        why = open_work(state_of(state), due=due_at is not None, unsent=unsent, changed_at=changed_at, now=now)
        if why is not None:
            return why
        left = ghost_session(decode_session(state), keyed)
        stone = (left.revision, status_of(left))
        if left.facts:
            await keep(connection, keyed, Step(session=left), now)
    elif unsent:
        return "an event or an order of it was not sent yet"
    else:
        for revision, status in await connection.fetch(_TOMBSTONE, its):
            stone = (revision, status)
    for eraser in _ERASERS.values():
        await connection.execute(eraser, its)
    await connection.execute(_STONE, keyed.encode(), *stone, now)
    return None


async def purge_events(connection: Connection, *, events: Sequence[str]) -> dict[str, str]:
    """Erase events of no call; why some cannot be yet."""
    await connection.execute(_EVENTS, list(events))
    left = await connection.fetch(_LEFT, list(events))
    return {row["id"]: "it was not sent yet" for row in left}


async def empty(connection: Connection, *, ids: Sequence[str], state: str) -> int:
    """Leave of these parked messages what the ledger needs; how many. What waits to be replayed is left alone."""
    found: Sequence[Any] = await connection.fetch(_PARKED, list(map(clean, ids)))
    for row in found:
        after = state if row["state"] == "parked" else row["state"]
        about = map(clean, origin(row["raw"]))
        await connection.execute(_EMPTY, row["id"], emptied(row["raw"]), *about, after)
    return len(found)
