"""`callstitch purge` on a running `up`: one person is gone from every file of the state, and stays gone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.balance import wait_until_balanced
from tests.e2e.programs import ROOT
from tests.e2e.running import Up, callstitch, playing, running_up, sample

NUMBER: Final = "13877770021"
SESSION: Final = f"+86{NUMBER}_+8613900000012_4_627e5c1f"
DIGITS: Final = NUMBER.encode()
BALANCED_SECONDS: Final = 120.0


def a_fee(session: str = SESSION, caller: str = f"+86{NUMBER}", **more: str) -> bytes:
    """A published CDR, of one call after another."""
    push = json.loads(sample("axb-fee.json"))
    push["feeLst"][0] |= {"sessionId": session, "callerNum": caller, "recordFlag": 0, **more}
    return json.dumps(push).encode()


def completed(up: Up, session: str) -> list[dict[str, object]]:
    return [one for one in up.events() if one.get("subject") == f"huawei:{session}"]


def state_files(up: Up) -> list[Path]:
    return [path for path in (up.directory / "state").rglob("*") if path.is_file()] or list(up.store.glob("*"))


def test_a_person_is_erased_and_stays_erased(tmp_path: Path) -> None:
    with running_up(tmp_path, call_events=False) as up:
        assert up.post(a_fee(), "/fee") == 200
        assert up.post(a_fee("another", "+8613900000033"), "/fee") == 200
        assert up.post(f"this is not JSON, {NUMBER}".encode()) == 200
        up.wait_for(lambda: completed(up, SESSION) and completed(up, "another"))
        up.wait_for(lambda: "not_json" in callstitch(up, "quarantine", "list"))

        told = callstitch(up, "purge", "--number", f"+86 {NUMBER}", "--dry-run")
        assert "would be erased: 1 call(s), 0 other event(s), 1 parked message(s)" in told
        assert DIGITS.decode() not in told
        assert any(DIGITS in path.read_bytes() for path in state_files(up))

        up.wait_for(lambda: erased(up) == "erased: 1 call(s), 0 other event(s), 1 parked message(s)")
        assert [path.name for path in state_files(up) if DIGITS in path.read_bytes()] == []
        assert "nothing of it is kept" in callstitch(up, "purge", "--number", NUMBER)

        before = len(completed(up, SESSION))
        assert up.post(a_fee(), "/fee") == 200
        assert up.post(a_fee(userData="amended"), "/fee") == 200
        assert up.post(a_fee("third", "+8613900000034"), "/fee") == 200
        up.wait_for(lambda: completed(up, "third"))
        assert len(completed(up, SESSION)) == before
        assert "nothing of it is kept" in callstitch(up, "purge", "--number", NUMBER)
        # Its exit code is 1 before the first tally.
        up.wait_for(lambda: json.loads(ran(up, "reconcile", "--json"))["differences"] == [])
        assert "outcome=" in callstitch(up, "trace", "huawei:another")
        up.terminate()
    assert DIGITS not in (up.directory / "broker.db").read_bytes(), "acked messages leave nothing in a closed file"


def erased(up: Up) -> str:
    """Its first line; what was told may not be marked as sent yet, then it has to wait."""
    return ran(up, "purge", "--number", NUMBER).splitlines()[0]


def ran(up: Up, *arguments: str) -> str:
    """What a command prints that ends with 0 or 1."""
    command = [sys.executable, "-m", "console", *arguments, "--config", "config.toml"]
    environ = {**up.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(command, cwd=up.directory, env=environ, capture_output=True, text=True, check=False)
    assert told.returncode in (0, 1), told.stderr
    return told.stdout


def test_one_call_is_erased_by_its_id(tmp_path: Path) -> None:
    with running_up(tmp_path, call_events=False) as up:
        assert up.post(a_fee("s1"), "/fee") == 200
        assert up.post(a_fee("s2"), "/fee") == 200
        up.wait_for(lambda: completed(up, "s1") and completed(up, "s2"))
        up.wait_for(lambda: "sent=not yet" not in callstitch(up, "trace", "huawei:s1"))
        assert "erased: 1 call(s)" in callstitch(up, "purge", "--call", "huawei:s1")
        assert "outcome=" in callstitch(up, "trace", "huawei:s2")
        assert "nothing of it is kept" in callstitch(up, "purge", "--call", "huawei:s1")


def test_a_calls_recordings_are_deleted_with_it_and_it_is_said_what_is_not_reached(tmp_path: Path) -> None:
    with running_up(tmp_path) as up, playing(up, calls=20) as emulator:
        wait_until_balanced(up, emulator.finish(), BALANCED_SECONDS)
        stored = [one for one in up.events() if one["type"] == "callstitch.recording.stored.v1"]
        call, recordings = stored[0]["subject"], tmp_path / "recordings"
        places = {one["data"]["recording"]["place"] for one in stored if one["subject"] == call}
        others = set(recordings.rglob("*.wav")) - {recordings / place for place in places}
        listed = callstitch(up, "purge", "--call", call, "--dry-run")
        assert [place for place in places if place not in listed] == []

        recordings.rename(tmp_path / "away")
        with pytest.raises(subprocess.CalledProcessError):  # it would be forgotten where they lie
            callstitch(up, "purge", "--call", call)
        (tmp_path / "away").rename(recordings)

        told = callstitch(up, "purge", "--call", call)
        assert told.startswith("erased: 1 call(s)")
        assert f"deleted {len(places)} recording(s)" in told
        assert "sink file (jsonl)" in told
        assert set(recordings.rglob("*.wav")) == others
