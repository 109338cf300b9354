"""What the operator's commands read the state from, and what the broker's queues hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Final, TypeVar

from console.admission.leftovers import leftovers
from console.admission.moving import as_declared
from console.ledger.account import read_ledger, totals
from console.ledger.equations import Difference, Sight, compare
from console.ledger.outlets import Outlet, told_of
from runtime.broker import open_broker
from runtime.broker.embedded import depths as embedded_depths
from runtime.verdict import policies
from schemas.envelope import JsonObject
from schemas.errors import Unavailable
from schemas.settings.addresses import BrokerAddress, StoreAddress
from schemas.topology import STAGES, feed_queue, retry_queue
from workers.config import Config, config_topology, outlets_of
from workers.stores import open_reads
from workers.stores.declared import since_in
from workers.stores.reads import Reads

T = TypeVar("T")

BROKER_SECONDS: Final = 5.0


def on_the_way(config: Config) -> tuple[str, ...]:
    """The queues in which a notification, or what became of it, may be until the stores know it."""
    schedules = policies(config.retry)
    to_the_stores = [row for row in STAGES.values() if row.owns_state]
    routed = [queue for row in to_the_stores for queue, kinds in row.reads.items() if kinds]
    delays = {delay for row in to_the_stores for delay in schedules[row.name].delays}
    return (*routed, *sorted(retry_queue(delay) for delay in delays))


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that `reconcile` has to say."""

    rows: Sequence[JsonObject]
    differences: Sequence[Difference]
    outlets: Sequence[Outlet]
    queues: Mapping[str, int] | None
    leftovers: Mapping[str, int] = field(default_factory=dict)  # what the config no longer wants, with its depth
    tallied: bool = True  # whether a door has ever told what it answered: before that nothing can be compared

    @property
    def balanced(self) -> bool:
        """Whether nothing differs but what may be in flight."""
        return all(difference.in_flight for difference in self.differences)

    @property
    def masked(self) -> Account:
        """The same without the numbers in the ids of calls that it names."""
        return replace(self, differences=[one.masked for one in self.differences])

    def as_json(self) -> JsonObject:
        """The same for programs."""
        return {
            "balanced": self.balanced and self.tallied,
            "rows": list(self.rows),
            "totals": totals(self.rows),
            "differences": [asdict(difference) for difference in self.differences],
            "outlets": [asdict(outlet) | outlet.figures for outlet in self.outlets],
            "queues": self.queues,
            "leftovers": self.leftovers,
            "tallied": self.tallied,
        }


def ask_store(store: StoreAddress, question: Callable[[Reads], Awaitable[T]]) -> T:
    """The answer to one command's question, asked outside any event loop.

    Raises:
        Misconfigured, Unavailable: see workers.stores.reads; also when nothing has run on that store yet.
    """

    async def ask() -> T:
        async with open_reads(store) as reads:
            return await question(reads)

    return asyncio.run(ask())


async def queue_depths(config: Config, queues: Sequence[str]) -> Mapping[str, int] | None:
    """Messages in each of these queues that exists; None when the broker does not answer within 5 s.

    RabbitMQ tells what is ready: what a consumer has in its hands (at most its prefetch) is not counted, and neither is
    what a message holds (a bundle: up to 128 envelopes). The embedded broker's file counts everything not acked; a
    broker in memory is known to its own process alone, so it is told as None.

    Raises:
        Misconfigured: the broker refuses us.
    """
    if config.broker.embedded:
        if config.broker.file is None:
            return None
        held = await asyncio.to_thread(embedded_depths, config.broker.file)
        return {name: held[name] for name in queues if name in held}
    try:
        return await _asked_depths(config.broker, queues)
    except (Unavailable, TimeoutError):
        return None


async def reckon(
    config: Config,
    *,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    now: datetime,
    fact_by_fact: bool = False,
    named: bool = True,
) -> Account:
    """The whole account; what the queues hold is asked first, so that what leaves one meanwhile has arrived.

    Unless `named`, facts and calls that differ are counted only, which reads no session, and no outlet is told.

    Raises:
        Misconfigured, Unavailable: the store refuses us or does not answer; the broker refuses us.
    """
    ways = on_the_way(config)
    waits = {one.name: one.settle + one.cdr_wait for one in config.source}
    async with open_reads(config.store) as reads:
        recorded = await reads.declared()
        left = leftovers(recorded, config_topology(config))
        outlets = outlets_of(as_declared(config, recorded))
        feeds = [feed_queue(queue.name) for queue in config.queue if queue.fed]
        depths = await queue_depths(config, [*ways, *outlets, *feeds, *left])
        queues = None if depths is None else {name: depths[name] for name in ways if name in depths}
        sight = Sight(now=now, waits=waits, queues=queues, fact_by_fact=fact_by_fact)
        rows = await read_ledger(reads.books, since=since, until=until, source=source, now=now, kept=config.retention)
        return Account(
            rows=rows,
            differences=await compare(rows, sight, reads.books if named else None),
            outlets=await told_of(outlets, reads, depths, since_in(recorded), config) if named else (),
            queues=queues,
            leftovers={name: depths[name] for name in left if name in depths} if depths else {},
            tallied=await _tallied(rows, reads),
        )


async def _tallied(rows: Sequence[JsonObject], reads: Reads) -> bool:
    """Also where there is nothing to compare; other hours are asked for only if the chosen ones tell nothing."""
    if not rows or any(row["answered"] for row in rows):
        return True
    return any(row.get("answered") for row in await reads.books.ledger())


async def _asked_depths(broker: BrokerAddress, queues: Sequence[str]) -> Mapping[str, int]:
    async with asyncio.timeout(BROKER_SECONDS), open_broker(broker) as asked:
        return dict(await asked.depths(queues))
