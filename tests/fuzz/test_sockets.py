"""Whatever bytes reach a port, it answers or closes, and the process goes on: the door, and the admin port."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.e2e.programs import request
from tests.e2e.running import Up, running_up, sample
from tests.fuzz.wire import a_request, answers_to, bent

SEED = 1
TRIES = 400
JSON = "Content-Type: application/json"


def test_whatever_bytes_come_to_a_port_it_answers_or_closes_and_the_process_lives(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        fuzz(up, up.listen, at_the_door(up), tries=TRIES)
        fuzz(up, up.admin, at_the_admin_port(up), tries=TRIES)

        assert up.post("axb-fee.json") == 200
        up.wait_for(up.events)
        assert "Traceback" not in up.log_file.read_text()
        assert up.terminate() == 0


def fuzz(up: Up, address: str, requests: Sequence[bytes], *, tries: int, seed: int = SEED) -> None:
    """Send so many bent ones; each is answered in HTTP or not at all, and none breaks anything inside (500)."""
    rng = Random(seed)  # noqa: S311 - the same bytes each time
    every = [bent(rng, requests) for _ in range(tries)]
    for sent, read in zip(every, answers_to(every, address), strict=True):
        assert read == b"" or re.match(rb"HTTP/\d\.\d \d{3} ", read), sent
        assert not re.match(rb"HTTP/\d\.\d 500 ", read), sent
    assert up.process.poll() is None, up.tail()
    assert request(up.admin, "GET", "/readyz").status == 200


def at_the_door(up: Up) -> list[bytes]:
    return [
        a_request("POST", f"{up.door_path}/status", sample("axb-event-answer.json"), JSON),
        a_request("POST", f"{up.door_path}/fee", sample("axb-fee.json"), JSON, "Transfer-Encoding: chunked"),
        a_request("POST", "/v1/nobody/nothing", b"{}", JSON),
        a_request("GET", up.door_path),
    ]


def at_the_admin_port(up: Up) -> list[bytes]:
    token = (up.store / "admin.token").read_text() if (up.store / "admin.token").exists() else "x"
    signed = f"Authorization: Bearer {token}"
    return [
        a_request("GET", "/readyz"),
        a_request("GET", "/metrics"),
        a_request("POST", "/commands/want", b'{"box": "dead", "ids": ["x"]}', JSON, signed),
        a_request("POST", "/commands/want", b'{"box": "dead", "ids": ["x"]}', JSON),
        a_request("POST", "/commands/purge", b'{"number": "13866887021"}', JSON, signed),
    ]
