"""PostgreSQL is away under load, every role a process on RabbitMQ: the door goes on, and later everything is done.

The ten minutes of the promise, at twice the load:
`CALLSTITCH_OUTAGE_SECONDS=600 CALLSTITCH_OUTAGE_RATE=100 .venv/bin/pytest tests/e2e/test_store_away.py -s`
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import Role
from tests.e2e.roles import FILE_WORKERS, end_in_order, running_roles
from tests.e2e.running import FINISH_SECONDS, playing
from tests.e2e.test_outage import NOTHING_PARKED
from tests.services.postgresql import PostgreSQL

AWAY_SECONDS = float(os.environ.get("CALLSTITCH_OUTAGE_SECONDS", "4"))
RATE = float(os.environ.get("CALLSTITCH_OUTAGE_RATE", "50"))  # notifications a second
ITEMS_A_CALL = 6  # the emulator makes some more, so that the platform pushes for longer than the outage
ANSWERED_BEFORE = 60
BACK_SECONDS = 120.0 + AWAY_SECONDS  # the longest pause between two tries is 15 s, then comes the backlog
NEED_THE_STORE = ("dedupe", "correlate", "park")

TORN: Final[Mapping[str, tuple[str, str]]] = {
    "renamed": ("ALTER SCHEMA callstitch RENAME TO aside", "ALTER SCHEMA aside RENAME TO callstitch"),
    "revoked": (
        "REVOKE ALL ON ALL TABLES IN SCHEMA callstitch FROM app",
        "GRANT ALL ON ALL TABLES IN SCHEMA callstitch TO app",
    ),
}
SHORT_SCHEDULES = "".join(f'[retry.{stage}]\nschedule = ["1s"]\n' for stage in NEED_THE_STORE)

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300 + 5 * AWAY_SECONDS)]


def test_with_postgresql_away_the_door_answers_200_and_nothing_is_dead_lettered(
    tmp_path: Path, fresh_amqp_url: str, own_postgresql: PostgreSQL
) -> None:
    store = own_postgresql.make_database()
    calls = math.ceil(RATE * (AWAY_SECONDS + 2) / ITEMS_A_CALL)
    with (
        running_roles(tmp_path, fresh_amqp_url, store=store) as (door, workers),
        playing(door, calls=calls, rate=RATE) as emulator,
    ):
        emulator.wait_until_answered(ANSWERED_BEFORE)

        own_postgresql.stop()
        away_since, answered = time.monotonic(), emulator.answered()
        door.wait_for(lambda: not (workers["dedupe"].is_ready() or workers["correlate"].is_ready()))
        door.wait_for(lambda: "dedupe" in that_log("stage.held", workers))
        time.sleep(max(0.0, away_since + AWAY_SECONDS - time.monotonic()))
        assert door.is_ready()
        meanwhile = emulator.answered() - answered
        own_postgresql.start()
        back_since = time.monotonic()

        truth = emulator.finish(FINISH_SECONDS + AWAY_SECONDS)
        assert truth.end is not None
        assert (truth.end["attempts_refused"], truth.end["attempts_unanswered"]) == (0, 0), "the door was not open"
        assert meanwhile > 0
        wait_until_balanced(door, truth, BACK_SECONDS, store=store)
        print(f"away {AWAY_SECONDS:g} s, {meanwhile} posts answered 200 meanwhile,"  # noqa: T201 - the figures, with -s
              f" all done {time.monotonic() - back_since:.1f} s after PostgreSQL was back")  # fmt: skip
        assert parked(door, store) == NOTHING_PARKED
        assert that_log("envelope.retry", workers) | that_log("envelope.dead", workers) == set(), (
            "no attempt is counted"
        )
        assert end_in_order(door, *workers.values()) == dict.fromkeys(("ingest", *FILE_WORKERS), 0)


@pytest.mark.parametrize("torn", ["renamed", "revoked"])
def test_with_the_tables_renamed_or_the_grants_revoked_no_message_pays_for_it(
    tmp_path: Path, fresh_amqp_url: str, own_postgresql: PostgreSQL, torn: str
) -> None:
    """As while a backup is restored: every role that needs the store says so, and holds; a schedule that is short."""
    admin = own_postgresql.make_database()
    psql(
        admin,
        "DROP ROLE IF EXISTS app",
        "CREATE ROLE app LOGIN",
        f"GRANT CREATE ON DATABASE {admin.rpartition('/')[2]} TO app",
    )
    store = admin.replace("callstitch@", "app@")
    calls = math.ceil(RATE * (2 * AWAY_SECONDS + 2) / ITEMS_A_CALL)
    gone, back = TORN[torn]
    with (
        running_roles(tmp_path, fresh_amqp_url, store=store, extra=SHORT_SCHEDULES) as (door, workers),
        playing(door, calls=calls, rate=RATE) as emulator,
    ):
        emulator.wait_until_answered(ANSWERED_BEFORE)

        psql(admin, gone)
        away_since = time.monotonic()
        for name in NEED_THE_STORE:
            door.wait_for(lambda: not workers[name].is_ready())  # noqa: B023 - asked at once
        time.sleep(max(0.0, away_since + AWAY_SECONDS - time.monotonic()))
        assert [name for name in NEED_THE_STORE if workers[name].is_ready()] == []
        assert door.is_ready()
        psql(admin, back)

        truth = emulator.finish(FINISH_SECONDS + AWAY_SECONDS)
        wait_until_balanced(door, truth, BACK_SECONDS, store=store)
        assert parked(door, store) == NOTHING_PARKED
        assert that_log("envelope.retry", workers) | that_log("envelope.dead", workers) == set()
        for name in NEED_THE_STORE:
            workers[name].wait_until_ready(BACK_SECONDS)
        assert end_in_order(door, *workers.values()) == dict.fromkeys(("ingest", *FILE_WORKERS), 0)


def psql(dsn: str, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def that_log(words: str, workers: Mapping[str, Role]) -> set[str]:
    """The workers that need the store and have a line with these words."""
    return {name for name in NEED_THE_STORE if words in workers[name].log_file.read_text()}
