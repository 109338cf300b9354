"""The real door over real HTTP in this process, a platform that asks it, and services that answer or do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import ClientSession

from ingest.server import serve_door
from runtime.broker.base import Broker
from runtime.clock import Clock, system_clock
from runtime.telemetry import Telemetry
from runtime.wire import monotonic_message_ids
from schemas.facts import Decided, Fact
from schemas.platforms import DIALECTS
from schemas.settings import Ingest
from schemas.topology import DECISIONS, UNIQUE, Topology
from tests.building.loops import read, until
from tests.building.pushes import fact_in
from tests.services import ports
from workers.config import Config, config_topology
from workers.process import Process, unwrapped
from workers.wiring import open_role, sources_of

TOKEN: Final = "t0ken"
PATIENT_SECONDS: Final = 20.0  # a deadline that no answer misses on a busy machine: tests do not assert speed
A, B, X = "+8613800000021", "+8613866887021", "+8613800000022"  # of the published samples
SESSION: Final = "1200_1827_4294967295_20190124023003@callenabler246.huaweicaas.com"
HUAWEI: Final[Mapping[str, Any]] = {
    "name": "huawei-x", "platform": "huawei_privatenumber", "tokens": [TOKEN], "control": True, "mode": "X",
}  # fmt: skip
CONNECT: Final[Mapping[str, Any]] = {"source": "huawei-x", "number": X, "action": "connect", "callee": B}
CONNECTED: Final = {"operation": "connect", "connectInfo": {"displayCalleeNum": X, "calleeNum": B}}
CLOSED: Final = {"operation": "close", "closeInfo": {}}


def a_callin(session: str = SESSION, **info: Any) -> bytes:
    """docs/protocols/huawei-privatenumber.md section 1: real caller, called X; notifyMode is of X mode."""
    told = {"timestamp": "2019-01-24 02:30:03", "sessionId": session, "caller": A, "called": X, "notifyMode": "Block"}
    return json.dumps({"eventType": "callin", "statusInfo": {**told, **info}}).encode()


def an_sms(mode: str, identifier: str = "ASN:16:example0000000001", **event: Any) -> bytes:
    """docs/protocols/huawei-privatenumber.md section 4: one SMS in X mode, asked about first and told about later."""
    told = {
        "smsIdentifier": identifier, "notificationMode": mode, "calling": A, "virtualNumber": X, "event": "TextSMS",
        "timeStamp": "2020-12-23T09:06:16.450Z",
    }  # fmt: skip
    return json.dumps({"appKey": "EXAMPLEAPPKEY000000000001", "smsEvent": {**told, **event}}).encode()


def a_config(*sources: Mapping[str, Any], rules: Sequence[Mapping[str, Any]] = ()) -> Config:
    return Config.model_validate({"source": list(sources), "rule": list(rules)})


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the platform heard."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A platform in front of the door."""

    http: ClientSession
    base: str
    process: Process

    async def push(self, body: bytes, *, source: str = "huawei-x", path: str = "/status", **headers: str) -> Heard:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post(f"{self.base}/v1/{source}/{TOKEN}{path}", data=body, headers=named) as response:
            kind = response.headers.get("Content-Type", "")
            return Heard(status=response.status, content_type=kind, body=await response.read())

    def counted(self, metric: str, **labels: str) -> float:
        """The value of `callstitch_<metric>_total`; 0 where it was never touched."""
        return self.process.telemetry.registry.get_sample_value(f"callstitch_{metric}_total", labels) or 0.0

    async def decisions(self, expected: int) -> list[tuple[Fact, Decided]]:
        """The decision facts on their way to correlate, oldest first."""
        found = []
        for envelope in await read(self.process.broker, UNIQUE, expected=expected):
            assert isinstance(envelope.body, dict)
            fact = fact_in(envelope.body)
            assert isinstance(fact.body, Decided)
            found.append((fact, fact.body))
        return found


@asynccontextmanager
async def asking(
    broker: Broker,
    config: Config,
    *,
    clock: Clock | None = None,
    deadline_seconds: float = PATIENT_SECONDS,
    topology: Topology | None = None,
) -> AsyncIterator[Asking]:
    """The door, and its topology (or another) declared; nobody answers yet."""
    await broker.declare(topology or config_topology(config))
    listen = f"127.0.0.1:{ports.free_port()}"
    process = Process(
        config=config,
        broker=broker,
        telemetry=Telemetry(),
        clock=clock or system_clock(),
        message_ids=monotonic_message_ids("asking"),
        wrap=unwrapped,
    )
    door = serve_door(
        Ingest(listen=listen),
        sources=sources_of(config),
        dialects=DIALECTS,
        broker=broker,
        message_ids=process.message_ids,
        telemetry=process.telemetry,
        clock=process.clock,
        deadline_seconds=deadline_seconds,
    )
    async with door, ClientSession() as http:
        yield Asking(http=http, base=f"http://{listen}", process=process)


@asynccontextmanager
async def deciding(process: Process) -> AsyncIterator[None]:
    """The built-in `decide`, as wiring makes it."""
    stopping = asyncio.Event()
    async with open_role(process, "decide") as loops, asyncio.TaskGroup() as tasks:
        for loop in loops:
            tasks.create_task(loop.run(stopping))
        try:
            await until(lambda: all(loop.ready for loop in loops))
            yield
        finally:
            stopping.set()


@asynccontextmanager
async def serving(broker: Broker, answer: Callable[[Any], bytes]) -> AsyncIterator[None]:
    """A service of somebody else's: it is given each question and its bytes are the answer."""

    async def serve() -> None:
        async with broker.consume(DECISIONS, prefetch=1) as consumer:
            while True:
                for question in await consumer.batch(1):
                    await broker.reply(question, answer(json.loads(question.body)))
                    await consumer.ack([question])

    task = asyncio.create_task(serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def holds(broker: Broker, queue: str, messages: int) -> bool:
    """Whether at least so many messages are ready in the queue."""
    return (await broker.depths([queue])).get(queue, 0) >= messages


def at(moment: str) -> Clock:
    """A clock that stands still."""
    fixed = datetime.fromisoformat(moment).astimezone(UTC)
    return lambda: fixed
