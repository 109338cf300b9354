"""How a door opens and leaves: never ready before it listens, and not ready for a while before it closes."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from tests.e2e.programs import STOP_SECONDS, Program, end, request
from tests.e2e.roles import running_roles
from tests.e2e.running import Up, prepared_up, running_up
from tests.services import ports

DELAY = 2.0


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Up]:
    """`callstitch ingest` on the embedded broker, not started yet."""
    door = prepared_up(tmp_path, command=("ingest",), drain_delay=f"{DELAY:g}s")
    declare = Program(
        arguments=("declare", "--config", "config.toml"), directory=tmp_path, environ=door.environ, name="declare"
    )
    declare.start()
    assert declare.wait(STOP_SECONDS * 2) == 0, declare.tail()
    yield door
    end(door)


def readyz(up: Up) -> tuple[int, dict[str, object]]:
    answer = request(up.admin, "GET", "/readyz")
    return answer.status, orjson.loads(answer.body)


def test_readyz_falls_at_sigterm_while_the_door_still_answers_and_then_it_closes(door: Up) -> None:
    door.start()
    assert readyz(door) == (200, {"broker": True, "door": True})
    told = time.monotonic()
    door.process.send_signal(signal.SIGTERM)
    door.wait_for(lambda: readyz(door)[0] == 503)
    assert readyz(door)[1] == {"broker": True, "door": False, "reasons": {"door": "draining"}}
    answer = door.answer("axyb-event-callin.json")
    assert (answer.status, answer.headers["connection"]) == (200, "close"), "the next one is to go elsewhere"
    assert door.process.poll() is None
    assert door.wait(STOP_SECONDS) == 0, door.tail()
    assert time.monotonic() - told >= DELAY
    assert not ports.answers(int(door.listen.rpartition(":")[2]))


def test_readyz_never_says_ready_before_the_door_listens(door: Up) -> None:
    """Asked as fast as it goes, from before the start on."""
    for _ in range(3):
        door.start(ready=False)
        while True:
            with suppress(OSError):
                if readyz(door)[0] == 200:
                    break
            assert door.process.poll() is None, door.tail()
        assert ports.answers(int(door.listen.rpartition(":")[2]))
        door.kill()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_role_drains_at_each_of_the_signals(tmp_path: Path, sign: signal.Signals) -> None:
    with running_up(tmp_path) as up:
        assert up.post("axyb-event-callin.json") == 200
        up.process.send_signal(sign)
        assert up.wait(STOP_SECONDS) == 0, up.tail()
        assert "process.draining" in up.log_file.read_text()


def test_under_nohup_the_end_of_the_terminal_ends_nothing(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as nohup leaves it
    try:
        with running_up(tmp_path) as up:
            up.process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            assert up.post("axyb-event-callin.json") == 200
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.rabbitmq
def test_a_supervisor_drains_its_doors_at_sigterm_and_says_so_first(tmp_path: Path, fresh_amqp_url: str) -> None:
    doors = ("ingest", "--processes", "2")
    with running_roles(tmp_path, fresh_amqp_url, workers={}, ingest=doors, drain_delay=f"{DELAY:g}s") as (group, _):
        group.process.send_signal(signal.SIGTERM)
        group.wait_for(lambda: readyz(group)[0] == 503)
        assert readyz(group)[1]["reasons"] == {"1.door": "draining", "2.door": "draining"}
        assert group.post("axyb-event-callin.json") == 200
        assert group.wait(STOP_SECONDS) == 0, group.tail()


def test_a_byte_that_is_no_text_in_the_path_ends_nothing_where_aiohttp_has_no_parser_in_c(tmp_path: Path) -> None:
    with running_up(tmp_path, environ={"AIOHTTP_NO_EXTENSIONS": "1"}) as up:
        host, _, port = up.listen.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=STOP_SECONDS) as raw:
            head = f"POST {up.door_path}/".encode() + b"\xff HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            raw.sendall(head + b"Connection: close\r\n\r\n{}")
            answer = raw.makefile("rb").read()
        assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400")), answer
        assert up.post("axyb-event-callin.json") == 200
        assert up.is_ready()


def test_no_answer_tells_a_version(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        wrong = [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"nonsense\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"]
        for address in (up.listen, up.admin):
            for head in wrong:
                with socket.create_connection(_pair(address), timeout=STOP_SECONDS) as raw:
                    raw.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                    answer = raw.makefile("rb").read().lower()
                assert b"server: callstitch\r\n" in answer, answer
                assert b"python" not in answer
                assert b"aiohttp" not in answer


def test_on_loopback_the_admin_port_answers_no_page_of_a_strangers_name(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        port = up.admin.rpartition(":")[2]
        names = ("localhost", f"localhost:{port}", up.admin, "[::1]:80", "evil.example", f"evil.example:{port}", "a@b")
        found = [request(up.admin, "GET", "/metrics", headers={"Host": name}).status for name in names]
        assert found == [200, 200, 200, 200, 403, 403, 403]


def test_odd_bytes_at_the_admin_port_are_refused_and_no_error_of_ours(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        rest = b"Host: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
        for head in (b"want HTTP/1.1\r\nAuthorization: Bearer \xff\xfe\r\n", b"%FF HTTP/1.1\r\n", b"\xff HTTP/1.1\r\n"):
            with socket.create_connection(_pair(up.admin), timeout=STOP_SECONDS) as raw:
                raw.sendall(b"POST /commands/" + head + rest)
                heard = raw.makefile("rb").read()
            assert heard.split()[1] in (b"400", b"404"), heard
        token = (up.store / "admin.token").read_text()
        odd = [b"{", b"[]", b'{"ids": 5}', b'{"ids": ["\\ud800"]}', b'{"ids": [{}]}', b"\xff", b'"', os.urandom(40)]
        for body in odd:
            answer = request(up.admin, "POST", "/commands/want", body, {"Authorization": f"Bearer {token}"})
            assert answer.status in (200, 400), (body, answer)


def _pair(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
