"""A state that an older program wrote is still read, and one that a newer program wrote is left alone."""

from __future__ import annotations

import pytest

from console.ledger.equations import Sight
from runtime.wire import dead_envelope
from schemas.envelope import encode_envelope
from schemas.errors import Misconfigured
from tests.building.facts import a_cdr, enveloped, kept
from tests.building.states import state_1
from tests.building.stores import (
    PostgresqlRig,
    a_claim,
    a_whole_call,
    asked,
    at,
    event,
    fold,
    forget_everything,
    marked,
    stepping,
)
from tests.building.traffic import HOUR, arrive, found, passed_on, rows
from workers.calls.session import encode_session
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


async def test_a_table_that_takes_long_to_bring_forward_is_waited_for(dsn: str) -> None:
    """Any other statement ends after 20 s: a start that tried again would never get further."""
    async with open_database(dsn) as database:
        await migrate(database, "things", ["CREATE TABLE thing AS SELECT current_setting('statement_timeout') AS ends"])
        rows = await database.fetch("SELECT ends, current_setting('statement_timeout') AS later FROM thing")
        assert [tuple(row) for row in rows] == [("0", "20s")]


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


CHANGED = ["/user_data", "/cdrs/0/user_data", "/cdrs/0/raw/user_data"]


async def test_an_outbox_that_kept_who_was_sent_is_brought_forward(dsn: str) -> None:
    """What was sent stays so, what was not is sent when its lease ends, and what a call said first is amended."""
    rig = PostgresqlRig(dsn)
    told, waiting = (stepping(70)(None, [kept(a_whole_call(session))]) for session in ("s1", "s2"))
    (said,), (unsent,) = told.envelopes, waiting.envelopes
    async with open_database(dsn) as database:
        day = "CREATE TABLE outbox_on_20261121 PARTITION OF outbox FOR VALUES FROM ('2026-11-21') TO ('2026-11-22')"
        await migrate(database, "sessions", [*SESSIONS_MIGRATIONS[:3], f"{SESSIONS_MIGRATIONS[3]}; {day}"])
        for call_id, step, sent_at in (("huawei-bj:s1", told, at(71)), ("huawei-bj:s2", waiting, None)):
            (envelope,) = step.envelopes
            its, state = call_id.encode(), encode_session(step.session.having(said=""))
            insert = "INSERT INTO session VALUES ($1, 'huawei-bj', $2, 1, 'completed', '2026-11-21T08', NULL, $3, '{}')"
            await database.execute(insert, its, state, at(70))
            row = (envelope.id, its, envelope.route, encode_envelope(envelope), at(70), sent_at)
            await database.execute(
                "INSERT INTO outbox (day, id, call_id, route, envelope, leased_at, sent_at)"
                " VALUES ('2026-11-21', $1, $2, $3, $4, $5, $6)",
                *row,
            )
    before = await shown(rig)
    async with rig.open_sessions() as sessions:
        assert await shown(rig) == before == ([True], [False], {"call.completed.huawei-bj": {"made": 2, "sent": 1}})
        assert await sessions.unsent(at(74), 10) == []
        assert await sessions.unsent(at(75), 10) == [unsent]
        await marked(sessions, [unsent.id], told=76)
        late = a_cdr("r1", session="s1", told=80, implies=(), user_data="x")
        assert await fold(sessions, late, told=80) == []
        (amended,) = await sessions.due(at(83), stepping(83), 10)
        assert (event(amended)["revision"], event(amended)["data"]["changed"]) == (
            2,
            CHANGED,
        )
        await marked(sessions, [amended.id], told=84)
        again = a_cdr("r1", session="s1", told=90, implies=(), user_data="y")
        assert await fold(sessions, again, told=90) == []
        (amended,) = await sessions.due(at(93), stepping(93), 10)
        assert (event(amended)["revision"], event(amended)["data"]["changed"]) == (
            3,
            CHANGED,
        )
    assert await shown(rig) != before
    assert said.id != unsent.id


async def shown(rig: PostgresqlRig) -> tuple[list[bool], list[bool], object]:
    """What the operator is told of two calls, and of all, by the program of this version."""
    first = await asked(rig, lambda reads: reads.session("huawei-bj:s1"))
    second = await asked(rig, lambda reads: reads.session("huawei-bj:s2"))
    assert first is not None
    assert second is not None
    events = await asked(rig, lambda reads: reads.events())
    return [row["sent"] for row in first["outbox"]], [row["sent"] for row in second["outbox"]], events
