"""What the tests of the embedded broker share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from runtime.broker.embedded import Embedded, open_embedded
from schemas.topology import Binding, Exchange, Queue, Topology
from tests.contracts.brokers import only

QUEUE: Final = "queue"
LIMITED: Final = Topology(
    exchanges=(Exchange(name="dead-letters", kind="fanout"),),
    queues=(Queue(name=QUEUE, dead_letter_exchange="dead-letters", delivery_limit=1), Queue(name="dead")),
    bindings=(Binding(exchange="dead-letters", queue="dead"),),
)


@asynccontextmanager
async def opened(path: Path | None, *queues: str, confirm_seconds: float = 5) -> AsyncIterator[Embedded]:
    async with open_embedded(path, confirm_seconds=confirm_seconds) as broker:
        await broker.declare(only(*(queues or (QUEUE,))))
        yield broker
