"""Claims, receipts and tallies of dedupe, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from workers.dedupe import Claim, Receipt, Tally
from workers.retention import CLAIMS_KEPT
from workers.stores.claim_row import Owner, answer, counted_for, hashed, in_order, note_result, receipt_rows
from workers.stores.sqlite_file import SqliteFile, micros, moment

_VERSION_1: Final = """
CREATE TABLE IF NOT EXISTS claim (
    key BLOB NOT NULL, fingerprint BLOB NOT NULL, owner TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (key, fingerprint)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS receipt (
    envelope_id TEXT PRIMARY KEY, source TEXT NOT NULL, hour TEXT NOT NULL, items INTEGER NOT NULL,
    new INTEGER NOT NULL, amended INTEGER NOT NULL, duplicate INTEGER NOT NULL, quarantined INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (
    envelope_id TEXT PRIMARY KEY, source TEXT NOT NULL, hour TEXT NOT NULL, answered INTEGER NOT NULL) WITHOUT ROWID;
"""
_VERSION_2: Final = """
CREATE INDEX claim_at ON claim (at);
CREATE INDEX receipt_hour ON receipt (hour);
CREATE INDEX tally_hour ON tally (hour);
"""
_VERSION_3: Final = """
ALTER TABLE claim ADD COLUMN source TEXT;
"""  # source: see counted_for; NULL in what an older program claimed
CLAIMS_MIGRATIONS: Final = (_VERSION_1, _VERSION_2, _VERSION_3)


class SqliteClaims:
    """ClaimStore on one file. Keys are kept as hashes: they hold phone numbers, and a hash is short."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, str]:
        """See ClaimStore."""
        if not receipts and not tallies:
            return {}
        return await self._file.write(_claim_all, receipts, tallies)

    async def expire(self, now: datetime, limit: int) -> int:
        """See ClaimStore."""
        return await self._file.write(_expire, now - CLAIMS_KEPT, limit)


def _claim_all(db: sqlite3.Connection, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> dict[str, str]:
    results: dict[str, str] = {}
    for claim in in_order(receipts):
        note_result(results, claim, _claim_one(db, claim))
    db.executemany("INSERT OR IGNORE INTO receipt VALUES (?,?,?,?,?,?,?,?)", receipt_rows(receipts, results))
    db.executemany(
        "INSERT OR IGNORE INTO tally VALUES (?,?,?,?)", [(t.envelope_id, t.source, t.hour, t.answered) for t in tallies]
    )
    return results


def _claim_one(db: sqlite3.Connection, claim: Claim) -> str:
    key, fingerprint = hashed(claim)
    found = db.execute("SELECT fingerprint, owner, at FROM claim WHERE key = ?", (key,))
    known = {row[0]: Owner(row[1], moment(row[2])) for row in found}
    result = answer(claim, known.get(fingerprint), is_known=bool(known))
    if result in ("new", "amended"):
        row = (key, fingerprint, claim.owner, micros(claim.at), counted_for(claim))
        db.execute("INSERT INTO claim VALUES (?,?,?,?,?)", row)
    if result == "earlier":
        query = "UPDATE claim SET owner = ?, at = ? WHERE key = ? AND fingerprint = ?"
        db.execute(query, (claim.owner, micros(claim.at), key, fingerprint))
    return result


def _expire(db: sqlite3.Connection, before: datetime, limit: int) -> int:
    """Tallies first and by the hour, as receipts: half an hour forgotten must not look like missing receipts."""
    hour, gone = f"{before:%Y-%m-%dT%H}", 0
    for table in ("tally", "receipt"):
        rows = f"SELECT envelope_id FROM {table} WHERE hour < ? LIMIT ?"  # noqa: S608 - our own names
        forgotten = db.execute(f"DELETE FROM {table} WHERE envelope_id IN ({rows})", (hour, limit)).rowcount  # noqa: S608 - the same
        if forgotten >= limit:
            return forgotten
        gone += forgotten
    old = "SELECT key, fingerprint FROM claim WHERE at <= ? LIMIT ?"
    claims = db.execute(f"DELETE FROM claim WHERE (key, fingerprint) IN ({old})", (micros(before), limit))  # noqa: S608 - the same
    return gone + claims.rowcount
