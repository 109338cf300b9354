"""What Callstitch stands on goes away under load and comes back: it waits, says so, and goes on by itself."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.emulator.huawei.privatenumber.calls import build_calls
from console.emulator.huawei.privatenumber.plan import plan
from console.emulator.settings import EmulatorSettings
from console.reading import ask_store
from schemas.settings.addresses import store_address
from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.running import APP_KEY, Up, playing, running_up
from tests.services.rabbitmq import RabbitMQ

# A longer run may ask for the whole minute that the promise speaks of.
STORE_AWAY_SECONDS = float(os.environ.get("CALLSTITCH_TEST_STORE_AWAY_SECONDS", "0"))
BACK_SECONDS = 120.0  # the longest pause between two tries is 5 s, and one try waits 5 s for a lock
CALLS = 80
RATE = 100.0  # notifications a second
ANSWERED_BEFORE = 60
NOTHING_PARKED = {"quarantine": 0, "dead": 0, "unrouted": 0}


@pytest.mark.rabbitmq
def test_with_rabbitmq_away_the_door_answers_503_and_all_goes_on_when_it_is_back(
    tmp_path: Path, own_rabbitmq: RabbitMQ
) -> None:
    with running_up(tmp_path, broker=own_rabbitmq.url) as up, playing(up, calls=CALLS, rate=RATE) as emulator:
        emulator.wait_until_answered(ANSWERED_BEFORE)

        own_rabbitmq.stop()
        answer = up.answer(the_first_push())
        assert (answer.status, answer.headers.get("retry-after")) == (503, "5")
        up.wait_for(lambda: not up.is_ready())
        own_rabbitmq.start()

        up.wait_until_ready(BACK_SECONDS)  # the same process: it fails when that one has ended
        truth = emulator.finish()
        assert truth.end is not None
        assert truth.end["attempts_refused"] > 0, "the outage was over before the platform met it"
        wait_until_balanced(up, truth, BACK_SECONDS)
        assert up.terminate() == 0


def test_with_the_state_store_away_nothing_is_dead_lettered_and_work_goes_on_later(tmp_path: Path) -> None:
    with running_up(tmp_path) as up, playing(up, calls=CALLS, rate=RATE) as emulator:
        emulator.wait_until_answered(ANSWERED_BEFORE)

        with nobody_can_write(up.store / "dedupe.db", up.store / "correlate.db", up.store / "park.db"):
            away_since, answered = time.monotonic(), emulator.answered()
            made = ask_store(store_address(f"sqlite:{up.store}"), lambda reads: reads.event_ids())
            up.wait_for(lambda: {"dedupe", "correlate"} <= stages_that_log("the state file cannot be written", up))
            time.sleep(max(0.0, away_since + STORE_AWAY_SECONDS - time.monotonic()))
            assert emulator.answered() > answered, "the door goes on, for the broker keeps what comes"
            assert records_told(up) <= made, "the store was not away"

        wait_until_balanced(up, emulator.finish(), BACK_SECONDS)
        assert parked(up) == NOTHING_PARKED
        assert not stages_that_log("envelope.retry", up) & {"dedupe", "correlate"}, "no attempt is counted"
        assert up.terminate() == 0


def records_told(up: Up) -> set[str]:
    """The ids of the events that tell a record, so that come from the store."""
    return {event["id"] for event in up.events() if "call" in event["data"]}


def the_first_push() -> bytes:
    """The emulator's first notification, which was accepted long ago: whatever becomes of it, no call changes."""
    start = datetime(2026, 1, 5, 8, tzinfo=UTC)  # as `callstitch emulate` plays
    settings = EmulatorSettings(
        to="http://unused", platform="huawei_privatenumber", app_key=APP_KEY, app_secret="unused", start=start
    )
    return plan(settings, build_calls(seed=1, start=start, calls=CALLS))[0].body(app_key=APP_KEY)


@contextmanager
def nobody_can_write(*files: Path) -> Iterator[None]:
    """Somebody else holds the write lock of these state files."""
    with ExitStack() as stack:
        for file in files:
            held = stack.enter_context(closing(sqlite3.connect(file, timeout=30, isolation_level=None)))
            held.execute("BEGIN EXCLUSIVE")
        yield


def stages_that_log(text: str, up: Up) -> set[str]:
    """The stages with a line that holds it."""
    lines = up.log_file.read_text().splitlines()
    return {json.loads(line)["stage"] for line in lines if text in line and '"stage"' in line}
