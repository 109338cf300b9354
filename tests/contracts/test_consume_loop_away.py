"""While the far end of a sink is away its events stay in their queue, and one at a time probes it; on both brokers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from runtime.broker.base import Broker
from runtime.telemetry import Telemetry
from schemas.envelope import Envelope
from schemas.errors import Away, Transient
from schemas.stage import Failed, Outcome, Stage
from schemas.topology import DEAD, RECEIVED, RETRY_DELAYS, UNIQUE, retry_queue
from tests.building.loops import a_loop, an_envelope, is_empty, number, passed_on, read, send, until

EVENTS = 40


class FarEnd:
    """Takes nothing while it is away, and what it took before a batch went wrong."""

    def __init__(self) -> None:
        self.away = True
        self.seconds = 0.05
        self.batches: list[list[int]] = []
        self.attempts: Counter[int] = Counter()

    async def handle(self, batch: Sequence[Envelope]) -> Outcome:
        self.batches.append([number(envelope) for envelope in batch])
        self.attempts.update(envelope.attempt for envelope in batch)
        if not self.away:
            return [passed_on(envelope) for envelope in batch]
        went = 1 if len(self.batches) == 1 else 0
        failed = [Failed(envelope, Away("http_503", seconds=self.seconds)) for envelope in batch[went:]]
        return [*map(passed_on, batch[:went]), *failed]


async def test_an_outage_delays_events_and_uses_up_no_attempt(stages: Broker) -> None:
    far_end, telemetry, stopping = FarEnd(), Telemetry(), asyncio.Event()
    loop = a_loop(stages, Stage(far_end.handle), delays=("6h",), telemetry=telemetry)
    await send(stages, [an_envelope(n) for n in range(EVENTS)], each_alone=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: loop.away)
        assert loop.ready
        assert not loop.paused
        assert b'callstitch_away{stage="dedupe"} 1.0' in telemetry.text()
        await until(lambda: len(far_end.batches) >= 6)
        probes = far_end.batches[1:6]
        assert {len(probe) for probe in probes} == {1}
        assert len({probe[0] for probe in probes}) > 1, "one event that the far end cannot take would stop all others"
        far_end.away = False
        await until(lambda: not loop.away)
        found = await read(stages, UNIQUE, expected=EVENTS)
        stopping.set()
    assert sorted(map(number, found)) == list(range(EVENTS))
    assert far_end.attempts.keys() == {1}
    assert b'callstitch_away{stage="dedupe"} 0.0' in telemetry.text()
    for queue in (RECEIVED, DEAD, *map(retry_queue, RETRY_DELAYS)):
        assert await is_empty(stages, queue), queue


async def test_an_empty_queue_is_probed_by_the_event_that_comes_next(stages: Broker) -> None:
    far_end, stopping = FarEnd(), asyncio.Event()
    loop = a_loop(stages, Stage(far_end.handle))
    await send(stages, [an_envelope(0), an_envelope(1)])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: loop.away)
        far_end.away = False
        await until(lambda: not loop.away)
        await send(stages, [an_envelope(2)])
        await read(stages, UNIQUE, expected=3)
        stopping.set()


async def test_a_word_to_go_on_probes_at_once_and_a_pause_ends_the_probes(stages: Broker) -> None:
    far_end, stopping = FarEnd(), asyncio.Event()
    far_end.seconds = 3600
    loop = a_loop(stages, Stage(far_end.handle))
    await send(stages, [an_envelope(0), an_envelope(1)])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: loop.away)
        await until(lambda: len(far_end.batches) == 1)
        loop.resume()
        await until(lambda: len(far_end.batches) == 2)
        far_end.away = False
        loop.pause()
        assert loop.paused
        loop.resume()
        assert len(await read(stages, UNIQUE, expected=2)) == 2
        assert not loop.away
        stopping.set()


async def test_what_an_outage_put_off_for_long_comes_as_soon_as_the_far_end_is_back(stages: Broker) -> None:
    """An endpoint that asks for an hour before its breaker opens; what it refused for itself keeps its time."""
    tries: list[int] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        (envelope,) = batch
        tries.append(number(envelope))
        if tries.count(7) < 2 and number(envelope) == 7:
            return [Failed(envelope, Transient("http_503", retry_after=3600))]
        if number(envelope) == 9:
            return [Failed(envelope, Transient("http_422", alone=True))]
        return [Failed(envelope, Away("http_503", seconds=0.05))] if len(tries) < 5 else [passed_on(envelope)]

    stopping = asyncio.Event()
    loop = a_loop(stages, Stage(handle), delays=("10m",), most=1)
    await send(stages, [an_envelope(n) for n in (9, 7, 8)], each_alone=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        found = await read(stages, UNIQUE, expected=2)
        stopping.set()
    assert sorted(map(number, found)) == [7, 8]
    assert tries.count(9) == 1
    assert await is_empty(stages, RECEIVED)
    await until(lambda: _waits(stages, "10m", messages=1))


async def _waits(broker: Broker, delay: str, *, messages: int) -> bool:
    return (await broker.depths([retry_queue(delay)]))[retry_queue(delay)] == messages
