"""Claims, receipts and tallies of dedupe, on SQLite."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from workers.dedupe import Claim, Receipt, Tally
from workers.stores.sqlite_file import SqliteFile, micros

CLAIMS_SCHEMA: Final = """
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


class SqliteClaims:
    """ClaimStore on one file. Keys are kept as hashes: they hold phone numbers, and a hash is short."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, str]:
        """See ClaimStore."""
        if not receipts and not tallies:
            return {}
        return await self._file.write(_claim_all, receipts, tallies)


def _claim_all(db: sqlite3.Connection, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> dict[str, str]:
    results: dict[str, str] = {}
    for claim in sorted((c for receipt in receipts for c in receipt.claims), key=lambda c: (c.key, c.at, c.owner)):
        results[claim.owner] = _claim_one(db, claim)
    db.executemany(
        "INSERT OR IGNORE INTO receipt VALUES (?,?,?,?,?,?,?,?)", [_row(receipt, results) for receipt in receipts]
    )
    db.executemany(
        "INSERT OR IGNORE INTO tally VALUES (?,?,?,?)", [(t.envelope_id, t.source, t.hour, t.answered) for t in tallies]
    )
    return results


def _claim_one(db: sqlite3.Connection, claim: Claim) -> str:
    key = hashlib.blake2b(f"{claim.source}|{claim.key}".encode(), digest_size=16).digest()
    fingerprint = bytes.fromhex(claim.fingerprint)[:16]
    known = {row[0]: row[1] for row in db.execute("SELECT fingerprint, owner FROM claim WHERE key = ?", (key,))}
    if fingerprint in known:
        return "mine" if known[fingerprint] == claim.owner else "duplicate"
    db.execute("INSERT INTO claim VALUES (?,?,?,?)", (key, fingerprint, claim.owner, micros(claim.at)))
    return "amended" if known else "new"


def _row(receipt: Receipt, results: Mapping[str, str]) -> tuple[str, str, str, int, int, int, int, int]:
    outcomes = [results[claim.owner] for claim in receipt.claims]
    return (
        receipt.envelope_id,
        receipt.source,
        f"{receipt.at:%Y-%m-%dT%H}",
        len(outcomes) + receipt.quarantined,
        outcomes.count("new") + outcomes.count("mine"),
        outcomes.count("amended"),
        outcomes.count("duplicate"),
        receipt.quarantined,
    )
