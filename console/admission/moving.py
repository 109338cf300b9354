"""From one form to the other: `declare` moves a consumer from single events to batches, or back, and misses none.

It is bound for the new form first. Then correlate and park have time to publish in both, then to leave the old one
(runtime/events/forms.py), and only then is it unbound from that. Meanwhile an event may come in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from typing import Final

from runtime.broker.base import Broker
from runtime.events.forms import LEASE_SECONDS
from schemas.topology import BATCHES, CALLS, UNIQUE, Binding, Forms, sink_queue
from workers.config import Config
from workers.stores.forms import FormStore

WAIT_SECONDS: Final = 1.5 * LEASE_SECONDS


async def serve(store: FormStore, wanted: Forms, *, first: bool, unbinding: bool) -> None:
    """Have events published as is `wanted` now, by way of both; when it returns, all who publish know.

    `first`: nothing was declared yet, so nobody runs. `unbinding`: something will be unbound then, which a `declare`
    that died may have left so.
    """
    known = await store.forms()
    both = known | wanted
    steps = [step for step, before in ((both, known), (wanted, both)) if step != before]
    if first or not both.any_batch:
        steps = [wanted] if steps else []
    for step in steps:
        await store.serve(step)
        if both.any_batch and not first:
            await asyncio.sleep(WAIT_SECONDS)
    if unbinding and not steps and both.any_batch:
        await asyncio.sleep(WAIT_SECONDS)


async def declared_before(broker: Broker, config: Config) -> frozenset[str]:
    """The queues of ours that are there already, of which an older version may have kept no record."""
    return frozenset(await broker.depths([UNIQUE, *(sink_queue(sink.name) for sink in config.sink)]))


def as_declared(config: Config, known: Collection[Binding], there: Collection[str] = ()) -> Config:
    """The config with a word on batches at each sink: without one it stays as it was declared.

    A new one has batches where nothing was declared yet, or some have them already: else a correlate of an older
    version may run, which publishes none. `there`: queues that exist, whether anybody recorded them or not.
    """
    batches = {row.queue for row in known if row.exchange == BATCHES}
    singles = {*there, *(row.queue for row in known if row.exchange == CALLS)} - batches
    usual = bool(batches) or not singles

    def word(name: str) -> bool:
        return name in batches or (usual and name not in singles)

    sinks = [
        sink if sink.batch is not None else sink.model_copy(update={"batch": word(sink_queue(sink.name))})
        for sink in config.sink
    ]
    return config.model_copy(update={"sink": tuple(sinks)})


def told_of(config: Config, decided: Config) -> Iterator[str]:
    """A sentence for each sink that has no batches only because the config says nothing of them."""
    for before, after in zip(config.sink, decided.sink, strict=True):
        if before.batch is None and not after.batch:
            yield f"sink {before.name} gets single events, as before; with batch = true it gets batches"
