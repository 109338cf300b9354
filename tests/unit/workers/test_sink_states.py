"""What an operator said of a sink holds for a process that starts later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from runtime.broker.embedded import open_embedded
from runtime.verdict import Policy
from schemas.envelope import Envelope
from schemas.settings.addresses import store_address
from schemas.stage import Outcome, Stage
from schemas.topology import topology
from tests.building.facts import T0
from tests.building.loops import a_loop, an_envelope, send, until
from workers.delivery.log import DeliveryLog
from workers.delivery.states import SinkStates
from workers.stores import open_sinks

SLOW: Final = 12
SLOW_SECONDS: Final = 1.0  # at 5 to 8 a second


async def test_a_process_that_starts_after_resume_is_no_faster_than_one_that_was_there(tmp_path: Path) -> None:
    began: list[float] = []

    async def handle(batch: Sequence[Envelope]) -> Outcome:
        began.extend([time.monotonic()] * len(batch))
        return []

    async with open_sinks(store_address(f"sqlite:{tmp_path}")) as store, open_embedded(None) as broker:
        await broker.declare(topology([]))
        await send(broker, [an_envelope(n) for n in range(SLOW)], each_alone=True)
        await store.pause("dedupe", by="kim", now=T0 - timedelta(hours=1))
        await store.resume("dedupe", now=T0)
        log = DeliveryLog(store, lambda: T0, Policy(()), timedelta(days=7))
        states, loop, stopping = SinkStates(store, lambda: T0, log), a_loop(broker, Stage(handle)), asyncio.Event()
        await states.first_look()
        states.begin("dedupe", loop)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(loop.run(stopping))
            await until(lambda: len(began) == SLOW)
            stopping.set()
    assert began[-1] - began[0] > SLOW_SECONDS, "without a ramp all go in one batch"
