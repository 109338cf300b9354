"""One process for each role on RabbitMQ, as containers would run them; some are killed in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import Program, Role, end
from tests.e2e.running import Up, playing, prepared_up
from tests.services import ports

CALLS = 50
RATE = 40.0  # notifications a second, so that every death comes in the middle
KILLED = ("dedupe", "correlate", "fan_out", "dedupe")  # one after each 40 pushes
STAGES = ("dedupe", "correlate", "fetch_recording", "fan_out", "park")
DECLARE_SECONDS = 40.0
BALANCED_SECONDS = 60.0

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]


def test_roles_of_their_own_make_the_right_records_though_some_are_killed(tmp_path: Path, fresh_amqp_url: str) -> None:
    with running_roles(tmp_path, fresh_amqp_url) as (door, workers), playing(door, calls=CALLS, rate=RATE) as emulator:
        for number, name in enumerate(KILLED, start=1):
            emulator.wait_until_answered(number * 40)
            workers[name].kill()
            workers[name].start(ready=False)

        truth = emulator.finish(60)
        wait_until_balanced(door, truth, BALANCED_SECONDS)
        assert {role.name: role.terminate() for role in (door, *workers.values())} == dict.fromkeys(
            ("ingest", *STAGES), 0
        )
        assert parked(door) == {"quarantine": 0, "dead": 0, "unrouted": 0}


@contextmanager
def running_roles(directory: Path, broker: str) -> Iterator[tuple[Up, dict[str, Role]]]:
    """The door, and a worker per stage, all ready, on a topology that `callstitch declare` made."""
    door = prepared_up(directory, command=("ingest",), broker=broker)
    declare(door)
    workers = {stage: a_worker(door, stage) for stage in STAGES}
    try:
        for role in (door, *workers.values()):
            role.start(ready=False)
        for role in (door, *workers.values()):
            role.wait_until_ready()
        yield door, workers
    finally:
        end(door, *workers.values())


def declare(door: Up) -> None:
    program = Program(
        arguments=("declare", "--config", "config.toml"), directory=door.directory, environ=door.environ, name="declare"
    )
    program.start()
    assert program.wait(DECLARE_SECONDS) == 0, program.tail()


def a_worker(door: Up, stage: str) -> Role:
    admin = f"127.0.0.1:{ports.free_port()}"
    options = ("--sink", "file") if stage == "fan_out" else ()
    return Role(
        arguments=("work", stage, *options, "--config", "config.toml"),
        directory=door.directory,
        environ={**door.environ, "CALLSTITCH_INGEST_ADMIN": admin},
        name=stage,
        admin=admin,
    )
