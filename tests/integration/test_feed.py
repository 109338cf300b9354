"""A downstream queue with a limit is fed: a full one holds its own feed, loses nothing, and refuses nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from structlog.testing import capture_logs

from console.admission.leftovers import declare
from runtime.bench import Bench, StageSpec
from runtime.broker.base import ROUTE, Broker
from runtime.broker.rabbitmq import open_rabbitmq
from runtime.clock import system_clock
from runtime.consume.loop import StageLoop
from runtime.events.messages import event_messages
from runtime.telemetry import Telemetry
from runtime.verdict import Policy
from schemas.envelope import EVENT_CONTENT_TYPE, Envelope
from schemas.stage import Stage
from schemas.topology import BATCHES, DEAD, feed_queue
from tests.building.facts import T0
from tests.building.loops import IDS, until
from tests.services.rabbitmq import RabbitMQ
from workers.calls.events import Event, event_envelope
from workers.config import Config, DownstreamQueue, config_topology
from workers.delivery.filters import filter_of
from workers.feed import Target, feed

pytestmark = pytest.mark.rabbitmq

EVENTS: Final = 60
NAME: Final = "narrow"
FEED: Final = feed_queue(NAME)
STAGE: Final = f"feed.{NAME}"


def a_config(*, store: str = "sqlite:var/state", **keys: Any) -> Config:
    queues = [{"name": NAME, **keys}, {"name": "wide"}]
    return Config.model_validate({"broker": "amqp://u@h/v", "store": store, "queue": queues})


@pytest.fixture
async def broker(rabbitmq_node: RabbitMQ) -> AsyncIterator[Broker]:
    async with open_rabbitmq(rabbitmq_node.make_vhost()) as broker:
        yield broker


def events(count: int = EVENTS, **record: Any) -> list[Envelope]:
    return [
        event_envelope(
            Event(
                type="call.completed",
                source="bj",
                subject=f"bj:{n}",
                time=T0,
                data={"call": {"n": n, **record}},
                revision=1,
            ),
            at=T0,
            trace="",
        )
        for n in range(count)
    ]


@asynccontextmanager
async def feeding(
    broker: Broker, queue: DownstreamQueue, telemetry: Telemetry
) -> AsyncIterator[tuple[StageLoop, asyncio.Event]]:
    """The stage at work; it has drained when the context ends."""
    spec = StageSpec(name=STAGE, queue=FEED, policy=Policy(()), prefetch=64, most=128, step=queue.step)
    target = Target(queue=queue.name, wants=filter_of(queue))
    stage = Stage(feed(target, filtered=telemetry.stage(STAGE).filtered))
    bench = Bench(
        spec=spec,
        stage=stage,
        broker=broker,
        clock=system_clock(),
        message_ids=IDS,
        metrics=telemetry.stage(STAGE),
    )
    loop, stopping = StageLoop(bench), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        yield loop, stopping
        stopping.set()


async def declared(broker: Broker, config: Config) -> DownstreamQueue:
    await broker.declare(config_topology(config))
    return config.queue[0]


async def told(broker: Broker, some: Sequence[Envelope], config: Config) -> None:
    """As correlate publishes them: in each form that somebody wants."""
    await broker.publish(event_messages(some, IDS, config_topology(config).forms))


async def taken(broker: Broker, queue: str, most: int) -> list[str]:
    """The ids of what lies there, up to so many messages."""
    ids: list[str] = []
    async with broker.consume(queue, prefetch=most) as consumer:
        while len(ids) < most:
            deliveries = await consumer.batch(most - len(ids))
            ids += [orjson.loads(one.body)["id"] for one in deliveries]
            await consumer.ack(deliveries)
    return ids


async def test_a_full_queue_holds_its_own_feed_and_goes_on_as_there_is_room(broker: Broker) -> None:
    config, telemetry = a_config(max_length=10), Telemetry()
    queue = await declared(broker, config)
    all_ids = [event.id for event in events()]

    def away() -> float | None:
        return telemetry.registry.get_sample_value("callstitch_away", {"stage": STAGE})

    with capture_logs() as lines:
        async with feeding(broker, queue, telemetry) as (loop, _):
            await told(broker, events(), config)  # which raises when anything of it is refused
            await until(lambda: loop.full)
            assert away() == 1
            assert loop.ready
            depths = await broker.depths([NAME, "wide"])
            assert 8 <= depths[NAME] <= 12
            assert depths["wide"] == EVENTS
            found = await taken(broker, NAME, EVENTS)
            await until(lambda: not loop.full)
            assert away() == 0
    assert sorted(found) == sorted(all_ids)
    events_told = [line["event"] for line in lines]
    assert (events_told.count("queue.full"), events_told.count("queue.has_room")) == (1, 1)
    assert "publish.unconfirmed" not in events_told
    assert await broker.depths([NAME, FEED, DEAD]) == {NAME: 0, FEED: 0, DEAD: 0}


async def test_what_a_drain_has_no_room_for_goes_back_and_counts_no_attempt_and_no_delivery(broker: Broker) -> None:
    config = a_config(max_length=10)
    queue = await declared(broker, config)
    await told(broker, events(), config)
    for _ in range(4):  # each a delivery, were it released: three make a suspect of it
        async with feeding(broker, queue, Telemetry()) as (loop, _):
            await until(lambda: loop.full)
    depths = await broker.depths([NAME, FEED])
    assert depths[NAME] + depths[FEED] == EVENTS
    async with broker.consume(FEED, prefetch=EVENTS) as consumer:
        held = [*await consumer.batch(EVENTS)]
        assert max(one.deliveries for one in held) < 3
        rows = [row for one in held for row in orjson.loads(one.body)]
        assert {row["attempt"] for row in rows} == {1}


async def test_a_fed_queue_is_bound_to_nothing_and_its_messages_say_what_they_are(broker: Broker) -> None:
    config = a_config(max_length=1000, max_age="1h")
    queue = await declared(broker, config)
    assert [row for row in config_topology(config).bindings if row.queue == NAME] == []
    assert {row.exchange for row in config_topology(config).bindings if row.queue == FEED} == {BATCHES}
    async with feeding(broker, queue, Telemetry()):
        await told(broker, events(2), config)
        await until(lambda: _holds(broker, NAME, 2))
    async with broker.consume(NAME, prefetch=2) as consumer:
        one, _ = await consumer.batch(2)
    assert (one.body, one.content_type, one.routing_key) == (events(1)[0].body, EVENT_CONTENT_TYPE, NAME)
    assert (one.headers["cloudEvents_id"], one.headers[ROUTE]) == (events(1)[0].id, events(1)[0].route)


async def _holds(broker: Broker, queue: str, count: int) -> bool:
    return (await broker.depths([queue]))[queue] == count


async def test_what_is_too_old_becomes_a_dead_letter(broker: Broker) -> None:
    config = a_config(max_age="1s")
    queue = await declared(broker, config)
    async with feeding(broker, queue, Telemetry()):
        await told(broker, events(5), config)
        await until(lambda: _holds(broker, FEED, 0))
        await until(lambda: _holds(broker, DEAD, 5))
        assert await broker.depths(["wide"]) == {"wide": 5}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_queue_with_a_filter_gets_what_it_wants_and_the_rest_is_counted(broker: Broker, stream: bool) -> None:
    config, telemetry = a_config(outcomes=["busy"], stream=stream), Telemetry()
    queue = await declared(broker, config)
    busy, answered = events(3, outcome="busy"), events(2, outcome="answered")
    async with feeding(broker, queue, telemetry):
        await told(broker, [*answered, *busy], config)
        await until(lambda: _holds(broker, FEED, 0))
        await until(lambda: _holds(broker, NAME, 3))
    assert await broker.depths([NAME, FEED, "wide"]) == {NAME: 3, FEED: 0, "wide": 5}
    assert telemetry.registry.get_sample_value("callstitch_filtered_total", {"stage": STAGE}) == 2
    assert telemetry.registry.get_sample_value("callstitch_outputs_total", {"stage": STAGE, "kind": "event"}) == 3
    if not stream:
        assert sorted(await taken(broker, NAME, 3)) == sorted(one.id for one in busy)


async def test_a_queue_gets_a_filter_and_loses_it_again_and_misses_nothing(broker: Broker, tmp_path: Path) -> None:
    """It is bound to nothing and fed while it has one; no queue is made anew for that."""
    store = f"sqlite:{tmp_path}"
    plain, filtered = a_config(store=store), a_config(store=store, outcomes=["busy"])
    for config in (plain, filtered, plain):
        left = await declare(config, broker)
        await told(broker, events(1, outcome="busy"), config)
        depths = await broker.depths([NAME, FEED])
        if config.queue[0].fed:
            assert depths == {NAME: 1, FEED: 1}
            async with feeding(broker, config.queue[0], Telemetry()):
                await until(lambda: _holds(broker, NAME, 2))
    assert (depths, left) == ({NAME: 3, FEED: 0}, {FEED: 0})
