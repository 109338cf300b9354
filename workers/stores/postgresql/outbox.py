"""What leaves correlate on PostgreSQL, and the marks of what has left.

The outbox is only appended to. What was not confirmed yet stands in `unsent` beside it, by lease and number, and a mark
deletes it there. Marks cost no transaction of their own: they are kept here and ride in the next one, which comes with
the next batch or the tick, a second later at most. A mark that dies with its process costs one more publish of the same
bytes, and so does one whose row another process has leased meanwhile: it sends and marks it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from schemas.envelope import Envelope
from workers.stores.postgresql.pool import Connection, Database
from workers.stores.postgresql.schema import has_column
from workers.stores.sessions import LEASE, stored_envelope
from workers.stores.sweep import SWEEP_BYTES

LOOKED_THROUGH: Final = 1000  # of what rests longest, for what a crash left of a batch's calls; sweeps bring the rest
_REMEMBERED: Final = timedelta(minutes=10)
_LEASE: Final = (
    "WITH resting AS (SELECT leased_at, n, day FROM unsent WHERE leased_at <= $2 ORDER BY leased_at, n LIMIT $3{lock}),"
    " sized AS (SELECT u.leased_at, u.n, o.envelope,"
    " sum(octet_length(o.envelope)) OVER (ORDER BY u.leased_at, u.n) - octet_length(o.envelope) AS before"
    " FROM resting u JOIN outbox o ON o.n = u.n AND o.day = u.day{whose}),"
    " leased AS (UPDATE unsent u SET leased_at = $1 FROM sized s WHERE u.leased_at = s.leased_at AND u.n = s.n"
    " AND s.before < {most} RETURNING u.n)"
    " SELECT s.n, s.envelope FROM sized s JOIN leased USING (n)"
)
_UNSENT: Final = _LEASE.format(lock=" FOR UPDATE SKIP LOCKED", whose="", most=SWEEP_BYTES)
_LEFT_OVER: Final = _LEASE.format(lock="", whose=" WHERE o.call_id = ANY ($4::bytea[])", most=SWEEP_BYTES)


_MARK: Final = (
    "DELETE FROM unsent u USING unnest($1::timestamptz[], $2::bigint[]) AS m (leased_at, n)"
    " WHERE u.leased_at = m.leased_at AND u.n = m.n"
)


class Leaving(NamedTuple):
    """What is to be sent, and its number in the outbox."""

    n: int
    envelope: Envelope


class Mark(NamedTuple):
    """A row of `unsent`, as it was when its envelope was handed out to be sent."""

    leased_at: datetime
    n: int


class Marks:
    """What this process handed out, by the envelope's id, and what of it was sent and is not told to the server yet."""

    def __init__(self) -> None:
        self._handed_out: dict[str, Mark] = {}
        self._sent: list[Mark] = []

    @property
    def waiting(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._sent)

    def hand_out(self, leaving: Iterable[Leaving], leased_at: datetime) -> None:
        """Remember what is about to be sent; what nobody marked for long is forgotten."""
        for one in leaving:
            self._handed_out.pop(one.envelope.id, None)  # so that the oldest lease stays first
            self._handed_out[one.envelope.id] = Mark(leased_at, one.n)
        while self._handed_out and leased_at - next(iter(self._handed_out.values())).leased_at > _REMEMBERED:
            del self._handed_out[next(iter(self._handed_out))]

    def sent(self, ids: Iterable[str]) -> None:
        """Note what was sent; what was not handed out here is no row of ours."""
        self._sent += [found for each in ids if (found := self._handed_out.pop(each, None))]

    def take(self) -> Sequence[Mark]:
        """What to tell in a transaction; it is given back if that fails."""
        taken, self._sent = self._sent, []
        return taken

    def give_back(self, marks: Sequence[Mark]) -> None:
        """They were not told."""
        self._sent += marks


async def mark(connection: Connection, marks: Sequence[Mark]) -> None:
    """Tell the server what was sent."""
    await connection.execute(_MARK, [one.leased_at for one in marks], [one.n for one in marks])


async def lease_oldest(connection: Connection, *, now: datetime, limit: int) -> Sequence[Leaving]:
    """What nobody has sent and whose lease is over, leased again."""
    return _leaving(await connection.fetch(_UNSENT, now, now - LEASE, limit))


async def lease_left_over(connection: Connection, now: datetime, calls: Sequence[bytes]) -> Sequence[Leaving]:
    """The same of these calls, whose sessions are locked."""
    return _leaving(await connection.fetch(_LEFT_OVER, now, now - LEASE, LOOKED_THROUGH, calls))


def _leaving(rows: Iterable[Any]) -> list[Leaving]:
    """In the order in which it was said."""
    return [Leaving(row["n"], stored_envelope(row["envelope"])) for row in sorted(rows, key=lambda row: row["n"])]


async def has_left(database: Database) -> str:
    """The condition on a row `o` of the outbox that it has left; an older program keeps it in a column."""
    if await has_column(database, "outbox", "sent_at"):
        return "o.sent_at IS NOT NULL"
    return "NOT EXISTS (SELECT FROM unsent u WHERE u.n = o.n)"
