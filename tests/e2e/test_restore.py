"""Backup and restore on PostgreSQL as the runbook has it: the doors stay open, and the ledger is the proof."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import Program
from tests.e2e.roles import running_roles
from tests.e2e.running import Up, callstitch, playing
from tests.e2e.test_outage import NOTHING_PARKED
from tests.services import debian
from tests.services.postgresql import PostgreSQL

CALLS = 120  # for eleven seconds: on a busy machine the workers take five to rest
RATE = 60.0  # notifications a second
ANSWERED_BEFORE = 100
TWO = 2
BACK_SECONDS = 120.0
COMMAND_SECONDS = 60.0
RUNBOOK = Path(__file__).parents[2] / "deploy/RUNBOOK.md"
DUMP = "pg_dump --format=custom --schema=callstitch --file=callstitch.dump"
RESTORE = "pg_restore --no-owner --exit-on-error"
ASIDE = "ALTER SCHEMA callstitch RENAME TO aside"

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(420)]


def test_a_store_is_restored_with_the_doors_open_and_nothing_is_missing(
    tmp_path: Path, fresh_amqp_url: str, postgresql_cluster: PostgreSQL
) -> None:
    store = postgresql_cluster.make_database()
    with (
        running_roles(tmp_path, fresh_amqp_url, store=store) as (door, _),
        playing(door, calls=CALLS, rate=RATE) as emulator,
    ):
        emulator.wait_until_answered(ANSWERED_BEFORE)
        tool(tmp_path, DUMP, f"--dbname={store}")  # while everything runs; this one only has to work
        assert "at rest" in callstitch(door, "hold", "--all")
        before = books(door)
        answered = emulator.answered()

        tool(tmp_path, DUMP, f"--dbname={store}")
        psql(store, ASIDE)
        tool(tmp_path, RESTORE, f"--dbname={store}", "callstitch.dump")

        assert books(door) == before
        assert sum(row["receipts"] for row in before) > 0
        callstitch(door, "declare")
        callstitch(door, "check")
        callstitch(door, "hold", "--all", "--end")
        truth = emulator.finish()
        assert truth.end is not None
        assert (truth.end["attempts_refused"], truth.end["attempts_unanswered"]) == (0, 0), "the door was not open"
        assert emulator.answered() > answered
        wait_until_balanced(door, truth, BACK_SECONDS, store=store)
        assert parked(door, store) == NOTHING_PARKED


def test_a_drained_store_is_brought_to_another_server_and_all_goes_on_there(
    tmp_path: Path, fresh_amqp_url: str, postgresql_cluster: PostgreSQL
) -> None:
    old, new = postgresql_cluster.make_database(), postgresql_cluster.make_database()
    with running_roles(tmp_path, fresh_amqp_url, store=old) as (door, workers):
        assert door.post("ax-sms-notify.json", "/sms-notify") == 200
        callstitch(door, "drain")
        before = books(door)
        tool(tmp_path, DUMP, f"--dbname={old}")
        tool(tmp_path, RESTORE, f"--dbname={new}", "callstitch.dump")
        psql(old, ASIDE)
        door.config.write_text(door.config.read_text().replace(old, new))
        for role in (door, *workers.values()):
            assert role.terminate() == 0
        for role in workers.values():
            role.start()
        assert "look: correlate is held by" in callstitch(door, "check")
        assert books(door) == before
        door.start(ready=False)
        callstitch(door, "drain", "--end")
        door.wait_until_ready()
        assert door.post("axyb-event-callin.json") == 200
        door.wait_for(lambda: sum(row["receipts"] for row in books(door)) == TWO)
        assert len(door.events()) == 1, "told again"


@pytest.mark.parametrize("words", [DUMP, RESTORE, ASIDE])
def test_the_runbook_says_just_that(words: str) -> None:
    assert words in RUNBOOK.read_text()


def books(door: Up) -> list[dict[str, Any]]:
    """What the ledger counts, by source and hour; before the first tally the command ends with 1."""
    command = Program(
        arguments=("reconcile", "--json", "--config", "config.toml"),
        directory=door.directory,
        environ=door.environ,
        name="reconcile",
    )
    command.log_file.unlink(missing_ok=True)
    command.start()
    assert command.wait(COMMAND_SECONDS) in (0, 1), command.tail()
    rows: list[dict[str, Any]] = json.loads(command.log_file.read_text())["rows"]
    return rows


def tool(directory: Path, command: str, *arguments: str) -> None:
    name, *options = command.split()
    program = debian.program(f"/usr/lib/postgresql/*/bin/{name}", package="postgresql")
    subprocess.run([program, *options, *arguments], cwd=directory, check=True, timeout=60, capture_output=True)


def psql(dsn: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
