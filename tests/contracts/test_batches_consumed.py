"""A batch of events in the consume loop: each is settled by itself, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import pytest

from runtime.broker.base import Broker
from runtime.wire import pack
from schemas.envelope import Envelope, Kind
from schemas.errors import Permanent, Transient, Unavailable
from schemas.stage import Failed, Outcome, Stage
from schemas.topology import BATCHES, DEAD, RECEIVED, Binding, Forms, Topology, retry_queue
from tests.building.facts import T0
from tests.building.loops import IDS, a_loop, is_empty, read, running, until

ROUTE: Final = "call.completed.s"
FORMS: Final = Forms(frozenset({(BATCHES, "call.completed.*")}))
EVENTS: Final = 30


@pytest.fixture
async def broker(stages: Broker) -> Broker:
    await stages.declare(Topology(bindings=(Binding(exchange=BATCHES, queue=RECEIVED, pattern="#"),)))
    return stages


async def send(broker: Broker, count: int = EVENTS) -> list[Envelope]:
    """So many events, in one message."""
    events = [
        Envelope(id=f"e{n}", kind=Kind.EVENT, source="s", at=T0, body=b'{"id": "e%d"}' % n, route=ROUTE)
        for n in range(count)
    ]
    (message,) = pack(events, IDS, FORMS)
    await broker.publish([message])
    return events


async def test_one_that_fails_is_tried_again_alone_and_the_others_are_not_repeated(broker: Broker) -> None:
    given: list[str] = []
    verdicts = {"e3": Transient("busy"), "e4": Permanent("never"), "e5": ValueError("a bug")}

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        if any(one.id == "e5" for one in batch):
            raise verdicts["e5"]
        given.extend(one.id for one in batch)
        return [Failed(one, verdicts[one.id]) for one in batch if one.id in verdicts]

    await send(broker)
    async with running(broker, Stage(handle), delays=("10m",)):
        await until(lambda: _settled(broker))
    assert sorted(given) == sorted(f"e{n}" for n in range(EVENTS) if n != 5), "each once"
    again = await read(broker, retry_queue("10m"), expected=2)
    assert {(one.id, one.attempt, one.route, one.body) for one in again} == {
        (name, 2, ROUTE, b'{"id": "%b"}' % name.encode()) for name in ("e3", "e5")
    }
    (letter,) = await read(broker, DEAD, expected=1)
    assert isinstance(letter.body, dict)
    assert (letter.body["envelope"]["id"], letter.body["envelope"]["route"]) == ("e4", ROUTE)


async def _settled(broker: Broker) -> bool:
    held = await broker.depths([RECEIVED, retry_queue("10m"), DEAD])
    return held == {RECEIVED: 0, retry_queue("10m"): 2, DEAD: 1}


async def test_what_is_put_back_keeps_its_events(broker: Broker) -> None:
    called = asyncio.Event()

    async def handle(_: Sequence[Envelope]) -> Outcome:
        called.set()
        raise Unavailable("the sink is away")

    events = await send(broker)
    for _ in range(2):
        called.clear()
        async with running(broker, Stage(handle)):
            await until(called.is_set)
    kept = await read(broker, RECEIVED, expected=EVENTS)
    assert [(one.id, one.route, one.body) for one in kept] == [(one.id, one.route, one.body) for one in events]


async def test_after_a_rest_its_events_go_as_slowly_as_single_ones_would(broker: Broker) -> None:
    """All thirty at once would flood who has just come back."""
    given: list[tuple[float, int]] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        given.append((time.monotonic(), len(batch)))
        return []

    loop, stopping = a_loop(broker, Stage(handle), most=128), asyncio.Event()
    loop.pause()
    await send(broker)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        loop.resume()
        await until(lambda: sum(count for _, count in given) == EVENTS)
        await until(lambda: is_empty(broker, RECEIVED))
        stopping.set()
    began = given[0][0]
    assert max(count for at, count in given if at - began < 1) <= 6, "five a second, and a little more"
    assert given[-1][0] - began > 2
