"""Claims, receipts and tallies of dedupe, on PostgreSQL: at most 8 statements a batch, BEGIN and COMMIT among them.

Two more in the rare batch that holds an earlier telling of what is known already, five in one that tells of numbers.
Rows are met in one order (claims by key, then amendments, numbers by key, receipts, tallies), so two workers never wait
in a ring; the loser of a key waits for the winner's commit and then reads who it was. What an envelope was answered of
a number is written while that number's row is held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from workers.dedupe import ClaimResult, Receipt, Tally
from workers.retention import CLAIMS_KEPT
from workers.stores.claims import ClaimRow, Owner, in_order, judged, receipt_rows
from workers.stores.latest import LatestRow, answer_key, judged_latest, latest_rows
from workers.stores.ledger import Pair
from workers.stores.postgresql.pool import Connection, Database, Overtaken

_INSERT: Final = (
    "INSERT INTO {table} (key, fingerprint, owner, at, source)"
    " SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::timestamptz[], $5::text[])"
    " AS u (key, fingerprint, owner, at, source) ORDER BY key, fingerprint"
    " ON CONFLICT DO NOTHING RETURNING key, fingerprint"
)
_FIRST: Final = _INSERT.format(table="claim")
_AMENDED: Final = _INSERT.format(table="amendment")
_KNOWN: Final = (
    "SELECT key, fingerprint, owner, at FROM claim WHERE key = ANY ($1::bytea[])"
    " UNION ALL SELECT key, fingerprint, owner, at FROM amendment WHERE key = ANY ($1::bytea[])"
)
_EARLIER: Final = (
    "UPDATE {table} AS known SET owner = u.owner, at = u.at"
    " FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::timestamptz[]) AS u (key, fingerprint, owner, at)"
    " WHERE known.key = u.key AND known.fingerprint = u.fingerprint AND known.at > u.at"
)
_HOLD: Final = (
    "INSERT INTO latest (key, fingerprint, owner, at) SELECT key, '', '', now() FROM unnest($1::bytea[]) AS u (key)"
    " ORDER BY key ON CONFLICT (key) DO UPDATE SET key = latest.key WHERE false"
)
_LATEST: Final = "SELECT key, fingerprint, owner, at FROM latest WHERE key = ANY ($1::bytea[]) AND owner <> ''"
_ANSWERED: Final = "SELECT key, owner FROM claim WHERE key = ANY ($1::bytea[])"
_IS_LATEST: Final = (
    "UPDATE latest SET fingerprint = u.fingerprint, owner = u.owner, at = u.at"
    " FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::timestamptz[]) AS u (key, fingerprint, owner, at)"
    " WHERE latest.key = u.key"
)
_RECEIPTS: Final = (
    "INSERT INTO receipt SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::int[],"
    " $7::int[], $8::int[]) AS u (id) ORDER BY id ON CONFLICT DO NOTHING"
)
_TALLIES: Final = (
    "INSERT INTO tally SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS u (id) ORDER BY id"
    " ON CONFLICT DO NOTHING"
)


class PostgresqlClaims:
    """ClaimStore on PostgreSQL; any number of processes may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, ClaimResult]:
        """As `ClaimStore` promises."""
        if not receipts and not tallies:
            return {}
        return await self._database.transact(partial(_claim_all, receipts=receipts, tallies=tallies))

    async def look(self, now: datetime) -> Mapping[str, int]:  # noqa: ARG002 - the others tell what is overdue
        """As `ClaimStore` promises."""
        await self._database.fetch("SELECT 1 FROM claim LIMIT 1")
        return {}

    async def expire(self, now: datetime, limit: int) -> int:
        """As `ClaimStore` promises. Tallies go first, and by the hour as receipts do: no hour seems to miss any."""
        before, gone = now - CLAIMS_KEPT, 0
        hour = f"{before:%Y-%m-%dT%H}"
        for table, old, value in (
            ("tally", "hour < $1", hour),
            ("receipt", "hour < $1", hour),
            ("claim", "at <= $1", before),
            ("amendment", "at <= $1", before),
            ("latest", "at <= $1", before),
        ):
            forgotten = await self._delete(table, old, value, limit)
            if forgotten >= limit:
                return forgotten
            gone += forgotten
        return gone

    async def _delete(self, table: str, old: str, value: object, limit: int) -> int:
        query = (
            f"DELETE FROM {table} WHERE ctid = ANY (ARRAY("  # noqa: S608 - our own names
            f"SELECT ctid FROM {table} WHERE {old} LIMIT $2 FOR UPDATE SKIP LOCKED))"
        )
        return await self._database.execute(query, value, limit)


async def _claim_all(
    connection: Connection, *, receipts: Sequence[Receipt], tallies: Sequence[Tally]
) -> Mapping[str, ClaimResult]:
    results = await _results(connection, in_order(receipts))
    if numbers := latest_rows(receipts):
        results = {**results, **await _claim_latest(connection, numbers)}
    if receipts:
        await connection.execute(_RECEIPTS, *_columns(receipt_rows(receipts, results)))
    if tallies:
        await connection.execute(_TALLIES, *_columns((t.envelope_id, t.source, t.hour, t.answered) for t in tallies))
    return results


async def _results(connection: Connection, rows: Sequence[ClaimRow]) -> Mapping[str, ClaimResult]:
    """Insert what nobody knows, learn who owns the rest, then answer each claim in order."""
    firsts = {row.key: row for row in reversed(rows)}
    won = await _insert(connection, _FIRST, firsts.values())
    owners = await _owners(connection, {row.key for row in firsts.values() if row.pair not in won})
    unknown = {row.pair: row for row in reversed(rows) if row.pair not in owners and row.pair not in won}
    amended = await _insert(connection, _AMENDED, unknown.values())
    overtaken = unknown.keys() - amended
    if overtaken:
        now_known = await _owners(connection, {key for key, _ in overtaken})
        owners |= {pair: owner for pair, owner in now_known.items() if pair in overtaken}
    results, _, earlier = judged(rows, owners)
    for query in (_EARLIER.format(table="claim"), _EARLIER.format(table="amendment")) if earlier else ():
        await connection.execute(query, *_columns((*pair, row.owner, row.at) for pair, row in earlier.items()))
    return results


async def _claim_latest(connection: Connection, rows: Sequence[LatestRow]) -> Mapping[str, ClaimResult]:
    """Hold the rows of these numbers, read what they say, then answer each claim in the order of the telling."""
    keys = list({row.key for row in rows})
    await connection.execute(_HOLD, keys)
    known = {row["key"]: LatestRow(*row) for row in await connection.fetch(_LATEST, keys)}
    answers = await connection.fetch(_ANSWERED, list({answer_key(row) for row in rows}))
    results, fresh, latest = judged_latest(rows, known, {row["key"]: row["owner"] for row in answers})
    await _insert(connection, _FIRST, fresh)
    await connection.execute(_IS_LATEST, *_columns(latest.values()))
    return results


async def _insert(connection: Connection, query: str, rows: Collection[ClaimRow]) -> set[Pair]:
    """Those that were inserted, because nobody had."""
    if not rows:
        return set()
    columns = _columns((row.key, row.fingerprint, row.owner, row.at, row.source) for row in rows)
    return {(key, fingerprint) for key, fingerprint in await connection.fetch(query, *columns)}


async def _owners(connection: Connection, keys: Collection[bytes]) -> dict[Pair, Owner]:
    """Who owns what of these keys, each of which somebody has committed.

    Raises:
        Overtaken: retention has just forgotten one of them.
    """
    if not keys:
        return {}
    rows = await connection.fetch(_KNOWN, list(keys))
    owners = {(row["key"], row["fingerprint"]): Owner(row["owner"], row["at"]) for row in rows}
    if {key for key, _ in owners} != set(keys):
        raise Overtaken
    return owners


def _columns(rows: Iterable[tuple[object, ...]]) -> tuple[list[object], ...]:
    return tuple(map(list, zip(*rows, strict=True)))
