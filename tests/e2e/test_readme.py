"""What README tells a newcomer to paste works as it stands, in an empty directory and on a real RabbitMQ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

import console.main  # noqa: F401 - puts the command together
from console.app import app
from console.demo.check import read_events
from console.stories import STORIES, Story
from tests.building.pages import READMES, blocks
from tests.e2e.programs import Role, end, request, wait_for
from tests.e2e.running import running_up
from tests.services import debian, ports

README: Final = READMES[0]  # the other has the same blocks: tests/unit/docs/test_blocks.py
# Every block of the shell but those of make; one more, and it has to be run here.
UP, POST, LOOK, TRACE, CONSUME = (
    block.text for block in blocks(README) if block.info == "sh" and not block.text.startswith("make")
)
(SHOWN,) = (block.text for block in blocks(README) if block.info == "json")
(QUEUE,) = (block.text for block in blocks(README) if block.info == "toml")
PUSHES: Final = len(STORIES["axyb"].pushes)
PASTE_SECONDS: Final = 60.0


class FirstTerminal(Role):
    """The one that `up` runs in."""

    def start(self, *, ready: bool = True) -> None:
        """As it was pasted."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*debian.dies_with_us(), "bash", "-c", f"exec {UP}"],
                cwd=self.directory, env={**os.environ, **self.environ}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        if ready:
            self.wait_until_ready()

    def paste(self, command: str) -> str:
        """What a second terminal prints in the same directory; the command has to succeed."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.directory, env={**os.environ, **self.environ, "COLUMNS": "200"},
            check=True, capture_output=True, text=True, timeout=PASTE_SECONDS,
        )  # fmt: skip
        return done.stdout

    def events(self) -> list[dict[str, Any]]:
        """Those of the file that README names."""
        return read_events(self.directory / "var/calls.jsonl")

    def duplicates(self) -> float:
        """How many pushes of Huawei's were known already."""
        lines = request(self.admin, "GET", "/metrics").body.decode().splitlines()
        name = 'callstitch_items_total{result="duplicate",source="huawei-privatenumber"}'
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstTerminal]:
    """A directory in which nothing has run yet, but for the set-up of `make demo`."""
    directory = tmp_path_factory.mktemp("newcomer")
    (directory / ".venv").symlink_to(sys.prefix)
    listen, admin = (f"127.0.0.1:{ports.free_port()}" for _ in range(2))
    environ = {"CALLSTITCH_INGEST_LISTEN": listen, "CALLSTITCH_INGEST_ADMIN": admin}
    first = FirstTerminal(arguments=(), directory=directory, environ=environ, name="up", admin=admin)
    try:
        first.start()
        yield first
    finally:
        end(first)


def test_the_five_minutes_end_as_they_say(terminal: FirstTerminal, jq: Path) -> None:
    assert jq.exists()
    log = terminal.log_file.read_text()
    assert log.count(f"  http://{terminal.environ['CALLSTITCH_INGEST_LISTEN']}/v1/") == 4

    terminal.paste(POST)
    wait_for(lambda: len(terminal.events()) == 1, 10, why=terminal.tail)

    assert json.loads(terminal.paste(LOOK)) == json.loads(SHOWN)
    traced = terminal.paste(TRACE)
    assert [kind for kind in ("callin", "callout", "alerting", "answer", "disconnect") if kind not in traced] == []
    assert "13800000021" not in traced

    terminal.paste(POST)
    wait_for(lambda: terminal.duplicates() == PUSHES, 10, why=terminal.tail)
    assert len(terminal.events()) == 1


def test_each_sample_becomes_the_calls_that_it_names(terminal: FirstTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(terminal.directory)
    for name, value in terminal.environ.items():
        monkeypatch.setenv(name, value)
    apart = {story.calls: name for name, story in STORIES.items()}  # one of those with one call id

    for name in apart.values():
        assert CliRunner().invoke(app, ["sample", name, "--post", "up"]).exit_code == 0

    wanted = {called for name in apart.values() for called in call_ids(STORIES[name])}
    wait_for(lambda: wanted <= {event["subject"] for event in terminal.events()}, 20, why=terminal.tail)


def call_ids(story: Story) -> set[str]:
    """As records have them: the default config names a source after its platform."""
    return {f"{story.platform.replace('_', '-')}:{call}" for call in story.calls}


@pytest.mark.rabbitmq
def test_the_queue_of_another_team_is_read_as_shown(tmp_path: Path, fresh_amqp_url: str, amqp_consume: Path) -> None:
    assert amqp_consume.exists()
    _, _, queue = QUEUE.partition("\n\n")  # below the line of the broker, which is this test's own
    with running_up(tmp_path, extra=queue, broker=fresh_amqp_url) as up:
        assert CliRunner().invoke(app, ["sample", "axyb", "--post", up.door]).exit_code == 0
        event = first_line(CONSUME, {"AMQP_URL": fresh_amqp_url})
    assert event["type"] == "callstitch.call.completed.v1"
    assert event["data"]["call"]["complete"] is True


def first_line(command: str, environ: dict[str, str]) -> dict[str, Any]:
    """The first event that the command prints; then it is ended."""
    reading = subprocess.Popen(
        [*debian.dies_with_us(), "bash", "-c", f"exec {command}"],
        env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    with reading:
        assert reading.stdout is not None
        found: dict[str, Any] = json.loads(reading.stdout.readline())
        reading.kill()
    return found
