"""Case b: queue to queue, the publish confirmed before the ack, 1 KB each; the broker's limit as a C client sees it.

The source queue is full before the relay starts. The clock runs from the last look that finds nothing in the
target to the first that finds everything there. A run counts when the target then names each session once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import orjson

from runtime.broker import open_broker
from runtime.broker.base import Broker
from schemas.envelope import BUNDLE_CONTENT_TYPE, EVENT_CONTENT_TYPE
from schemas.settings.addresses import broker_address
from schemas.topology import Subscription, sink_queue, topology
from tests.bench import queues
from tests.bench.bodies import Posts
from tests.bench.bundles import bundles
from tests.bench.contender import Processes, Trouble, processes
from tests.bench.figures import Run, Used, difference
from tests.bench.metering import Meter
from tests.bench.ours_relay import EVENT_ROUTE, IN, OUT, SOURCE, TARGET
from tests.bench.peers_environment import PEERS
from tests.bench.playing import best, guarded, in_turn
from tests.bench.theatre import Theatre, new_run
from workers.calls.events import Event, event_envelope

CASE: Final = "relay"
LOOK_SECONDS: Final = 0.05
STALL_SECONDS: Final = 60.0  # a start on a busy machine included
SETTLED_SECONDS: Final = 1.0
LIMIT_EXPECTED: Final = 15000
LEAST: Final = 200
WINDOW: Final = 512
BODY_BYTES: Final = 1024
REPID: Final = "repid (publishes unconfirmed)"

Start = Callable[[Theatre, Processes, str], None]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to relay; `expected` (a second) only says how much to put in front of it.

    `bundle` envelopes are in each message; 0: the message is the notification itself.
    """

    name: str
    setting: str
    expected: int
    start: Start
    source: str = SOURCE
    target: str = TARGET
    content_type: str = queues.JSON
    bundle: int = 0
    shared_vhost: bool = False


def _ours(name: str, way: str, *, expected: int, content_type: str, bundle: int = 0) -> Contender:
    def start(theatre: Theatre, found: Processes, url: str) -> None:
        found.start("relay", theatre.ours.command("tests.bench.ours_relay", url, way))

    return Contender(
        name=name,
        setting="prefetch 16 bundles" if bundle else "prefetch 256, batches of 128",
        expected=expected,
        start=start,
        source=IN[way],
        target=OUT[way],
        content_type=content_type,
        bundle=bundle,
    )


def _peer(
    name: str, setting: str, script: str, *arguments: str, expected: int, shared_vhost: bool = False
) -> Contender:
    def start(theatre: Theatre, found: Processes, url: str) -> None:
        command = [str(theatre.peers), str(PEERS / f"{script}.py"), url, SOURCE, TARGET, *arguments]
        found.start(script, command)

    return Contender(name=name, setting=setting, expected=expected, start=start, shared_vhost=shared_vhost)


def _mq_bridge(batch: int, concurrency: int) -> Contender:
    def start(theatre: Theatre, found: Processes, url: str) -> None:
        route = {
            "input": {"amqp": {"url": url, "queue": SOURCE, "prefetch_count": max(100, batch * concurrency)}},
            "output": {"amqp": {"url": url, "queue": TARGET, "no_declare_queue": True, "delayed_ack": False}},
            "batch_size": batch,
            "concurrency": concurrency,
        }
        found.start("mq_bridge", [str(theatre.peers), str(PEERS / "mq_bridge_route.py"), json.dumps(route)])

    setting = f"batch_size {batch}, concurrency {concurrency}, prefetch_count {max(100, batch * concurrency)}"
    return Contender(name="mq-bridge", setting=setting, expected=6000, start=start)


def _go(theatre: Theatre, found: Processes, url: str) -> None:
    found.start("relay", [str(theatre.go), "relay", url, SOURCE, TARGET])


CONTENDERS: Final[Sequence[Sequence[Contender]]] = (
    (_ours("Callstitch, broker only", "messages", expected=5000, content_type=queues.JSON),),
    (_ours("Callstitch, one event a message", "events", expected=4000, content_type=EVENT_CONTENT_TYPE),),
    (_ours("Callstitch, bundles of 1", "bundles", expected=4000, content_type=BUNDLE_CONTENT_TYPE, bundle=1),),
    (_ours("Callstitch, bundles of 8", "bundles", expected=20000, content_type=BUNDLE_CONTENT_TYPE, bundle=8),),
    (_ours("Callstitch, bundles of 64", "bundles", expected=30000, content_type=BUNDLE_CONTENT_TYPE, bundle=64),),
    [_peer("aio-pika", f"prefetch {n}", "relay_aio_pika", str(n), expected=1500) for n in (100, 300)],
    [_peer("FastStream", f"prefetch {n}", "relay_faststream", str(n), expected=600) for n in (100, 300)],
    (_mq_bridge(512, 1), _mq_bridge(512, 4), _mq_bridge(64, 4)),
    (Contender(name="Go", setting="prefetch 512, batches of up to 256", expected=9000, start=_go),),
    [_peer(REPID, f"tasks_limit {n}", "relay_repid", str(n), expected=600, shared_vhost=True) for n in (100, 1000)],
)


async def play_one(theatre: Theatre, contender: Contender, *, seconds: float) -> Run:
    """One run.

    Raises:
        Trouble: it could not be played.
    """
    run, count = new_run(), max(LEAST, round(contender.expected * seconds))
    async with _vhost(theatre, contender) as url:
        await _prepare(url, contender, run, count)
        with processes(theatre.run_directory()) as found:
            contender.start(theatre, found, url)
            moved = await _moving(theatre, url, contender, found, messages=count)
        arrived = await queues.sessions_in(url, contender.target)
        sent = [f"{run}x{call:08d}" for call in range(count)]
        twice = len(arrived) - len(set(arrived))
        return Run(
            case=CASE,
            contender=contender.name,
            count=count,
            seconds=moved.seconds,
            used=moved.used,
            trouble=f"{twice} sessions arrived twice" if twice else difference(sent=sent, arrived=arrived),
            setting=contender.setting,
        )


@asynccontextmanager
async def _vhost(theatre: Theatre, contender: Contender) -> AsyncIterator[str]:
    """A vhost of its own, or the node's default one where the contender cannot name another."""
    if contender.shared_vhost:
        yield theatre.node.url
    else:
        async with theatre.vhost() as url:
            yield url


async def _prepare(url: str, contender: Contender, run: str, count: int) -> None:
    """Source and target declared and empty, then the source full."""
    if contender.source == SOURCE:
        await queues.declare(url, SOURCE, TARGET)
        for queue in (SOURCE, TARGET):
            await queues.purge(url, queue)
    else:
        subscriptions = [
            Subscription(queue=sink_queue("relay"), events=("recording.stored",)),
            Subscription(queue=TARGET, events=(EVENT_ROUTE.rpartition(".")[0],), downstream=True),
        ]
        async with open_broker(broker_address(url)) as broker:
            await broker.declare(topology(subscriptions))
    posts = Posts("cdrs", run=run, calls=count)
    bodies = (posts[position].body for position in range(count))
    filling = bundles(bodies, contender.bundle, source="relay") if contender.bundle else bodies
    if contender.content_type == EVENT_CONTENT_TYPE:
        filling = map(_as_event, bodies)
    await queues.fill(url, contender.source, filling, content_type=contender.content_type)


def _as_event(body: bytes) -> bytes:
    now = datetime.now(UTC)
    event = Event(type="call.amended", source="relay", subject="relay:1", time=now, data={"raw": orjson.loads(body)})
    said = event_envelope(event, at=now, trace="").body
    assert isinstance(said, bytes)
    return said


@dataclass(frozen=True, kw_only=True)
class _Moved:
    """From the last look that found nothing in the target to the first that found all of it."""

    seconds: float
    used: Used


async def _moving(theatre: Theatre, url: str, contender: Contender, found: Processes, *, messages: int) -> _Moved:
    """Watch the target grow until it grows no more, as what arrives may be bundled otherwise than what was there.

    Raises:
        Trouble: nothing moves any more, and not all has arrived.
    """
    async with open_broker(broker_address(url)) as broker:
        there, began, grown = 0, time.monotonic(), time.monotonic()
        meter = Meter(theatre, found)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            found.check()
            now, depth = time.monotonic(), await queues.depth(broker, contender.target)
            if depth > there:
                there, grown = depth, now
            elif not there:
                began, meter = now, Meter(theatre, found)
            if there >= messages or (there and now - grown > SETTLED_SECONDS and not await _left(broker, contender)):
                return _Moved(seconds=grown - began, used=meter.used())
            if now - grown > STALL_SECONDS:
                raise Trouble(f"nothing moved for {STALL_SECONDS:g} s; {there} arrived of {messages}")


async def _left(broker: Broker, contender: Contender) -> int:
    return await queues.depth(broker, contender.source)


async def _limit(theatre: Theatre, way: str) -> Run:
    """The broker's limit: a C client that publishes with confirms, or one that consumes with acks, alone."""
    name, count = f"C client, {way} alone", max(LEAST, round(LIMIT_EXPECTED * theatre.settings.relay_seconds))
    async with theatre.vhost() as url:
        await queues.declare(url, SOURCE)
        place = ["127.0.0.1", str(theatre.node.port), url.rpartition("/")[2], SOURCE, str(count)]
        publish, consume = [*place, str(BODY_BYTES), str(WINDOW)], [*place, str(WINDOW)]
        if way == "consume":
            await theatre.run_limit("publish", *publish)
        broker = theatre.broker_cpu
        seconds, cpu = await theatre.run_limit(way, *(consume if way == "consume" else publish))
        used = Used(cpu=cpu, broker=theatre.broker_cpu - broker)
    setting = f"librabbitmq, window {WINDOW}"
    return Run(case=CASE, contender=name, count=count, seconds=seconds, used=used, setting=setting)


async def play(theatre: Theatre) -> AsyncIterator[Run]:
    """Every contender in turn, in each round."""
    seconds = theatre.settings.relay_seconds
    chosen = [
        await best(theatre, CASE, row, lambda contender: play_one(theatre, contender, seconds=seconds / 2))
        for row in CONTENDERS
        if theatre.settings.wants(row[0].name)
    ]

    async def play_guarded(contender: Contender) -> Run:
        return await guarded(CASE, contender.name, play_one(theatre, contender, seconds=seconds))

    async def play_limit(way: str) -> Run:
        return await guarded(CASE, f"C client, {way} alone", _limit(theatre, way))

    plays = [partial(play_guarded, one) for one in chosen]
    plays += [partial(play_limit, way) for way in ("publish", "consume") if theatre.settings.wants("C client")]
    async for run in in_turn(theatre.settings.rounds, plays):
        yield run
