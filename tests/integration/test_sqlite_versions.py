"""A state that an older program wrote is still read, and one that a newer program wrote is left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from console.ledger.equations import Sight
from runtime.wire import dead_envelope
from schemas.envelope import encode_envelope
from schemas.errors import Misconfigured
from tests.building.facts import a_cdr, all_events, enveloped, kept
from tests.building.states import state_1
from tests.building.stores import SqliteRig, a_claim, asked, at, claimed, event, fold, ledger, stepping
from tests.building.traffic import HOUR, arrive, found, passed_on, rows
from workers.stores.claims import claim_row

# Frozen: what version 1 wrote, which had no `meta` and no migrations. Never change it.
DEDUPE_1: Final = """
CREATE TABLE claim (
    key BLOB NOT NULL, fingerprint BLOB NOT NULL, owner TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (key, fingerprint)) WITHOUT ROWID;
CREATE TABLE receipt (
    envelope_id TEXT PRIMARY KEY, source TEXT NOT NULL, hour TEXT NOT NULL, items INTEGER NOT NULL,
    new INTEGER NOT NULL, amended INTEGER NOT NULL, duplicate INTEGER NOT NULL, quarantined INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE tally (
    envelope_id TEXT PRIMARY KEY, source TEXT NOT NULL, hour TEXT NOT NULL, answered INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO receipt VALUES ('n1', 'huawei-bj', '2026-11-21T08', 1, 1, 0, 0, 0);
INSERT INTO tally VALUES ('t1', 'huawei-bj', '2026-11-21T08', 1);
"""
CORRELATE_1: Final = """
CREATE TABLE session (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, state BLOB NOT NULL, revision INTEGER NOT NULL,
    status TEXT NOT NULL, hour TEXT NOT NULL, due_at INTEGER, updated_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX session_due ON session (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE outbox (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, call_id TEXT NOT NULL, route TEXT NOT NULL,
    envelope BLOB NOT NULL, leased_at INTEGER NOT NULL, sent_at INTEGER);
CREATE INDEX outbox_unsent ON outbox (leased_at) WHERE sent_at IS NULL;
CREATE INDEX outbox_call ON outbox (call_id) WHERE sent_at IS NULL;
"""
PARK_1: Final = """
CREATE TABLE parked (
    id TEXT PRIMARY KEY, box TEXT NOT NULL, stage TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
    signature TEXT NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, attempts INTEGER NOT NULL,
    raw BLOB NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX parked_signature ON parked (box, signature);
INSERT INTO parked VALUES ('q1', 'quarantine', 'dedupe', 'huawei-bj', 'not_json', 'abc', 1, 1, 1, '{}', 'parked');
"""


# Frozen: what version 2 added. Never change it.
DEDUPE_2: Final = """
CREATE INDEX claim_at ON claim (at);
CREATE INDEX receipt_hour ON receipt (hour);
CREATE INDEX tally_hour ON tally (hour);
CREATE TABLE meta (version INTEGER NOT NULL); INSERT INTO meta VALUES (2);
"""
CORRELATE_2: Final = """
CREATE TABLE tombstone (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, status TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX tombstone_at ON tombstone (at);
CREATE INDEX session_quiet ON session (updated_at) WHERE due_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
DROP INDEX outbox_call;
CREATE INDEX outbox_call ON outbox (call_id);
CREATE TABLE meta (version INTEGER NOT NULL); INSERT INTO meta VALUES (2);
"""
PARK_2: Final = """
CREATE INDEX parked_wanted ON parked (box) WHERE state = 'wanted';
CREATE TABLE meta (version INTEGER NOT NULL); INSERT INTO meta VALUES (2);
"""


def written(path: Path, script: str, *rows: tuple[str, tuple[object, ...]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(script)
        for query, values in rows:
            db.execute(query, values)


def micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


@pytest.fixture
def rig(tmp_path: Path) -> SqliteRig:
    """The state that version 1 left: a call completed at 70, of which nothing was sent."""
    rig = SqliteRig(tmp_path / "state")
    claim = a_claim("k", "f1")
    written(
        rig.directory / "dedupe.db",
        DEDUPE_1,
        ("INSERT INTO claim VALUES (?,?,?,?)", (*claim_row(claim).pair, claim.owner, micros(claim.at))),
    )
    facts = [*all_events(), a_cdr(told=70)]
    told = stepping(70)(None, [*map(kept, facts)])
    (completed,) = told.envelopes
    moment = micros(at(70))
    state = state_1(told.session, facts)
    written(
        rig.directory / "correlate.db",
        CORRELATE_1,
        (
            "INSERT INTO session VALUES ('huawei-bj:s1','huawei-bj',?,1,'completed','2026-11-21T08',NULL,?)",
            (state, moment),
        ),
        (
            "INSERT INTO outbox VALUES (1,?,'huawei-bj:s1',?,?,?,NULL)",
            (completed.id, completed.route, encode_envelope(completed), moment),
        ),
    )
    written(rig.directory / "park.db", PARK_1)
    return rig


async def test_claims_of_version_1_are_still_known(rig: SqliteRig) -> None:
    async with rig.open_claims() as store:
        assert await claimed(store, a_claim("k", "f1")) == ["mine"]
        assert await claimed(store, a_claim("k", "f2"), a_claim("k", "f3", version="b"), envelope="n2") == [
            "duplicate",
            "amended",
        ]
        assert await store.expire(at(8 * 86400), 100) > 0


async def test_sessions_of_version_1_go_on(rig: SqliteRig) -> None:
    async with rig.open_sessions() as store:
        left = await fold(store, a_cdr(told=80, user_data="x"), told=80)
        assert [event(envelope)["revision"] for envelope in left] == [1]
        (amended,) = await store.due(at(82), stepping(82), 10)
        assert event(amended)["revision"] == 2
        await store.sent([left[0].id, amended.id], at(83))
        while await store.expire(at(9 * 86400), 100):
            pass
        assert await asked(rig, lambda reads: reads.session("huawei-bj:s1")) is None


async def test_the_operator_reads_version_1_before_and_after(rig: SqliteRig) -> None:
    before = await ledger(rig)
    assert (before[0]["receipts"], before[0]["answered"], before[0]["completed"]) == (1, 1, 1)
    async with rig.open_claims(), rig.open_sessions(), rig.open_parked():
        assert await ledger(rig) == before
        assert [group["count"] for group in await asked(rig, lambda reads: reads.parked_groups("quarantine"))] == [1]


async def test_opening_twice_migrates_once(rig: SqliteRig) -> None:
    for _ in range(2):
        async with rig.open_sessions(), rig.open_claims(), rig.open_parked():
            pass
    with closing(sqlite3.connect(rig.directory / "correlate.db")) as db:
        assert db.execute("SELECT version FROM meta").fetchall() == [(6,)]


@pytest.fixture
def rig_2(rig: SqliteRig) -> SqliteRig:
    """The same state as version 2 left it, with a fact that died at 70 and was parked in a later hour."""
    dead = dead_envelope(enveloped(a_cdr(told=70)), reason="broken", stage="callstitch.unique.v1")
    later, raw = micros(at(2 * HOUR)), encode_envelope(dead)
    row = (dead.id, "dead", "callstitch.unique.v1", "huawei-bj", "broken", "sig", later, later, 1, raw, "parked")
    written(rig.directory / "dedupe.db", DEDUPE_2)
    written(rig.directory / "correlate.db", CORRELATE_2)
    written(rig.directory / "park.db", PARK_2, ("INSERT INTO parked VALUES (?,?,?,?,?,?,?,?,?,?,?)", row))
    return rig


async def test_the_ledger_of_version_2_is_read_before_and_after_and_its_hours_are_not_compared(
    rig_2: SqliteRig,
) -> None:
    (before,) = await rows(rig_2)
    assert (before["receipts"], before["sessions"], before["revisions"], before["events"]) == (1, 1, 1, 1)
    assert (before["compared"], await found(rig_2)) == (False, [])
    async with rig_2.open_claims(), rig_2.open_sessions(), rig_2.open_parked():
        first, (after, told) = await rows(rig_2), await rows_of_quarantine_and_dead(rig_2)
        assert [row["hour"] for row in first] == ["1970-01-01T00", "2026-11-21T08"]
        assert (after, told) == ("1970-01-01T00", "2026-11-21T08")
        assert (first[1]["compared"], first[1]["dead_facts"], await found(rig_2)) == (False, 1, [])


async def rows_of_quarantine_and_dead(rig: SqliteRig) -> tuple[str, str]:
    """The hours under which what was parked is told: its own, where its envelope tells it."""
    counted = {row.box: row.hour for row in await asked(rig, lambda reads: reads.books.parked())}
    return counted["quarantine"], counted["dead"]


async def test_hours_after_an_upgrade_are_compared_and_sessions_from_before_it_count_in_full(
    rig_2: SqliteRig,
) -> None:
    async with rig_2.open_claims() as claims, rig_2.open_sessions() as sessions:
        await arrive(sessions, await passed_on(claims, a_cdr("r2", told=2 * HOUR)))
        lost = a_cdr("r3", told=2 * HOUR + 1)
        await passed_on(claims, lost)
        (*_, row) = counted = await rows(rig_2, at(5 * HOUR))
        assert (row["hour"], row["compared"], row["passed"], row["arrived"]) == ("2026-11-21T10", True, 2, 1)
        assert sum(row["arrived"] for row in counted) == 7, "five events and two CDRs"
        (difference,) = await found(rig_2, Sight(now=at(5 * HOUR)))
        assert difference.names == [f"fact {lost.id} received 2026-11-21T10:00:01.000000Z"]


async def test_a_newer_state_is_refused_and_left_alone(rig: SqliteRig) -> None:
    path = rig.directory / "dedupe.db"
    written(path, "CREATE TABLE meta (version INTEGER NOT NULL); INSERT INTO meta VALUES (99);")
    with pytest.raises(Misconfigured, match="version 99"):
        async with rig.open_claims():
            pass
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM claim").fetchone() == (1,)
