"""The wall clock is set an hour wrong while Callstitch runs: no deadline moves, and no record shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import request
from tests.e2e.running import Up, playing, running_up, sample
from tests.e2e.test_outage import NOTHING_PARKED
from tests.services import debian
from tests.services.faketime import WallClock

HOUR = timedelta(hours=1)
EVENTS = [f"axyb-event-{kind}.json" for kind in ("callin", "callout", "alerting", "answer", "disconnect")]
CDR = "axyb-fee.json"
SESSION = b"1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
SETTLE, CDR_WAIT = 3, 6  # seconds; what each of two calls waits for
SECOND_DELAY = 5  # seconds from the second attempt at a recording to the third
LATE_SECONDS = 60.0  # the sweep comes once a second; a busy machine may be late, but no hour
CALLS = 40
RATE = 70.0  # notifications a second
BALANCED_SECONDS = 120.0


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    return debian.or_skip(lambda: WallClock(tmp_path))


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forwards", "backwards"])
def test_a_jump_of_the_wall_clock_moves_no_deadline(tmp_path: Path, wall: WallClock, jump: timedelta) -> None:
    with running_up(tmp_path, environ=wall.environ, settle=f"{SETTLE}s", cdr_wait=f"{CDR_WAIT}s") as up:
        tell(up, "whole", [*EVENTS, CDR], wait=timedelta())  # its recording cannot be had: nobody serves it
        second = when_tried(up, 2)
        before = [a_call_without_a_cdr(up, "open-before"), a_cdr_without_its_events(up, "unsettled-before")]
        wall.set_wrong(by=jump)
        assert abs(what_time_it_thinks_it_is(up) - datetime.now(UTC) - jump) < timedelta(minutes=1), "no jump was seen"
        after = [a_call_without_a_cdr(up, "open-after"), a_cdr_without_its_events(up, "unsettled-after")]

        up.wait_for(lambda: {told.session for told in before + after} <= said(up).keys(), CDR_WAIT + 2 * LATE_SECONDS)
        assert {session: event["type"].split(".")[2] for session, event in said(up).items()} == {
            "whole": "completed",
            "open-before": "incomplete",
            "open-after": "incomplete",
            "unsettled-before": "completed",
            "unsettled-after": "completed",
        }
        for told in before + after:
            assert_said_in_time(said(up)[told.session], told)
        waited = when_tried(up, 3) - jump - second
        assert SECOND_DELAY - 0.1 < waited.total_seconds() < SECOND_DELAY + LATE_SECONDS
        assert up.terminate() == 0


def test_jumps_of_the_wall_clock_under_load_change_no_record(tmp_path: Path, wall: WallClock) -> None:
    began = datetime.now(UTC)
    with (
        running_up(tmp_path, environ=wall.environ) as up,
        playing(up, calls=CALLS, rate=RATE) as emulator,
    ):
        emulator.wait_until_answered(40)
        wall.set_wrong(by=HOUR)
        emulator.wait_until_answered(110)
        wall.set_wrong(by=-HOUR)
        assert what_time_it_thinks_it_is(up) < began, "no jump was seen"

        truth = emulator.finish()
        wait_until_balanced(up, truth, BALANCED_SECONDS)
        assert truth.end is not None
        assert truth.end["attempts_refused"] == 0
        assert parked(up) == NOTHING_PARKED
        times = [datetime.fromisoformat(event["time"]) for event in up.events() if "call.progress" not in event["type"]]
        assert began <= min(times)
        assert max(times) <= datetime.now(UTC)
        assert up.terminate() == 0


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the door was told about a call between two moments of the right clock; its event is due `wait` later."""

    session: str
    since: datetime
    until: datetime
    wait: timedelta


def a_call_without_a_cdr(up: Up, session: str) -> Told:
    """It ended, and is incomplete when `cdr_wait` is over."""
    return tell(up, session, EVENTS, wait=timedelta(seconds=CDR_WAIT))


def a_cdr_without_its_events(up: Up, session: str) -> Told:
    """It is completed when `settle` is over, since no event came."""
    return tell(up, session, [CDR], wait=timedelta(seconds=SETTLE))


def tell(up: Up, session: str, samples: Sequence[str], *, wait: timedelta) -> Told:
    """Push these samples as of that session."""
    since = datetime.now(UTC)
    for name in samples:
        assert up.post(sample(name).replace(SESSION, session.encode())) == 200
    return Told(session=session, since=since, until=datetime.now(UTC), wait=wait)


def assert_said_in_time(event: Mapping[str, Any], told: Told) -> None:
    said = datetime.fromisoformat(event["time"])
    assert told.since + told.wait <= said <= told.until + told.wait + timedelta(seconds=LATE_SECONDS), told


def said(up: Up) -> dict[str, Mapping[str, Any]]:
    """The last event of each session."""
    return {event["subject"].removeprefix("huawei:"): event for event in up.events()}


def when_tried(up: Up, attempt: int) -> datetime:
    """When the first recording that cannot be had was asked for that often, by its wall clock; waits for it."""

    def tries() -> dict[int, str]:
        lines = [json.loads(line) for line in up.log_file.read_text().splitlines() if "envelope.retry" in line]
        return {line["attempt"]: line["timestamp"] for line in lines if line["id"] == lines[0]["id"]}

    return datetime.fromisoformat(up.wait_for(lambda: tries().get(attempt, "")))


def what_time_it_thinks_it_is(up: Up) -> datetime:
    """The time in the log's line about a request of ours, which is the wall clock's."""
    assert request(up.listen, "POST", "/v1/nobody/nothing").status == 404
    lines = [line for line in up.log_file.read_text().splitlines() if "door.refused" in line]
    return datetime.fromisoformat(json.loads(lines[-1])["timestamp"])
