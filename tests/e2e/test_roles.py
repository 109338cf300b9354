"""One process for each role on RabbitMQ, as containers would run them; some are killed in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.roles import FILE_WORKERS, end_in_order, running_roles
from tests.e2e.running import playing

CALLS = 50
RATE = 40.0  # notifications a second, so that every death comes in the middle
KILLED = ("dedupe", "correlate", "fan_out", "dedupe")  # one after each 40 pushes
BALANCED_SECONDS = 120.0

pytestmark = pytest.mark.rabbitmq


def test_roles_of_their_own_make_the_right_records_though_some_are_killed(tmp_path: Path, fresh_amqp_url: str) -> None:
    with running_roles(tmp_path, fresh_amqp_url) as (door, workers), playing(door, calls=CALLS, rate=RATE) as emulator:
        for number, name in enumerate(KILLED, start=1):
            emulator.wait_until_answered(number * 40)
            workers[name].kill()
            workers[name].start(ready=False)

        truth = emulator.finish()
        wait_until_balanced(door, truth, BALANCED_SECONDS)
        assert end_in_order(door, *workers.values()) == dict.fromkeys(("ingest", *FILE_WORKERS), 0)
        assert parked(door) == {"quarantine": 0, "dead": 0, "unrouted": 0}
