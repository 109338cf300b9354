"""`work dedupe,correlate` in the place of the two roles, and back, while pushes come in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.roles import FILE_WORKERS, end_in_order, running_roles
from tests.e2e.running import playing

CALLS = 50
RATE = 40.0  # notifications a second, so that each exchange comes in the middle
BALANCED_SECONDS = 120.0
READY_SECONDS = 60.0
WORKERS = {
    "both": ("dedupe,correlate",),
    **{name: FILE_WORKERS[name] for name in ("fetch_recording", "fan_out", "park")},
}

pytestmark = pytest.mark.rabbitmq


def test_two_of_them_share_the_work_and_one_is_killed(tmp_path: Path, fresh_amqp_url: str, postgres_dsn: str) -> None:
    workers = {**WORKERS, "more": ("dedupe,correlate",), "dedupe": ("dedupe",), "correlate": ("correlate",)}
    with (
        running_roles(tmp_path, fresh_amqp_url, store=postgres_dsn, workers=workers) as (door, roles),
        playing(door, calls=CALLS, rate=RATE) as emulator,
    ):
        emulator.wait_until_answered(40)
        assert end_in_order(roles["dedupe"], roles["correlate"]) == {"dedupe": 0, "correlate": 0}
        emulator.wait_until_answered(80)
        roles["both"].kill()
        for name in ("both", "dedupe", "correlate"):
            roles[name].start(ready=False)
        emulator.wait_until_answered(120)
        roles["both"].wait_until_ready(READY_SECONDS)  # else a signal may come before it listens to any
        assert end_in_order(roles["both"], roles["more"]) == {"both": 0, "more": 0}
        wait_until_balanced(door, emulator.finish(), BALANCED_SECONDS, store=postgres_dsn)
        assert parked(door, postgres_dsn) == {"quarantine": 0, "dead": 0, "unrouted": 0}


def test_on_files_it_does_the_work_of_both(tmp_path: Path, fresh_amqp_url: str) -> None:
    with (
        running_roles(tmp_path, fresh_amqp_url, workers=WORKERS) as (door, _),
        playing(door, calls=CALLS, rate=RATE) as emulator,
    ):
        wait_until_balanced(door, emulator.finish(), BALANCED_SECONDS)
        assert parked(door) == {"quarantine": 0, "dead": 0, "unrouted": 0}
