"""The disk runs full under load and gets room again: the door refuses what it cannot keep, nothing accepted is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.running import Emulator, Up, playing, running_up
from tests.e2e.test_outage import CALLS, NOTHING_PARKED, RATE, stages_that_log, the_first_push
from tests.integration.full_disk import SmallDisk, small_disk
from tests.services.namespace import where_mounts_are_allowed

DISK_BYTES = 48 * 1024 * 1024  # the play needs some 10 MiB of it
ANSWERED_BEFORE = 60
FULL_SECONDS = 60.0  # for a file that still has pages to write over
STATE_FULL = "the state file cannot be written: database or disk is full"
BACK_SECONDS = 60.0  # the longest pause between two tries is 15 s


@where_mounts_are_allowed
def test_with_the_disk_full_the_door_answers_503_and_all_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with (
        a_small_disk(tmp_path) as disk,
        running_up(tmp_path, broker="embedded:state/broker.db", objects="file:state/recordings") as up,
        under_load(up) as emulator,
    ):
        with disk.full():
            up.wait_for(lambda: up.post(the_first_push()) == 503, FULL_SECONDS)
            answer = up.answer(the_first_push())
            assert (answer.status, answer.headers.get("retry-after")) == (503, "5")
            up.wait_for(lambda: not up.is_ready(), FULL_SECONDS)
            assert what_the_broker_says(up) == {("state/broker.db", "database or disk is full")}

        up.wait_until_ready(BACK_SECONDS)  # the same process: it fails when that one has ended
        truth = emulator.finish()
        assert truth.end is not None
        assert truth.end["attempts_refused"] > 0, "there was room before the platform met the full disk"
        wait_until_balanced(up, truth, BACK_SECONDS)
        assert parked(up) == NOTHING_PARKED
        assert up.terminate() == 0


@where_mounts_are_allowed
def test_with_the_states_disk_full_the_door_goes_on_and_the_work_is_done_when_there_is_room(tmp_path: Path) -> None:
    with a_small_disk(tmp_path) as disk, running_up(tmp_path) as up, under_load(up) as emulator:
        with disk.full():
            up.wait_for(lambda: "dedupe" in stages_that_log(STATE_FULL, up), FULL_SECONDS)
            answered = emulator.answered()
            assert up.post(the_first_push()) == 200, "the broker's disk has room, and the broker keeps what comes"
            up.wait_for(lambda: emulator.answered() > answered, FULL_SECONDS)

        truth = emulator.finish()
        assert truth.end is not None
        assert truth.end["attempts_refused"] == 0
        wait_until_balanced(up, truth, BACK_SECONDS)
        assert parked(up) == NOTHING_PARKED
        assert not stages_that_log("envelope.retry", up) & {"dedupe", "correlate"}, "no attempt is counted"
        assert up.terminate() == 0


@contextmanager
def a_small_disk(directory: Path) -> Iterator[SmallDisk]:
    """What is in `state` and the sink's file are on a disk of their own."""
    place = directory / "state"
    place.mkdir()
    with small_disk("mounted", place, size=DISK_BYTES) as disk:
        (directory / "calls.jsonl").symlink_to(place / "calls.jsonl")
        yield disk


@contextmanager
def under_load(up: Up) -> Iterator[Emulator]:
    """In the middle of a play."""
    with playing(up, calls=CALLS, rate=RATE) as emulator:
        emulator.wait_until_answered(ANSWERED_BEFORE)
        yield emulator


def what_the_broker_says(up: Up) -> set[tuple[str, str]]:
    """The file and the reason in each line about a broker that cannot write."""
    lines = [json.loads(line) for line in up.log_file.read_text().splitlines() if "broker.cannot_write" in line]
    return {(line["file"], line["reason"]) for line in lines}
