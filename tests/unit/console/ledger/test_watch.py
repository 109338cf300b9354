"""The ledger as metrics: hours by state as `reconcile` would show them; in a trouble the last look stands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from console.ledger.equations import Difference
from console.ledger.watch import LedgerWatch, hours_by_state
from console.reading import Account, reckon
from runtime.broker.embedded import open_embedded
from schemas.errors import Unavailable
from tests.building.stores import SqliteRig, a_receipt, a_tally, a_whole_call
from tests.building.traffic import CLOSED as LATER
from tests.building.traffic import passed_on
from workers.config import Config


def an_account(hours: Sequence[str], *differences: Difference) -> Account:
    rows = [{"source": "bj", "hour": hour} for hour in hours]
    return Account(rows=rows, differences=differences, outlets=[], queues={})


def test_an_hour_is_as_bad_as_the_worst_that_is_said_of_it() -> None:
    flying, lost = (Difference(source="bj", hour="1", what="", in_flight=because) for because in ("open", ""))
    elsewhere = Difference(source="bj", hour="2", what="", in_flight="open")
    for told in ([flying, lost, elsewhere], [lost, flying, elsewhere]):
        assert hours_by_state(an_account("123", *told)) == {
            ("bj", "ok"): 1,
            ("bj", "in_flight"): 1,
            ("bj", "differs"): 1,
        }


async def test_a_lost_fact_is_one_hour_that_differs_and_a_store_away_leaves_the_last_look(tmp_path: Path) -> None:
    config = Config.model_validate({"broker": f"embedded:{tmp_path}/broker.db", "store": f"sqlite:{tmp_path}/state"})
    rig, registry, away = SqliteRig(tmp_path / "state"), CollectorRegistry(), False

    async def account() -> Account:
        if away:
            raise Unavailable("the state store does not answer")
        return await reckon(config, since=None, until=None, source=None, now=LATER, named=False)

    def told(state: str, source: str) -> float | None:
        return registry.get_sample_value("callstitch_ledger_hours", {"source": source, "state": state})

    watch = LedgerWatch(account, sources=["quiet"], registry=registry)
    assert (told("differs", "quiet"), told("ok", "quiet")) == (0, 0), "an alert needs the series before it is wrong"
    async with open_embedded(tmp_path / "broker.db"), rig.open_claims() as claims, rig.open_sessions():
        await claims.claim([a_receipt("n1")], [a_tally("t1", 1)])
        facts = await passed_on(claims, a_whole_call())
        before = time.time()
        assert await watch.look()
    source = facts[0].source
    assert (told("differs", source), told("in_flight", source), told("differs", "quiet")) == (1, 0, 0)
    checked = registry.get_sample_value("callstitch_ledger_checked_timestamp_seconds")
    assert checked is not None
    assert checked >= before

    away = True
    assert not await watch.look(), "it is tried again soon"
    assert told("differs", source) == 1
    assert registry.get_sample_value("callstitch_ledger_checked_timestamp_seconds") == checked


async def test_an_outage_is_one_line_and_its_end_another() -> None:
    troubles = [Unavailable("away"), Unavailable("away"), Unavailable("refused"), None, None, Unavailable("refused")]

    async def account() -> Account:
        if (trouble := troubles.pop(0)) is not None:
            raise trouble
        return an_account([])

    watch = LedgerWatch(account, sources=[], registry=CollectorRegistry())
    with capture_logs() as log:
        looks = [await watch.look() for _ in range(len(troubles))]
    assert looks == [False, False, False, True, True, False]
    assert [(line["event"], line.get("reason")) for line in log] == [
        ("ledger.unchecked", "Unavailable: away"),
        ("ledger.unchecked", "Unavailable: refused"),
        ("ledger.checked", None),
        ("ledger.unchecked", "Unavailable: refused"),
    ]
