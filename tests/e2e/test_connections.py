"""Connections of nobody, and bodies that never end, keep no platform out: the flood is a real one, on the real door."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Final, Self

import pytest

from tests.e2e.programs import ROOT, Program, end, request
from tests.e2e.roles import running_roles
from tests.e2e.running import Up, prepared_up

IDLE: Final = 1300
PUSHES: Final = 25
HALF_BODIES: Final = 600
MEBIBYTE: Final = 1024 * 1024
MOST_RSS: Final = 300 * MEBIBYTE

Answers = list[tuple[int | None, bool, int]]


@pytest.fixture(scope="module", autouse=True)
def files_of_our_own() -> Iterator[None]:
    """The flood needs more files than the door has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def limited(up: Up, files: int, *, kind: str = "") -> Iterator[Up]:
    """The same program with so many open files: soft and hard, so that it cannot raise them, or only one `kind`."""
    command = f'ulimit {kind} -n {files}; exec "$0" -m console "$@"'
    with up.log_file.open("ab") as log:
        process = subprocess.Popen(
            ["bash", "-c", command, sys.executable, *up.arguments],
            cwd=up.directory,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **up.environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    up.process = process
    try:
        up.wait_until_ready()
        yield up
    finally:
        end(up)


class Flood:
    """Connections that say nothing, opened again as they are closed."""

    def __init__(self, address: str, count: int) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        self._count = count
        self.opened = 0
        self._threads = [threading.Thread(target=self._keep_up, daemon=True)]

    def __enter__(self) -> Self:
        self._refill()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()

    def _keep_up(self) -> None:
        while not self._over.wait(0.01):
            self._open = [one for one in self._open if not _is_closed(one)]
            self._refill()

    def _refill(self) -> None:
        while len(self._open) < self._count and not self._over.is_set():
            one = socket.socket()
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(self._to)
            self._open.append(one)
            self.opened += 1
            if self.opened % 50 == 0:
                time.sleep(0.005)


def _is_closed(one: socket.socket) -> bool:
    try:
        closed = one.recv(1) == b""
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        closed = True
    if closed:
        one.close()
    return closed


def pushed(up: Up) -> Answers:
    """The answers to pushes and to both probes, in the middle of the flood."""
    return [one_pushed(up) for _ in range(PUSHES)]


def one_pushed(up: Up) -> tuple[int | None, bool, int]:
    time.sleep(0.05)
    return post(up), up.is_ready(), request(up.admin, "GET", "/livez").status


def post(up: Up) -> int | None:
    """None: closed before it was heard. On a busy machine the flood is through the whole table before we have sent."""
    try:
        return up.post("axyb-event-callin.json")
    except (ConnectionError, RemoteDisconnected):
        return None


def all_but_one_are_answered(found: Answers) -> bool:
    """As a platform sees it: it pushes again."""
    unheard = (None, True, 200)
    return found.count((200, True, 200)) + min(found.count(unheard), 1) == PUSHES


def test_thirteen_hundred_idle_connections_keep_no_push_and_no_probe_out(tmp_path: Path) -> None:
    up = prepared_up(tmp_path, progress=False)
    with limited(up, 1024), Flood(up.listen, IDLE) as flood:
        found = pushed(up)
        metrics = request(up.admin, "GET", "/metrics").body.decode()
        assert flood.opened > IDLE, "the door closed nothing: the flood was too small"
    assert all_but_one_are_answered(found), (found, up.tail())
    (held,) = [line.split()[1] for line in metrics.splitlines() if line.startswith("callstitch_door_connections ")]
    assert 0 < float(held) < 1024
    assert "port.connections_full" in up.log_file.read_text()


def test_with_files_for_a_handful_of_connections_the_log_says_so_and_the_probes_live(tmp_path: Path) -> None:
    up = prepared_up(tmp_path, command=("ingest",))
    declare = Program(
        arguments=("declare", "--config", "config.toml"), directory=up.directory, environ=up.environ, name="declare"
    )
    declare.start()
    assert declare.wait(60) == 0, declare.tail()
    with limited(up, 64), Flood(up.listen, 150):
        found = pushed(up)
        up.wait_for(lambda: "port.connections_full" in up.log_file.read_text())
    assert all_but_one_are_answered(found), (found, up.tail())
    assert "door.connections_capped" in up.log_file.read_text()


def test_one_address_has_its_share_of_the_connections(tmp_path: Path) -> None:
    up = prepared_up(tmp_path, connections_per_address=5)
    with limited(up, 1024), ExitStack() as stack:
        host, _, port = up.listen.rpartition(":")
        mine = [stack.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in range(8)]
        assert up.post("axyb-event-callin.json") == 200
        assert [one.recv(1) for one in mine[:4]] == [b""] * 4, "the oldest are closed, one for the push itself"


@pytest.mark.rabbitmq
def test_two_doors_of_one_supervisor_bear_the_flood_as_well(tmp_path: Path, fresh_amqp_url: str) -> None:
    doors = ("ingest", "--processes", "2")
    with running_roles(tmp_path, fresh_amqp_url, workers={}, ingest=doors) as (declared, _):
        assert declared.terminate() == 0
        with limited(declared, 1024), Flood(declared.listen, 2 * IDLE):
            found = pushed(declared)
    assert all_but_one_are_answered(found), (found, declared.tail())


def test_six_hundred_half_bodies_hold_neither_the_memory_nor_another_source(tmp_path: Path) -> None:
    other = '[[source]]\nname = "other"\nplatform = "huawei_privatenumber"\ntokens = ["other-token"]\n'
    up = prepared_up(tmp_path, extra=other)
    half = b"x" * (MEBIBYTE - 10)
    head = f"POST {up.door_path} HTTP/1.1\r\nHost: x\r\nContent-Length: {MEBIBYTE}\r\n\r\n".encode()
    up.start()
    try:
        host, _, port = up.listen.rpartition(":")
        with ExitStack() as stack:
            senders = []
            for _ in range(HALF_BODIES):
                one = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
                with suppress(OSError):  # refused in the middle
                    one.sendall(head + half)
                one.setblocking(False)
                senders.append(one)
            rss = resident(up.process.pid)
            posts = [request(up.listen, "POST", "/v1/other/other-token/x", b"{}").status for _ in range(PUSHES)]
            answers = [said(one) for one in senders]
    finally:
        end(up)
    assert posts == [200] * PUSHES
    assert b"HTTP/1.1 503" in answers
    assert rss < MOST_RSS, f"{rss / MEBIBYTE:.0f} MiB"


def test_one_leaked_url_cannot_keep_all_connections_busy_where_they_are_few(tmp_path: Path) -> None:
    other = '[[source]]\nname = "other"\nplatform = "huawei_privatenumber"\ntokens = ["other-token"]\n'
    up = prepared_up(tmp_path, extra=other)
    slow = f"POST {up.door_path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx".encode()
    with limited(up, 1024), ExitStack() as stack:
        host, _, port = up.listen.rpartition(":")
        for _ in range(900):
            one = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            with suppress(OSError):
                one.sendall(slow)
        posts = [request(up.listen, "POST", "/v1/other/other-token/x", b"{}").status for _ in range(PUSHES)]
        assert posts == [200] * PUSHES
        assert up.is_ready()


def test_a_soft_limit_below_the_hard_one_is_raised(tmp_path: Path) -> None:
    up = prepared_up(tmp_path)
    with limited(up, 256, kind="-S"):
        (row,) = [line for line in limits(up.process.pid) if line.startswith("Max open files")]
    soft, hard = row.split()[3:5]
    assert soft == hard != "256"


def limits(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/limits").read_text().splitlines()


def said(one: socket.socket) -> bytes:
    """How the answer begins, if there is one."""
    try:
        return one.recv(12)
    except OSError:
        return b""


def resident(pid: int) -> int:
    """Bytes of memory that the process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
