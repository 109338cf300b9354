"""`callstitch drain`: the doors closed, nothing under way, the ledger balanced, and all held until `--end`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.programs import ROOT, request
from tests.e2e.roles import running_roles
from tests.e2e.running import PATIENCE_SECONDS, Up, callstitch, playing, running_up
from tests.e2e.test_hold import STAGES, stands

CALLS: Final = 60
RATE: Final = 60.0
FEW: Final = 60
HELD: Final = ["ingest", *STAGES]
BILLING: Final = '[[queue]]\nname = "billing"\n'
SHORT: Final = "--timeout", "2"


@contextmanager
def draining(up: Up, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`callstitch drain` in the background."""
    command = [sys.executable, "-m", "console", "drain", *arguments, "--config", "config.toml"]
    environ = {**os.environ, **up.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=up.directory, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def said_until(program: subprocess.Popen[str], words: str) -> str:
    """What it says until it says that."""
    assert program.stdout is not None
    told = ""
    for line in program.stdout:
        told += line
        if words in line:
            return told
    raise AssertionError(told)


def ended(program: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and all that it said, in one line."""
    told, complained = program.communicate(timeout=PATIENCE_SECONDS)
    return program.returncode, " ".join((told + complained).split())


def drained(up: Up, *arguments: str) -> tuple[int, str]:
    with draining(up, *arguments) as program:
        return ended(program)


def body_of(up: Up) -> bytes:
    """What /readyz tells, once something answers."""
    try:
        return request(up.admin, "GET", "/readyz").body
    except OSError:
        return b""


def held(up: Up) -> list[str]:
    return sorted(name for name, row in stands(up).items() if row["held"])


@pytest.mark.rabbitmq
def test_under_load_nothing_is_under_way_in_the_end_and_all_goes_on_at_the_word(
    tmp_path: Path, fresh_amqp_url: str
) -> None:
    with running_roles(tmp_path, fresh_amqp_url) as (door, _), playing(door, calls=CALLS, rate=RATE) as emulator:
        emulator.wait_until_answered(FEW)
        assert door.post(b"no JSON") == 200
        code, told = drained(door, "--by", "kim")
        assert code == 0, told
        assert "nothing is under way; held: ingest, dedupe, correlate, fetch_recording, fan_out, feed, park" in told
        assert "0 dead, 0 unrouted" in told
        assert "1 quarantine" in told
        assert "drained, and the ledger is balanced" in told
        assert held(door) == sorted(HELD)
        assert {row["at_work"] for row in stands(door).values()} == {0}
        assert door.post("ax-sms-notify.json", "/sms-notify") == 503
        total = json.loads(callstitch(door, "reconcile", "--json"))["totals"]
        assert total["answered"] == emulator.answered() + 1
        assert len({event["id"] for event in door.events()}) == total["events"] == total["sent"] > 0
        assert "go on within 2 s" in " ".join(callstitch(door, "drain", "--end").split())
        door.wait_for(lambda: door.post("ax-sms-notify.json", "/sms-notify") == 200)
        assert held(door) == []


@pytest.mark.rabbitmq
def test_one_that_is_cut_off_or_given_up_says_what_it_holds_and_another_goes_on_with_it(
    tmp_path: Path, fresh_amqp_url: str
) -> None:
    with running_roles(tmp_path, fresh_amqp_url, extra=BILLING) as (door, _):
        callstitch(door, "hold", "correlate", "--by", "lee")
        code, told = drained(door)
        assert (code, "correlate is held by lee since" in told, "nothing is held" in told) == (1, True, True), told
        callstitch(door, "hold", "correlate", "--end")
        assert door.post("ax-sms-notify.json", "/sms-notify") == 200
        door.wait_for(door.events)

        code, told = drained(door, *SHORT)
        assert code == 1
        assert "still: billing 1 (nobody consumes it)" in told
        assert "held: ingest; `callstitch drain --end` lets them go on" in told
        with draining(door, "--by", "kim") as first:
            assert "a drain was begun by" in said_until(first, "waiting for: billing 1")
            code, told = drained(door, "--own")
            assert code == 0, told
            first.send_signal(signal.SIGINT)
            code, told = ended(first)
        assert code == 130
        assert "interrupted; held: ingest" in told
        assert held(door) == sorted(HELD)
        with draining(door) as second:
            said_until(second, "waiting for: billing 1")
            callstitch(door, "drain", "--end")
            code, told = ended(second)
        assert code == 1
        assert "somebody" in told
        callstitch(door, "drain", "--end")
        assert held(door) == []


def test_up_on_the_embedded_broker_is_drained_stays_so_over_a_restart_and_goes_on(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        assert up.post("ax-sms-notify.json", "/sms-notify") == 200
        code, told = drained(up)
        assert code == 0, told
        assert len(up.events()) == 1
        assert up.terminate() == 0
        code, told = drained(up)
        assert code == 0, told
        up.start(ready=False)
        up.wait_for(lambda: b"closed by" in body_of(up))
        assert up.post("ax-sms-notify.json", "/sms-notify") == 503
        assert request(up.admin, "GET", "/readyz").status == 503
        callstitch(up, "drain", "--end")
        up.wait_for(lambda: up.post("ax-sms-notify.json", "/sms-notify") == 200)
        assert up.terminate() == 0
