"""Claims, receipts and tallies of dedupe, on PostgreSQL: at most 8 statements a batch, BEGIN and COMMIT among them.

Two more in the rare batch that holds an earlier telling of what is known already.
Rows are met in one order (claims by key, then amendments, receipts, tallies), so two workers never wait in a ring; the
loser of a key waits for the winner's commit and then reads who it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from workers.dedupe import Claim, Receipt, Tally
from workers.retention import CLAIMS_KEPT
from workers.stores.claim_row import Owner, answer, counted_for, hashed, in_order, note_result, receipt_rows
from workers.stores.passage import Pair
from workers.stores.postgresql_pool import Connection, Database, Vanished

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

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, str]:
        """See ClaimStore."""
        if not receipts and not tallies:
            return {}
        return await self._database.transact(partial(_claim_all, receipts=receipts, tallies=tallies))

    async def expire(self, now: datetime, limit: int) -> int:
        """See ClaimStore. Tallies go first, and by the hour as receipts do, so that no hour seems to miss receipts."""
        before, gone = now - CLAIMS_KEPT, 0
        hour = f"{before:%Y-%m-%dT%H}"
        for table, old, value in (
            ("tally", "hour < $1", hour),
            ("receipt", "hour < $1", hour),
            ("claim", "at <= $1", before),
            ("amendment", "at <= $1", before),
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
) -> Mapping[str, str]:
    claims = [(hashed(claim), claim) for claim in in_order(receipts)]
    results = await _results(connection, claims)
    if receipts:
        await connection.execute(_RECEIPTS, *_columns(receipt_rows(receipts, results)))
    if tallies:
        await connection.execute(_TALLIES, *_columns((t.envelope_id, t.source, t.hour, t.answered) for t in tallies))
    return results


async def _results(connection: Connection, claims: Sequence[tuple[Pair, Claim]]) -> Mapping[str, str]:
    """Insert what nobody knows, learn who owns the rest, then answer each claim in order."""
    firsts = {pair[0]: (pair, claim) for pair, claim in reversed(claims)}
    won = await _insert(connection, _FIRST, firsts.values())
    lost = [pair for pair, _ in firsts.values() if pair not in won]
    owners = await _owners(connection, {key for key, _ in lost})
    unknown = {pair: (pair, claim) for pair, claim in reversed(claims) if pair not in owners and pair not in won}
    amended = await _insert(connection, _AMENDED, unknown.values())
    overtaken = unknown.keys() - amended
    if overtaken:
        now_known = await _owners(connection, {key for key, _ in overtaken})
        owners |= {pair: owner for pair, owner in now_known.items() if pair in overtaken}
    results, earlier = _answers(claims, owners)
    for query in (_EARLIER.format(table="claim"), _EARLIER.format(table="amendment")) if earlier else ():
        await connection.execute(query, *_columns((*pair, claim.owner, claim.at) for pair, claim in earlier.items()))
    return results


def _answers(
    claims: Sequence[tuple[Pair, Claim]], owners: Mapping[Pair, Owner]
) -> tuple[Mapping[str, str], Mapping[Pair, Claim]]:
    """The results, and who takes over a pair because it came earlier.

    `owners`: as they were before this batch; the first of an unknown pair is its owner from here on.
    """
    told, keys = dict(owners), {key for key, _ in owners}
    results: dict[str, str] = {}
    earlier: dict[Pair, Claim] = {}
    for pair, claim in claims:
        result = answer(claim, told.get(pair), is_known=pair[0] in keys)
        note_result(results, claim, result)
        if result == "earlier":
            earlier[pair] = claim
        if result != "duplicate":
            told[pair] = Owner(claim.owner, claim.at)
        keys.add(pair[0])
    return results, earlier


async def _insert(connection: Connection, query: str, rows: Collection[tuple[Pair, Claim]]) -> set[Pair]:
    """Those that were inserted, because nobody had."""
    if not rows:
        return set()
    columns = _columns((*pair, claim.owner, claim.at, counted_for(claim)) for pair, claim in rows)
    return {(row["key"], row["fingerprint"]) for row in await connection.fetch(query, *columns)}


async def _owners(connection: Connection, keys: Collection[bytes]) -> dict[Pair, Owner]:
    """Who owns what of these keys, each of which somebody has committed.

    Raises:
        Vanished: retention has just forgotten one of them.
    """
    if not keys:
        return {}
    rows = await connection.fetch(_KNOWN, list(keys))
    owners = {(row["key"], row["fingerprint"]): Owner(row["owner"], row["at"]) for row in rows}
    if {key for key, _ in owners} != set(keys):
        raise Vanished
    return owners


def _columns(rows: Iterable[tuple[object, ...]]) -> tuple[list[object], ...]:
    return tuple(map(list, zip(*rows, strict=True)))
