"""The primary of two PostgreSQL servers dies under load and its synchronous standby takes over, every role a process.

Longer, for the report (with -s):
`CALLSTITCH_MOVE_SECONDS=20 CALLSTITCH_MOVE_RATE=200 .venv/bin/pytest tests/e2e/test_store_moves.py`
"""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import wait_for
from tests.e2e.roles import FILE_WORKERS, end_in_order, running_roles
from tests.e2e.running import Up, playing
from tests.e2e.test_outage import NOTHING_PARKED
from tests.e2e.test_store_away import NEED_THE_STORE, that_log
from tests.services.postgresql import PostgreSQL
from tests.services.standby import a_pair

AWAY_SECONDS = float(os.environ.get("CALLSTITCH_MOVE_SECONDS", "2"))  # from the death to the promotion
RATE = float(os.environ.get("CALLSTITCH_MOVE_RATE", "60"))  # notifications a second
ITEMS_A_CALL = 6
ANSWERED_BEFORE = 100
BACK_SECONDS = 120.0

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300 + 5 * AWAY_SECONDS)]


def test_a_primary_dies_its_standby_takes_over_and_nothing_is_lost_or_said_in_two_ways(
    tmp_path: Path, fresh_amqp_url: str, own_postgresql: PostgreSQL
) -> None:
    calls = math.ceil(RATE * (AWAY_SECONDS + 6) / ITEMS_A_CALL)
    with (
        a_pair(own_postgresql) as (standby, store),
        running_roles(tmp_path, fresh_amqp_url, store=store) as (door, workers),
        playing(door, calls=calls, rate=RATE) as emulator,
    ):
        emulator.wait_until_answered(ANSWERED_BEFORE)
        wait_for(door.events, BACK_SECONDS, why=door.tail)

        own_postgresql.crash()
        door.wait_for(lambda: "dedupe" in that_log("stage.held", workers))
        time.sleep(AWAY_SECONDS)
        assert door.is_ready()
        before = len(bodies(door))
        standby.promote()
        promoted = time.monotonic()
        wait_for(lambda: len(bodies(door)) > before, BACK_SECONDS, why=door.tail)
        flow = time.monotonic() - promoted
        for name in NEED_THE_STORE:
            workers[name].wait_until_ready(BACK_SECONDS)
        ready = time.monotonic() - promoted

        truth = emulator.finish()
        assert truth.end is not None
        wait_until_balanced(door, truth, BACK_SECONDS, store=store)
        print(f"flow again {flow:.1f} s after the promotion, all ready after {ready:.1f} s;"  # noqa: T201 - with -s
              f" {truth.end['posts_200']} posts answered 200")  # fmt: skip
        assert [event for event, told in bodies(door).items() if len(told) > 1] == []
        assert parked(door, store) == NOTHING_PARKED
        assert that_log("envelope.retry", workers) | that_log("envelope.dead", workers) == set()
        assert end_in_order(door, *workers.values()) == dict.fromkeys(("ingest", *FILE_WORKERS), 0)


def bodies(door: Up) -> dict[str, set[str]]:
    """What was said under each event id."""
    told: dict[str, set[str]] = defaultdict(set)
    for event in door.events():
        told[event["id"]].add(repr(event))
    return told
