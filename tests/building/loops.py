"""The words that tests of the consume loop are written in: envelopes with a number, and a stage that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from runtime.bench import Bench, StageSpec
from runtime.broker.base import Broker
from runtime.clock import Clock, system_clock
from runtime.consume.loop import StageLoop
from runtime.telemetry import Telemetry
from runtime.verdict import Policy
from runtime.wire import bundles, monotonic_message_ids, unpack
from schemas.envelope import Envelope, Kind
from schemas.stage import Outcome, Stage
from schemas.topology import RECEIVED
from tests.building.facts import T0

IDS: Final = monotonic_message_ids("test")
WAIT_SECONDS: Final = 60.0


def an_envelope(n: int) -> Envelope:
    return Envelope(id=f"e{n}", kind=Kind.NOTIFICATION, source="s", at=T0, body={"n": n}, trace="t")


def number(envelope: Envelope) -> int:
    assert isinstance(envelope.body, dict)
    return int(envelope.body["n"])


def passed_on(envelope: Envelope) -> Envelope:
    return Envelope(id=envelope.id, kind=Kind.FACT, source="s", at=T0, body={"n": number(envelope)})


def a_stage_that_says(size: int) -> tuple[Stage, list[str]]:
    """It passes on what it gets, after an event `large` of so many bytes; and what it was told is published."""
    marked: list[str] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        body = b'"%b"' % (b"x" * (size - 2))
        event = Envelope(id="large", kind=Kind.EVENT, source="s", at=T0, body=body, route="call.completed.s")
        return [event, *map(passed_on, batch)]

    async def published(ids: Sequence[str]) -> None:
        marked.extend(ids)

    return Stage(handle, None, published), marked


def a_loop(
    broker: Broker,
    stage: Stage,
    *,
    delays: tuple[str, ...] = (),
    most: int = 16,
    at_once: int = 1,
    clock: Clock | None = None,
    telemetry: Telemetry | None = None,
) -> StageLoop:
    """The loop of a stage that reads `received`."""
    return StageLoop(
        Bench(
            spec=StageSpec(name="dedupe", queue=RECEIVED, policy=Policy(delays), most=most, at_once=at_once),
            stage=stage,
            broker=broker,
            clock=clock or system_clock(),
            message_ids=IDS,
            metrics=(telemetry or Telemetry()).stage("dedupe"),
        )
    )


async def send(broker: Broker, envelopes: Sequence[Envelope], *, each_alone: bool = False) -> None:
    """Put them on `received`, in one bundle or in bundles of one."""
    groups = [[one] for one in envelopes] if each_alone else [envelopes]
    await broker.publish([message for group in groups for message in bundles(group, "", RECEIVED, IDS)])


@asynccontextmanager
async def running(
    broker: Broker, stage: Stage, *, delays: tuple[str, ...] = ("1s",), most: int = 16, at_once: int = 1
) -> AsyncIterator[asyncio.Event]:
    """A loop that has drained when the context ends."""
    loop = a_loop(broker, stage, delays=delays, most=most, at_once=at_once)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        try:
            yield stopping
        finally:
            stopping.set()


async def until(done: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = done()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


async def read(broker: Broker, queue: str, *, expected: int) -> list[Envelope]:
    """Take that many envelopes off a queue, and then see that there are no more."""
    found: list[Envelope] = []
    async with asyncio.timeout(WAIT_SECONDS), broker.consume(queue, prefetch=100) as consumer:
        while len(found) < expected:
            deliveries = await consumer.batch(100)
            found += [envelope for delivery in deliveries for envelope in unpack(delivery, T0, queue=queue)]
            await consumer.ack(deliveries)
    assert (await broker.depths([queue]))[queue] == 0
    return found


async def is_empty(broker: Broker, queue: str) -> bool:
    return (await broker.depths([queue]))[queue] == 0
