"""The growth and recovery cases: what a store is seeded with, what waits in `received`, and what is compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.ledger.account import read_ledger, totals
from schemas.envelope import Kind, decode_bundle
from tests.bench.__main__ import _settings
from tests.bench.bodies import Posts, call_of
from tests.bench.bundles import bundles
from tests.bench.contender import processes
from tests.bench.ours import Ours
from tests.bench.seeding import rows_like, seed_postgresql, seed_sqlite
from tests.bench.settings import Settings
from tests.building.stores import (
    PostgresqlRig,
    SqliteRig,
    StoreRig,
    a_claim,
    a_receipt,
    a_whole_call,
    asked,
    at,
    fold,
    types,
)

SEEDED = 50
DAY = 86_400.0
RUN = "r1234567"


@pytest.fixture(params=["sqlite", "postgresql"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> StoreRig:
    if request.param == "sqlite":
        return SqliteRig(tmp_path)
    return PostgresqlRig(request.getfixturevalue("postgres_dsn"))


async def seed(rig: StoreRig) -> None:
    if isinstance(rig, SqliteRig):
        seed_sqlite(rig.directory, SEEDED)
    else:
        assert isinstance(rig, PostgresqlRig)
        await seed_postgresql(rig.dsn, SEEDED)


async def test_a_seeded_store_holds_many_settled_calls_and_goes_on(rig: StoreRig) -> None:
    async with rig.open_claims() as claims, rig.open_sessions() as sessions:
        await claims.claim([a_receipt("n1", a_claim("cdr|s1", "f1"))], [])
        [first] = await fold(sessions, a_whole_call("s1"), told=70)
        await sessions.sent([first.id], at(71))

    await seed(rig)

    async with rig.open_claims() as claims, rig.open_sessions() as sessions:
        assert await claims.claim([a_receipt("n2", again := a_claim("cdr|s1", "f2", told=9))], []) == {
            again.owner: "duplicate"
        }
        assert types(await fold(sessions, a_whole_call("s2"), told=80)) == ["call.completed"]
        assert len(await sessions.unsent(at(DAY), 2 * SEEDED)) == 1, "only what was folded just now"
    counts = totals(await asked(rig, lambda reads: read_ledger(reads.books, now=datetime.now(UTC))))
    assert counts["receipts"] == SEEDED + 2
    assert len(await asked(rig, lambda reads: reads.event_ids())) == SEEDED + 2
    assert await asked(rig, lambda reads: reads.due()) == 0


def test_copied_rows_keep_every_column_but_those_that_differ() -> None:
    query = "INSERT INTO {table} ({names}) SELECT {values} FROM n, template {order} LIMIT {count}"

    assert rows_like(query, "claim", ["key", "owner", "added_later"], {"key": "f(i)"}, 7) == (
        "INSERT INTO claim (key, owner, added_later) SELECT f(i), template.owner, template.added_later"
        " FROM n, template ORDER BY 1 LIMIT 7"
    )


def test_a_backlog_is_bundles_of_notifications_each_of_a_call_of_its_own() -> None:
    posts = Posts("cdrs", run=RUN, calls=10)

    made = [decode_bundle(body) for body in bundles((posts[n].body for n in range(10)), 4, source="bench")]

    envelopes = [envelope for bundle in made for envelope in bundle]
    texts = [str(envelope.body).encode() for envelope in envelopes]
    assert [len(bundle) for bundle in made] == [4, 4, 2]
    assert {(envelope.kind, envelope.source) for envelope in envelopes} == {(Kind.NOTIFICATION, "bench")}
    assert [call_of(text) for text in texts] == [(RUN, call) for call in range(10)]


@pytest.mark.parametrize(
    ("words", "sessions", "backlog"),
    [
        ((), (10_000, 100_000, 1_000_000), 1_000_000),
        (("--quick",), (100, 1000), 1000),
        (("--quick", "--sessions", "7", "--sessions", "9", "--backlog", "5"), (7, 9), 5),
    ],
)
def test_sizes_can_be_set(tmp_path: Path, words: Sequence[str], sessions: Sequence[int], backlog: int) -> None:
    settings = _settings([*words, "--directory", str(tmp_path)])

    assert (settings.sessions, settings.backlog) == (sessions, backlog)


@pytest.mark.parametrize("sizes", [{"sessions": ()}, {"sessions": (0,)}, {"backlog": 0}])
def test_sizes_are_positive(sizes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="sizes must be positive"):
        Settings(**sizes)  # type: ignore[arg-type]


def test_each_sink_has_a_file_of_its_own(tmp_path: Path) -> None:
    with processes(tmp_path / "run") as found:
        ours = Ours(processes=found, broker="amqp://localhost/", store="sqlite:state", sinks=2)
        config = (ours.processes.directory / "config.toml").read_text()

    assert [file.name for file in ours.sink_files] == ["sink-1.jsonl", "sink-2.jsonl"]
    assert all(f'path = "{file.name}"' in config for file in ours.sink_files)
