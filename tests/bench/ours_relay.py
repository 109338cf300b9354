"""Queue to queue with our own runtime: `python -m tests.bench.ours_relay URL messages|events|bundles`.

"messages": the broker alone, bodies as they are. "events": the consume loop with a handler that hands on each event,
one a message both ways. "bundles": the consume loop, from `received` to `unique`, in bundles both ways; what comes in
bundles of one goes out in whatever bundles a batch makes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from runtime.bench import Bench, StageSpec
from runtime.broker import open_broker
from runtime.broker.base import Broker, Message
from runtime.clock import system_clock
from runtime.consume.loop import StageLoop
from runtime.lifecycle import run_process
from runtime.telemetry import Telemetry
from runtime.verdict import policies
from runtime.wire import monotonic_message_ids
from schemas.envelope import Envelope, EnvelopeKind, Kind
from schemas.settings.addresses import broker_address
from schemas.stage import Stage
from schemas.topology import RECEIVED, UNIQUE, sink_queue

SOURCE: Final = "relay.in"
TARGET: Final = "relay.out"
EVENTS_IN: Final = sink_queue("relay")  # a queue whose messages may be events
EVENT_ROUTE: Final = "call.amended.relay"  # TARGET is bound to it
PREFETCH: Final = 256
MOST: Final = 128


async def _messages(broker: Broker) -> None:
    ids = monotonic_message_ids("relay")
    async with broker.consume(SOURCE, prefetch=PREFETCH) as consumer:
        while True:
            deliveries = await consumer.batch(MOST)
            await broker.publish(
                [
                    Message(
                        exchange="",
                        routing_key=TARGET,
                        body=delivery.body,
                        content_type=delivery.content_type,
                        message_id=next(ids),
                    )
                    for delivery in deliveries
                ]
            )
            await consumer.ack(deliveries)


async def _events(batch: Sequence[Envelope]) -> Sequence[Envelope]:
    return [_handed_on(envelope, kind=Kind.EVENT, route=EVENT_ROUTE) for envelope in batch]


async def _bundles(batch: Sequence[Envelope]) -> Sequence[Envelope]:
    return [_handed_on(envelope, kind=Kind.FACT, route="") for envelope in batch]


def _handed_on(envelope: Envelope, *, kind: EnvelopeKind, route: str) -> Envelope:
    return Envelope(
        id=envelope.id,
        kind=kind,
        source=envelope.source,
        at=envelope.at,
        body=envelope.body,
        trace=envelope.trace,
        route=route,
    )


def _loop(broker: Broker, way: str) -> StageLoop:
    policy = policies({})["dedupe"]
    if way == "events":
        spec = StageSpec(name="relay", queue=EVENTS_IN, policy=policy, prefetch=PREFETCH, most=MOST)
    else:
        spec = StageSpec(name="relay", queue=RECEIVED, policy=policy)
    return StageLoop(
        Bench(
            spec=spec,
            stage=Stage(_events if way == "events" else _bundles),
            broker=broker,
            clock=system_clock(),
            message_ids=monotonic_message_ids("relay"),
            metrics=Telemetry().stage("relay"),
        )
    )


async def _relay(url: str, way: str, stopping: asyncio.Event) -> None:
    async with open_broker(broker_address(url)) as broker:
        if way == "messages":
            await _messages(broker)
        else:
            await _loop(broker, way).run(stopping)


OUT: Final = {"messages": TARGET, "events": TARGET, "bundles": UNIQUE}
IN: Final = {"messages": SOURCE, "events": EVENTS_IN, "bundles": RECEIVED}

if __name__ == "__main__":
    run_process(lambda stopping: _relay(sys.argv[1], sys.argv[2], stopping))
