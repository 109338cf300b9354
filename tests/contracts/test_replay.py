"""Parked messages that an operator brings back: copied first, marked once that is confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from runtime.bench import Bench, StageSpec
from runtime.broker.base import Broker
from runtime.broker.embedded import open_embedded
from runtime.clock import system_clock
from runtime.consume.loop import StageLoop
from runtime.telemetry import Telemetry
from runtime.verdict import Policy
from runtime.wire import dead_envelope, monotonic_message_ids, pack, quarantined, unpack
from schemas.envelope import Envelope, JsonObject, Kind, encode_envelope
from schemas.topology import DEAD, QUARANTINE, RECEIVED, Subscription, sink_queue, topology
from tests.building.facts import T0
from tests.building.loops import read, until
from tests.building.stores import StoreRig, asked
from workers.park import ParkedStore, park, revived

IDS = monotonic_message_ids("t")
BOXES = {"quarantine": QUARANTINE, "dead": DEAD}
SINKS = [Subscription(queue=sink_queue(name), events=("call.completed",)) for name in ("crm", "file")]
NOTIFICATION = Envelope(id="n1", kind=Kind.NOTIFICATION, source="s", at=T0, body={"text": "x"}, attempt=5, trace="t")
EVENT = Envelope(id="v1", kind=Kind.EVENT, source="s", at=T0, body=b'{"id": "v1"}', route="call.completed.s")


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with open_embedded(None) as opened:
        await opened.declare(topology(SINKS))
        yield opened


@asynccontextmanager
async def parking(
    broker: Broker, store: ParkedStore, box: str, *, outlets: Sequence[str] | None = None
) -> AsyncIterator[None]:
    loop = StageLoop(
        Bench(
            spec=StageSpec(name=f"park.{box}", queue=BOXES[box], policy=Policy(())),
            stage=park(store, box=box, clock=system_clock(), outlets=outlets),
            broker=broker,
            clock=system_clock(),
            message_ids=IDS,
            metrics=Telemetry().stage("park"),
        )
    )
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        yield
        stopping.set()


async def put(broker: Broker, envelope: Envelope) -> None:
    await broker.publish(pack([envelope], IDS))


async def groups(rig: StoreRig, box: str) -> list[JsonObject]:
    return list(await asked(rig, lambda reads: reads.parked_groups(box)))


async def until_groups(rig: StoreRig, box: str, count: int) -> list[JsonObject]:
    async with asyncio.timeout(60):
        while True:
            if len(found := await groups(rig, box)) == count:
                return found
            await asyncio.sleep(0.05)


async def take(broker: Broker, queue: str) -> Sequence[Envelope]:
    async with asyncio.timeout(60), broker.consume(queue, prefetch=10) as consumer:
        (delivery,) = await consumer.batch(10)
        await consumer.ack([delivery])
        return unpack(delivery, T0, queue=queue)


async def test_released_input_takes_the_way_of_a_first_attempt_by_its_own_id(
    broker: Broker, store_rig: StoreRig
) -> None:
    async with store_rig.open_parked() as store, parking(broker, store, "quarantine"):
        await put(broker, quarantined(NOTIFICATION, reason="odd", stage="dedupe"))
        (group,) = await until_groups(store_rig, "quarantine", 1)
        assert await store.want([group["example"]]) == 1
        (back,) = await take(broker, RECEIVED)
        await until_groups(store_rig, "quarantine", 0)
        assert await store.want([group["example"]]) == 0, "it has gone back already"
    assert back == replace(NOTIFICATION, attempt=1)


async def test_a_dead_event_goes_back_to_the_one_sink_that_failed_it(broker: Broker, store_rig: StoreRig) -> None:
    async with store_rig.open_parked() as store, parking(broker, store, "dead"):
        await put(broker, dead_envelope(EVENT, reason="Transient: 500", stage=sink_queue("crm")))
        (group,) = await until_groups(store_rig, "dead", 1)
        await store.want([group["example"]])
        (back,) = await take(broker, sink_queue("crm"))
        await until_groups(store_rig, "dead", 0)
    assert (back.id, back.body, back.attempt) == ("v1", b'{"id": "v1"}', 1)
    assert (await broker.depths([sink_queue("file")]))[sink_queue("file")] == 0


async def test_attempts_are_those_of_its_stage_before_a_replay_and_after_it(
    broker: Broker, store_rig: StoreRig
) -> None:
    """It told how often it was parked: 1 of an event that a sink had been given five times."""
    letter = dead_envelope(replace(NOTIFICATION, attempt=5), reason="Permanent: never", stage=RECEIVED)
    async with store_rig.open_parked() as store, parking(broker, store, "dead"):
        await put(broker, letter)
        (group,) = await until_groups(store_rig, "dead", 1)
        await store.want([group["example"]])
        await take(broker, RECEIVED)
        await until_groups(store_rig, "dead", 0)
        await put(broker, dead_envelope(replace(NOTIFICATION, attempt=2), reason="Permanent: never", stage=RECEIVED))
        (again,) = await until_groups(store_rig, "dead", 1)
    assert (group["attempts"], again["example"], again["attempts"]) == (5, group["example"], 7)


async def test_what_holds_nothing_that_could_go_back_is_parked_again(broker: Broker, store_rig: StoreRig) -> None:
    """It was marked as replayed, and nothing had gone anywhere."""
    garbage = Envelope(id="d", kind=Kind.DEAD, source="", at=T0, body={"reason": "not_a_bundle", "base64": "AA=="})
    async with store_rig.open_parked() as store, parking(broker, store, "dead"):
        await put(broker, garbage)
        await until(lambda: _is_parked(store_rig, "d"))
        assert await store.want(["d"]) == 1
        await until(lambda: _is_parked(store_rig, "d"))


async def test_an_event_of_a_sink_that_is_gone_is_parked_again(broker: Broker, store_rig: StoreRig) -> None:
    """Its queue is gone, and a replay would wait for it for ever, with all others behind it."""
    letter = dead_envelope(EVENT, reason="Permanent: gone", stage=sink_queue("gone"))
    other = dead_envelope(NOTIFICATION, reason="r", stage=RECEIVED)
    async with store_rig.open_parked() as store, parking(broker, store, "dead", outlets=[sink_queue("crm")]):
        await put(broker, letter)
        await put(broker, other)
        await until(lambda: _holds(store_rig, 2))
        assert await store.want([letter.id, other.id]) == 2
        await until(lambda: _is_parked(store_rig, letter.id))
        assert [envelope.id for envelope in await read(broker, RECEIVED, expected=1)] == [NOTIFICATION.id]


async def _holds(rig: StoreRig, count: int) -> bool:
    return len(await asked(rig, lambda reads: reads.parked_ids("dead"))) == count


async def _is_parked(rig: StoreRig, parked_id: str) -> bool:
    return list(await asked(rig, lambda reads: reads.parked_ids("dead"))) == [parked_id]


def test_a_dead_letter_without_an_envelope_cannot_be_revived() -> None:
    garbage = Envelope(id="d", kind=Kind.DEAD, source="", at=T0, body={"reason": "not_a_bundle", "base64": "AA=="})
    assert revived(encode_envelope(garbage)) is None


def test_an_unrouted_event_goes_to_whoever_is_bound_now() -> None:
    assert revived(encode_envelope(EVENT)) == EVENT
