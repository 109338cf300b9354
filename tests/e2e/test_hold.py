"""`callstitch hold`: stages rest while their store is away, and nothing is lost, dead or said twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any, Final

import asyncpg
import orjson
import pytest

from console.demo.check import faults, read_events
from tests.e2e.programs import Role, request
from tests.e2e.roles import running_roles
from tests.e2e.running import Up, callstitch, playing, running_up
from tests.e2e.test_reload import reloaded

CALLS: Final = 150
RATE: Final = 60.0
FEW: Final = 100
SECOND_SINK: Final = '\n[[sink]]\nname = "second"\nkind = "jsonl"\npath = "second.jsonl"\n'
SHORT_SCHEDULES: Final = '[retry]\ndedupe = { schedule = ["1s"] }\ncorrelate = { schedule = ["1s"] }\n'
STAGES: Final = ["dedupe", "correlate", "fetch_recording", "fan_out", "feed", "park"]
TWO_OF_EACH: Final[Mapping[str, Sequence[str]]] = {
    "dedupe": ("dedupe", "--processes", "2"),
    "correlate": ("correlate",),
    "fetch_recording": ("fetch_recording",),
    "fan_out": ("fan_out", "--sink", "file"),
    "park": ("park",),
}


def stands(up: Up) -> dict[str, dict[str, Any]]:
    return {row["role"]: row for row in json.loads(callstitch(up, "hold", "--json"))}


def readyz(role: Role) -> dict[str, Any]:
    """What it tells; it stays ready."""
    answer = request(role.admin, "GET", "/readyz")
    assert answer.status == 200, answer
    return dict(orjson.loads(answer.body))


def test_up_holds_over_a_restart_with_the_door_open_and_goes_on_at_the_word(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        assert "dedupe, correlate: at rest" in callstitch(
            up, "hold", "dedupe", "correlate", "--by", "kim", "--why", "disk"
        )
        told = stands(up)
        assert [told[name]["held"] for name in STAGES] == [True, True, False, False, False, False]
        assert (told["dedupe"]["by"], told["dedupe"]["at_work"], told["park"]["at_work"]) == ("kim", 0, 1)
        assert up.post("ax-sms-notify.json", "/sms-notify") == 200
        assert up.terminate() == 0
        up.start()
        ready = readyz(up)
        assert ready["dedupe"] is True
        assert ready["held"]["dedupe"] == f"by kim since {told['dedupe']['since']} (disk)"
        assert 'callstitch_on_hold{switch="dedupe"} 1.0' in request(up.admin, "GET", "/metrics").body.decode()
        assert "is held already" in callstitch(up, "hold", "dedupe")
        assert up.events() == []
        callstitch(up, "hold", "--all", "--end")
        up.wait_for(lambda: [event["type"] for event in up.events()] == ["callstitch.sms.notified.v1"])
        assert "held" not in readyz(up)
        assert up.terminate() == 0


@pytest.mark.rabbitmq
async def test_a_schema_that_is_away_under_a_hold_costs_nothing(
    tmp_path: Path, fresh_amqp_url: str, postgres_dsn: str
) -> None:
    """Renamed away and back, as in a restore, with a role restarted meanwhile: that filled the dead letters once."""
    roles_of = running_roles(tmp_path, fresh_amqp_url, extra=SHORT_SCHEDULES, workers=TWO_OF_EACH, store=postgres_dsn)
    with roles_of as (door, roles), playing(door, calls=CALLS, rate=RATE) as emulator:
        emulator.wait_until_answered(FEW)
        assert "at rest" in callstitch(door, "hold", "--all", "--by", "kim")
        assert await connections(postgres_dsn) == 0
        assert "look: correlate is held by kim since " in callstitch(door, "check")
        await renamed(postgres_dsn, "callstitch", "elsewhere")
        assert roles["correlate"].terminate() == 0
        roles["correlate"].start()
        assert readyz(roles["dedupe"])["held"].keys() == {"1.dedupe", "2.dedupe"}
        assert readyz(roles["correlate"])["held"].keys() == {"correlate"}
        truth = emulator.finish()
        assert await schemas(postgres_dsn) == {"elsewhere"}, "a role made a new one"
        await renamed(postgres_dsn, "elsewhere", "callstitch")
        assert "go on" in callstitch(door, "hold", "--all", "--end")
        door.wait_for(lambda: not faults(truth, door.events()))
        assert "there are no dead letters" in callstitch(door, "dead", "list")
        assert door.terminate() == 0  # with its last tally
        door.wait_for(lambda: balanced(door))


def test_a_config_that_changes_under_a_hold_is_taken_and_begun_by_and_closed_doors_refuse(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        callstitch(up, "hold", "fan_out", "ingest")
        assert up.post("ax-sms-notify.json", "/sms-notify") == 503
        assert request(up.admin, "GET", "/readyz").status == 503
        callstitch(up, "hold", "ingest", "--end")
        up.config.write_text(up.config.read_text() + SECOND_SINK)
        assert reloaded(up)["keys"] == ["sink.second"]
        up.wait_for(lambda: up.post("ax-sms-notify.json", "/sms-notify") == 200)
        callstitch(up, "hold", "fan_out", "--end")
        up.wait_for(lambda: len(up.events()) == len(read_events(tmp_path / "second.jsonl")) == 1)
        assert up.terminate() == 0


def balanced(door: Up) -> bool:
    try:
        return bool(json.loads(callstitch(door, "reconcile", "--json"))["balanced"])
    except CalledProcessError:  # until the tally has arrived
        return False


async def asked(dsn: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def connections(dsn: str) -> int:
    """Of anybody but us."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return int((await asked(dsn, query))[0])


async def schemas(dsn: str) -> set[str]:
    return set(await asked(dsn, "SELECT nspname FROM pg_namespace WHERE nspname IN ('callstitch', 'elsewhere')"))


async def renamed(dsn: str, old: str, new: str) -> None:
    await asked(dsn, f"ALTER SCHEMA {old} RENAME TO {new}")
