"""A state that an older program wrote is still read, and one that a newer program wrote is left alone."""

from __future__ import annotations

import pytest

from console.ledger.equations import Sight
from runtime.wire import dead_envelope
from schemas.envelope import encode_envelope
from schemas.errors import Misconfigured
from tests.building.facts import a_cdr, enveloped, kept
from tests.building.states import state_1
from tests.building.stores import PostgresqlRig, a_claim, a_whole_call, asked, at, forget_everything, stepping
from tests.building.traffic import HOUR, arrive, found, passed_on, rows
from workers.stores.claims import claim_row
from workers.stores.postgresql.pool import open_database
from workers.stores.postgresql.schema import CLAIMS_MIGRATIONS, PARKED_MIGRATIONS, SESSIONS_MIGRATIONS, migrate

_VERSION_1 = {"claims": CLAIMS_MIGRATIONS[:1], "sessions": SESSIONS_MIGRATIONS[:1], "parked": PARKED_MIGRATIONS[:1]}


@pytest.fixture
async def dsn(postgres_dsn: str) -> str:
    await forget_everything(postgres_dsn)
    return postgres_dsn


async def test_an_older_state_is_brought_forward_and_a_newer_one_is_refused(dsn: str) -> None:
    first = "CREATE TABLE thing (n int); INSERT INTO thing VALUES (1)"
    second = "ALTER TABLE thing ADD COLUMN word text NOT NULL DEFAULT 'kept'"
    async with open_database(dsn) as database:
        await migrate(database, "things", [first])
        await migrate(database, "things", [first, second])
        await migrate(database, "things", [first, second])
        assert [dict(row) for row in await database.fetch("SELECT * FROM thing")] == [{"n": 1, "word": "kept"}]
        with pytest.raises(Misconfigured, match="version 2; this program knows 1"):
            await migrate(database, "things", [first])


async def test_the_ledger_of_version_1_is_read_and_only_hours_after_it_are_compared(dsn: str) -> None:
    rig, claim = PostgresqlRig(dsn), a_claim("cdr|s1|r1", "f1")
    session = stepping(70)(None, [kept(a_whole_call())]).session
    dead = dead_envelope(enveloped(a_cdr(told=70)), reason="broken", stage="callstitch.unique.v1")
    async with open_database(dsn) as database:
        for part, migrations in _VERSION_1.items():
            await migrate(database, part, migrations)
        await database.execute(
            "INSERT INTO claim VALUES ($1, $2, $3, $4)", *claim_row(claim).pair, claim.owner, claim.at
        )
        state = (state_1(session, [a_whole_call()]), at(70))
        insert = "INSERT INTO session VALUES ($1, 'huawei-bj', $2, 0, 'open', '2026-11-21T08', NULL, $3)"
        await database.execute(insert, b"huawei-bj:s1", *state)
        parked = "INSERT INTO parked VALUES ('d1', 'dead', '', 'huawei-bj', '', '', $1, $1, 1, $2, 'parked')"
        await database.execute(parked, at(2 * HOUR), encode_envelope(dead))
    (before,) = await rows(rig)
    assert (before["sessions"], before["compared"], await found(rig)) == (1, False, [])
    (group,) = await asked(rig, lambda reads: reads.parked_groups("dead"))
    assert (group["count"], group["items"], group["example"]) == (1, 1, "d1")
    async with rig.open_claims() as claims, rig.open_sessions() as sessions, rig.open_parked():
        (after,) = await rows(rig)
        assert (after["dead_facts"], after["compared"], await found(rig)) == (1, False, [])
        lost = a_cdr("r3", told=2 * HOUR + 1)
        await arrive(sessions, await passed_on(claims, a_cdr("r2", told=2 * HOUR)))
        await passed_on(claims, lost)
        counts = [(row["hour"], row["compared"], row["arrived"]) for row in await rows(rig, at(5 * HOUR))]
        assert counts == [("2026-11-21T08", False, 1), ("2026-11-21T10", True, 1)]
        (difference,) = await found(rig, Sight(now=at(5 * HOUR)))
        assert difference.names == [f"fact {lost.id} received 2026-11-21T10:00:01.000000Z"]


async def test_what_was_parked_before_items_were_counted_counts_one_a_row(dsn: str) -> None:
    """A new program's questions beside an older `park`, as in a rolling upgrade."""
    async with open_database(dsn) as database:
        await migrate(database, "parked", PARKED_MIGRATIONS[:2])
        row = "VALUES ($1, 'quarantine', 'dedupe', 'huawei-bj', 'bad_time', 's', $2, $2, 1, '{}', 'parked', $3, 'fact')"
        for name in ("q1", "q2"):
            await database.execute(f"INSERT INTO parked {row}", name, at(1), "2026-11-21T08")
    (group,) = await asked(PostgresqlRig(dsn), lambda reads: reads.parked_groups("quarantine"))
    assert (group["count"], group["items"]) == (2, 2)
    (counted,) = await asked(PostgresqlRig(dsn), lambda reads: reads.books.parked())
    assert (counted.count, counted.items, counted.hour) == (2, 2, "2026-11-21T08")
