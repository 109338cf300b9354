"""The door in this process, in either of its two ways to serve a plain push, and what can be seen of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final, ParamSpec, cast

import uvloop
from structlog.testing import capture_logs

from ingest.server import serve_door
from ingest.state import DoorState
from runtime.broker.base import Broker, Message
from runtime.broker.embedded import open_embedded
from runtime.telemetry import Telemetry
from runtime.tracing.base import Tracing
from runtime.tracing.off import NO_TRACING
from runtime.wire import monotonic_message_ids
from schemas.dialect.dialect import AnyDialect
from schemas.envelope import Kind, decode_bundle
from schemas.platforms import DIALECTS
from schemas.settings import Ingest
from schemas.topology import topology
from tests.building.loops import until
from tests.services import ports
from workers.config import Config
from workers.wiring import sources_of

P = ParamSpec("P")

TOKEN: Final = "t0ken"
NOW: Final = datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC)  # of Aliyun's signed sample
QUIET_SECONDS: Final = 0.15  # so long nothing comes before we believe that nothing will
PATIENCE_SECONDS: Final = 20.0
_DATE: Final = re.compile(rb"Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Confirming:
    """A real broker that confirms only while it is `open`, and remembers what it took."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.taken: list[tuple[str, dict[str, Any]]] = []

    async def publish(self, batch: Sequence[Message]) -> None:
        self.asked.set()
        await self.open.wait()
        await self._broker.publish(batch)
        for message in batch:
            for one in decode_bundle(message.body):
                if one.kind == Kind.NOTIFICATION:
                    assert isinstance(one.body, dict)
                    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", one.trace)
                    self.taken.append((one.source, one.body))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


@dataclass(frozen=True, kw_only=True)
class Wire:
    """One connection to the door."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.writer.is_closing():  # else the door has closed it
                self.writer.write(piece)

    def send_no_more(self) -> None:
        if not self.writer.is_closing():
            self.writer.write_eof()

    async def quiet(self, seconds: float = QUIET_SECONDS) -> bytes:
        """What comes until nothing does; `closed` or `reset` at its end tells that nothing more can."""
        read = b""
        try:
            while True:
                async with asyncio.timeout(seconds):
                    piece = await self.reader.read(65_536)
                if not piece:
                    return read + b"closed"
                read += piece
        except TimeoutError:
            return read
        except ConnectionError:
            return read + b"reset"

    async def answers(self, count: int) -> bytes:
        """All that comes until there are so many answers whose bodies are empty."""
        read = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(statuses(read)) < count or not read.endswith(b"\r\n\r\n"):
                piece = await self.reader.read(65_536)
                if not piece:
                    return read + b"closed"
                read += piece
        return read

    async def end(self) -> bytes:
        """All that comes until the door closes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.read()


@dataclass(frozen=True, kw_only=True)
class AtDoor:
    """A door that is open."""

    port: int
    broker: Confirming
    state: DoorState
    telemetry: Telemetry
    log: list[Any]
    wires: list[Wire] = field(default_factory=list)

    async def connect(self) -> Wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.wires.append(Wire(reader=reader, writer=writer))
        return self.wires[-1]

    async def hang_up(self) -> None:
        """Close all connections, and wait until the door knows it."""
        for wire in self.wires:
            wire.writer.close()
            with suppress(ConnectionError, TimeoutError):
                await wire.writer.wait_closed()
        await until(lambda: self.connections == 0)

    async def asked(self) -> None:
        """Wait until a push waits for its confirm."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.broker.asked.wait()

    @property
    def connections(self) -> float:
        return self.telemetry.registry.get_sample_value("callstitch_door_connections") or 0.0

    def seen(self) -> Mapping[str, Any]:
        """What it counted, refused and stored; nothing that differs from run to run."""
        doors = self.telemetry.doors
        refused = [
            {key: value for key, value in line.items() if key != "log_level"}
            for line in self.log
            if line["event"] == "door.refused"
        ]
        return {
            "answered": {name: {k: v for k, v in one.by_status.items() if v} for name, one in doors._by_source.items()},
            "accepted": {name: one.accepted for name, one in doors._by_source.items()},
            "timed": {name: sum(one.buckets) for name, one in doors._by_source.items()},
            "unstored": {
                tuple(sample.labels.values()): sample.value
                for metric in doors.unstored.collect()
                for sample in metric.samples
                if sample.name.endswith("_total") and sample.value
            },
            "refused": refused,
            "stored": self.broker.taken,
        }


def on_uvloop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test on the loop of production: asyncio's own differs in when it closes, reads and pauses."""

    @wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        uvloop.run(test(*arguments, **named))

    return run


def a_push(
    path: str = f"/v1/huawei-x/{TOKEN}/fee", body: bytes = b"{}", *headers: str, method: str = "POST", http: str = "1.1"
) -> bytes:
    """One request in one piece."""
    head = [f"{method} {path} HTTP/{http}", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def statuses(answers: bytes) -> list[int]:
    return [int(found) for found in _STATUS.findall(answers)]


def without_dates(answers: bytes) -> bytes:
    return _DATE.sub(b"Date\r\n", answers)


@asynccontextmanager
async def a_door(
    sources: Sequence[Mapping[str, Any]],
    *,
    short_way: bool,
    declared: bool = True,
    connections: int = 1000,
    each: int = 0,
    tracing: Tracing = NO_TRACING,
    dialects: Mapping[str, AnyDialect] = DIALECTS,
) -> AsyncIterator[AtDoor]:
    """A door over the embedded broker; it drains at the end, with whoever is not among its `wires` any more."""
    config = Config.model_validate({"source": list(sources)})
    port, state, telemetry = ports.free_port(), DoorState(), Telemetry()
    async with open_embedded(None) as embedded:
        if declared:
            await embedded.declare(topology([], []))
        broker = Confirming(embedded)
        with capture_logs() as log:
            opened = AtDoor(port=port, broker=broker, state=state, telemetry=telemetry, log=log)
            async with serve_door(
                Ingest(listen=f"127.0.0.1:{port}", connections=connections, connections_per_address=each),
                sources=sources_of(config),
                dialects=dialects,
                broker=cast(Broker, broker),
                message_ids=monotonic_message_ids("door"),
                telemetry=telemetry,
                clock=lambda: NOW,
                state=state,
                short_way=short_way,
                deadline_seconds=0.05,
                tracing=tracing,
            ):
                yield opened
                if opened.wires:
                    broker.open.set()
                    await opened.hang_up()


def with_a_dialect(name: str, **changes: Any) -> Mapping[str, AnyDialect]:
    """All dialects, one of them changed."""
    return {**DIALECTS, name: replace(DIALECTS[name], **changes)}
