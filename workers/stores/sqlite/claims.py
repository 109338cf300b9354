"""Claims, receipts and tallies of dedupe, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from workers.dedupe import ClaimResult, Receipt, Tally
from workers.retention import CLAIMS_KEPT
from workers.stores.claims import ClaimRow, Owner, in_order, judged, receipt_rows
from workers.stores.latest import LatestRow, answer_key, judged_latest, latest_rows
from workers.stores.ledger import Pair
from workers.stores.sqlite.file import SqliteFile, micros, moment

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
"""  # source: see ClaimRow; NULL in what an older program claimed
_VERSION_4: Final = """
CREATE TABLE latest (
    key BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, owner TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX latest_at ON latest (at);
"""
CLAIMS_MIGRATIONS: Final = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)

_KEYS_AT_ONCE: Final = 100  # sqlite3 keeps the 128 statements that it met last: one for each number of keys
_KNOWN: Final = "SELECT key, fingerprint, owner, at FROM claim WHERE key IN ({})"
_LATEST: Final = "SELECT key, fingerprint, owner, at FROM latest WHERE key = ?"
_EARLIER: Final = "UPDATE claim SET owner = ?, at = ? WHERE key = ? AND fingerprint = ?"


class SqliteClaims:
    """ClaimStore on one file. Keys are kept as hashes: they hold phone numbers, and a hash is short."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def claim(self, receipts: Sequence[Receipt], tallies: Sequence[Tally]) -> Mapping[str, ClaimResult]:
        """As `ClaimStore` promises."""
        if not receipts and not tallies:
            return {}
        return await self._file.write(_claim_all, receipts, tallies)

    async def look(self, now: datetime) -> Mapping[str, int]:  # noqa: ARG002 - the others tell what is overdue
        """As `ClaimStore` promises."""
        return await self._file.write(_look)

    async def expire(self, now: datetime, limit: int) -> int:
        """As `ClaimStore` promises."""
        return await self._file.write(_expire, now - CLAIMS_KEPT, limit)


def _look(db: sqlite3.Connection) -> Mapping[str, int]:
    db.execute("SELECT 1 FROM claim LIMIT 1").fetchone()
    return {}


def _claim_all(
    db: sqlite3.Connection, receipts: Sequence[Receipt], tallies: Sequence[Tally]
) -> Mapping[str, ClaimResult]:
    rows = in_order(receipts)
    owners = dict(_owners(db, list({row.key for row in rows})))
    results, fresh, earlier = judged(rows, owners)
    if numbers := latest_rows(receipts):
        results = {**results, **_claim_latest(db, numbers)}
    db.executemany("INSERT INTO claim VALUES (?,?,?,?,?)", map(_kept, fresh))
    db.executemany(_EARLIER, [(row.owner, micros(row.at), *pair) for pair, row in earlier.items()])
    db.executemany("INSERT OR IGNORE INTO receipt VALUES (?,?,?,?,?,?,?,?)", receipt_rows(receipts, results))
    db.executemany(
        "INSERT OR IGNORE INTO tally VALUES (?,?,?,?)", [(t.envelope_id, t.source, t.hour, t.answered) for t in tallies]
    )
    return results


def _claim_latest(db: sqlite3.Connection, rows: Sequence[LatestRow]) -> Mapping[str, ClaimResult]:
    answered = {key: owner.owner for (key, _), owner in _owners(db, list({answer_key(row) for row in rows}))}
    known = {row.key: row for number in {row.key for row in rows} for row in _latest_of(db, number)}
    results, fresh, latest = judged_latest(rows, known, answered)
    db.executemany("INSERT INTO claim VALUES (?,?,?,?,?)", map(_kept, fresh))
    db.executemany(
        "INSERT OR REPLACE INTO latest VALUES (?,?,?,?)", [(*row[:3], micros(row.at)) for row in latest.values()]
    )
    return results


def _latest_of(db: sqlite3.Connection, number: bytes) -> Iterator[LatestRow]:
    for key, fingerprint, owner, at in db.execute(_LATEST, (number,)):
        yield LatestRow(key, fingerprint, owner, moment(at))


def _owners(db: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[Pair, Owner]]:
    """Who owns what of these keys."""
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        chunk = keys[start : start + _KEYS_AT_ONCE]
        for key, fingerprint, owner, at in db.execute(_KNOWN.format(", ".join("?" * len(chunk))), chunk):
            yield (key, fingerprint), Owner(owner, moment(at))


def _kept(row: ClaimRow) -> tuple[bytes, bytes, str, int, str]:
    key, at, owner, fingerprint, source = row
    return key, fingerprint, owner, micros(at), source


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
    latest = "SELECT key FROM latest WHERE at <= ? LIMIT ?"
    numbers = db.execute(f"DELETE FROM latest WHERE key IN ({latest})", (micros(before), limit))  # noqa: S608 - the same
    return gone + claims.rowcount + numbers.rowcount
