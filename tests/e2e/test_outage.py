"""What Callstitch stands on goes away under load and comes back: it waits, says so, and goes on by itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import wait_for
from tests.e2e.running import playing, running_up
from tests.services.rabbitmq import RabbitMQ

# A night's run may ask for the minute that the promise speaks of.
STORE_AWAY_SECONDS = float(os.environ.get("CALLSTITCH_TEST_STORE_AWAY_SECONDS", "12"))
BACK_SECONDS = 40.0  # the longest pause between two tries is 15 s, and one try waits 5 s for a lock
CALLS = 100
RATE = 150.0  # notifications a second
ANSWERED_BEFORE = 100

pytestmark = pytest.mark.timeout(300)


@pytest.mark.rabbitmq
def test_with_rabbitmq_away_the_door_answers_503_and_everything_resumes_when_it_is_back(
    tmp_path: Path, own_rabbitmq: RabbitMQ
) -> None:
    with running_up(tmp_path, broker=own_rabbitmq.url) as up, playing(up, calls=CALLS, rate=RATE) as emulator:
        wait_for(lambda: emulator.answered() >= ANSWERED_BEFORE, 30, why=emulator.tail)
        before = up.process.pid

        own_rabbitmq.stop()
        answer = up.answer("axyb-event-callin.json")
        assert (answer.status, answer.headers.get("retry-after")) == (503, "5")
        up.wait_for(lambda: not up.is_ready(), 10)
        own_rabbitmq.start()

        up.wait_until_ready(BACK_SECONDS)
        wait_until_balanced(up, truth_of(emulator), 60)
        assert emulator_met_503(emulator)
        assert up.process.pid == before
        assert up.terminate() == 0


def test_with_the_state_store_away_nothing_is_dead_lettered_and_work_resumes(tmp_path: Path) -> None:
    with running_up(tmp_path) as up, playing(up, calls=CALLS, rate=RATE) as emulator:
        wait_for(lambda: emulator.answered() >= ANSWERED_BEFORE, 30, why=emulator.tail)

        with nobody_can_write(up.store / "dedupe.db", up.store / "correlate.db", up.store / "park.db"):
            before, answered = len(up.events()), emulator.answered()
            time.sleep(STORE_AWAY_SECONDS)
            assert len(up.events()) - before <= EVENTS_ON_THEIR_WAY
            assert emulator.answered() > answered, "the door goes on: the broker keeps what comes"
            assert {"dedupe", "correlate"} <= held_stages(up)

        wait_until_balanced(up, emulator.finish(60), BACK_SECONDS + 30)
        assert "envelope.dead" not in up.log_file.read_text()
        assert parked(up) == {"quarantine": 0, "dead": 0, "unrouted": 0}
        assert up.terminate() == 0
