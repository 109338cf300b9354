"""The load generator: a process of its own that posts a run's notifications over so many connections.

`python -m tests.bench.posting` reads one JSON order from its input and writes one JSON report to its output. Without
a rate each connection posts again as soon as it is answered; with one, posts come due by the clock, and their latency
counts from then, however late a connection was free for them (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop

from tests.bench.bodies import Posts
from tests.bench.figures import latency

TICK_SECONDS: Final = 0.001
_HEADERS: Final = b"Host: 127.0.0.1\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: "
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_GOOD: Final = b"HTTP/1.1 2"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to post, and where. `rate` 0: as fast as it goes. `stamps`: where to write each call's last post's time."""

    port: int
    path: str
    kind: str
    run: str
    calls: int
    connections: int
    rate: float = 0.0  # posts a second
    stamps: str = ""


@dataclass(kw_only=True)
class Report:
    """What was answered how; times on the machine's monotonic clock, latencies in milliseconds."""

    answered: int = 0
    refused: int = 0
    began: float = 0.0
    ended: float = 0.0
    cpu: float = 0.0
    latency: dict[str, float] = field(default_factory=dict)


class _Connection(asyncio.Protocol):
    """One connection with one request under way."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = b""
        self._due = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports inherit nothing

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if _is_whole(self._buffer):
            good, self._buffer = self._buffer.startswith(_GOOD), b""
            self._load.answered(self, due=self._due, good=good)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(exc)


class _Load:
    """Hands out the posts in order, and counts."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._posts = Posts(order.kind, run=order.run, calls=order.calls)
        self._next = 0
        self._left = self._posts.total
        self._idle: deque[_Connection] = deque()
        self._late: list[float] = []
        self._stamps = array("d", bytes(8 * order.calls))
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.report = Report()

    async def play(self) -> None:
        """Post everything; returns when the last post was answered."""
        loop = asyncio.get_running_loop()
        for _ in range(self._order.connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._order.port)
            self._idle.append(connection)
        before = _cpu()
        self.report.began = time.monotonic()
        await (self._paced() if self._order.rate else self._closed())
        await self._done
        self.report.ended = time.monotonic()
        self.report.cpu = _cpu() - before
        if found := latency(self._late):
            self.report.latency = asdict(found)

    def write_stamps(self) -> None:
        """Leave the time of each call's last post where the order says."""
        if self._order.stamps:
            Path(self._order.stamps).write_bytes(self._stamps.tobytes())

    async def _closed(self) -> None:
        while self._idle and self._next < self._posts.total:
            self._send(self._idle.popleft(), time.monotonic())

    async def _paced(self) -> None:
        while self._next < self._posts.total:
            due = (time.monotonic() - self.report.began) * self._order.rate
            while self._idle and self._next < min(due, self._posts.total):
                self._send(self._idle.popleft(), self.report.began + self._next / self._order.rate)
            await asyncio.sleep(TICK_SECONDS)

    def _send(self, connection: _Connection, due: float) -> None:
        post = self._posts[self._next]
        self._next += 1
        for call in post.ends:
            self._stamps[call] = due
        path = (self._order.path + post.path).encode()
        connection.send(
            b"POST %b HTTP/1.1\r\n%b%d\r\n\r\n%b" % (path, _HEADERS, len(post.body), post.body),
            due,
        )

    def answered(self, connection: _Connection, *, due: float, good: bool) -> None:
        """One post is done; the connection takes the next one, unless a clock deals them out."""
        now = time.monotonic()
        self._late.append((now - due) * 1000)
        self.report.answered += good
        self.report.refused += not good
        self._left -= 1
        if not self._left:
            self._done.set_result(None)
        elif self._order.rate or self._next >= self._posts.total:
            self._idle.append(connection)
        else:
            self._send(connection, now)

    def lost(self, error: Exception | None) -> None:
        """A connection that the server closes ends the run: a platform would post again, a benchmark must not."""
        if self._left and not self._done.done():
            self._done.set_exception(ConnectionError(f"the server hung up: {type(error).__name__}"))


def _is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    if len(head) == len(answer):
        return False
    if length := _LENGTH.search(head):
        return len(body) >= int(length[1])
    return b"chunked" not in head or body.endswith(b"0\r\n\r\n")


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _play(order: Order) -> _Load:
    load = _Load(order)
    await load.play()
    return load


def main() -> None:
    """One order in, one report out."""
    given: dict[str, Any] = json.loads(sys.stdin.read())
    load = uvloop.run(_play(Order(**given)))
    load.write_stamps()
    print(json.dumps(asdict(load.report)))


if __name__ == "__main__":
    main()
