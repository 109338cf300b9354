"""`--processes N` on the real processes: one port, one admin port, and a supervisor that keeps them running."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import STOP_SECONDS, Program, Role, end, request, wait_for
from tests.e2e.roles import FILE_WORKERS, end_in_order, running_roles
from tests.e2e.running import Up, playing
from tests.services import ports

CALLS = 60
RATE = 60.0  # notifications a second, so that every death comes in the middle
BALANCED_SECONDS = 120.0
BACK_SECONDS = 60.0
POSTS = 40
COMMAND_SECONDS = 60.0
SHARED = {**FILE_WORKERS, "dedupe": ("dedupe", "--processes", "2"), "correlate": ("correlate", "--processes", "2")}
SOURCE = '[[source]]\nname = "huawei"\nplatform = "huawei_privatenumber"\ntokens = ["env:E2E_TOKEN"]\n'
JSONL = '[[sink]]\nname = "file"\nkind = "jsonl"\npath = "calls.jsonl"\n'


@pytest.fixture
def two_doors(tmp_path: Path, fresh_amqp_url: str) -> Iterator[Up]:
    """`callstitch ingest --processes 2`, alone."""
    with running_roles(tmp_path, fresh_amqp_url, workers={}, ingest=("ingest", "--processes", "2")) as (door, _):
        yield door


def members(role: Role) -> list[int]:
    """The processes that the supervisor has now."""
    pid = role.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def counted(role: Role, metric: str) -> dict[str, float]:
    """The metric of the group by process, whatever its other labels are."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(request(role.admin, "GET", "/metrics").body.decode()):
        for sample in family.samples:
            if sample.name == metric:
                found[sample.labels["process"]] = found.get(sample.labels["process"], 0) + sample.value
    return found


def readyz(role: Role) -> dict[str, bool]:
    """What the group says of each of its processes."""
    told: dict[str, bool] = orjson.loads(request(role.admin, "GET", "/readyz").body)
    return told


def both_handled(role: Role) -> bool:
    """Whether each of two processes has handled something since it was started."""
    handled = counted(role, "callstitch_handled_total")
    return set(handled) == {"1", "2"} and min(handled.values()) > 0


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.rabbitmq
def test_two_doors_share_one_port_and_their_metrics_add_up(two_doors: Up) -> None:
    statuses = [two_doors.post("axyb-event-callin.json") for _ in range(POSTS)]  # each on a connection of its own

    requests = counted(two_doors, "callstitch_requests_total")
    assert set(statuses) == {200}
    assert (sum(requests.values()), set(requests)) == (POSTS, {"1", "2"})
    assert counted(two_doors, "callstitch_process_starts_total") == {"1": 1, "2": 1}

    two_doors.process.send_signal(signal.SIGINT)  # as Ctrl-C does
    assert two_doors.wait(STOP_SECONDS) == 0, two_doors.tail()


@pytest.mark.rabbitmq
def test_a_door_that_dies_is_missed_in_readyz_and_started_again(two_doors: Up) -> None:
    dead, other = members(two_doors)

    os.kill(dead, signal.SIGKILL)
    two_doors.wait_for(lambda: readyz(two_doors) == {"1": False, "2.broker": True, "2.door": True})
    livez = request(two_doors.admin, "GET", "/livez").status
    answered = [two_doors.post("axyb-event-callin.json") for _ in range(POSTS // 4)]
    two_doors.wait_until_ready(BACK_SECONDS)

    assert (livez, set(answered)) == (200, {200})
    assert counted(two_doors, "callstitch_process_starts_total") == {"1": 2, "2": 1}
    assert (other in members(two_doors), dead in members(two_doors)) == (True, False)


@pytest.mark.rabbitmq
def test_a_frozen_door_is_missed_in_livez_and_does_not_outlive_the_drain(two_doors: Up) -> None:
    frozen, other = members(two_doors)

    os.kill(frozen, signal.SIGSTOP)
    livez = request(two_doors.admin, "GET", "/livez")

    assert (livez.status, livez.body) == (503, b"silent: 1\n")
    assert two_doors.terminate() == 0
    assert is_gone(frozen)
    assert is_gone(other)


@pytest.mark.rabbitmq
def test_no_door_outlives_a_supervisor_that_was_killed(two_doors: Up) -> None:
    doors = members(two_doors)

    two_doors.kill()

    assert len(doors) == 2
    wait_for(lambda: all(map(is_gone, doors)), 20, why=two_doors.tail)
    assert "process.supervisor_gone" in two_doors.log_file.read_text()


@pytest.mark.rabbitmq
def test_nothing_answered_is_lost_when_processes_of_shared_roles_die(
    tmp_path: Path, fresh_amqp_url: str, postgres_dsn: str
) -> None:
    with (
        running_roles(
            tmp_path, fresh_amqp_url, store=postgres_dsn, workers=SHARED, ingest=("ingest", "--processes", "2")
        ) as (door, workers),
        playing(door, calls=CALLS, rate=RATE) as emulator,
    ):
        emulator.wait_until_answered(20)
        door.wait_for(lambda: both_handled(workers["dedupe"]))
        for number, role in enumerate((door, workers["dedupe"], workers["correlate"]), start=1):
            emulator.wait_until_answered(number * 40)
            os.kill(members(role)[0], signal.SIGKILL)

        truth = emulator.finish()
        wait_until_balanced(door, truth, BALANCED_SECONDS, store=postgres_dsn)
        assert end_in_order(door, *workers.values()) == dict.fromkeys(("ingest", *SHARED), 0)
        assert parked(door, postgres_dsn) == {"quarantine": 0, "dead": 0, "unrouted": 0}


REFUSED = {
    "the embedded broker": (("ingest",), 'broker = "embedded:b.db"', "embedded"),
    "a stage's state in SQLite": (("work", "dedupe"), 'broker = "amqp://127.0.0.1:1/"', "dedupe"),
    "a jsonl file": (("work", "fan_out"), 'broker = "amqp://127.0.0.1:1/"', "file"),
}


@pytest.mark.parametrize(("words", "broker", "named"), REFUSED.values(), ids=REFUSED)
def test_what_one_process_owns_is_refused_at_once(
    tmp_path: Path, words: tuple[str, ...], broker: str, named: str
) -> None:
    (tmp_path / "config.toml").write_text(f'{broker}\nstore = "sqlite:state"\n{SOURCE}{JSONL}')

    code, output = ended(tmp_path, *words, "--processes", "2")

    assert code == 78, output
    assert "--processes" in output
    assert named in output


@pytest.mark.rabbitmq
def test_a_config_that_a_process_refuses_ends_the_group_with_78(tmp_path: Path, fresh_amqp_url: str) -> None:
    (tmp_path / "config.toml").write_text(f'broker = "{fresh_amqp_url}"\n{SOURCE}')  # and nothing is declared

    code, output = ended(tmp_path, "ingest", "--processes", "2")

    assert code == 78, output
    assert "callstitch declare" in output


def ended(directory: Path, *words: str) -> tuple[int, str]:
    """Exit code and output of a command that ends by itself."""
    program = Program(
        arguments=(*words, "--config", "config.toml"),
        directory=directory,
        environ={"E2E_TOKEN": "token-of-this-test", "CALLSTITCH_INGEST_ADMIN": f"127.0.0.1:{ports.free_port()}"},
        name="command",
    )
    try:
        program.start()
        return program.wait(COMMAND_SECONDS), program.log_file.read_text()
    finally:
        end(program)
