"""From the version before to this one under load: what may run side by side does, and what may not waits by itself."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.building.schemas import problems
from tests.e2e.balance import parked, wait_until_balanced
from tests.e2e.programs import ROOT, Program, Role, end, request
from tests.e2e.roles import FILE_WORKERS, end_in_order
from tests.e2e.running import playing, prepared_up
from tests.e2e.test_outage import NOTHING_PARKED
from tests.e2e.test_store_moves import bodies
from tests.services import ports

BEFORE: Final = ROOT / "tests/fixtures/7189888/program.tar.xz"  # schemas, runtime, ingest, workers, console
CALLS = 100
RATE = 30.0  # notifications a second
COMMAND_SECONDS = 60.0
BACK_SECONDS = 120.0
SIDE_BY_SIDE = ("park", "fetch_recording")

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]


class Upgrade:
    """The roles of both versions on one broker, one store and one config; the old one knows no `drain_delay`."""

    def __init__(self, directory: Path, broker: str, store: str) -> None:
        with tarfile.open(BEFORE) as program:
            program.extractall(directory / "before", filter="data")
        self.door = prepared_up(directory, command=("ingest",), broker=broker, store=store)
        new = self.door.config.read_text()
        (directory / "before.toml").write_text(new.replace('drain_delay = "0s"\n', ""))
        self._before = {"PYTHONPATH": str(directory / "before")}
        self.running: list[Role] = []

    def program(self, *arguments: str, before: bool) -> Program:
        environ = {**self.door.environ, **(self._before if before else {})}
        name = "-".join((*arguments, *(["before"] if before else [])))
        config = ("--config", "before.toml" if before else "config.toml")
        return Program(arguments=(*arguments, *config), directory=self.door.directory, environ=environ, name=name)

    def run(self, *arguments: str, before: bool) -> None:
        program = self.program(*arguments, before=before)
        program.start()
        assert program.wait(COMMAND_SECONDS) == 0, program.tail()

    def role(self, name: str, *, before: bool, ready: bool = True) -> Role:
        if name == "ingest":
            role: Role = replace(self.door, environ={**self.door.environ, **(self._before if before else {})})
            role.arguments = self.program(name, before=before).arguments
        else:
            program = self.program("work", *FILE_WORKERS[name], before=before)
            admin = f"127.0.0.1:{ports.free_port()}"
            environ = {**program.environ, "CALLSTITCH_INGEST_ADMIN": admin}
            role = Role(
                arguments=program.arguments,
                directory=program.directory,
                environ=environ,
                name=f"{program.name}-{len(self.running)}",
                admin=admin,
            )
        self.running.append(role)
        role.start(ready=ready)
        return role


def test_the_version_before_is_replaced_under_load_and_nothing_is_lost(
    tmp_path: Path, fresh_amqp_url: str, postgres_dsn: str
) -> None:
    upgrade = Upgrade(tmp_path, fresh_amqp_url, postgres_dsn)
    door = upgrade.door
    try:
        upgrade.run("declare", before=True)
        old = {name: upgrade.role(name, before=True, ready=False) for name in ("ingest", *FILE_WORKERS)}
        for role in old.values():
            role.wait_until_ready()
        with playing(door, calls=CALLS, rate=RATE) as emulator:
            emulator.wait_until_answered(60)
            upgrade.run("declare", before=False)

            dedupe = upgrade.role("dedupe", before=False, ready=False)
            first, second = (upgrade.role("correlate", before=False, ready=False) for _ in range(2))
            for waiting, why in ((dedupe, "an older version's"), (first, "1 older correlate(s)"), (second, "1 older")):
                door.wait_for(lambda: why in reason(waiting))  # noqa: B023 - asked at once
            assert end_in_order(old.pop("correlate")) == {"work-correlate-before-2": 0}
            for going_on in (first, second, dedupe):
                going_on.wait_until_ready()
            assert not any(map(reason, (first, second, dedupe)))

            for name in SIDE_BY_SIDE:
                upgrade.role(name, before=False, ready=False)
            assert set(end_in_order(*(old.pop(name) for name in ("dedupe", *SIDE_BY_SIDE, "fan_out"))).values()) == {0}
            upgrade.role("fan_out", before=False, ready=False)  # its jsonl file has one owner
            assert end_in_order(old.pop("ingest")) == {"ingest": 0}
            upgrade.role("ingest", before=False)

            truth = emulator.finish()
            wait_until_balanced(door, truth, BACK_SECONDS, store=postgres_dsn)
            late = upgrade.program("work", "correlate", before=True)
            late.start()
            assert late.wait(COMMAND_SECONDS) == 78, "an old one would read what it cannot"
        assert [event for event, told in bodies(door).items() if len(told) > 1] == []
        assert [problem for event in door.events() for problem in problems(event)] == []
        assert {"dataschema" in event for event in door.events()} == {False, True}, "of both versions"
        assert parked(door, postgres_dsn) == NOTHING_PARKED
    finally:
        end(*upgrade.running)


def reason(role: Role) -> str:
    """What a role says at /readyz of the version that is in its way; nothing where it does not answer yet."""
    try:
        text = request(role.admin, "GET", "/readyz").body.decode()
    except OSError:
        return ""
    return text if "upgrade" in text else ""
