"""SIGTERM in the middle of traffic: out before its own deadline with exit code 0, and nothing is lost or dead."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.running import Emulator, Up, playing, running_up

CALLS = 80
RATE = 200.0  # notifications a second
ANSWERED_BEFORE = 100
BALANCED_SECONDS = 120.0


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest) -> str:
    if request.param == "embedded":
        return "embedded:broker.db"
    url: str = request.getfixturevalue("fresh_amqp_url")
    return url


def under_load(up: Up) -> AbstractContextManager[Emulator]:
    """A platform that pushes meanwhile."""
    return playing(up, calls=CALLS, rate=RATE)


def test_sigterm_under_load_drains_with_exit_code_0_and_loses_nothing(tmp_path: Path, broker: str) -> None:
    with running_up(tmp_path, broker=broker) as up, under_load(up) as emulator:
        emulator.wait_until_answered(ANSWERED_BEFORE)

        assert up.terminate() == 0
        assert "process.drain_cut_off" not in up.log_file.read_text()
        assert emulator.truth().end is None, "the load was over before the drain: play more calls"
        assert parked(up) == {"quarantine": 0, "dead": 0, "unrouted": 0}
        up.start()
        wait_until_balanced(up, emulator.finish(), BALANCED_SECONDS)
        assert up.terminate() == 0
