"""How a loop ends: in the middle of a ramp, and when it is sent away and does not come to an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from runtime.broker.base import Broker
from runtime.consume.crew import Crew
from runtime.consume.ramp import FIRST_RATE
from runtime.telemetry import Telemetry
from schemas.envelope import Envelope
from schemas.errors import Unavailable
from schemas.stage import Outcome, Stage
from schemas.topology import RECEIVED, UNIQUE
from tests.building.loops import a_loop, an_envelope, number, passed_on, read, send, until


async def test_one_that_may_only_go_slowly_gives_back_what_it_holds_at_its_end(stages: Broker) -> None:
    """All that was buffered went out at once."""
    tried: list[int] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        tried.extend(map(number, batch))
        return []

    await send(stages, [an_envelope(n) for n in range(100)], each_alone=True)
    loop, stopping = a_loop(stages, Stage(handle)), asyncio.Event()
    loop.pause()
    loop.resume()
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: bool(tried))
        stopping.set()
    allowed = FIRST_RATE * 2 * (time.monotonic() - began + 1)
    assert len(tried) <= allowed < 100
    left = await read(stages, RECEIVED, expected=100 - len(tried))
    assert sorted([*tried, *map(number, left)]) == list(range(100))


async def test_one_that_does_not_rest_is_not_slowed_down_by_a_word_to_go_on(stages: Broker) -> None:
    sizes: list[int] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        sizes.append(len(batch))
        return []

    await send(stages, [an_envelope(n) for n in range(48)], each_alone=True)
    loop, stopping = a_loop(stages, Stage(handle)), asyncio.Event()
    loop.resume()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: sum(sizes) == 48)
        stopping.set()
    assert max(sizes) > 2 * FIRST_RATE


async def test_what_it_gave_back_grows_older_only_while_it_rests(stages: Broker) -> None:
    """A sink that was removed, or whose work another process had taken, was late for ever."""
    working = asyncio.Event()

    async def handle(_: Sequence[Envelope]) -> Outcome:
        if not working.is_set():
            raise Unavailable("away")
        return []

    def told(what: str) -> float | None:
        return telemetry.registry.get_sample_value(f"callstitch_{what}", {"stage": "dedupe"})

    await send(stages, [an_envelope(1)])
    telemetry, stopping = Telemetry(), asyncio.Event()
    loop = a_loop(stages, Stage(handle), telemetry=telemetry)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(stopping))
        await until(lambda: told("held") == 1)
        loop.pause()
        await until(lambda: told("in_flight_envelopes") == 0)
        assert told("oldest_age_seconds")
        taken = await read(stages, RECEIVED, expected=1)
        working.set()
        loop.resume()
        await until(lambda: told("oldest_age_seconds") == 0)
        loop.pause()
        assert told("paused") == 1
        stopping.set()
    assert [number(envelope) for envelope in taken] == [1]
    assert (told("paused"), told("held"), told("oldest_age_seconds")) == (0, 0, 0)


async def test_one_that_is_sent_away_and_hangs_is_cut_off_and_its_work_comes_again(stages: Broker) -> None:
    """A reload waited for it for ever, and took up nothing more."""
    hanging = asyncio.Event()

    async def hang(_: Sequence[Envelope]) -> Outcome:
        hanging.set()
        await asyncio.Event().wait()
        return []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        return [passed_on(envelope) for envelope in batch]

    await send(stages, [an_envelope(1)])
    crew, stopping = Crew(patience=0.2), asyncio.Event()
    one, another = a_loop(stages, Stage(hang)), a_loop(stages, Stage(handle))
    crew.add([one])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(crew.run(stopping))
        await hanging.wait()
        await crew.send_away(one)
        crew.add([another])
        assert [number(envelope) for envelope in await read(stages, UNIQUE, expected=1)] == [1]
        stopping.set()
