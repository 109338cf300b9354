"""The demo with its state in PostgreSQL: it balances, shows no password, and the operator's commands read it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from console.demo.processes import CALLS
from tests.e2e.programs import ROOT, Program, end
from tests.services.postgresql import PostgreSQL

PASSWORD = "hunter2hunter2"
DEMO_SECONDS = 150.0
COMMAND_SECONDS = 60.0


@dataclass(frozen=True)
class Played:
    demo: Program
    code: int
    environ: dict[str, str]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        config = ("--config", "var/demo/config.toml")
        return subprocess.run(
            [sys.executable, "-m", "console", *arguments, *config],
            cwd=self.demo.directory,
            env={**self.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def played(postgresql_cluster: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One demo, over; the cluster trusts everybody, so it takes the password too."""
    dsn = postgresql_cluster.make_database()
    environ = {"CALLSTITCH_STORE": dsn.replace("callstitch@", f"callstitch:{PASSWORD}@")}
    directory = tmp_path_factory.mktemp("demo")
    demo = Program(arguments=("up", "--demo"), directory=directory, environ=environ, name="demo")
    demo.start()
    try:
        yield Played(demo, demo.wait(DEMO_SECONDS), environ)
    finally:
        end(demo)
        postgresql_cluster.delete_database(dsn)


def test_the_demo_balances_on_postgresql(played: Played) -> None:
    assert played.code == 0, played.demo.tail()
    ledger = json.loads((played.demo.directory / "var/demo/ledger.json").read_text())
    sent = ledger["platform"]
    assert (ledger["balanced"], sent["calls"]) == (True, CALLS)
    assert ledger["ours"]["sessions"] == sent["calls"] + sent["messages"]
    assert not (played.demo.directory / "var/demo/state").exists()


def test_the_password_is_in_no_log_and_in_no_answer(played: Played) -> None:
    shown = played.command("config", "show")
    said = played.demo.log_file.read_text() + (played.demo.directory / "var/demo/up.log").read_text()
    assert f"callstitch:***@{urlsplit(played.environ['CALLSTITCH_STORE']).hostname}" in shown.stdout
    assert PASSWORD not in said + shown.stdout + shown.stderr


def test_the_commands_read_the_state(played: Played) -> None:
    events = map(json.loads, (played.demo.directory / "var/demo/calls.jsonl").read_text().splitlines())
    call = next(event["subject"] for event in events if event["type"] == "callstitch.call.completed.v1")
    reconciled, traced = played.command("reconcile"), played.command("trace", call.partition(":")[2])
    assert (reconciled.returncode, "balanced" in reconciled.stdout) == (0, True)
    assert (traced.returncode, "published: callstitch.call.completed.v1" in traced.stdout) == (0, True), traced.stderr
    assert played.command("quarantine", "list").returncode == 0


def test_a_database_that_knows_calls_is_refused(played: Played) -> None:
    again = Program(arguments=("up", "--demo"), directory=played.demo.directory, environ=played.environ, name="again")
    again.start()
    assert again.wait(COMMAND_SECONDS) == 78
    assert "empty database" in again.log_file.read_text()


def test_a_server_that_is_away_ends_a_command_with_69(tmp_path: Path) -> None:
    away = Program(
        arguments=("reconcile",),
        directory=tmp_path,
        environ={"CALLSTITCH_STORE": f"postgresql://u:{PASSWORD}@127.0.0.1:1/d"},
        name="away",
    )
    away.start()
    assert away.wait(COMMAND_SECONDS) == 69, away.tail()
    assert PASSWORD not in away.log_file.read_text()
