"""The ledger's equations, when a difference counts, and how both are told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest

from console.ledger.account import COUNTS, totals
from console.ledger.equations import Difference, Sight, compare
from console.ledger.table import balance, lines, sentence
from console.reading import Account, reckon
from runtime.broker.embedded import open_embedded
from schemas.envelope import JsonObject
from schemas.topology import UNIQUE, Queue, Topology
from tests.building.facts import all_events
from tests.building.stores import SqliteRig, a_receipt, a_tally, a_whole_call
from tests.building.traffic import CLOSED as LATER
from tests.building.traffic import arrive, passed_on
from tests.contracts.brokers import numbered
from workers.config import Config

CLOSED = datetime(2026, 11, 21, 10, 15, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
OPEN = datetime(2026, 11, 21, 10, 14, 59, tzinfo=UTC)


def a_row(**counts: int) -> JsonObject:
    return {**dict.fromkeys(COUNTS, 0), "source": "bj", "hour": "2026-11-21T09", "compared": True, **counts}


async def differences(*rows: JsonObject, now: datetime) -> list[str]:
    return [str(difference) for difference in await compare(rows, Sight(now=now))]


async def test_a_balanced_hour_has_no_differences() -> None:
    row = a_row(answered=3, receipts=4, items=6, unique=2, amended=1, duplicate=2, quarantined=1, ever_quarantined=1)
    row |= {"sessions": 3, "completed": 1, "incomplete": 1, "open": 1}
    row |= {"passed": 3, "arrived": 2, "dead_facts": 1, "revisions": 2, "events": 2, "sent": 1}
    assert await differences(row, now=CLOSED) == []


@pytest.mark.parametrize(
    "counts",
    [
        {"answered": 3, "receipts": 2},
        {"items": 3, "unique": 2},
        {"quarantined": 1, "items": 1},
        {"sessions": 2, "completed": 1},
        {"passed": 2, "arrived": 1},
        {"arrived": 2, "passed": 1},
        {"passed": 1, "dead_facts": 2},
        {"revisions": 2, "events": 1},
        {"revisions": 1, "events": 2},
    ],
)
async def test_each_equation_that_does_not_hold_is_told_and_counts_once_its_window_closed(
    counts: dict[str, int],
) -> None:
    (told,) = await differences(a_row(**counts), now=CLOSED)
    assert told.startswith("bj 2026-11-21T09: ")
    assert "in flight" not in told
    (meanwhile,) = await differences(a_row(**counts), now=OPEN)
    assert meanwhile.endswith(" (in flight: the window is open)")


async def test_an_hour_that_cannot_be_compared_tells_nothing_of_facts() -> None:
    assert await differences(a_row(passed=2, revisions=1) | {"compared": False}, now=CLOSED) == []


@pytest.mark.parametrize(
    ("queues", "why"),
    [
        ({"callstitch.unique.v1": 0}, ""),
        ({"callstitch.unique.v1": 2, "callstitch.dead.v1": 0}, "queues hold messages: callstitch.unique.v1 2"),
        (None, "the broker does not say what its queues hold"),
    ],
)
async def test_what_queues_hold_is_in_flight_however_old_the_window(queues: Mapping[str, int] | None, why: str) -> None:
    (told,) = await compare([a_row(passed=1)], Sight(now=CLOSED, queues=queues))
    assert told.in_flight == why
    (inside_a_store,) = await compare([a_row(revisions=1)], Sight(now=CLOSED, queues=queues))
    assert inside_a_store.in_flight == "", "no queue can explain what one transaction wrote"


async def test_a_window_closes_when_its_source_has_waited_long_enough_for_cdrs() -> None:
    rows, waits = [a_row(passed=1)], {"bj": timedelta(minutes=40), "other": timedelta(days=9)}
    (still_open,) = await compare(rows, Sight(now=CLOSED + timedelta(minutes=24), waits=waits))
    (closed,) = await compare(rows, Sight(now=CLOSED + timedelta(minutes=25), waits=waits))
    assert (bool(still_open.in_flight), bool(closed.in_flight)) == (True, False)
    (brief,) = await compare(rows, Sight(now=OPEN, waits={"bj": timedelta(seconds=5)}))
    assert brief.in_flight, "the last tally and the last retry need their time, too"


def test_totals_add_all_rows_up() -> None:
    assert totals([a_row(items=2, unique=2), a_row(items=3, duplicate=3)])["items"] == 5


def test_the_table_fits_eighty_columns_and_spells_out_what_is_not_settled() -> None:
    row = a_row(answered=3, receipts=3, items=4, unique=2, amended=1, duplicate=1, passed=3, arrived=1, dead_facts=1)
    row |= {"sessions": 1, "completed": 1, "events": 2, "sent": 1, "dead": 1, "replayed": 2, "wanted": 1}
    quiet = a_row(answered=1234567, receipts=1234567) | {"hour": "2026-11-21T10", "compared": False}
    flying = Difference(source="bj", hour="2026-11-21T09", what="", in_flight="the window is open")

    untold = list(lines([row, quiet], [flying], SHANGHAI, tallied=False))
    assert [line.endswith("no tally") for line in untold].count(True) == 1
    assert not [line for line in untold if line.endswith("ok")]
    assert list(lines([row, quiet], [flying], SHANGHAI)) == [
        "bj",
        "  hour              answered  receipts  items  facts  sessions  events  balance",
        "  2026-11-21 17:00         3         3      4      3         1       2  in flight",
        "      items: 4 = 2 unique + 1 amended + 1 duplicate + 0 quarantined",
        "      facts passed on: 3 = 1 in sessions + 1 dead + 1 in flight",
        "      sessions: 1 = 1 completed + 0 incomplete + 0 open",
        "      events: 2 = 1 sent + 1 not sent yet",
        "      set aside: 1 in dead; 1 wanted back and not published yet; 2 went back",
        "  2026-11-21 18:00   1234567   1234567      0      -         0       0  ok",
        "in all",
        "  items: 4 = 2 unique + 1 amended + 1 duplicate + 0 quarantined",
        "  sessions: 1 = 1 completed + 0 incomplete + 0 open",
        "  events: 2 = 1 sent + 1 not sent yet",
        "  set aside: 1 in dead; 1 wanted back and not published yet; 2 went back",
    ]


def test_a_line_of_the_table_says_whether_its_equations_hold() -> None:
    flying = Difference(source="bj", hour="2026-11-21T09", what="", in_flight="the window is open")
    elsewhere = Difference(source="bj", hour="2026-11-21T10", what="")
    differs = Difference(source="bj", hour="2026-11-21T09", what="")
    assert balance(a_row(), [elsewhere]) == "ok"
    assert balance(a_row(), [flying, elsewhere]) == "in flight"
    assert balance(a_row(), [flying, differs]) == "DIFFERS"


def test_a_difference_is_told_in_the_zone_of_the_screen_and_splits_no_id() -> None:
    owner = "0" * 90
    found = Difference(source="bj", hour="2026-11-21T23", what="1 fact(s) are in no session", names=[f"fact {owner}"])
    assert sentence(found, SHANGHAI).splitlines() == [
        "bj 2026-11-22 07:00: 1 fact(s) are in no session",
        "  fact",
        f"  {owner}",
    ]


async def reckoned(config: Config, now: datetime = LATER) -> Account:
    return await reckon(config, since=None, until=None, source=None, now=now)


async def test_before_the_first_tally_nothing_is_called_balanced(tmp_path: Path) -> None:
    """What the doors answered is not known yet, so no sum can be right."""
    stored = {"broker": f"embedded:{tmp_path}/broker.db", "store": f"sqlite:{tmp_path}/state"}
    config, rig = Config.model_validate(stored), SqliteRig(tmp_path / "state")
    async with rig.open_claims() as claims, rig.open_sessions():
        fresh = await reckoned(config)
        assert (fresh.tallied, fresh.as_json()["balanced"], list(fresh.rows)) == (True, True, [])
        await claims.claim([a_receipt("n1")], [])
        early = await reckoned(config)
        assert (early.balanced, early.tallied, early.as_json()["balanced"]) == (True, False, False)
        await claims.claim([], [a_tally("t1", 1, hour="2026-01-01T00")])
        assert (await reckoned(config)).tallied, "a door has told, if of another hour"


async def test_the_account_of_a_running_pipeline_tells_queues_outlets_and_rows(tmp_path: Path) -> None:
    sink = {"name": "file", "kind": "jsonl", "path": "calls.jsonl", "events": ["call.completed"]}
    sinks = [sink, {**sink, "name": "late", "events": ["call.amended"], "batch": False}]
    stored = {"broker": f"embedded:{tmp_path}/broker.db", "store": f"sqlite:{tmp_path}/state"}
    config = Config.model_validate({**stored, "sink": sinks})
    rig = SqliteRig(tmp_path / "state")
    queues = (UNIQUE, "callstitch.sink.file.v1", "callstitch.sink.late.v1")
    wanted = Topology(queues=tuple(Queue(name=queue) for queue in queues))
    async with (
        open_embedded(tmp_path / "broker.db") as broker,
        rig.open_claims() as claims,
        rig.open_sessions() as kept,
    ):
        await broker.declare(wanted)
        await broker.publish([*numbered(UNIQUE, 1), *numbered("callstitch.sink.file.v1", 2)])
        await arrive(kept, await passed_on(claims, a_whole_call()))
        await passed_on(claims, *all_events())

        account = await reckoned(config)

        assert (account.balanced, account.queues) == (True, {UNIQUE: 1})
        assert [difference.in_flight for difference in account.differences] == [f"queues hold messages: {UNIQUE} 1"]
        assert [(one.queue, one.sent, one.messages, one.held, one.dead, one.batches) for one in account.outlets] == [
            ("callstitch.sink.file.v1", 1, 2, None, 0, True),
            ("callstitch.sink.late.v1", 0, 0, 0, 0, False),
        ]
        async with broker.consume(UNIQUE, prefetch=1) as consumer:
            await consumer.ack(await consumer.batch(1))
    lost = await reckoned(config)
    assert (lost.balanced, [len(difference.names) for difference in lost.differences]) == (False, [5])
    told = orjson.loads(orjson.dumps(lost.as_json()))
    assert (told["balanced"], told["totals"]["passed"], told["rows"][0]["arrived"]) == (False, 6, 1)
    assert told["differences"][0]["names"] == list(lost.differences[0].names)
